//! The faults being collected while a configuration is read, and the files that they point into.

use std::cell::{Cell, OnceCell, RefCell};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fault::{Excerpt, Fault, Faults, Position, Severity};
use super::files::Instead;
use super::mask::masked;

/// How many errors, and how many warnings, are told; of the rest only the number is.
const MAX_FAULTS: usize = 100;

/// How much of a line is kept behind the place that a fault points to, in characters.
const MAX_TAIL: usize = 200;

/// Index of a file in the [`Log`]; the default is the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId(u32);

/// A stretch of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub file: FileId,
    start: usize,
    end: usize,
}

impl Place {
    pub(super) const fn new(file: FileId, span: Range<usize>) -> Self {
        Self { file, start: span.start, end: span.end }
    }
}

/// A value and where it was read.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub value: T,
    pub place: Place,
}

impl<T> At<T> {
    pub(super) const fn new(value: T, place: Place) -> Self {
        Self { value, place }
    }
}

/// A fault on its way into the log.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    severity: Severity,
    place: Option<Place>,
    file: Option<FileId>,
    message: String,
    label: String,
    also: Vec<(Place, String)>,
    help: Option<String>,
}

impl Draft {
    pub(super) fn error(place: Place, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            place: Some(place),
            file: None,
            message: message.into(),
            label: String::new(),
            also: Vec::new(),
            help: None,
        }
    }

    pub(super) fn warning(place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, message) }
    }

    /// A fault of a whole file.
    pub(super) fn of_file(severity: Severity, file: FileId, message: impl Into<String>) -> Self {
        let place = Place::new(file, 0..0);
        Self { severity, place: None, file: Some(file), ..Self::error(place, message) }
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(super) fn also(mut self, place: Place, label: impl Into<String>) -> Self {
        self.also.push((place, label.into()));
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }
}

#[derive(Debug)]
struct File {
    name: Arc<str>,
    text: Arc<str>,
    /// Makes a text of it that may be shown.
    mask: Mask,
    masked: OnceCell<Option<String>>,
}

/// Hides the secrets of a text, every byte by a `*`; `None`: there are none.
pub(super) type Mask = fn(&str) -> Option<String>;

/// Faults and files.
#[derive(Debug, Default)]
pub(super) struct Log {
    files: RefCell<Vec<File>>,
    faults: RefCell<Vec<(FileId, usize, Fault)>>,
    /// How many are not told.
    more: Cell<usize>,
    errors: Cell<usize>,
    warnings: Cell<usize>,
    /// A file could not be read: what seems to be missing may stand there.
    incomplete: Cell<bool>,
    instead: Instead,
}

impl Log {
    /// A log of a configuration of which some files are not read.
    pub(super) fn over(instead: Instead) -> Self {
        Self { instead, ..Self::default() }
    }

    /// The text of a file of rows.
    pub(super) fn read(&self, path: &Path) -> std::io::Result<Arc<str>> {
        self.instead.read(path)
    }

    /// The files of rows that a pattern names.
    pub(super) fn expand(&self, base: &Path, pattern: &str) -> std::io::Result<Vec<PathBuf>> {
        self.instead.expand(base, pattern)
    }

    /// Adds a file that holds secrets; `shown` has as many bytes as `text`, and stands in excerpts.
    pub(super) fn add_secret_file(&self, name: impl Into<Arc<str>>, text: Arc<str>, shown: Option<String>) -> FileId {
        let id = self.add_file(name, text);
        if let Some(file) = self.files.borrow().get(id.0 as usize) {
            let _ = file.masked.set(shown);
        }
        id
    }

    pub(super) fn add_file(&self, name: impl Into<Arc<str>>, text: Arc<str>) -> FileId {
        self.add_masked(name, text, masked)
    }

    /// Takes a file whose secrets are found in a way of its own.
    pub(super) fn add_masked(&self, name: impl Into<Arc<str>>, text: Arc<str>, mask: Mask) -> FileId {
        let mut files = self.files.borrow_mut();
        let id = FileId(u32::try_from(files.len()).unwrap_or(u32::MAX));
        files.push(File { name: name.into(), text, mask, masked: OnceCell::new() });
        id
    }

    pub(super) fn text(&self, file: FileId) -> Arc<str> {
        self.files.borrow().get(file.0 as usize).map_or_else(|| Arc::from(""), |file| Arc::clone(&file.text))
    }

