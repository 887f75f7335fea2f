//! A file of records: a line for each, closed when it is full or old, and taken up again when somebody moved it away.

mod names;

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::entry::csv_head;
use super::sink::Place;
use super::{Entry, Over};
use crate::cdr::entry::Style;

/// Owner and group may read: records have numbers of people in them.
const MODE: u32 = 0o640;

/// Bytes at the end of a file in which its last whole line is looked for.
const TAIL: u64 = 64 << 10;

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Csv,
    Json,
}

/// When a file is closed that is not full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotate {
    /// At midnight UTC.
    Daily,
    Hourly,
    Never,
}

impl Rotate {
    /// A number that changes when it is time.
    const fn period(self, unix_ms: u64) -> u64 {
        match self {
            Self::Daily => unix_ms / 86_400_000,
            Self::Hourly => unix_ms / 3_600_000,
            Self::Never => 0,
        }
    }
}

/// How a file is written.
#[derive(Clone, Debug)]
pub struct FileSettings {
    pub path: PathBuf,
    pub format: Format,
    pub max_bytes: u64,
    pub rotate: Rotate,
    /// Closed files that stay; zero: all.
    pub keep: usize,
    /// How often the file is brought to the disk; zero: the system does.
    pub sync: Duration,
    pub style: Style,
}

/// What the edge says to the thread that writes.
#[derive(Debug)]
pub struct FileOrders {
    settings: Mutex<Arc<FileSettings>>,
    reopen: AtomicBool,
}

impl FileOrders {
    /// The orders to begin with.
    pub fn new(settings: FileSettings) -> Arc<Self> {
        Arc::new(Self { settings: Mutex::new(Arc::new(settings)), reopen: AtomicBool::new(false) })
    }

