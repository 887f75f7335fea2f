//! What an application proves itself with, read from its files whenever it is asked for.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::config::GraphCredential;
use crate::graph::{ClientCertificate, Proof, ProofFault, Prove, Secret};
use crate::transport::tls::{certificate, pem};

/// Bytes of a secret. Refresh tokens are the longest, with one or two thousand.
const MAX_SECRET_BYTES: u64 = 16 << 10;

/// The files of one tenant.
#[derive(Debug)]
pub struct Files {
    credential: GraphCredential,
    refresh_token: Option<PathBuf>,
    /// A refresh token that is newer than the one in the file, which could not be written.
    newer: Mutex<Option<(u64, Secret)>>,
}

impl Files {
    /// The files that a configuration names.
    pub fn new(credential: GraphCredential) -> Self {
        Self { credential, refresh_token: None, newer: Mutex::default() }
    }

    /// The same in the name of the account whose refresh token is in a file.
    pub fn in_name_of(mut self, refresh_token: &Path) -> Self {
        self.refresh_token = Some(refresh_token.to_owned());
        self
    }

    fn paths(&self) -> impl Iterator<Item = &Path> {
        let own: [Option<&Path>; 2] = match &self.credential {
            GraphCredential::Secret(file) => [Some(file), None],
            GraphCredential::Certificate { certificate, key, .. } => [Some(certificate), Some(key)],
        };
        own.into_iter().flatten().chain(self.refresh_token.as_deref())
    }
}

impl Prove for Files {
    fn proof(&self) -> Result<Proof, ProofFault> {
        match &self.credential {
            GraphCredential::Secret(file) => secret(file).map(Proof::Secret),
            GraphCredential::Certificate { certificate: file, key, legacy } => {
                let fault = |error: crate::transport::tls::TlsError| ProofFault(error.to_string());
                // The key belongs to the certificate, or it is no proof.
                pem::identity(file, key).map_err(fault)?;
                let chain = pem::certificates(file).map_err(fault)?;
                let read = certificate::read(file).map_err(fault)?;
                let nothing = || ProofFault(format!("{}: no certificate in it", file.display()));
                Ok(Proof::Certificate(ClientCertificate {
                    der: chain.first().ok_or_else(nothing)?.as_ref().to_vec(),
                    key: pem::private_key(key).map_err(fault)?.secret_der().to_vec(),
                    legacy: *legacy,
                    ends: read.first().ok_or_else(nothing)?.not_after.unix_timestamp(),
                }))
            }
        }
    }

    fn stamp(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.paths().for_each(|path| stamp_of(path).hash(&mut hasher));
        hasher.finish()
    }

    fn refresh_token(&self) -> Result<Option<Secret>, ProofFault> {
        let Some(file) = &self.refresh_token else { return Ok(None) };
        let newer = self.newer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Somebody may have put yet another one into the file.
        match newer.filter(|(stamp, _)| *stamp == stamp_of(file)) {
            Some((_, newer)) => Ok(Some(newer)),
            None => secret(file).map(Some),
        }
    }

    fn keep_refresh_token(&self, token: &Secret) {
        let Some(file) = &self.refresh_token else { return };
        match replace(file, token) {
            Ok(()) => *self.newer.lock().unwrap_or_else(PoisonError::into_inner) = None,
            Err(error) => {
                let mut newer = self.newer.lock().unwrap_or_else(PoisonError::into_inner);
                if newer.is_none() {
                    let file = file.display();
                    tracing::warn!(%file, %error, "a newer refresh token cannot be written; it is kept until the edge stops");
                }
                *newer = Some((stamp_of(file), token.clone()));
            }
        }
    }
}

/// A number that changes when the file does.
fn stamp_of(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    let metadata = std::fs::metadata(path).ok();
    metadata.map(|it| (it.mtime(), it.mtime_nsec(), it.len(), it.ino())).hash(&mut hasher);
    hasher.finish()
}

fn secret(file: &Path) -> Result<Secret, ProofFault> {
    let fault = |why: String| ProofFault(format!("{}: {why}", file.display()));
    let mut text = String::new();
    let opened = std::fs::File::open(file).and_then(|it| it.take(MAX_SECRET_BYTES + 1).read_to_string(&mut text));
    opened.map_err(|error| fault(format!("cannot be read: {error}")))?;
    let text = text.trim();
    if text.is_empty() || text.len() as u64 > MAX_SECRET_BYTES || text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(fault("it does not hold a secret on one line, and nothing else".to_owned()));
    }
    Ok(Secret::new(text))
}

/// Puts a secret into a file in one step.
fn replace(file: &Path, secret: &Secret) -> std::io::Result<()> {
    let mut draft = file.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let _ = std::fs::remove_file(&draft);
    let mut out = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written =
        out.write_all(secret.reveal().as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.sync_all());
    written.and_then(|()| std::fs::rename(&draft, file)).inspect_err(|_| {
        let _ = std::fs::remove_file(&draft);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_when_they_are_asked_for() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("secret");
        let files = Files::new(GraphCredential::Secret(file.clone()));
        assert!(files.proof().unwrap_err().to_string().contains("cannot be read"));
        let before = files.stamp();
        std::fs::write(&file, "one\n").unwrap();
        assert_ne!(files.stamp(), before);
        assert_eq!(files.proof().unwrap().secret().unwrap().reveal(), "one");
        for bad in ["", "\n", "a\nb"] {
            std::fs::write(&file, bad).unwrap();
            let told = files.proof().unwrap_err().to_string();
            assert!(told.ends_with("it does not hold a secret on one line, and nothing else"), "{told}");
        }
    }

    #[test]
    fn newer_refresh_tokens_are_kept() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("refresh");
        std::fs::write(&file, "first").unwrap();
        let files = Files::new(GraphCredential::Secret(place.path().join("secret"))).in_name_of(&file);
        let token = |files: &Files| files.refresh_token().unwrap().unwrap().reveal().to_owned();
        assert_eq!(token(&files), "first");
        files.keep_refresh_token(&Secret::new("second"));
        assert_eq!((token(&files), &*std::fs::read_to_string(&file).unwrap()), ("second".to_owned(), "second\n"));
        // What stands in the way of the draft keeps the file from being written.
        std::fs::create_dir_all(place.path().join("refresh.new/x")).unwrap();
        files.keep_refresh_token(&Secret::new("third"));
        assert_eq!((token(&files), &*std::fs::read_to_string(&file).unwrap()), ("third".to_owned(), "second\n"));
        std::fs::write(&file, "the operator's own").unwrap();
        assert_eq!(token(&files), "the operator's own");
    }
}
