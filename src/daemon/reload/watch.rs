//! Watches the files of the configuration, when `[service] watch` wants it, and reloads when what is in them changes.
//!
//! Directories are watched, since editors and installers put another file in the place of the old one. What is heard is
//! a hint only: the files are read again, and a reload is for what they hold.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Ask, By, Reloader, Running, files, lock};

/// How long it must be quiet before the files are read.
const QUIET: Duration = Duration::from_millis(250);

/// The longest that is waited for that.
const PATIENCE: Duration = Duration::from_secs(5);

/// Files that are looked at.
const MAX_FILES: usize = 10_000;

/// What is in the files that are watched.
pub(super) type Contents = BTreeMap<PathBuf, u64>;

/// Watches until it is aborted.
pub async fn watch(reloader: Arc<Reloader>) {
    loop {
        let next = reloader.over.notified();
        if reloader.service().watch {
            tokio::select! {
                () = until_changed(&reloader) => {
                    let ask = Ask { dry_run: false, by: By::Watch };
                    // What came of it is told where reloads are told.
                    let _ = reloader.reload(ask).await;
                }
                // The files may be others now, or not to be watched.
                () = next => {}
            }
        } else {
            next.await;
        }
    }
}

/// Waits until the files hold something else.
async fn until_changed(reloader: &Arc<Reloader>) {
    let heard = Arc::new(Notify::new());
    // It watches for as long as it is there.
    let watcher = begin(reloader, &heard);
    if watcher.is_none() {
        return std::future::pending().await;
    }
    // What changed while nobody listened shows in the first look.
    heard.notify_one();
    loop {
        heard.notified().await;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && tokio::time::timeout(QUIET, heard.notified()).await.is_ok() {}
        let this = Arc::clone(reloader);
        let is_changed = move || this.is_changed();
        // Files of rows may be large.
        if tokio::task::spawn_blocking(is_changed).await.unwrap_or(false) {
            return;
        }
    }
}

fn begin(reloader: &Reloader, heard: &Arc<Notify>) -> Option<RecommendedWatcher> {
    let heard = Arc::clone(heard);
    let hear = move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| says_something(event.kind)) {
            heard.notify_one();
        }
    };
    let mut watcher = match notify::recommended_watcher(hear) {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::error!(%error, "the files of the configuration cannot be watched");
            return None;
        }
    };
    for directory in directories(&reloader.files()) {
        if let Err(error) = watcher.watch(&directory, RecursiveMode::NonRecursive) {
            tracing::warn!(directory = %directory.display(), %error, "a directory cannot be watched");
        }
    }
    Some(watcher)
}

/// Whether a file may hold something else now. That one is read says nothing: the edge itself reads them.
fn says_something(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

/// What is in the files of a configuration that are watched, but for those that are `known`; nothing when none are.
pub(super) fn contents(running: &Running, known: &Contents) -> Contents {
    if !running.config.service.watch {
        return Contents::new();
    }
    let (old, new): (Vec<PathBuf>, Vec<PathBuf>) =
        candidates(&running.all_files()).into_iter().partition(|path| known.contains_key(path));
    let old = old.into_iter().filter_map(|path| Some((path.clone(), *known.get(&path)?)));
    old.chain(files::contents(new)).collect()
}

fn directories(files: &[PathBuf]) -> BTreeSet<PathBuf> {
    let parent = |file: &PathBuf| match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    files.iter().map(parent).collect()
}

/// The files, and those beside them that look like them: a pattern may find a new one, and one that was at fault is not
/// among those of the configuration in force.
fn candidates(files: &[PathBuf]) -> BTreeSet<PathBuf> {
    let endings: BTreeSet<OsString> = files.iter().filter_map(|file| ending(file)).collect();
    let mut all: BTreeSet<PathBuf> = files.iter().cloned().collect();
    for directory in directories(files) {
        let entries = std::fs::read_dir(&directory).into_iter().flatten().flatten();
        let alike =
            entries.map(|entry| entry.path()).filter(|path| ending(path).is_some_and(|it| endings.contains(&it)));
        all.extend(alike.take(MAX_FILES));
    }
    all
}

fn ending(path: &Path) -> Option<OsString> {
    path.extension().map(ToOwned::to_owned)
}

impl Running {
    /// All files of the configuration, certificates and keys included.
    pub(super) fn all_files(&self) -> Vec<PathBuf> {
        let sealing = self.config.node.seal_key_file.iter();
        self.files.iter().chain(self.certificates.keys()).chain(sealing).cloned().collect()
    }
}

impl Reloader {
    fn files(&self) -> Vec<PathBuf> {
        lock(&self.shown).files.clone()
    }

    /// Whether the files hold something else than what was read last.
    fn is_changed(&self) -> bool {
        let now = contents(&lock(&self.turn).running, &Contents::new());
        now != *lock(&self.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_files_beside_known_ones_are_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["edge.toml", "new.toml", "changes.journal"] {
            std::fs::write(path(name), name).unwrap();
        }
        let known = vec![path("edge.toml"), path("certs/edge.pem")];
        let wanted: BTreeSet<PathBuf> = ["certs/edge.pem", "edge.toml", "new.toml"].map(path).into();
        assert_eq!(candidates(&known), wanted);
        let before = files::contents(candidates(&known));
        std::fs::write(path("changes.journal"), "more").unwrap();
        assert_eq!(files::contents(candidates(&known)), before);
        std::fs::write(path("new.toml"), "more").unwrap();
        assert_ne!(files::contents(candidates(&known)), before);
        assert_eq!(directories(&["edge.toml".into()]), BTreeSet::from([PathBuf::from(".")]));
    }

    #[test]
    fn reading_is_no_change() {
        use notify::event::{CreateKind, ModifyKind, RemoveKind};
        let rows = [
            (EventKind::Access(AccessKind::Read), false),
            (EventKind::Access(AccessKind::Open(AccessMode::Any)), false),
            (EventKind::Access(AccessKind::Close(AccessMode::Read)), false),
            (EventKind::Access(AccessKind::Close(AccessMode::Write)), true),
            (EventKind::Create(CreateKind::File), true),
            (EventKind::Modify(ModifyKind::Any), true),
            (EventKind::Remove(RemoveKind::File), true),
        ];
        for (kind, wanted) in rows {
            assert_eq!(says_something(kind), wanted, "{kind:?}");
        }
    }
}