    /// Writes in another way from the next record on, into the same file.
    pub fn set(&self, settings: FileSettings) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
        self.reopen.store(true, Ordering::Release);
    }

    fn settings(&self) -> Arc<FileSettings> {
        Arc::clone(&self.settings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The time in milliseconds since 1970 UTC.
pub type Clock = Box<dyn Fn() -> u64 + Send>;

/// The file that records are written to now.
pub struct RecordFile {
    orders: Arc<FileOrders>,
    clock: Clock,
    open: Option<Open>,
    dirty: bool,
    synced: Instant,
}

struct Open {
    file: File,
    /// `None`: it is no regular file, so nothing is cut or rotated.
    regular: Option<Regular>,
}

struct Regular {
    /// Bytes of whole lines.
    length: u64,
    /// Whether there is more than the line of names.
    has_records: bool,
    device: u64,
    inode: u64,
    period: u64,
}

impl Place for RecordFile {
    type Item = Arc<Over>;

    fn keep(&mut self, records: &[Arc<Over>], kept: &mut usize) -> Result<(), String> {
        let settings = self.orders.settings();
        self.write_all(&settings, records, kept).map_err(|error| fault(&settings, &error))
    }

    fn tend(&mut self) -> Result<(), String> {
        let settings = self.orders.settings();
        self.look_after(&settings).map_err(|error| fault(&settings, &error))
    }
}

fn fault(settings: &FileSettings, error: &io::Error) -> String {
    format!("{}: {error}", settings.path.display())
}

impl RecordFile {
    /// A file that is opened with the first record.
    pub fn new(orders: Arc<FileOrders>, clock: Clock) -> Self {
        Self { orders, clock, open: None, dirty: false, synced: Instant::now() }
    }

    fn write_all(&mut self, settings: &FileSettings, records: &[Arc<Over>], kept: &mut usize) -> io::Result<()> {
        let mut lines = Vec::new();
        let mut count = 0;
        for over in records {
            let begin = lines.len();
            let entry = Entry::of(over, &settings.style);
            match settings.format {
                Format::Csv => entry.write_csv(&mut lines),
                Format::Json => entry.write_json(&mut lines),
            }
            let now = (self.clock)();
            let open = self.open(settings)?;
            if let Some(regular) = open.regular.as_ref().filter(|it| it.has_records || begin > 0)
                && (regular.length + lines.len() as u64 > settings.max_bytes
                    || regular.period != settings.rotate.period(now))
            {
                let next = lines.split_off(begin);
                self.write(settings, &lines)?;
                *kept += std::mem::take(&mut count);
                lines = next;
                self.rotate(settings)?;
            }
            count += 1;
        }
        self.write(settings, &lines)?;
        *kept += count;
        Ok(())
    }

    /// Writes whole lines, or nothing.
    fn write(&mut self, settings: &FileSettings, lines: &[u8]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let period = settings.rotate.period((self.clock)());
        let open = self.open(settings)?;
        let written = open.file.write_all(lines);
        match (&written, &mut open.regular) {
            (Ok(()), Some(regular)) => {
                regular.length += lines.len() as u64;
                if !std::mem::replace(&mut regular.has_records, true) {
                    regular.period = period;
                }
                self.dirty = true;
            }
            (Ok(()), None) => {}
            (Err(_), regular) => {
                // What of it was written comes again.
                if let Some(regular) = regular {
                    let _ = open.file.set_len(regular.length);
                }
                self.open = None;
            }
        }
        written
    }

    fn open(&mut self, settings: &FileSettings) -> io::Result<&mut Open> {
        let opened = match self.open.take() {
            Some(open) => open,
            None => {
                self.orders.reopen.store(false, Ordering::Release);
                open(settings, (self.clock)())?
            }
        };
        Ok(self.open.insert(opened))
    }

    /// Puts the file aside under the time and begins the next one.
    fn rotate(&mut self, settings: &FileSettings) -> io::Result<()> {
        self.sync()?;
        self.open = None;
        names::put_aside(&settings.path, (self.clock)())?;
        if let Err(error) = names::prune(&settings.path, settings.keep) {
            tracing::warn!(file = %settings.path.display(), %error, "old files of records are not removed");
        }
        self.open(settings).map(|_| ())
    }

    fn sync(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.dirty)
            && let Some(open) = &self.open
        {
            self.synced = Instant::now();
            open.file.sync_data()?;
        }
        Ok(())
    }

    fn look_after(&mut self, settings: &FileSettings) -> io::Result<()> {
        if self.dirty && !settings.sync.is_zero() && self.synced.elapsed() >= settings.sync {
            self.sync()?;
        }
        let Some(regular) = self.open.as_ref().and_then(|open| open.regular.as_ref()) else { return Ok(()) };
        let there = match std::fs::metadata(&settings.path) {
            Ok(found) => found.dev() == regular.device && found.ino() == regular.inode,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if !there || self.orders.reopen.load(Ordering::Acquire) {
            self.sync()?;
            self.open = None;
        } else if regular.has_records && regular.period != settings.rotate.period((self.clock)()) {
            self.rotate(settings)?;
        }
        Ok(())
    }
}

impl Drop for RecordFile {
    fn drop(&mut self) {
        // The last chance; there is nobody left to tell of a failure.
        let _ = self.sync();
    }
}

/// Opens the file for what comes, with a whole line at its end.
fn open(settings: &FileSettings, now: u64) -> io::Result<Open> {
    let path = &settings.path;
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let options = |options: &mut OpenOptions| options.append(true).create(true).mode(MODE).open(path);
    // A pipe is opened for writing only: that waits for somebody who reads.
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Ok(Open { file: options(&mut OpenOptions::new())?, regular: None });
    }
    let mut file = options(OpenOptions::new().read(true))?;
    cut_torn_line(&mut file)?;
    let mut found = file.metadata()?;
    if found.len() > 0 && !is_of_format(&file, settings.format)? {
        drop(file);
        names::put_aside(path, now)?;
        file = options(OpenOptions::new().read(true))?;
        found = file.metadata()?;
    }
    let head = match settings.format {
        Format::Csv => csv_head(),
        Format::Json => Vec::new(),
    };
    let mut length = found.len();
    let has_records = length > head.len() as u64;
    if length == 0 && !head.is_empty() {
        file.write_all(&head)?;
        length = head.len() as u64;
    }
    let written = if has_records { modified(&found) } else { now };
    let (device, inode) = (found.dev(), found.ino());
    let period = settings.rotate.period(written);
    Ok(Open { file, regular: Some(Regular { length, has_records, device, inode, period }) })
}

fn modified(found: &Metadata) -> u64 {
    u64::try_from(found.mtime()).unwrap_or_default().saturating_mul(1_000)
}

/// Cuts off what a process that was killed left of a line.
fn cut_torn_line(file: &mut File) -> io::Result<()> {
    let length = file.metadata()?.len();
    let begin = length.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(begin))?;
    let mut tail = Vec::new();
    Read::by_ref(file).take(TAIL).read_to_end(&mut tail)?;
    if tail.last().is_none_or(|&last| last == b'\n') {
        return Ok(());
    }
    match tail.iter().rposition(|&byte| byte == b'\n') {
        Some(end) => file.set_len(begin + end as u64 + 1),
        None if begin == 0 => file.set_len(0),
        // No record is so long: whatever it is, it stays, on a line of its own.
        None => file.write_all(b"\n"),
    }
}

/// Whether the file begins as those of a format do.
fn is_of_format(file: &File, format: Format) -> io::Result<bool> {
    let mut file = file;
    file.seek(SeekFrom::Start(0))?;
    let mut first = Vec::new();
    BufReader::new(file.take(TAIL)).read_until(b'\n', &mut first)?;
    Ok(match format {
        Format::Csv => first == csv_head(),
        Format::Json => first.first() == Some(&b'{'),
    })
}

#[cfg(test)]
mod tests;
