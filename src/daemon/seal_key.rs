//! The seal key file: 16 random bytes as hex, made with mode 0600 when it is missing.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::call::dialog_token::SealKey;

/// Why the seal key cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealKeyError {
    #[error("seal key file {path}: {error}", path = path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("seal key file {path} does not hold 32 hex digits: remove it to have a new one made", path = path.display())]
    Malformed { path: PathBuf },
    #[error("seal key file {path} can be read by others: chmod 600 it", path = path.display())]
    TooOpen { path: PathBuf },
    #[error("the system gives no random bytes: {0}")]
    Random(io::Error),
}

/// Random bytes of the system.
pub fn random() -> Result<[u8; 16], SealKeyError> {
    let mut bytes = [0; 16];
    let mut source = fs::File::open("/dev/urandom").map_err(SealKeyError::Random)?;
    io::Read::read_exact(&mut source, &mut bytes).map_err(SealKeyError::Random)?;
    Ok(bytes)
}

/// Reads the key, or makes one.
pub fn load_or_make(path: &Path) -> Result<SealKey, SealKeyError> {
    let fault = |error| SealKeyError::File { path: path.to_owned(), error };
    match fs::read_to_string(path) {
        Ok(text) => {
            let mode = fs::metadata(path).map_err(fault)?.permissions().mode();
            if mode & 0o077 != 0 {
                return Err(SealKeyError::TooOpen { path: path.to_owned() });
            }
            parse(text.trim()).map(SealKey::new).ok_or(SealKeyError::Malformed { path: path.to_owned() })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = random()?;
            write(path, &key).map_err(fault)?;
            Ok(SealKey::new(key))
        }
        Err(error) => Err(fault(error)),
    }
}

fn write(path: &Path, key: &[u8; 16]) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    writeln!(file, "{text}")?;
    file.sync_all()
}

fn parse(text: &str) -> Option<[u8; 16]> {
    let number = (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok())??;
    Some(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_made_once_and_kept_close() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/seal.key");
        load_or_make(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        load_or_make(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(load_or_make(&path), Err(SealKeyError::TooOpen { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "xyz").unwrap();
        let error = load_or_make(&path).unwrap_err();
        assert!(matches!(error, SealKeyError::Malformed { .. }) && !error.to_string().contains("xyz"));
    }
}
