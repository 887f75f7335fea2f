//! What the edge has written into Teams, on disk, so that nothing sticks there after a crash.
//!
//! ```text
//! checksum until session sure|unsure tenant object-id
//! ```
//! A line says what a user's session came to, `-` for none; only the last one of a user counts. A thread of its own
//! brings lines to the disk, all that have gathered since the last time in one go ([`Sessions::safe`] waits for that):
//! a request to Graph leaves after its line is there, and costs the disk no more in a burst than alone. A crash of the
//! process or of the machine loses no session that Graph may have; it may lose that Graph took one, or cleared one: both
//! are asked for again.
//!
//! A disk that fails or hangs stops no presence: what could not be kept is counted, and runs out in Graph by itself.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use super::StoreError;
use super::journal::{checksum, failed, lock, options, sync_directory};
use crate::presence::Session;

/// The file's name in the state directory.
const FILE: &str = "sessions.journal";

/// How long what nobody waits for may stay in memory.
const LAZY: Duration = Duration::from_secs(1);

/// A file below this is never written anew.
const COMPACT_BYTES: u64 = 1 << 20;

/// A file is written anew when it has grown to so many times what it was when it was new.
const COMPACT_FACTOR: u64 = 4;

/// Bytes that are written at once when the file is written anew.
const BATCH: usize = 256 << 10;

/// Whose session: the tenant's name, and the user's object id.
type Key = (Arc<str>, Arc<str>);

/// What sessions came to.
type Lines = HashMap<Key, Option<Stored>, foldhash::fast::RandomState>;

/// A session that Graph may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    pub session: Session,
    /// When it is certainly gone by itself, in seconds since 1970 UTC.
    pub until: u64,
    /// Graph has said that it took it.
    pub sure: bool,
}

/// What happened, counted since the start.
#[derive(Debug, Default)]
pub struct SessionCounts {
    pub lines: AtomicU64,
    pub commits: AtomicU64,
    /// Lines that could not be brought to the disk.
    pub not_written: AtomicU64,
    pub compactions: AtomicU64,
    /// Bytes of the file.
    pub bytes: AtomicU64,
}

/// What was found in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundSessions {
    /// Sessions that may still be in Graph.
    pub sessions: Vec<(Arc<str>, Arc<str>, Stored)>,
    /// Lines that could not be read.
    pub damaged: u64,
}

/// A place in the order of what is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(u64);

/// The sessions on disk; dropped, it brings to the disk what is left.
#[derive(Debug)]
pub struct Sessions {
    shared: Arc<Shared>,
    safe: watch::Receiver<Place>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<Pending>,
    more: Condvar,
    over: AtomicBool,
    counts: SessionCounts,
}

/// What is not on disk yet: the newest of each user, which bounds it by the users.
#[derive(Debug, Default)]
struct Pending {
    lines: Lines,
    last: Place,
    urgent: bool,
}

impl Sessions {
    /// Opens the file in a directory, both made when they are not there, and gives what it has. `now` is in seconds since
    /// 1970 UTC.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be had; what is damaged in it is no error.
    pub fn open(dir: &Path, now: u64) -> Result<(Self, FoundSessions), StoreError> {
        std::fs::create_dir_all(dir).map_err(|error| failed("make", dir, error))?;
        let (mut book, damaged) = Book::open(&dir.join(FILE))?;
        book.forget_old(now);
        let sessions = book.alive.iter().map(|((tenant, id), stored)| (Arc::clone(tenant), Arc::clone(id), *stored));
        let found = FoundSessions { sessions: sessions.collect(), damaged };
        let shared = Arc::new(Shared::default());
        shared.counts.bytes.store(book.length, Ordering::Relaxed);
        let (tell, safe) = watch::channel(Place::default());
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("sessions".to_owned())
            .spawn(move || keep_all(&of_thread, &mut book, &tell))
            .map_err(|error| failed("begin a thread for", &dir.join(FILE), error))?;
        Ok((Self { shared, safe, thread: Some(thread) }, found))
    }

