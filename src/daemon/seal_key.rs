//! The seal key file: one key a line in hex, the one that is used first and behind it maybe another that is accepted:
//! the one before it, or on a node of many the one that comes next. Keys have 32 bytes; one of 16 from an earlier
//! version is read too. The file is made with mode 0600 when it is missing.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use crate::call::dialog_token::SealKey;
use crate::call::seal::{self, Key, KeyError, KeyId, KeyRing};

/// Bytes of a new key.
const KEY_BYTES: usize = 32;
/// Bytes of a key of earlier versions.
const SHORT_KEY_BYTES: usize = 16;
/// Most bytes of a file that is read: two keys with their line ends, and some blanks.
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
    #[error("seal key: {0}")]
    Fresh(KeyError),
    #[error("the system gives no random bytes: {0}")]
    Random(io::Error),
}

/// The ids of the keys after a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotated {
    pub current: KeyId,
    pub previous: KeyId,
}

/// Keys as they stand in the file.
struct Keys {
    current: Vec<u8>,
    other: Option<Vec<u8>>,
}

impl Keys {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let current = parse(lines.next()?)?;
        let other = match lines.next() {
            Some(line) => Some(parse(line)?),
            None => None,
        };
        lines.next().is_none().then_some(Self { current, other })
    }

    fn ring(&self) -> Result<KeyRing, KeyError> {
        KeyRing::new(Key::derive(&self.current)?, self.other.as_deref().map(Key::derive).transpose()?)
    }

    /// The key of dialog tokens: a short key is that key itself, as it was before there were others.
    fn dialog_key(&self) -> Result<SealKey, KeyError> {
        match <[u8; SHORT_KEY_BYTES]>::try_from(self.current.as_slice()) {
            Ok(key) => Ok(SealKey::new(key)),
            Err(_) => seal::subkey(&self.current, "dialog tokens").map(SealKey::new),
        }
    }
}

/// Random bytes of the system.
pub fn random<const LEN: usize>() -> Result<[u8; LEN], SealKeyError> {
    let mut bytes = [0; LEN];
    let mut source = fs::File::open("/dev/urandom").map_err(SealKeyError::Random)?;
    source.read_exact(&mut bytes).map_err(SealKeyError::Random)?;
    Ok(bytes)
}

/// Reads the key of dialog tokens, or makes one.
pub fn load_or_make(path: &Path) -> Result<SealKey, SealKeyError> {
    load_or_make_keys(path)?.dialog_key().map_err(|error| SealKeyError::Key { path: path.to_owned(), error })
}

/// Reads the keys of sealed legs, or makes one.
pub fn ring_or_make(path: &Path) -> Result<KeyRing, SealKeyError> {
    load_or_make_keys(path)?.ring().map_err(|error| SealKeyError::Key { path: path.to_owned(), error })
}

/// Keys of sealed legs that nobody else has: what they seal is of no use after a restart.
pub fn ring_of_this_process() -> Result<KeyRing, SealKeyError> {
    let key = Key::derive(&random::<KEY_BYTES>()?).and_then(|key| KeyRing::new(key, None));
    key.map_err(SealKeyError::Fresh)
}

