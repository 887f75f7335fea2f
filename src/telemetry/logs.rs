//! The log: one subscriber for the process, whose levels can be changed while it runs, and a writer that no line waits
//! for.
//!
//! A line is made where it is said ([`line`]), and written by a thread of its own behind a bounded queue ([`writer`]):
//! a terminal that is stopped, or a journal that is full, costs lines, never a call.

mod journal;
mod layer;
mod line;
mod writer;

use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

use self::layer::LineLayer;
use self::writer::Writer;

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Datagrams with fields, to the journal.
    Journald,
    /// An object a line, to standard error.
    Json,
    /// For people, to standard error.
    Text,
}

impl Format {
    /// The word for it in the configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Journald => "journald",
            Self::Json => "json",
            Self::Text => "text",
        }
    }

    /// What fits standard error: fields where it leads to the journal, else text.
    pub fn of_stderr() -> Self {
        let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
        // By its path, since a descriptor's own numbers are not to be had without it.
        let stderr = std::fs::metadata("/proc/self/fd/2").map(|found| (found.dev(), found.ino()));
        match (journal::stream(&stream), stderr) {
            (Some(wanted), Ok(found)) if wanted == found => Self::Journald,
            _ => Self::Text,
        }
    }
}

/// How the log is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Levels, in the syntax of `RUST_LOG`.
    pub filter: String,
    /// They are the operator's at the command line: a configuration does not change them.
    pub pinned: bool,
    pub format: Format,
    pub color: bool,
    /// Lines that may wait.
    pub queue: usize,
}

/// Why the log is not as it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    #[error("`{filter}` is no list of levels: {why}; such as `info,trunkway::transport=debug`")]
    Filter { filter: String, why: String },
    #[error("the log is set up already")]
    Taken,
    #[error("the log has no thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// The log of this process.
#[derive(Debug)]
pub struct Logs {
    handle: reload::Handle<EnvFilter, Registry>,
    writer: Arc<Writer>,
    format: Format,
    pinned: bool,
    levels: Mutex<Levels>,
    numbers: AtomicU64,
}

/// What is logged now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    /// What the command line or the configuration asks for.
    pub configured: String,
    /// What is in force instead.
    pub instead: Option<Instead>,
}

/// Levels that were set while the edge runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instead {
    pub filter: String,
    /// When they end, in milliseconds since 1970 UTC.
    pub until_unix_ms: Option<u64>,
    /// Tells these from others.
    number: u64,
}

impl Levels {
    /// The levels in force.
    pub fn filter(&self) -> &str {
        self.instead.as_ref().map_or(&self.configured, |instead| &instead.filter)
    }
}

static INSTALLED: OnceLock<Logs> = OnceLock::new();

/// The log of this process, where the edge has set it up.
pub fn installed() -> Option<&'static Logs> {
    INSTALLED.get()
}

/// Sets up the log of this process.
///
/// # Errors
/// [`LogError`]; nothing is logged then.
pub fn install(settings: Settings) -> Result<&'static Logs, LogError> {
    let filter = parse(&settings.filter)?;
    let sink = match settings.format {
        Format::Journald => writer::Sink::Journal(PathBuf::from(journal::SOCKET)),
        Format::Json | Format::Text => writer::Sink::Stderr,
    };
    let writer = Writer::start(sink, settings.queue)?;
    let (filter, handle) = reload::Layer::new(filter);
    let color = settings.color && std::io::stderr().is_terminal();
    let lines = LineLayer::new(settings.format, color, Arc::clone(&writer));
    tracing_subscriber::registry().with(filter).with(lines).try_init().map_err(|_| LogError::Taken)?;
    let levels = Levels { configured: settings.filter, instead: None };
    let (format, pinned) = (settings.format, settings.pinned);
    let logs = Logs { handle, writer, format, pinned, levels: Mutex::new(levels), numbers: AtomicU64::new(1) };
    INSTALLED.set(logs).map_err(|_| LogError::Taken)?;
    INSTALLED.get().ok_or(LogError::Taken)
}

impl Logs {
    /// How lines are written.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// What is logged now.
    pub fn levels(&self) -> Levels {
        self.lock().clone()
    }

    /// Lines that found no room.
    pub fn dropped(&self) -> u64 {
        self.writer.dropped()
    }

    /// Takes what a configuration asks for, unless the command line does; levels that were set meanwhile stay.
    ///
    /// # Errors
    /// [`LogError::Filter`]; nothing has changed then.
    pub fn configure(&self, filter: &str) -> Result<(), LogError> {
        if self.pinned {
            return Ok(());
        }
        let parsed = parse(filter)?;
        let mut levels = self.lock();
        filter.clone_into(&mut levels.configured);
        if levels.instead.is_none() {
            self.put(filter, parsed)?;
        }
        Ok(())
    }

    /// Logs by other levels; `None`: by the configured ones again. With `until_unix_ms`, the number that comes back is to
    /// be given to [`Self::end`] then.
    ///
    /// # Errors
    /// [`LogError::Filter`]; nothing has changed then.
    pub fn set(&self, filter: Option<&str>, until_unix_ms: Option<u64>) -> Result<u64, LogError> {
        let mut levels = self.lock();
        let configured = levels.configured.clone();
        let wanted = filter.unwrap_or(&configured);
        self.put(wanted, parse(wanted)?)?;
        // No timer of before ends what comes later.
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        levels.instead = filter.map(|filter| Instead { filter: filter.to_owned(), until_unix_ms, number });
        Ok(number)
    }

    /// Ends the levels of a number, unless others were set meanwhile.
    pub fn end(&self, number: u64) {
        let mut levels = self.lock();
        if levels.instead.as_ref().is_some_and(|instead| instead.number == number) {
            levels.instead = None;
            let configured = levels.configured.clone();
            // It was taken before.
            if let Ok(parsed) = parse(&configured) {
                let _ = self.put(&configured, parsed);
            }
        }
    }

    /// Waits until what was said is written, for `patience` at most.
    pub fn flush(&self, patience: Duration) {
        self.writer.flush(patience);
    }

    fn put(&self, filter: &str, parsed: EnvFilter) -> Result<(), LogError> {
        let gone = |error: reload::Error| LogError::Filter { filter: filter.to_owned(), why: error.to_string() };
        self.handle.reload(parsed).map_err(gone)
    }

    fn lock(&self) -> MutexGuard<'_, Levels> {
        // What is inside is replaced as a whole.
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(filter: &str) -> Result<EnvFilter, LogError> {
    let fault = |why: String| LogError::Filter { filter: filter.to_owned(), why };
    if filter.trim().is_empty() {
        return Err(fault("it is empty".to_owned()));
    }
    EnvFilter::builder().parse(filter).map_err(|error| fault(error.to_string()))
}

#[cfg(test)]
mod tests;
