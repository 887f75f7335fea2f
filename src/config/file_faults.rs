//! Faults of files that are no configuration, such as imports: told in the same way.

use std::ops::Range;
use std::sync::Arc;

use super::fault::{Faults, Severity};
use super::log::{Draft, FileId, Log, Place};
use super::nearest::did_you_mean;
use super::rows::line_span;

/// A file that faults point into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultFile(FileId);

/// The faults of some files, being collected. As in a configuration only the first hundred errors, and warnings, are
/// told; of the rest only the number is.
#[derive(Debug, Default)]
pub struct FileFaults {
    log: Log,
}

/// A fault on its way into [`FileFaults`].
#[derive(Clone, Debug)]
pub struct Remark(Draft);

impl FileFaults {
    /// Adds a file; `name` stands in faults.
    pub fn file(&self, name: &str, text: Arc<str>) -> FaultFile {
        FaultFile(self.log.add_file(name, text))
    }

    /// Adds a file that holds secrets; `shown` has as many bytes as `text` and stands in faults, `None`: the text may.
    pub fn secret_file(&self, name: &str, text: Arc<str>, shown: Option<String>) -> FaultFile {
        FaultFile(self.log.add_secret_file(name, text, shown))
    }

    /// The stretch of a line, which counts from one.
    pub fn line(&self, file: FaultFile, line: u32) -> Range<usize> {
        line_span(&self.log.text(file.0), (line as usize).saturating_sub(1))
    }

    /// Adds a fault.
    pub fn add(&self, remark: Remark) {
        self.log.add(remark.0);
    }

    /// Whether no more errors are told; then [`FileFaults::count`] is cheaper than [`FileFaults::add`].
    pub fn is_full(&self) -> bool {
        self.log.is_full()
    }

    /// Counts errors that are not told.
    pub fn count(&self, errors: usize) {
        self.log.count(errors);
    }

    /// Whether there is any error.
    pub fn failed(&self) -> bool {
        self.log.failed()
    }

    /// All faults, errors before warnings, each in the order of files and lines.
    pub fn into_faults(self) -> Faults {
        self.log.into_faults()
    }
}

impl Remark {
    /// An error at a stretch of a file, in bytes.
    pub fn error(file: FaultFile, span: Range<usize>, message: impl Into<String>) -> Self {
        Self(Draft::error(Place::new(file.0, span), message))
    }

    /// A warning at a stretch of a file, in bytes.
    pub fn warning(file: FaultFile, span: Range<usize>, message: impl Into<String>) -> Self {
        Self(Draft::warning(Place::new(file.0, span), message))
    }

    /// An error of a whole file.
    pub fn error_of(file: FaultFile, message: impl Into<String>) -> Self {
        Self(Draft::of_file(Severity::Error, file.0, message))
    }

    /// A warning of a whole file.
    pub fn warning_of(file: FaultFile, message: impl Into<String>) -> Self {
        Self(Draft::of_file(Severity::Warning, file.0, message))
    }

    /// Says something of the place itself.
    #[must_use]
    pub fn label(self, label: impl Into<String>) -> Self {
        Self(self.0.label(label))
    }

    /// Names another place that belongs to it.
    #[must_use]
    pub fn also(self, file: FaultFile, span: Range<usize>, label: impl Into<String>) -> Self {
        Self(self.0.also(Place::new(file.0, span), label))
    }

    /// Says what to do.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self(self.0.help(help))
    }

    /// Asks whether a near one of the known words was meant.
    #[must_use]
    pub fn did_you_mean<'a>(self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let help = did_you_mean(word, known);
        Self(self.0.maybe_help(help))
    }
}