/// Puts a new key into the file in one step and keeps the one that was current as the second; the second one goes.
///
/// Owner, group and mode stay. Nodes that share the file's content must have it before they see each other's calls;
/// where they are changed one after another, the new key is first given to all as their second line.
#[cfg_attr(not(test), expect(dead_code, reason = "`trunkway keys rotate` takes it up"))]
pub fn rotate(path: &Path) -> Result<Rotated, SealKeyError> {
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
    let (keys, metadata) = load(path)?;
    let previous = Key::derive(&keys.current).map_err(key_fault)?.id();
    let (new, current) = draw(previous).map_err(|error| match error {
        Draw::Random(error) => error,
        Draw::Key(error) => key_fault(error),
    })?;
    write(&mut file, &[&new, &keys.current]).map_err(fault)?;
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
    Ok(Rotated { current, previous })
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
fn draw(current: KeyId) -> Result<([u8; KEY_BYTES], KeyId), Draw> {
    for _ in 0..MAX_DRAWS {
        let key = random().map_err(Draw::Random)?;
        let id = Key::derive(&key).map_err(Draw::Key)?.id();
        if id != current {
            return Ok((key, id));
        }
    }
    Err(Draw::Key(KeyError::SameId))
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

fn load_or_make_keys(path: &Path) -> Result<Keys, SealKeyError> {
    match load(path) {
        Err(SealKeyError::File { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            let key: [u8; KEY_BYTES] = random()?;
            make(path, &key).map_err(|error| SealKeyError::File { path: path.to_owned(), error })?;
            Ok(Keys { current: key.to_vec(), other: None })
        }
        loaded => loaded.map(|(keys, _)| keys),
    }
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

fn make(path: &Path, key: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let mut file = create(path)?;
    write(&mut file, &[key])?;
    file.sync_all()
}

fn create(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn write(file: &mut fs::File, keys: &[&[u8]]) -> io::Result<()> {
    let mut text = String::new();
    for key in keys {
        text.extend(key.iter().map(|byte| format!("{byte:02x}")));
        text.push('\n');
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
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn put(path: &Path, text: &str) {
        let _ = fs::remove_file(path);
        create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn token(key: &SealKey) -> Vec<u8> {
        let mut text = Vec::new();
        crate::call::dialog_token::DialogToken { caller: 1, callee: 2 }.write(key, b"call", &mut text);
        text
    }

    #[test]
    fn key_is_made_once_and_kept_close() {
        let folder = folder();
        let path = folder.path().join("sub/seal.key");
        let made = load_or_make(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!((text.len(), mode(&path)), (65, 0o600));
        assert_eq!(token(&load_or_make(&path).unwrap()), token(&made));
        ring_or_make(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(load_or_make(&path), Err(SealKeyError::TooOpen { .. })));
        assert!(matches!(rotate(&path), Err(SealKeyError::TooOpen { .. })));
        assert!(!beside(&path).exists());
    }

    #[test]
    fn file_of_an_earlier_version_keeps_its_key() {
        let folder = folder();
        let path = folder.path().join("seal.key");
        put(&path, "000102030405060708090A0B0C0D0E0F\n");
        let before = SealKey::new(std::array::from_fn(|at| at as u8));
        assert_eq!(token(&load_or_make(&path).unwrap()), token(&before));
        let ring = ring_or_make(&path).unwrap();
        assert_eq!(ring.ids().count(), 1);
        let rotated = rotate(&path).unwrap();
        assert_eq!(rotated.previous, ring.current());
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().map(str::len).collect::<Vec<_>>(), [64, 32]);
        assert!(text.ends_with("\n000102030405060708090a0b0c0d0e0f\n"));
    }

    #[test]
    fn rotation_puts_a_new_key_before_the_old_one() {
        let folder = folder();
        let path = folder.path().join("seal.key");
        let first = ring_or_make(&path).unwrap().current();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let second = rotate(&link).unwrap();
        assert_eq!(second.previous, first);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let ids = |path: &Path| ring_or_make(path).unwrap().ids().collect::<Vec<_>>();
        assert_eq!((ids(&path), mode(&path)), (vec![second.current, first], 0o600));
        let third = rotate(&path).unwrap();
        assert_eq!(ids(&path), [third.current, second.current], "the first one has gone");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left lying about");
    }

    #[test]
    fn two_rotations_at_once_do_not_lose_a_key() {
        let folder = folder();
        let path = folder.path().join("seal.key");
        ring_or_make(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        put(&beside(&path), "half");
        let error = rotate(&path).unwrap_err();
        assert!(error.to_string().contains("seal.key.new"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(fs::read_to_string(beside(&path)).unwrap(), "half", "it is the other's");
        let missing = rotate(&folder.path().join("none")).unwrap_err();
        assert!(matches!(missing, SealKeyError::File { .. }));
    }

    #[test]
    fn files_that_are_none_are_refused_without_showing_them() {
        let folder = folder();
        let path = folder.path().join("seal.key");
        let key = "ab".repeat(32);
        for text in ["", "xyz", &key[1..], &format!("{key}\nxyz"), &format!("{key}\n{key}\n{key}\n"), &"+1".repeat(32)]
        {
            put(&path, text);
            let error = ring_or_make(&path).unwrap_err();
            assert!(matches!(error, SealKeyError::Malformed { .. }), "{text}");
            assert!(!error.to_string().contains("xyz") && !error.to_string().contains("abab"));
            assert!(rotate(&path).is_err());
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        put(&path, &format!("{key}\n{key}\n"));
        assert!(matches!(ring_or_make(&path), Err(SealKeyError::Key { error: KeyError::SameId, .. })));
    }
}
