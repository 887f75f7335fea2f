//! Calls that are up, noted so that the end of the process costs no call its record.
//!
//! A file of JSON lines: a call was answered, or is over. It only grows; when most of it is over, it is written anew with
//! the rest. What was being written when the process ended is left out.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::entry::{Entry, Opened, Style};
use super::sink::Place;
use crate::call::{CallId, CallRecord};

/// The file's name in the state directory.
const FILE: &str = "calls.open";

/// A file below this is never written anew.
const COMPACT_BYTES: u64 = 4 << 20;

/// A file is written anew when it has so many times the bytes of the calls that are up.
const COMPACT_FACTOR: u64 = 4;

/// How often the file is brought to the disk.
const SYNC: Duration = Duration::from_secs(1);

/// Owner and group may read: there are numbers of people in it.
const MODE: u32 = 0o640;

/// What is noted.
#[derive(Clone, Debug)]
pub enum Mark {
    /// A call was answered, at this time in milliseconds since 1970 UTC.
    Up(Box<CallRecord>, u64),
    Over(CallId),
}

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Up(Box<Opened>),
    Over(String),
}

/// The file with the calls that are up.
pub struct OpenCalls {
    path: PathBuf,
    style: Arc<Mutex<Style>>,
    /// Bytes of the line of each call that is up.
    alive: HashMap<CallId, u64>,
    alive_bytes: u64,
    file: Option<File>,
    bytes: u64,
    dirty: bool,
    synced: Instant,
}

impl OpenCalls {
    /// Takes up what the file of a state directory says: at most `max_calls` of those that were up. What cannot be read
    /// of it is left out.
    ///
    /// # Errors
    /// What the file system says.
    pub fn load(directory: &Path, max_calls: usize, style: Style) -> io::Result<(Self, Vec<Opened>)> {
        std::fs::create_dir_all(directory)?;
        let path = directory.join(FILE);
        let opened = match File::open(&path) {
            Ok(file) => read(BufReader::new(file), max_calls)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => HashMap::new(),
            Err(error) => return Err(error),
        };
        let mut calls = Self {
            path,
            style: Arc::new(Mutex::new(style)),
            alive: HashMap::new(),
            alive_bytes: 0,
            file: None,
            bytes: 0,
            dirty: false,
            synced: Instant::now(),
        };
        // A line that was torn is gone, and so is what was over.
        calls.write_anew(opened.values())?;
        Ok((calls, opened.into_values().collect()))
    }

    /// How entries are written, to be changed while it runs.
    pub fn style(&self) -> Arc<Mutex<Style>> {
        Arc::clone(&self.style)
    }

    fn write_anew<'o>(&mut self, opened: impl Iterator<Item = &'o Opened>) -> io::Result<()> {
        let fresh = self.path.with_extension("new");
        let mut file = BufWriter::new(options().truncate(true).write(true).open(&fresh)?);
        let (mut bytes, mut alive) = (0, HashMap::new());
        for opened in opened {
            let (Some(id), Some(line)) = (id_of(opened), encoded(&Line::Up(Box::new(opened.clone())))) else {
                continue;
            };
            file.write_all(&line)?;
            bytes += line.len() as u64;
            alive.insert(id, line.len() as u64);
        }
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_data()?;
        std::fs::rename(&fresh, &self.path)?;
        (self.bytes, self.alive_bytes, self.alive) = (bytes, bytes, alive);
        self.file = Some(options().append(true).open(&self.path)?);
        Ok(())
    }

    fn compact(&mut self) -> io::Result<()> {
        let all = read(BufReader::new(File::open(&self.path)?), usize::MAX)?;
        let alive: HashSet<CallId> = self.alive.keys().copied().collect();
        self.write_anew(all.iter().filter(|(id, _)| alive.contains(id)).map(|(_, opened)| opened))
    }

    /// The line of a mark is in the file.
    fn note(&mut self, mark: &Mark, length: u64) {
        let before = match mark {
            Mark::Up(record, _) => {
                self.alive_bytes += length;
                self.alive.insert(record.id, length)
            }
            Mark::Over(id) => self.alive.remove(id),
        };
        self.alive_bytes -= before.unwrap_or(0);
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(options().append(true).open(&self.path)?),
        };
        if let Err(error) = file.write_all(bytes) {
            // Half a line must not stay before the next one.
            let _ = file.set_len(self.bytes);
            self.file = None;
            return Err(error);
        }
        self.bytes += bytes.len() as u64;
        self.dirty = true;
        Ok(())
    }

    fn look_after(&mut self) -> io::Result<()> {
        if self.bytes > COMPACT_BYTES && self.bytes > self.alive_bytes.saturating_mul(COMPACT_FACTOR) {
            self.compact()?;
        }
        if self.dirty
            && self.synced.elapsed() >= SYNC
            && let Some(file) = &self.file
        {
            (self.dirty, self.synced) = (false, Instant::now());
            file.sync_data()?;
        }
        Ok(())
    }
}

impl Place for OpenCalls {
    type Item = Mark;

    fn keep(&mut self, marks: &[Mark], kept: &mut usize) -> Result<(), String> {
        let style = self.style.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut lines = Vec::new();
        let mut lengths = Vec::with_capacity(marks.len());
        for mark in marks {
            let line = encoded(&match mark {
                Mark::Up(record, at) => Line::Up(Box::new(Entry::of_answered(record, *at, &style))),
                Mark::Over(id) => Line::Over(id.to_string()),
            });
            let line = line.unwrap_or_default();
            lengths.push(line.len() as u64);
            lines.extend_from_slice(&line);
        }
        self.write(&lines).map_err(|error| format!("{}: {error}", self.path.display()))?;
        marks.iter().zip(lengths).for_each(|(mark, length)| self.note(mark, length));
        *kept = marks.len();
        Ok(())
    }

    fn tend(&mut self) -> Result<(), String> {
        self.look_after().map_err(|error| format!("{}: {error}", self.path.display()))
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).mode(MODE);
    options
}

fn encoded(line: &Line) -> Option<Vec<u8>> {
    let mut bytes = serde_json::to_vec(line).ok()?;
    bytes.push(b'\n');
    Some(bytes)
}

fn id_of(opened: &Opened) -> Option<CallId> {
    opened.entry.call.parse().ok()
}

/// The calls that are up by what a file says; lines that say nothing are left out.
fn read(mut file: impl BufRead, max_calls: usize) -> io::Result<HashMap<CallId, Opened>> {
    let mut calls = HashMap::new();
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line)? > 0 {
        match serde_json::from_slice(&line) {
            Ok(Line::Up(opened)) => {
                if let Some(id) = id_of(&opened).filter(|_| calls.len() < max_calls) {
                    calls.insert(id, *opened);
                }
            }
            Ok(Line::Over(id)) => {
                if let Ok(id) = id.parse::<CallId>() {
                    calls.remove(&id);
                }
            }
            Err(_) => {}
        }
        line.clear();
    }
    Ok(calls)
}

#[cfg(test)]
mod tests;
