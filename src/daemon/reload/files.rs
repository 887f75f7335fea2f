//! The files of a configuration, and what is in them as a number, so that a change shows.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use std::io::Read;
use std::path::{Path, PathBuf};

use siphasher::sip::SipHasher13;

use super::difference::Certificates;
use crate::config::Config;

/// Bytes that are read at once: files of rows may be large.
const CHUNK: usize = 1 << 16;

/// All files of certificates, roots and their keys, with what is in them.
pub(super) fn certificates(config: &Config) -> Certificates {
    let mut paths: BTreeSet<PathBuf> = BTreeSet::new();
    for tls in config.listeners.iter().filter(|it| !it.listener.leaving).filter_map(|listen| listen.tls.as_ref()) {
        paths.extend([tls.certificate.clone(), tls.key.clone()]);
        paths.extend(tls.client_ca.clone());
    }
    for client in config.trunk_tls.iter().map(|tls| &tls.client) {
        paths.extend([&client.ca, &client.certificate, &client.key].into_iter().flatten().cloned());
    }
    paths.extend(config.control.http.iter().flat_map(|http| [http.certificate.clone(), http.key.clone()]));
    paths.extend(config.control.tokens.iter().map(|token| token.file.clone()));
    contents(paths)
}

/// What is in these files; one that cannot be read counts as empty.
pub(super) fn contents(paths: impl IntoIterator<Item = PathBuf>) -> BTreeMap<PathBuf, u64> {
    paths.into_iter().map(|path| (content(&path).unwrap_or(0), path)).map(|(content, path)| (path, content)).collect()
}

fn content(path: &Path) -> std::io::Result<u64> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = SipHasher13::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = file.read(&mut chunk)?;
        match chunk.get(..count) {
            Some(bytes) if !bytes.is_empty() => hash.write(bytes),
            _ => return Ok(hash.finish()),
        }
    }
}
