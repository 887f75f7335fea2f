//! Names that one table gives and another refers to.

use std::collections::BTreeMap;

use super::log::{At, Draft, Log, Place};
use super::nearest::did_you_mean;
use super::reader::quoted;

/// How long the name of a listener, trunk, tenant or dial plan may be: it becomes a label of metrics.
const MAX_NAME: usize = 64;

/// What is known by name, and where each name was given.
#[derive(Clone, Debug)]
pub(super) struct Names<T> {
    /// "trunk", for messages.
    what: &'static str,
    known: BTreeMap<String, (T, Place)>,
}

impl<T: Copy> Names<T> {
    pub(super) const fn new(what: &'static str) -> Self {
        Self { what, known: BTreeMap::new() }
    }

    /// Takes a name; complains when it is no good or already taken.
    pub(super) fn add(&mut self, log: &Log, name: At<&str>, value: T) {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.value.is_empty() || name.value.len() > MAX_NAME || !name.value.bytes().all(allowed) {
            let message = format!("{} is no name for a {}", quoted(name.value), self.what);
            let help = format!("use 1 to {MAX_NAME} letters, digits, `-`, `_` and `.`");
            log.add(Draft::error(name.place, message).help(help));
        }
        self.take(log, name, value);
    }

    /// Takes a name that was checked elsewhere; complains when it is already taken.
    pub(super) fn take(&mut self, log: &Log, name: At<&str>, value: T) {
        match self.known.get(name.value) {
            Some((_, first)) => {
                let message = format!("{} {} is there twice", self.what, quoted(name.value));
                log.add(Draft::error(name.place, message).label("again").also(*first, "first"));
            }
            None => {
                self.known.insert(name.value.to_owned(), (value, name.place));
            }
        }
    }

    /// What a name stands for, without a complaint.
    pub(super) fn get(&self, name: &str) -> Option<T> {
        self.known.get(name).map(|(value, _)| *value)
    }

    /// Where a name was given.
    pub(super) fn place(&self, name: &str) -> Option<Place> {
        self.known.get(name).map(|(_, place)| *place)
    }

    /// What a name stands for; complains when it is not known. `title` is who refers to it.
    pub(super) fn find(&self, log: &Log, title: &str, name: &At<&str>) -> Option<T> {
        let found = self.get(name.value);
        // A file that could not be read may have it.
        if found.is_none() && log.is_complete() {
            let message = format!("{title}: there is no {} {}", self.what, quoted(name.value));
            let help = did_you_mean(name.value, self.words()).unwrap_or_else(|| self.list());
            log.add(Draft::error(name.place, message).help(help));
        }
        found
    }

    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        self.known.keys().map(String::as_str)
    }

    /// The value of the only name, when there is one only.
    pub(super) fn only(&self) -> Option<T> {
        let mut values = self.known.values();
        values.next().filter(|_| values.next().is_none()).map(|(value, _)| *value)
    }

    fn list(&self) -> String {
        const SHOWN: usize = 10;
        let mut words: Vec<String> = self.words().take(SHOWN).map(quoted).collect();
        if self.known.len() > SHOWN {
            words.push("...".to_owned());
        }
        match words.as_slice() {
            [] => format!("there is no {} at all", self.what),
            _ => format!("known: {}", words.join(", ")),
        }
    }
}