    /// The name that a file has in faults.
    pub(super) fn name(&self, file: FileId) -> Arc<str> {
        self.files.borrow().get(file.0 as usize).map_or_else(|| Arc::from(""), |file| Arc::clone(&file.name))
    }

    /// The file that has a name in faults.
    pub(super) fn file(&self, name: &str) -> Option<FileId> {
        let files = self.files.borrow();
        let index = files.iter().position(|file| *file.name == *name)?;
        u32::try_from(index).ok().map(FileId)
    }

    /// The line of a place, from one.
    pub(super) fn line(&self, place: Place) -> u32 {
        let text = self.text(place.file);
        let before = text.as_bytes().get(..place.start).unwrap_or_default();
        u32::try_from(memchr::memchr_iter(b'\n', before).count() + 1).unwrap_or(u32::MAX)
    }

    pub(super) fn add(&self, draft: Draft) {
        let kind = match draft.severity {
            Severity::Error => &self.errors,
            Severity::Warning => &self.warnings,
        };
        kind.set(kind.get() + 1);
        if kind.get() > MAX_FAULTS {
            return self.more.set(self.more.get() + 1);
        }
        let at = match (draft.place, draft.file) {
            (Some(place), _) => self.excerpt(place, draft.label),
            (None, Some(file)) => self.whole(file),
            (None, None) => None,
        };
        let also = draft.also.into_iter().filter_map(|(place, label)| self.excerpt(place, label)).collect();
        let file = draft.place.map(|place| place.file).or(draft.file).unwrap_or(FileId(0));
        let start = draft.place.map_or(0, |place| place.start);
        let fault = Fault { severity: draft.severity, message: draft.message, at, also, help: draft.help };
        self.faults.borrow_mut().push((file, start, fault));
    }

    /// Whether no more errors are told; then [`Log::count`] is cheaper than [`Log::add`].
    pub(super) fn is_full(&self) -> bool {
        self.errors.get() >= MAX_FAULTS
    }

    /// Counts errors that are not told.
    pub(super) fn count(&self, errors: usize) {
        self.errors.set(self.errors.get() + errors);
        self.more.set(self.more.get() + errors);
    }

    fn whole(&self, file: FileId) -> Option<Excerpt> {
        let files = self.files.borrow();
        let file = files.get(file.0 as usize)?;
        Some(Excerpt { file: file.name.to_string(), position: None, label: String::new() })
    }

    /// Cuts out the line of a place; of a place that spans lines, the first.
    fn excerpt(&self, place: Place, label: String) -> Option<Excerpt> {
        let files = self.files.borrow();
        let file = files.get(place.file.0 as usize)?;
        let shown = file.masked.get_or_init(|| (file.mask)(&file.text));
        let text: &str = shown.as_deref().unwrap_or(&file.text);
        let start = floor_char_boundary(text, place.start);
        let (before, after) = text.split_at(start);
        let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        let rest = after.find(['\r', '\n']).unwrap_or(after.len());
        let end = floor_char_boundary(text, place.end.clamp(start, start + rest));
        let tail = text.get(end..start + rest)?;
        let tail = tail.char_indices().nth(MAX_TAIL).map_or(tail.len(), |(index, _)| index);
        let line = text.get(begin..end + tail)?;
        Some(Excerpt {
            file: file.name.to_string(),
            position: Some(Position {
                line: memchr::memchr_iter(b'\n', before.as_bytes()).count() + 1,
                column: text.get(begin..start)?.chars().count() + 1,
                text: line.to_owned(),
                span: start - begin..end - begin,
            }),
            label,
        })
    }

    /// Whether anything keeps the configuration from being taken.
    pub(super) fn failed(&self) -> bool {
        self.errors.get() > 0
    }

    /// Says that a file could not be read.
    pub(super) fn set_incomplete(&self) {
        self.incomplete.set(true);
    }

    /// Whether all files could be read, so that what is missing is missing.
    pub(super) fn is_complete(&self) -> bool {
        !self.incomplete.get()
    }

    /// All faults, errors before warnings, each in the order of files and lines.
    pub(super) fn into_faults(self) -> Faults {
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|(file, start, fault)| (fault.severity, *file, *start));
        Faults { faults: faults.into_iter().map(|(_, _, fault)| fault).collect(), more: self.more.get() }
    }
}

fn floor_char_boundary(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}
