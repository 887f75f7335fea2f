//! The names of closed files: `calls.jsonl` becomes `calls-20261122T101500Z.jsonl`.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cdr::entry::rfc3339;

/// Files that may be closed in one second.
const MAX_PER_SECOND: u32 = 1_000;

/// Renames a file after the time at which it is closed; one that is gone is no fault.
pub(super) fn put_aside(path: &Path, unix_ms: u64) -> io::Result<()> {
    let stamp = stamp(unix_ms);
    for number in 0..MAX_PER_SECOND {
        let aside = closed(path, &stamp, number);
        if aside.try_exists()? {
            continue;
        }
        return match fs::rename(path, &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed,
        };
    }
    Err(io::Error::other("too many files are closed within a second: raise max_file_bytes"))
}

/// Removes closed files of the same name but for the `keep` newest; zero: none is removed.
pub(super) fn prune(path: &Path, keep: usize) -> io::Result<()> {
    if keep == 0 {
        return Ok(());
    }
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        found.extend(when(path, &entry.file_name()).map(|when| (when, entry.path())));
    }
    found.sort();
    let many = found.len().saturating_sub(keep);
    found.iter().take(many).try_for_each(|(_, path)| fs::remove_file(path))
}

/// `20261122T101500Z`.
fn stamp(unix_ms: u64) -> String {
    let text = rfc3339(unix_ms);
    // `2026-11-22T10:15:00.000Z` without signs and fraction.
    text.split('.').next().unwrap_or_default().replace(['-', ':'], "") + "Z"
}

fn parts(path: &Path) -> (OsString, OsString) {
    let stem = path.file_stem().unwrap_or_default().to_owned();
    let mut ending = OsString::new();
    if let Some(extension) = path.extension() {
        ending.push(".");
        ending.push(extension);
    }
    (stem, ending)
}

fn closed(path: &Path, stamp: &str, number: u32) -> PathBuf {
    let (mut name, ending) = parts(path);
    name.push(format!("-{stamp}"));
    if number > 0 {
        name.push(format!("-{number}"));
    }
    name.push(ending);
    path.with_file_name(name)
}

/// When a file was closed, and which of those of that second it is; `None`: it is none of ours.
fn when(path: &Path, name: &OsString) -> Option<(String, u32)> {
    let (stem, ending) = parts(path);
    let middle = name.to_str()?.strip_prefix(stem.to_str()?)?.strip_prefix('-')?.strip_suffix(ending.to_str()?)?;
    let (stamp, number) = match middle.split_once('-') {
        Some((stamp, number)) => (stamp, number.parse().ok()?),
        None => (middle, 0),
    };
    let (date, time) = stamp.strip_suffix('Z')?.split_once('T')?;
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(date, 8) && digits(time, 6)).then(|| (stamp.to_owned(), number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_file_has_the_time_in_its_name() {
        let path = Path::new("/var/log/calls.jsonl");
        let stamp = stamp(1_795_342_500_123);
        assert_eq!(stamp, "20261122T101500Z");
        let name = closed(path, &stamp, 2);
        assert_eq!(name, Path::new("/var/log/calls-20261122T101500Z-2.jsonl"));
        assert_eq!(when(path, &name.file_name().unwrap().to_owned()), Some((stamp, 2)));
        for name in ["calls.jsonl", "calls-x.jsonl", "calls-20261122T101500Z.csv", "other-20261122T101500Z.jsonl"] {
            assert_eq!(when(path, &name.into()), None, "{name}");
        }
        assert_eq!(closed(Path::new("calls"), "S", 0), Path::new("calls-S"));
    }
}
