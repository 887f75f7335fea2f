//! The seal key file: one key a line in hex, the one that is used first and behind it maybe another that is accepted:
//! the one before it, or on a node of many the one that comes next. Behind a key may stand when it was made. Keys have 32
//! bytes; one of 16 from an earlier version is read too. The file is made with mode 0600 when it is missing.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use crate::call::dialog_token::SealKey;
use crate::call::seal::{self, Key, KeyError, KeyId, KeyRing};

/// Bytes of a new key.
const KEY_BYTES: usize = 32;
/// Bytes of a key of earlier versions.
const SHORT_KEY_BYTES: usize = 16;
/// Most bytes of a file that is read: two keys with their dates and line ends, and some blanks.
const MAX_FILE: u64 = 1024;
/// How many keys are drawn until one has an id of its own; each try fails once in 256 times.
const MAX_DRAWS: usize = 32;

/// Why the seal key cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealKeyError {
    #[error("seal key file {path}: {error}", path = path.display())]
    File { path: PathBuf, error: io::Error },
    #[error(
        "seal key file {path} does not hold one or two lines of 64 (or 32) hex digits: remove it to have a new one made",
        path = path.display()
    )]
    Malformed { path: PathBuf },
    #[error("seal key file {path}: {error}", path = path.display())]
    Key { path: PathBuf, error: KeyError },
    #[error("seal key file {path} can be read by others: chmod 600 it", path = path.display())]
    TooOpen { path: PathBuf },
    #[error("{path} is there: the key is being changed, or that was broken off and the file can be removed", path = path.display())]
    BeingChanged { path: PathBuf },
    #[error(
        "the key before last was in use until {until}, and calls that were sealed with it may be up until {}: they would be \
         refused. Rotate later, or by force",
        until.saturating_add(*max_age).unwrap_or(Timestamp::MAX)
    )]
    TooSoon { until: Timestamp, max_age: Duration },
    #[error("seal key: {0}")]
    Fresh(KeyError),
    #[error("the system gives no random bytes: {0}")]
    Random(io::Error),
}

/// What the core seals with.
#[derive(Clone, Debug)]
pub struct SealKeys {
    /// Of dialog tokens.
    pub seal: SealKey,
    /// Of owned legs.
    pub ring: KeyRing,
}

/// A key of the file, as far as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyShown {
    pub id: KeyId,
    /// When it was made, if the file says so.
    pub made: Option<Timestamp>,
}

/// How a rotation is done.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// What was sealed with the key before last is not lost when that was in use longer ago than this.
    pub max_age: Duration,
    /// It may be lost.
    pub force: bool,
    pub now: Timestamp,
}

/// Keys as they stand in the file.
struct Keys {
    current: Line,
    other: Option<Line>,
}

/// A line of the file.
struct Line {
    key: Vec<u8>,
    made: Option<Timestamp>,
}

impl Line {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let key = parse(words.next()?)?;
        let made = match words.next() {
            Some(word) => Some(word.parse().ok()?),
            None => None,
        };
        words.next().is_none().then_some(Self { key, made })
    }

    /// The key of dialog tokens: a short key is that key itself, as it was before there were others.
    fn dialog_key(&self) -> Result<[u8; 16], KeyError> {
        match <[u8; SHORT_KEY_BYTES]>::try_from(self.key.as_slice()) {
            Ok(key) => Ok(key),
            Err(_) => seal::subkey(&self.key, "dialog tokens"),
        }
    }

    fn write(&self, out: &mut String) {
        out.extend(self.key.iter().map(|byte| format!("{byte:02x}")));
        if let Some(made) = self.made {
            out.push_str(&format!(" {made:.0}"));
        }
        out.push('\n');
    }
}

impl Keys {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let current = Line::parse(lines.next()?)?;
        let other = match lines.next() {
            Some(line) => Some(Line::parse(line)?),
            None => None,
        };
        lines.next().is_none().then_some(Self { current, other })
    }

    fn seal_keys(&self) -> Result<SealKeys, KeyError> {
        let other = self.other.as_ref();
        let ring =
            KeyRing::new(Key::derive(&self.current.key)?, other.map(|line| Key::derive(&line.key)).transpose()?)?;
        let seal = SealKey::new(self.current.dialog_key()?).with_other(other.map(Line::dialog_key).transpose()?);
        Ok(SealKeys { seal, ring })
    }

    fn shown(&self) -> Result<Vec<KeyShown>, KeyError> {
        let lines = std::iter::once(&self.current).chain(&self.other);
        lines.map(|line| Ok(KeyShown { id: Key::derive(&line.key)?.id(), made: line.made })).collect()
    }
}

/// Random bytes of the system.
pub fn random<const LEN: usize>() -> Result<[u8; LEN], SealKeyError> {
    let mut bytes = [0; LEN];
    let mut source = fs::File::open("/dev/urandom").map_err(SealKeyError::Random)?;
    source.read_exact(&mut bytes).map_err(SealKeyError::Random)?;
    Ok(bytes)
}

