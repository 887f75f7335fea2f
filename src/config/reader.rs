//! Typed reading of TOML tables that goes on after a fault, so that all faults are told at once.
//!
//! A key is known because some code asks for it: there is no second list of keys to keep true.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::credential;
use super::log::{At, Draft, FileId, Log, Place};
use super::nearest::did_you_mean;

/// Why a text is not what its key asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub message: String,
    pub help: Option<String>,
}

impl Complaint {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The keys that were asked for, by the path of their table in the reference.
pub(super) type Keys = BTreeMap<&'static str, BTreeSet<&'static str>>;

/// What all tables of a configuration are read with.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub log: Log,
    pub keys: RefCell<Keys>,
    /// Ids that are given already.
    pub slots: super::slots::Shared,
}

/// A table being read.
#[derive(Clone, Debug)]
pub(super) struct Table<'t> {
    reading: &'t Reading,
    /// The table's path in the reference, `trunk.NAME`.
    path: &'static str,
    /// What messages call it, "trunk `pbx1`".
    pub title: String,
    pub place: Place,
    /// The directory that paths in this table are relative to.
    base: &'t Path,
    entries: &'t DeTable<'t>,
    asked: Vec<&'static str>,
}

impl<'t> Table<'t> {
    /// The table that a whole file is.
    pub(super) fn root(reading: &'t Reading, file: FileId, base: &'t Path, entries: &'t DeTable<'t>) -> Self {
        let place = Place::new(file, 0..0);
        let title = "the configuration".to_owned();
        Self { reading, path: "", title, place, base, entries, asked: Vec::new() }
    }

    /// A table inside this one.
    fn inner(&self, path: &'static str, title: String, place: Place, entries: &'t DeTable<'t>) -> Self {
        let Self { reading, base, .. } = *self;
        Self { reading, path, title, place, base, entries, asked: Vec::new() }
    }

