//! Seal keys while the daemon runs: shown, rotated, and taken anew from their file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::core::Core;
use super::seal_key::{self, KeyShown, Rotation, SealKeyError};
use crate::admin::{KeyList, KeyRefusal, KeyStatus};
use crate::call::seal::KeyId;

/// The keys of a running edge.
pub struct Keys {
    core: Arc<Core>,
    /// `None`: the key ends with the process.
    file: Option<PathBuf>,
    max_age: Mutex<Duration>,
    /// One change at a time.
    changing: Mutex<()>,
}

impl Keys {
    /// Of a daemon whose keys are in this file.
    pub(super) fn new(core: Arc<Core>, file: Option<PathBuf>, max_age: Duration) -> Self {
        Self { core, file, max_age: Mutex::new(max_age), changing: Mutex::default() }
    }

    /// The keys in use, and those of the file that are not.
    pub(super) fn list(&self) -> Result<KeyList, KeyRefusal> {
        let used: Vec<KeyId> = self.core.seal_key_ids();
        let Some(file) = &self.file else {
            let shown = used.iter().map(|&id| KeyShown { id, made: None }).collect();
            return Ok(listed(shown, &used, Timestamp::now()));
        };
        let mut shown = seal_key::list(file).map_err(refusal)?;
        let gone = used.iter().filter(|&&id| !shown.iter().any(|key| key.id == id)).copied().collect::<Vec<_>>();
        shown.extend(gone.into_iter().map(|id| KeyShown { id, made: None }));
        Ok(listed(shown, &used, Timestamp::now()))
    }

    /// Makes a new key and takes it up at once.
    pub(super) fn rotate(&self, force: bool) -> Result<KeyList, KeyRefusal> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let file = self.file.as_deref().ok_or(KeyRefusal::NoFile)?;
        seal_key::rotate(file, Rotation { max_age: *self.lock_max_age(), force, now: Timestamp::now() })
            .map_err(refusal)?;
        self.take_up(file)
    }

    /// Takes up what the file has now.
    pub(super) fn reload(&self) -> Result<KeyList, KeyRefusal> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.take_up(self.file.as_deref().ok_or(KeyRefusal::NoFile)?)
    }

    /// Takes another age that seals may have.
    pub(super) fn set_max_age(&self, max_age: Duration) {
        *self.lock_max_age() = max_age;
    }

    /// The keys that the file has now, if there is a file; nothing is taken up.
    ///
    /// # Errors
    /// [`KeyRefusal`] when it cannot be read.
    pub(super) fn check(&self) -> Result<(), KeyRefusal> {
        self.file.as_deref().map_or(Ok(()), |file| seal_key::read(file).map(|_| ()).map_err(refusal))
    }

    /// Takes up what the file has, where there is a file.
    pub(super) fn take_up_file(&self) -> Result<(), KeyRefusal> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = &self.file else { return Ok(()) };
        self.core.set_seal_keys(&seal_key::read(file).map_err(refusal)?);
        Ok(())
    }

    fn lock_max_age(&self) -> std::sync::MutexGuard<'_, Duration> {
        self.max_age.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_up(&self, file: &Path) -> Result<KeyList, KeyRefusal> {
        self.core.set_seal_keys(&seal_key::read(file).map_err(refusal)?);
        let list = self.list()?;
        let ids: Vec<&str> = list.keys.iter().filter(|key| key.in_use).map(|key| &*key.id).collect();
        tracing::info!(keys = ids.join(" "), "seal keys taken up, the one for new calls first");
        Ok(list)
    }
}

/// The keys of a file that no running edge is asked about.
#[derive(Clone, Debug)]
pub struct KeysOffline {
    pub file: PathBuf,
    /// How old what was sealed may be when it comes back.
    pub max_age: Duration,
}

impl KeysOffline {
    /// The keys of the file.
    ///
    /// # Errors
    /// [`SealKeyError`] when it cannot be read.
    pub fn list(&self) -> Result<KeyList, SealKeyError> {
        Ok(listed(seal_key::list(&self.file)?, &[], Timestamp::now()))
    }

    /// Makes a new key.
    ///
    /// # Errors
    /// [`SealKeyError`]; the file is as it was then.
    pub fn rotate(&self, force: bool) -> Result<KeyList, SealKeyError> {
        let now = Timestamp::now();
        let shown = seal_key::rotate(&self.file, Rotation { max_age: self.max_age, force, now })?;
        Ok(listed(shown, &[], now))
    }
}

fn listed(shown: Vec<KeyShown>, used: &[KeyId], now: Timestamp) -> KeyList {
    let status = |key: KeyShown| KeyStatus {
        id: key.id.to_string(),
        in_use: used.contains(&key.id),
        current: used.first() == Some(&key.id),
        made: key.made.map(|made| format!("{made:.0}")),
        age_s: key.made.and_then(|made| u64::try_from(now.duration_since(made).as_secs()).ok()),
    };
    KeyList { keys: shown.into_iter().map(status).collect() }
}

fn refusal(error: SealKeyError) -> KeyRefusal {
    match error {
        error @ SealKeyError::TooSoon { .. } => KeyRefusal::TooSoon(error.to_string()),
        error @ SealKeyError::BeingChanged { .. } => KeyRefusal::BeingChanged(error.to_string()),
        error => KeyRefusal::Failed(error.to_string()),
    }
}