/// Reads the keys, or makes one.
pub fn load_or_make(path: &Path) -> Result<SealKeys, SealKeyError> {
    let keys = match load(path) {
        Err(SealKeyError::File { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            let current = Line { key: random::<KEY_BYTES>()?.to_vec(), made: Some(Timestamp::now()) };
            make(path, &current).map_err(|error| SealKeyError::File { path: path.to_owned(), error })?;
            Keys { current, other: None }
        }
        loaded => loaded?.0,
    };
    keys.seal_keys().map_err(|error| SealKeyError::Key { path: path.to_owned(), error })
}

/// Reads the keys.
pub fn read(path: &Path) -> Result<SealKeys, SealKeyError> {
    load(path)?.0.seal_keys().map_err(|error| SealKeyError::Key { path: path.to_owned(), error })
}

/// The keys of the file, as far as they may be shown; the one that is used first.
pub fn list(path: &Path) -> Result<Vec<KeyShown>, SealKeyError> {
    load(path)?.0.shown().map_err(|error| SealKeyError::Key { path: path.to_owned(), error })
}

/// Keys that nobody else has: what they seal is of no use after a restart.
pub fn of_this_process() -> Result<SealKeys, SealKeyError> {
    let keys = Keys { current: Line { key: random::<KEY_BYTES>()?.to_vec(), made: None }, other: None };
    keys.seal_keys().map_err(SealKeyError::Fresh)
}

/// Puts a new key into the file in one step and keeps the one that was current as the second; the second one goes.
///
/// Owner, group and mode stay. Nodes that share the file's content must have it before they see each other's calls;
/// where they are changed one after another, the new key is first given to all as their second line.
///
/// # Errors
/// [`SealKeyError::TooSoon`] when calls may be up that only the key that goes opens; others when the file cannot be
/// changed. It is as it was then.
pub fn rotate(path: &Path, rotation: Rotation) -> Result<Vec<KeyShown>, SealKeyError> {
    // A link is followed, so that the rename does not put a file into its place.
    let path = &fs::canonicalize(path).map_err(|error| SealKeyError::File { path: path.to_owned(), error })?;
    let fault = |error| SealKeyError::File { path: path.to_owned(), error };
    let key_fault = |error| SealKeyError::Key { path: path.to_owned(), error };
    let beside = beside(path);
    let mut file = create(&beside).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => SealKeyError::BeingChanged { path: beside.clone() },
        _ => SealKeyError::File { path: beside.clone(), error },
    })?;
    // From here on nobody else changes the file, and whatever fails takes the new one away.
    let unfinished = Unfinished(&beside);
    let (Keys { current: previous, other }, metadata) = load(path)?;
    if other.is_some() && !rotation.force {
        check_age(&previous, &metadata, rotation)?;
    }
    let key = draw(Key::derive(&previous.key).map_err(key_fault)?.id()).map_err(|error| match error {
        Draw::Random(error) => error,
        Draw::Key(error) => key_fault(error),
    })?;
    let keys = Keys { current: Line { key: key.to_vec(), made: Some(rotation.now) }, other: Some(previous) };
    write(&mut file, &keys).map_err(fault)?;
    if file.metadata().map_err(fault)?.uid() != metadata.uid()
        || file.metadata().map_err(fault)?.gid() != metadata.gid()
    {
        fchown(&file, Some(metadata.uid()), Some(metadata.gid())).map_err(fault)?;
    }
    file.sync_all().map_err(fault)?;
    fs::rename(&beside, path).map_err(fault)?;
    std::mem::forget(unfinished);
    // The rename itself is to survive a loss of power.
    if let Some(folder) = path.parent() {
        fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(fault)?;
    }
    keys.shown().map_err(key_fault)
}

/// The second key was in use until the current one was made.
fn check_age(current: &Line, metadata: &fs::Metadata, rotation: Rotation) -> Result<(), SealKeyError> {
    let Rotation { max_age, now, .. } = rotation;
    let modified = || metadata.modified().ok().and_then(|at| Timestamp::try_from(at).ok());
    let until = current.made.or_else(modified).unwrap_or(now);
    let lost = until.saturating_add(max_age).unwrap_or(Timestamp::MAX);
    if now < lost { Err(SealKeyError::TooSoon { until, max_age }) } else { Ok(()) }
}

/// Takes the file away when it goes out of scope.
struct Unfinished<'a>(&'a Path);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        // Nothing better can be done than to leave it; the next rotation names it.
        let _ = fs::remove_file(self.0);
    }
}

enum Draw {
    Random(SealKeyError),
    Key(KeyError),
}

/// A new key whose id is another than that of the current one.
fn draw(current: KeyId) -> Result<[u8; KEY_BYTES], Draw> {
    for _ in 0..MAX_DRAWS {
        let key = random().map_err(Draw::Random)?;
        let id = Key::derive(&key).map_err(Draw::Key)?.id();
        if id != current {
            return Ok(key);
        }
    }
    Err(Draw::Key(KeyError::SameId))
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

fn load(path: &Path) -> Result<(Keys, fs::Metadata), SealKeyError> {
    let fault = |error| SealKeyError::File { path: path.to_owned(), error };
    let malformed = || SealKeyError::Malformed { path: path.to_owned() };
    let file = fs::File::open(path).map_err(fault)?;
    let metadata = file.metadata().map_err(fault)?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(SealKeyError::TooOpen { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(fault)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| malformed())?;
    let keys = Keys::parse(text).ok_or_else(malformed)?;
    Ok((keys, metadata))
}

fn make(path: &Path, key: &Line) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let mut file = create(path)?;
    let mut text = String::new();
    key.write(&mut text);
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn create(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn write(file: &mut fs::File, keys: &Keys) -> io::Result<()> {
    let mut text = String::new();
    for line in std::iter::once(&keys.current).chain(&keys.other) {
        line.write(&mut text);
    }
    file.write_all(text.as_bytes())
}

fn parse(text: &str) -> Option<Vec<u8>> {
    if !matches!(text.len(), 64 | 32) {
        return None;
    }
    let digit = |byte: &u8| (*byte as char).to_digit(16).map(|digit| digit as u8);
    text.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests;