    /// Keeps what a user's session came to. It never waits; what is `urgent` is brought to the disk at once, other things
    /// with it or a second later.
    pub fn keep(&self, tenant: Arc<str>, graph_id: Arc<str>, stored: Option<Stored>, urgent: bool) -> Place {
        let mut pending = guard(&self.shared.pending);
        pending.lines.insert((tenant, graph_id), stored);
        pending.last.0 += 1;
        pending.urgent |= urgent;
        let place = pending.last;
        drop(pending);
        if urgent {
            self.shared.more.notify_one();
        }
        place
    }

    /// Waits until everything up to a place is on the disk, or was tried.
    pub fn safe(&self, place: Place) -> impl Future<Output = ()> + Send + use<> {
        let mut safe = self.safe.clone();
        async move {
            // An error: the thread has ended, and nothing will be safer than it is.
            let _ = safe.wait_for(|up_to| *up_to >= place).await;
        }
    }

    /// What happened.
    pub fn counts(&self) -> &SessionCounts {
        &self.shared.counts
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        // Under the lock, so that the thread sees it before it goes to sleep.
        drop(guard(&self.shared.pending));
        self.shared.more.notify_one();
        if let Some(thread) = self.thread.take() {
            // A failure to join would be a panic in there, which is logged.
            let _ = thread.join();
        }
    }
}

/// The life of the thread.
fn keep_all(shared: &Shared, book: &mut Book, tell: &watch::Sender<Place>) {
    loop {
        let (lines, place, over) = next(shared);
        if !lines.is_empty() {
            let count = lines.len() as u64;
            shared.counts.lines.fetch_add(count, Ordering::Relaxed);
            match book.append(lines) {
                Ok(()) => shared.counts.commits.fetch_add(1, Ordering::Relaxed),
                Err(error) => {
                    tracing::debug!(%error, "sessions could not be kept");
                    shared.counts.not_written.fetch_add(count, Ordering::Relaxed)
                }
            };
            tell.send_replace(place);
            if book.is_long() {
                book.forget_old(unix_now());
                match book.compact() {
                    Ok(()) => _ = shared.counts.compactions.fetch_add(1, Ordering::Relaxed),
                    Err(error) => tracing::debug!(%error, "the file of sessions stays long"),
                }
            }
            shared.counts.bytes.store(book.length, Ordering::Relaxed);
        }
        if over {
            return;
        }
    }
}

/// What is to be written next, and whether it is the last.
fn next(shared: &Shared) -> (Lines, Place, bool) {
    let mut pending = guard(&shared.pending);
    while !pending.urgent && !shared.over.load(Ordering::Acquire) {
        let (woken, waited) = shared.more.wait_timeout(pending, LAZY).unwrap_or_else(PoisonError::into_inner);
        pending = woken;
        if waited.timed_out() && !pending.lines.is_empty() {
            break;
        }
    }
    pending.urgent = false;
    (std::mem::take(&mut pending.lines), pending.last, shared.over.load(Ordering::Acquire))
}

/// The file, and what it comes to.
#[derive(Debug)]
struct Book {
    path: PathBuf,
    file: File,
    length: u64,
    /// How long it was when it was written anew.
    base: u64,
    alive: HashMap<Key, Stored, foldhash::fast::RandomState>,
}

impl Book {
    fn open(path: &Path) -> Result<(Self, u64), StoreError> {
        let io = |what| move |error| failed(what, path, error);
        let mut file = options().open(path).map_err(io("open"))?;
        lock(&file, path)?;
        let (mut alive, mut damaged) = (HashMap::default(), 0);
        let mut reader = BufReader::new(&file);
        let (mut good, mut line) = (0, Vec::new());
        loop {
            line.clear();
            let length = reader.read_until(b'\n', &mut line).map_err(io("read"))? as u64;
            if length == 0 || !line.ends_with(b"\n") {
                // A line that was being written was not waited for.
                break;
            }
            good += length;
            match decoded(&line) {
                Some((key, Some(stored))) => _ = alive.insert(key, stored),
                Some((key, None)) => _ = alive.remove(&key),
                None => damaged += 1,
            }
        }
        file.set_len(good).map_err(io("cut"))?;
        file.seek(SeekFrom::Start(good)).map_err(io("read"))?;
        sync_directory(path).map_err(io("keep"))?;
        Ok((Self { path: path.to_owned(), file, length: good, base: 0, alive }, damaged))
    }

