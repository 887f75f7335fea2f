//! The file of the call store: records one after the other, each with its length and a checksum.
//!
//! ```text
//! head   "trunkway calls 1\n"
//! record mark:2  length:4  checksum:8  body
//! body   kind:1  call:8  stage:1  until:8  [item:8  bytes]      kinds: 0 an item, 1 a stage, 2 a call's first item
//! ```
//! Numbers are little-endian. A record says what something came to, not what happened, so that reading one twice does no
//! harm. The mark lets the reader find the next record behind a damaged one.

use std::fs::{File, OpenOptions, TryLockError};
use std::hash::Hasher;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use siphasher::sip::SipHasher13;

use super::table::Stage;
use crate::call::stored::StoreKey;
use crate::store::StoreError;

const HEAD: &[u8] = b"trunkway calls 1\n";
const MARK: [u8; 2] = [0xc5, 0x9a];

/// Mark, length and checksum.
const FRONT: usize = 2 + 4 + 8;

/// Bytes of a body without an item.
const BARE: usize = 1 + 8 + 1 + 8;

/// Longest body: a state has at most 16 KiB of text, and that is packed in some dozens of bytes.
const MAX_BODY: usize = 64 << 10;

/// Bytes that are written at once when the file is written anew.
const BATCH: usize = 256 << 10;

/// Something that is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An item of a call, and until when all of the call is kept. `begins`: what was kept of it before was let go.
    Item { key: StoreKey, begins: bool, stage: Stage, until: u64, bytes: Bytes },
    /// A call has come to another stage.
    Stage { call: u64, stage: Stage, until: u64 },
}

/// A file that is open for writing, and locked against other processes.
#[derive(Debug)]
pub struct CallFile {
    path: PathBuf,
    file: Arc<File>,
    length: u64,
    unsynced: bool,
}

/// A file that is to take the place of another.
#[derive(Debug)]
pub struct Fresh {
    path: PathBuf,
    file: File,
    length: u64,
    /// How long the old one was when this was begun.
    seen: u64,
}

/// What is still to be brought to the disk.
#[derive(Debug)]
pub struct Unsynced {
    path: PathBuf,
    file: Arc<File>,
}

impl Unsynced {
    /// Waits for the disk.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(|error| failed("keep", &self.path, error))
    }
}

impl CallFile {
    /// Opens a file, made when it is not there, and hands over the records that it holds in the order in which they were
    /// written. Gives how many bytes of an unfinished record were cut off, and in how many places others are damaged.
    pub fn open(path: &Path, mut take: impl FnMut(Record)) -> Result<(Self, u64, u64), StoreError> {
        let io = |what| move |error| failed(what, path, error);
        let file = options().open(path).map_err(io("open"))?;
        lock(&file, path)?;
        let bytes = std::fs::read(path).map_err(io("read"))?;
        let whole_head = bytes.starts_with(HEAD);
        // A process that ended before its first record may have left a part of the head.
        if !whole_head && !HEAD.starts_with(&bytes) {
            return Err(StoreError::NotCalls(path.display().to_string()));
        }
        let Scan { good, torn, damaged } = scan(&bytes, &mut take);
        if torn > 0 || !whole_head {
            file.set_len(good).map_err(io("cut"))?;
        }
        let mut length = good;
        if !whole_head {
            write_whole(&file, HEAD).map_err(io("write"))?;
            length = HEAD.len() as u64;
        }
        sync_directory(path).map_err(io("keep"))?;
        Ok((Self { path: path.to_owned(), file: Arc::new(file), length, unsynced: false }, torn, damaged))
    }

    /// A file as it is, for tests of what cannot be written.
    #[cfg(test)]
    pub fn of_file(path: &Path, file: File) -> Self {
        Self { path: path.to_owned(), file: Arc::new(file), length: 0, unsynced: false }
    }

    /// Adds a record by one system call.
    pub fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        encode(record, &mut bytes);
        match write_whole(&self.file, &bytes) {
            Ok(()) => {
                self.length += bytes.len() as u64;
                self.unsynced = true;
                Ok(())
            }
            Err(error) => {
                // Half a record must not stay before the next one. If it does, the next reader steps over it.
                if let Err(error) = self.file.set_len(self.length) {
                    tracing::debug!(%error, "half a record stays in the call store");
                    self.length = self.file.metadata().map_or(self.length, |metadata| metadata.len());
                }
                Err(failed("write", &self.path, error))
            }
        }
    }

    /// How long it is.
    pub const fn bytes(&self) -> u64 {
        self.length
    }

    /// What was written since the last time and is not on the disk for sure.
    pub fn take_unsynced(&mut self) -> Result<Option<Unsynced>, StoreError> {
        let unsynced = std::mem::take(&mut self.unsynced);
        Ok(unsynced.then(|| Unsynced { path: self.path.clone(), file: Arc::clone(&self.file) }))
    }

    /// Begins a file that is to take this one's place.
    pub fn begin_anew(&self) -> Result<Fresh, StoreError> {
        let path = self.path.with_extension("new");
        let file = options().open(&path).map_err(|error| failed("open", &path, error))?;
        lock(&file, &path)?;
        file.set_len(0).map_err(|error| failed("cut", &path, error))?;
        write_whole(&file, HEAD).map_err(|error| failed("write", &path, error))?;
        Ok(Fresh { path, file, length: HEAD.len() as u64, seen: self.length })
    }

    /// Takes over what was added to this file since the other was begun, and puts the other in its place.
    pub fn replace(&mut self, mut fresh: Fresh) -> Result<Unsynced, StoreError> {
        let tail = self.length.saturating_sub(fresh.seen);
        let mut bytes = vec![0; usize::try_from(tail).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut bytes, fresh.seen).map_err(|error| failed("read", &self.path, error))?;
        fresh.write_bytes(&bytes)?;
        std::fs::rename(&fresh.path, &self.path).map_err(|error| failed("rename", &fresh.path, error))?;
        (self.file, self.length, self.unsynced) = (Arc::new(fresh.file), fresh.length, false);
        sync_directory(&self.path).map_err(|error| failed("keep", &self.path, error))?;
        Ok(Unsynced { path: self.path.clone(), file: Arc::clone(&self.file) })
    }
}