    pub(super) const fn log(&self) -> &'t Log {
        &self.reading.log
    }

    pub(super) const fn file(&self) -> FileId {
        self.place.file
    }

    /// Says that a key is known, though nothing is read from it here.
    pub(super) fn know(&mut self, key: &'static str) {
        self.ask(key);
    }

    fn ask(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.asked.push(key);
        self.reading.keys.borrow_mut().entry(self.path).or_default().insert(key);
        self.entries.get(key)
    }

    fn at(&self, value: &Spanned<DeValue<'_>>) -> Place {
        Place::new(self.file(), value.span())
    }

    fn wrong_type(&self, key: &str, wanted: &str, value: &Spanned<DeValue<'_>>) {
        let message = format!("{}: `{key}` must be {wanted}", self.title);
        let label = format!("this is {}", kind(value.get_ref()));
        self.log().add(Draft::error(self.at(value), message).label(label));
    }

    /// Where a key stands, for messages; the table itself when it does not.
    pub(super) fn place_of(&self, key: &str) -> Place {
        self.entries.get(key).map_or(self.place, |value| self.at(value))
    }

    /// Whether the key is there, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Whether the key is there, and is a list with nothing in it.
    pub(super) fn is_empty_list(&self, key: &str) -> bool {
        let value = self.entries.get(key).map(Spanned::get_ref);
        matches!(value, Some(DeValue::Array(items)) if items.is_empty())
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<At<&'t str>> {
        let value = self.ask(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(At::new(text, self.at(value))),
            _ => {
                self.wrong_type(key, "a string", value);
                None
            }
        }
    }

    /// A string that must be there.
    pub(super) fn required(&mut self, key: &'static str) -> Option<At<&'t str>> {
        let text = self.text(key);
        self.must_have(key);
        text
    }

    /// Complains when the key is not there at all.
    pub(super) fn must_have(&self, key: &str) {
        if !self.has(key) {
            let message = format!("{} has no `{key}`", self.title);
            self.log().add(Draft::error(self.place, message).label("in this table"));
        }
    }

    /// A string that `parse` understands.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Complaint>,
    ) -> Option<At<T>> {
        let text = self.text(key)?;
        self.parse(key, text, parse)
    }

    fn parse<T>(&self, key: &str, text: At<&str>, parse: impl FnOnce(&str) -> Result<T, Complaint>) -> Option<At<T>> {
        match parse(text.value) {
            Ok(value) => Some(At::new(value, text.place)),
            Err(complaint) => {
                self.complain(key, text.place, complaint);
                None
            }
        }
    }

    /// Says what is wrong with the value of a key, or with a part of it.
    pub(super) fn complain(&self, key: &str, place: Place, complaint: Complaint) {
        let message = format!("{}: `{key}`: {}", self.title, complaint.message);
        self.log().add(Draft::error(place, message).maybe_help(complaint.help));
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<At<T>> {
        self.parsed(key, |text| {
            words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
                let known: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
                let help = did_you_mean(text, words.iter().map(|(word, _)| *word));
                Complaint { message: format!("{} is none of {}", quoted(text), known.join(", ")), help }
            })
        })
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Option<At<bool>> {
        let value = self.ask(key)?;
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(At::new(*flag, self.at(value))),
            _ => {
                self.wrong_type(key, "true or false", value);
                None
            }
        }
    }

    pub(super) fn number(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<At<u64>> {
        let value = self.ask(key)?;
        let number = self.integer(key, value)?;
        self.in_range(key, number, range)
    }

    fn integer(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<At<i128>> {
        let number = match value.get_ref() {
            DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        if number.is_none() {
            self.wrong_type(key, "a whole number", value);
        }
        number.map(|number| At::new(number, self.at(value)))
    }

    fn in_range(&self, key: &str, number: At<i128>, range: RangeInclusive<u64>) -> Option<At<u64>> {
        let found = u64::try_from(number.value).ok().filter(|number| range.contains(number));
        if found.is_none() {
            let message = format!("{}: `{key}` must be from {} to {}", self.title, range.start(), range.end());
            self.log().add(Draft::error(number.place, message));
        }
        found.map(|found| At::new(found, number.place))
    }

    fn array(&mut self, key: &'static str, wanted: &str) -> Option<&'t [Spanned<DeValue<'t>>]> {
        let value = self.ask(key)?;
        match value.get_ref() {
            DeValue::Array(items) => Some(items),
            _ => {
                self.wrong_type(key, wanted, value);
                None
            }
        }
    }

    /// A list of strings; what is none is told and left out.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<At<&'t str>>> {
        let items = self.array(key, "a list of strings")?;
        let text = |item: &'t Spanned<DeValue<'t>>| match item.get_ref() {
            DeValue::String(text) => Some(At::new(&**text, self.at(item))),
            _ => {
                self.wrong_type(key, "a list of strings", item);
                None
            }
        };
        Some(items.iter().filter_map(text).collect())
    }

    /// A list of strings that `parse` understands.
    pub(super) fn parsed_list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, Complaint>,
    ) -> Option<Vec<At<T>>> {
        let texts = self.texts(key)?;
        Some(texts.into_iter().filter_map(|text| self.parse(key, text, &parse)).collect())
    }

    /// A list of whole numbers.
    pub(super) fn numbers(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<Vec<At<u64>>> {
        let items = self.array(key, "a list of whole numbers")?;
        let number = |item| self.integer(key, item).and_then(|number| self.in_range(key, number, range.clone()));
        Some(items.iter().filter_map(number).collect())
    }

    /// A number of things.
    pub(super) fn count(&mut self, key: &'static str, range: RangeInclusive<u64>, default: usize) -> usize {
        // Only ranges within `usize` are asked for.
        self.number(key, range).and_then(|number| usize::try_from(number.value).ok()).unwrap_or(default)
    }

    /// A time in milliseconds.
    pub(super) fn millis(&mut self, key: &'static str, range: RangeInclusive<u64>, default: Duration) -> Duration {
        self.number(key, range).map_or(default, |number| Duration::from_millis(number.value))
    }

    /// A time in seconds.
    pub(super) fn seconds(&mut self, key: &'static str, range: RangeInclusive<u64>, default: Duration) -> Duration {
        self.number(key, range).map_or(default, |number| Duration::from_secs(number.value))
    }

    /// The directory that paths in this table are relative to.
    pub(super) const fn base(&self) -> &'t Path {
        self.base
    }

    /// The path of a file that this table names.
    fn file_of(&self, text: &str) -> PathBuf {
        credential::path(self.base, text, credential::handed().as_deref())
    }

    /// A path, whether there is something or not.
    pub(super) fn path(&mut self, key: &'static str) -> Option<At<PathBuf>> {
        let text = self.text(key)?;
        Some(At::new(self.file_of(text.value), text.place))
    }

    /// A file that must be there and be readable; after a complaint, where it should be.
    pub(super) fn existing(&mut self, key: &'static str) -> Option<At<PathBuf>> {
        let text = self.text(key)?;
        let path = self.file_of(text.value);
        let opened = std::fs::File::open(&path).and_then(|file| file.metadata());
        let why = match opened {
            Ok(metadata) if metadata.is_dir() => "it is a directory".to_owned(),
            Ok(_) => return Some(At::new(path, text.place)),
            Err(error) => error.to_string(),
        };
        let file = quoted(&path.to_string_lossy());
        let message = format!("{}: `{key}`: cannot read {file}: {why}", self.title);
        let mut draft = Draft::error(text.place, message);
        if !text.value.starts_with('/') {
            draft = draft.help("paths are relative to the directory of the file that names them");
        }
        self.log().add(draft);
        Some(At::new(path, text.place))
    }

    /// A table of strings under names that the operator chooses.
    pub(super) fn texts_by_name(&mut self, key: &'static str) -> Vec<(At<&'t str>, At<&'t str>)> {
        let Some(value) = self.ask(key) else { return Vec::new() };
        let DeValue::Table(entries) = value.get_ref() else {
            self.wrong_type(key, "a table", value);
            return Vec::new();
        };
        let pair = |(name, value): (&'t Spanned<DeString<'t>>, &'t Spanned<DeValue<'t>>)| match value.get_ref() {
            DeValue::String(text) => {
                let name = At::new(&**name.get_ref(), Place::new(self.file(), name.span()));
                Some((name, At::new(&**text, self.at(value))))
            }
            _ => {
                self.wrong_type(key, "a table of strings", value);
                None
            }
        };
        entries.iter().filter_map(pair).collect()
    }

    /// A table below this one.
    pub(super) fn table(&mut self, key: &'static str, path: &'static str) -> Option<Self> {
        let value = self.ask(key)?;
        match value.get_ref() {
            DeValue::Table(entries) => {
                let title = if self.path.is_empty() { format!("[{key}]") } else { format!("{}: `{key}`", self.title) };
                Some(self.inner(path, title, self.at(value), entries))
            }
            _ => {
                self.wrong_type(key, "a table", value);
                None
            }
        }
    }

    /// A list of tables, `[[key]]`; `title` says what messages call one of them.
    pub(super) fn tables(
        &mut self,
        key: &'static str,
        path: &'static str,
        title: impl Fn(usize) -> String,
    ) -> Vec<Self> {
        let items = self.array(key, "a list of tables").unwrap_or_default();
        let mut tables = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item.get_ref() {
                DeValue::Table(entries) => {
                    tables.push(self.inner(path, title(index), self.at(item), entries));
                }
                _ => self.wrong_type(key, "a list of tables", item),
            }
        }
        tables
    }

    /// The tables `[key.NAME]` with their names, in the order of the file; `what` is what messages call one of them.
    pub(super) fn named(&mut self, key: &'static str, path: &'static str, what: &str) -> Vec<(At<&'t str>, Self)> {
        let Some(all) = self.table(key, "") else {
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (name, value) in all.entries.iter() {
            let place = Place::new(self.file(), name.span());
            match value.get_ref() {
                DeValue::Table(entries) => {
                    let title = format!("{what} {}", quoted(name.get_ref()));
                    let header = Place::new(self.file(), value.span());
                    let table = self.inner(path, title, header, entries);
                    tables.push((At::new(&**name.get_ref(), place), table));
                }
                _ => self.wrong_type(name.get_ref(), "a table", value),
            }
        }
        tables.sort_by_key(|(name, _)| name.place);
        tables
    }

    /// Complains of every key that nobody asked for.
    pub(super) fn finish(self) {
        for key in self.entries.keys() {
            if !self.asked.contains(&&**key.get_ref()) {
                self.unknown(key);
            }
        }
    }

    fn unknown(&self, key: &Spanned<DeString<'_>>) {
        let name = key.get_ref();
        let place = Place::new(self.file(), key.span());
        let table = match self.path {
            "" => "a configuration",
            _ => &*self.title,
        };
        let draft = Draft::error(place, format!("{table} has no key {}", quoted(name)));
        let help = if name == "include" && !self.path.is_empty() {
            "`include` belongs above the first table header".to_owned()
        } else if let Some(help) = did_you_mean(name, self.asked.iter().copied()) {
            help
        } else {
            let mut known: Vec<&str> = self.asked.clone();
            known.sort_unstable();
            known.dedup();
            format!("known keys: {}", known.join(", "))
        };
        self.log().add(draft.label("unknown key").help(help));
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A value as messages quote it: short, on one line, and never a key.
pub(super) fn quoted(value: &str) -> String {
    const MAX: usize = 80;
    if value.contains("-----BEGIN") {
        return "a PEM block".to_owned();
    }
    let mut text: String = value.chars().take(MAX).flat_map(char::escape_debug).collect();
    if value.chars().nth(MAX).is_some() {
        text.push_str("...");
    }
    format!("`{text}`")
}