    /// Adds lines; when this returns, they are on the disk.
    fn append(&mut self, lines: HashMap<Key, Option<Stored>, foldhash::fast::RandomState>) -> Result<(), StoreError> {
        let mut bytes = Vec::with_capacity(lines.len() * 128);
        for (key, stored) in lines {
            encode(&key, stored, &mut bytes);
            match stored {
                Some(stored) => _ = self.alive.insert(key, stored),
                None => _ = self.alive.remove(&key),
            }
        }
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => {
                self.length += bytes.len() as u64;
                Ok(())
            }
            Err(error) => {
                // Half a line must not stay before the next one; if it does, the reader finds that line damaged.
                let cut = self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
                if let Err(error) = cut {
                    tracing::debug!(%error, "half a line stays in the file of sessions");
                }
                Err(failed("write", &self.path, error))
            }
        }
    }

    const fn is_long(&self) -> bool {
        let base = if self.base > COMPACT_BYTES { self.base } else { COMPACT_BYTES };
        self.length > base * COMPACT_FACTOR
    }

    fn forget_old(&mut self, now: u64) {
        self.alive.retain(|_, stored| stored.until > now);
    }

    /// Writes the file anew with what is alive.
    fn compact(&mut self) -> Result<(), StoreError> {
        let path = self.path.with_extension("new");
        let io = |what| {
            let path = &path;
            move |error| failed(what, path, error)
        };
        let mut file = options().truncate(true).open(&path).map_err(io("open"))?;
        lock(&file, &path)?;
        let (mut bytes, mut length) = (Vec::with_capacity(BATCH), 0);
        for (key, stored) in &self.alive {
            encode(key, Some(*stored), &mut bytes);
            if bytes.len() >= BATCH {
                file.write_all(&bytes).map_err(io("write"))?;
                length += bytes.len() as u64;
                bytes.clear();
            }
        }
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(io("write"))?;
        length += bytes.len() as u64;
        std::fs::rename(&path, &self.path).map_err(io("rename"))?;
        (self.file, self.length, self.base) = (file, length, length);
        sync_directory(&self.path).map_err(|error| failed("keep", &self.path, error))
    }
}

fn encode((tenant, graph_id): &Key, stored: Option<Stored>, out: &mut Vec<u8>) {
    let text = match stored {
        Some(Stored { session, until, sure }) => {
            let sure = if sure { "sure" } else { "unsure" };
            format!("{until} {} {sure} {tenant} {graph_id}", session.activity())
        }
        None => format!("0 - sure {tenant} {graph_id}"),
    };
    out.extend(format!("{:016x} {text}\n", checksum(text.as_bytes())).into_bytes());
}