impl Fresh {
    /// Adds records.
    pub fn write(&mut self, records: &[Record]) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        for record in records {
            encode(record, &mut bytes);
            if bytes.len() >= BATCH {
                self.write_bytes(&std::mem::take(&mut bytes))?;
            }
        }
        self.write_bytes(&bytes)
    }

    /// Waits for the disk.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(|error| failed("keep", &self.path, error))
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        (&self.file).write_all(bytes).map_err(|error| failed("write", &self.path, error))?;
        self.length += bytes.len() as u64;
        Ok(())
    }
}

/// One system call, so that a process that is killed has written all of it or nothing.
fn write_whole(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    let written = loop {
        match file.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            written => break written?,
        }
    };
    if written == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

struct Scan {
    /// Bytes up to the last whole record.
    good: u64,
    torn: u64,
    damaged: u64,
}

fn scan(bytes: &[u8], take: &mut impl FnMut(Record)) -> Scan {
    let mut scan = Scan { good: 0, torn: 0, damaged: 0 };
    if !bytes.starts_with(HEAD) {
        return scan;
    }
    let mut at = HEAD.len();
    scan.good = at as u64;
    while let Some((start, record, end)) = next_record(bytes, at) {
        if start > at {
            scan.damaged += 1;
        }
        take(record);
        at = end;
        scan.good = at as u64;
    }
    scan.torn = (bytes.len() - at) as u64; // `at` is the end of a record in it
    scan
}

/// The first whole record at a place or behind it: where it begins, and where it ends.
fn next_record(bytes: &[u8], from: usize) -> Option<(usize, Record, usize)> {
    let mut at = from;
    loop {
        if let Some((record, length)) = decode(bytes.get(at..)?) {
            return Some((at, record, at + length));
        }
        at += 1 + memchr::memmem::find(bytes.get(at + 1..)?, &MARK)?;
    }
}

fn encode(record: &Record, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&MARK);
    out.extend_from_slice(&[0; FRONT - MARK.len()]);
    let (kind, call, stage, until) = match record {
        Record::Item { key, begins, stage, until, .. } => (if *begins { 2 } else { 0 }, key.call, stage, until),
        Record::Stage { call, stage, until } => (1, *call, stage, until),
    };
    out.push(kind);
    out.extend_from_slice(&call.to_le_bytes());
    out.push(match stage {
        Stage::Setup => 0,
        Stage::Up => 1,
        Stage::Over => 2,
    });
    out.extend_from_slice(&until.to_le_bytes());
    if let Record::Item { key, bytes, .. } = record {
        out.extend_from_slice(&key.item.to_le_bytes());
        out.extend_from_slice(bytes);
    }
    let body = start + FRONT;
    let length = ((out.len() - body) as u32).to_le_bytes();
    let sum = checksum(out.get(body..).unwrap_or_default()).to_le_bytes();
    for (place, byte) in out.iter_mut().skip(start + MARK.len()).zip(length.into_iter().chain(sum)) {
        *place = byte;
    }
}

/// The record that bytes begin with, and its length.
fn decode(bytes: &[u8]) -> Option<(Record, usize)> {
    let mut rest = bytes.strip_prefix(&MARK)?;
    let length = u32::from_le_bytes(take(&mut rest)?) as usize;
    let sum = u64::from_le_bytes(take(&mut rest)?);
    let mut body = rest.get(..length).filter(|body| (BARE..=MAX_BODY).contains(&body.len()))?;
    if checksum(body) != sum {
        return None;
    }
    let [kind] = take(&mut body)?;
    let call = u64::from_le_bytes(take(&mut body)?);
    let [stage] = take(&mut body)?;
    let stage = match stage {
        0 => Stage::Setup,
        1 => Stage::Up,
        2 => Stage::Over,
        _ => return None,
    };
    let until = u64::from_le_bytes(take(&mut body)?);
    let record = match kind {
        0 | 2 => {
            let key = StoreKey { call, item: u64::from_le_bytes(take(&mut body)?) };
            Record::Item { key, begins: kind == 2, stage, until, bytes: Bytes::copy_from_slice(body) }
        }
        1 if body.is_empty() => Record::Stage { call, stage, until },
        _ => return None,
    };
    Some((record, FRONT + length))
}

fn take<const LEN: usize>(bytes: &mut &[u8]) -> Option<[u8; LEN]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*head)
}

/// Against damage, not against anybody: what is kept is sealed.
fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    options
}

fn lock(file: &File, path: &Path) -> Result<(), StoreError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(path.display().to_string())),
        Err(TryLockError::Error(error)) => Err(failed("lock", path, error)),
    }
}

/// A new name is only there for good when the directory that has it is.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

fn failed(what: &'static str, path: &Path, error: io::Error) -> StoreError {
    StoreError::Io { what, path: path.display().to_string(), error }
}
