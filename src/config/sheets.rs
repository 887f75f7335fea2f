//! CSV files that tables name: each is read once, however many tables name it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::files::beside;
use super::log::{At, Draft, FileId, Mask};
use super::reader::{Table, quoted};

/// The files of one kind.
#[derive(Debug)]
pub(super) struct Sheets {
    mask: Mask,
    /// `None`: it could not be read.
    read: BTreeMap<PathBuf, Option<FileId>>,
}

impl Sheets {
    /// No files yet; `mask` hides what is secret in them.
    pub(super) const fn new(mask: Mask) -> Self {
        Self { mask, read: BTreeMap::new() }
    }

    /// The files that the patterns of a key name, in order and each once.
    pub(super) fn named(&mut self, table: &mut Table<'_>, key: &'static str) -> Vec<FileId> {
        let mut files = Vec::new();
        for pattern in table.texts(key).unwrap_or_default() {
            for path in found(table, &pattern) {
                if let Some(file) = self.file(table, path, &pattern)
                    && !files.contains(&file)
                {
                    files.push(file);
                }
            }
        }
        files
    }

    fn file(&mut self, table: &Table<'_>, path: PathBuf, pattern: &At<&str>) -> Option<FileId> {
        if let Some(known) = self.read.get(&path) {
            return *known;
        }
        let shown = path.to_string_lossy().into_owned();
        let file = match table.log().read(&path) {
            Ok(text) => Some(table.log().add_masked(shown, text, self.mask)),
            Err(error) => {
                let message = format!("{}: cannot read {}: {error}", table.title, quoted(&shown));
                table.log().add(
                    Draft::error(pattern.place, message)
                        .help("paths are relative to the directory of the file that names them"),
                );
                None
            }
        };
        self.read.insert(path, file);
        file
    }

    /// The paths of all files, in the order of their names.
    pub(super) fn into_paths(self) -> impl Iterator<Item = PathBuf> {
        self.read.into_keys()
    }
}

/// The files that a key names as they are, not those that a pattern finds.
pub(super) fn literal(table: &mut Table<'_>, key: &'static str) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for pattern in table.texts(key).unwrap_or_default() {
        let path = beside(table.base(), pattern.value);
        if !pattern.value.contains('*') && !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
}

fn found(table: &Table<'_>, pattern: &At<&str>) -> Vec<PathBuf> {
    match table.log().expand(table.base(), pattern.value) {
        Ok(found) => {
            if found.is_empty() {
                let message = format!("{}: no file fits {}", table.title, quoted(pattern.value));
                table.log().add(Draft::warning(pattern.place, message));
            }
            found
        }
        Err(error) => {
            let message = format!("{}: {}: {error}", table.title, quoted(pattern.value));
            table.log().add(Draft::error(pattern.place, message));
            Vec::new()
        }
    }
}