fn decoded(line: &[u8]) -> Option<(Key, Option<Stored>)> {
    let (sum, text) = std::str::from_utf8(line).ok()?.strip_suffix('\n')?.split_once(' ')?;
    if u64::from_str_radix(sum, 16).ok()? != checksum(text.as_bytes()) {
        return None;
    }
    let mut words = text.splitn(5, ' ');
    let (until, session, sure) = (words.next()?.parse().ok()?, words.next()?, words.next()? == "sure");
    let key = (Arc::from(words.next()?), Arc::from(words.next()?));
    if session == "-" {
        return Some((key, None));
    }
    let session = Session::ALL.into_iter().find(|known| known.activity() == session)?;
    Some((key, Some(Stored { session, until, sure })))
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const FAR: u64 = 10_000_000_000;

    fn stored(session: Session, sure: bool) -> Option<Stored> {
        Some(Stored { session, until: FAR, sure })
    }

    fn sorted(found: FoundSessions) -> Vec<(String, String, Stored)> {
        let mut sessions: Vec<_> = found
            .sessions
            .into_iter()
            .map(|(tenant, id, stored)| (tenant.to_string(), id.to_string(), stored))
            .collect();
        sessions.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
        sessions
    }

    #[tokio::test]
    async fn last_state_of_each_user_is_there_after_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let (sessions, found) = Sessions::open(dir.path(), 0).unwrap();
        assert_eq!(found, FoundSessions::default());
        let keep = |tenant: &str, id: &str, stored, urgent| sessions.keep(tenant.into(), id.into(), stored, urgent);
        keep("contoso", "a", stored(Session::InACall, false), true);
        keep("contoso", "a", stored(Session::InACall, true), false);
        keep("contoso", "b", stored(Session::Away, false), true);
        keep("fabrikam", "a", stored(Session::Presenting, false), false);
        let old = Some(Stored { session: Session::Away, until: 99, sure: true });
        keep("fabrikam", "old", old, false);
        let place = keep("contoso", "b", None, true);
        sessions.safe(place).await;
        // What is waited for is in the file, whoever reads it.
        assert_eq!(
            fs::read_to_string(dir.path().join(FILE)).unwrap().lines().count(),
            4 + usize::from(sessions.counts().commits.load(Ordering::Relaxed) > 1)
        );
        assert!(matches!(Sessions::open(dir.path(), 0), Err(StoreError::InUse(_))));
        drop(sessions);
        let (_, found) = Sessions::open(dir.path(), 100).unwrap();
        let expected = [
            ("contoso".to_owned(), "a".to_owned(), stored(Session::InACall, true).unwrap()),
            ("fabrikam".to_owned(), "a".to_owned(), stored(Session::Presenting, false).unwrap()),
        ];
        assert_eq!(sorted(found), expected);
    }

    #[test]
    fn torn_end_is_cut_and_a_damaged_line_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let (sessions, _) = Sessions::open(dir.path(), 0).unwrap();
        for id in ["a", "b", "c"] {
            sessions.keep("t".into(), id.into(), stored(Session::InACall, true), true);
        }
        drop(sessions);
        let path = dir.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let (sessions, found) = Sessions::open(dir.path(), 0).unwrap();
            let lines = whole[..cut].iter().filter(|&&byte| byte == b'\n').count();
            assert_eq!((found.sessions.len(), found.damaged), (lines, 0), "cut at {cut}");
            drop(sessions);
        }
        let mut text = whole.clone();
        text[30] ^= 1;
        fs::write(&path, &text).unwrap();
        let (sessions, found) = Sessions::open(dir.path(), 0).unwrap();
        assert_eq!((found.sessions.len(), found.damaged), (2, 1));
        sessions.keep("t".into(), "d".into(), stored(Session::Away, true), false);
        drop(sessions);
        let (_, found) = Sessions::open(dir.path(), 0).unwrap();
        assert_eq!(found.sessions.len(), 3, "it can be gone on with");
    }

    #[test]
    fn long_file_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (mut book, _) = Book::open(&dir.path().join(FILE)).unwrap();
        let line = |user: u32, session| ((Arc::from("contoso"), Arc::from(format!("user-{user}"))), session);
        let mut round = 0;
        while !book.is_long() {
            let session = stored(Session::ALL[round % 5], true);
            book.append((0..10_000).map(|user| line(user, session)).collect()).unwrap();
            round += 1;
        }
        book.append((0..9_000).map(|user| line(user, None)).collect()).unwrap();
        let before = book.length;
        book.compact().unwrap();
        assert!(book.length < before / 20 && !book.is_long(), "{} of {before}", book.length);
        book.append(HashMap::from_iter([line(1, stored(Session::Away, true))])).unwrap();
        assert_eq!(fs::metadata(dir.path().join(FILE)).unwrap().len(), book.length);
        drop(book);
        let (book, damaged) = Book::open(&dir.path().join(FILE)).unwrap();
        assert_eq!((book.alive.len(), damaged), (1_001, 0));
    }

    #[tokio::test]
    async fn disk_that_fails_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let (mut book, _) = Book::open(&path).unwrap();
        book.file = File::open(&path).unwrap();
        let shared = Arc::new(Shared::default());
        let (tell, safe) = watch::channel(Place::default());
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || keep_all(&of_thread, &mut book, &tell));
        let sessions = Sessions { shared, safe, thread: Some(thread) };
        let place = sessions.keep("t".into(), "a".into(), stored(Session::Away, false), true);
        sessions.safe(place).await;
        assert_eq!(sessions.counts().not_written.load(Ordering::Relaxed), 1);
    }
}
