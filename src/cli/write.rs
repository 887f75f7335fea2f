//! Files that are there whole or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use crate::config::whole;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readers {
    /// Whoever might before; a new file is anybody's to read.
    Unchanged,
    /// Its owner alone: it holds secrets.
    Owner,
}

/// How many names are tried for the file that is written first.
const MAX_NAMES: u32 = 16;

/// Writes a file in one step: until it is on disk whole, the old one stays. Links are followed, and the owner of the old
/// file keeps it where that is allowed.
pub(super) fn replace(path: &Path, text: &str, readers: Readers) -> io::Result<()> {
    let path = whole(path);
    let old = fs::metadata(&path).ok();
    let (mut file, draft) = draft(&path)?;
    let written = (|| {
        let mode = match (readers, &old) {
            (Readers::Owner, _) => 0o600,
            (Readers::Unchanged, Some(old)) => old.mode() & 0o777,
            (Readers::Unchanged, None) => 0o644,
        };
        if let Some(old) = &old {
            // Only root may give files away; for others the directory says whose it is.
            let _ = fchown(&file, Some(old.uid()), Some(old.gid()));
        }
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&draft);
        return written;
    }
    match path.parent().map(File::open) {
        Some(Ok(directory)) => directory.sync_all(),
        // The file is written; a directory that may not be read cannot be waited for.
        _ => Ok(()),
    }
}

/// A new file in the directory of another, hidden so that no pattern of a configuration finds it.
fn draft(path: &Path) -> io::Result<(File, PathBuf)> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "this names no file"))?;
    let mut tried = 0;
    loop {
        let draft = path.with_file_name(format!(".{}.{}-{tried}.new", name.to_string_lossy(), std::process::id()));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft) {
            Ok(file) => return Ok((file, draft)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tried < MAX_NAMES => tried += 1,
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn file_is_replaced_whole_and_keeps_its_readers() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("rules.csv");
        replace(&file, "1", Readers::Unchanged).unwrap();
        assert_eq!((fs::read_to_string(&file).unwrap(), mode(&file)), ("1".to_owned(), 0o644));
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        replace(&file, "2", Readers::Unchanged).unwrap();
        assert_eq!((fs::read_to_string(&file).unwrap(), mode(&file)), ("2".to_owned(), 0o640));
        replace(&file, "3", Readers::Owner).unwrap();
        assert_eq!(mode(&file), 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn link_stays_and_its_file_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, "new", Readers::Unchanged).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    }

    #[test]
    fn nothing_is_left_when_it_cannot_be_written() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("taken");
        fs::create_dir_all(target.join("inside")).unwrap();
        assert!(replace(&target, "x", Readers::Owner).is_err());
        assert!(replace(&directory.path().join("no/such/file"), "x", Readers::Owner).is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
