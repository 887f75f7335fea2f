//! The files of a configuration: paths relative to the file that names them, and patterns with `*` in the last element.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Texts that are taken instead of those of files of rows, such as dial plans: for imports, which look at a
/// configuration as it would be.
#[derive(Clone, Debug, Default)]
pub struct Instead {
    texts: BTreeMap<PathBuf, Arc<str>>,
    others_empty: bool,
    missing_empty: bool,
}

impl Instead {
    /// Takes every file of rows as empty, whether it is there or not.
    pub fn empty() -> Self {
        Self { others_empty: true, ..Self::default() }
    }

    /// Takes files of rows that are not there as empty.
    pub fn forgiving() -> Self {
        Self { missing_empty: true, ..Self::default() }
    }

    /// Takes a text instead of that of a file, which need not be there.
    #[must_use]
    pub fn with(mut self, path: &Path, text: Arc<str>) -> Self {
        self.texts.insert(whole(path), text);
        self
    }

    /// Whether a text is taken instead of that of a file.
    pub fn has(&self, path: &Path) -> bool {
        self.texts.contains_key(&whole(path))
    }

    /// As [`expand`], with files that are not there yet.
    pub(super) fn expand(&self, base: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
        let mut found = expand(base, pattern)?;
        let (directory, last) = split(pattern);
        if last.contains('*') {
            let directory = beside(base, directory);
            let here = whole(&directory);
            for path in self.texts.keys().filter(|path| path.parent() == Some(&here)) {
                let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
                let path = directory.join(name);
                if !name.starts_with('.') && matches(last.as_bytes(), name.as_bytes()) && !found.contains(&path) {
                    found.push(path);
                }
            }
            found.sort();
        }
        Ok(found)
    }

    pub(super) fn read(&self, path: &Path) -> io::Result<Arc<str>> {
        if let Some(text) = self.texts.get(&whole(path)) {
            return Ok(Arc::clone(text));
        }
        if self.others_empty {
            return Ok(Arc::from(""));
        }
        match std::fs::read_to_string(path) {
            Err(error) if self.missing_empty && error.kind() == io::ErrorKind::NotFound => Ok(Arc::from("")),
            read => read.map(Arc::from),
        }
    }
}

/// The one path that all ways to a file have in common, whether the file is there or not.
pub fn whole(path: &Path) -> PathBuf {
    if let Ok(whole) = path.canonicalize() {
        return whole;
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (directory.canonicalize(), path.file_name()) {
        (Ok(directory), Some(name)) => directory.join(name),
        _ => path.to_owned(),
    }
}

/// A path as written in a file of directory `base`.
pub(super) fn beside(base: &Path, path: &str) -> PathBuf {
    base.join(path)
}

/// The directory of a pattern and its last element.
fn split(pattern: &str) -> (&str, &str) {
    pattern.rsplit_once('/').map_or(("", pattern), |(head, last)| (if head.is_empty() { "/" } else { head }, last))
}

/// The files that a pattern names, sorted; a pattern without `*` names one file, whether it is there or not.
pub(super) fn expand(base: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
    let (directory, last) = split(pattern);
    if directory.contains('*') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "`*` may stand in the last element of a path only"));
    }
    if !last.contains('*') {
        return Ok(vec![beside(base, pattern)]);
    }
    let directory = beside(base, directory);
    // An empty base is the current directory.
    let listed = if directory.as_os_str().is_empty() { Path::new(".") } else { &directory };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(listed)? {
        let entry = entry?;
        let name = entry.file_name();
        // As in a shell, a pattern does not find hidden files: editors leave half-written ones.
        let matched =
            name.to_str().is_some_and(|name| !name.starts_with('.') && matches(last.as_bytes(), name.as_bytes()));
        if matched && entry.path().is_file() {
            found.push(directory.join(name));
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a name fits a pattern in which `*` stands for anything, nothing included.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match pattern {
        [] => name.is_empty(),
        [b'*', rest @ ..] => (0..=name.len()).any(|skip| name.get(skip..).is_some_and(|name| matches(rest, name))),
        [first, rest @ ..] => {
            name.split_first().is_some_and(|(character, name)| character == first && matches(rest, name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_stands_for_anything() {
        for (pattern, name, expected) in [
            ("*.toml", "a.toml", true),
            ("*.toml", ".toml", true),
            ("*.toml", "a.toml~", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("plain", "plain", true),
            ("plain", "plainer", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn text_stands_in_for_a_file_by_whatever_path() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.csv");
        let other = directory.path().join("b.csv");
        std::fs::create_dir(directory.path().join("d")).unwrap();
        let instead = Instead::default().with(&directory.path().join("d/../a.csv"), "new".into());
        assert_eq!((instead.read(&file).as_deref().ok(), instead.has(&other)), (Some("new"), false));
        std::fs::write(&file, "old").unwrap();
        assert_eq!(instead.read(&file).as_deref().ok(), Some("new"));
        assert_eq!(Instead::default().read(&file).as_deref().ok(), Some("old"));
        assert_eq!(Instead::empty().read(&file).as_deref().ok(), Some(""));
        assert!(instead.read(&other).is_err());
        assert_eq!(Instead::forgiving().read(&other).as_deref().ok(), Some(""));
        assert!(Instead::forgiving().read(directory.path()).is_err());
        let instead = Instead::default().with(&directory.path().join("d/new.csv"), "".into());
        let found = instead.expand(directory.path(), "d/n*.csv").unwrap();
        assert_eq!(found, [directory.path().join("d/new.csv")]);
        assert!(instead.expand(directory.path(), "n*.csv").unwrap().is_empty());
    }

    #[test]
    fn pattern_finds_files_in_order_and_no_hidden_ones() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("d")).unwrap();
        std::fs::create_dir(directory.path().join("d/dir.toml")).unwrap();
        for name in ["b.toml", "a.toml", ".a.toml", "c.txt"] {
            std::fs::write(directory.path().join("d").join(name), "").unwrap();
        }
        let found = expand(directory.path(), "d/*.toml").unwrap();
        assert_eq!(found, [directory.path().join("d/a.toml"), directory.path().join("d/b.toml")]);
        let one = expand(directory.path(), "d/missing.toml").unwrap();
        assert_eq!(one, [directory.path().join("d/missing.toml")]);
        assert!(expand(directory.path(), "*/a.toml").is_err());
        assert!(expand(directory.path(), "no-such/*.toml").is_err());
    }
}
