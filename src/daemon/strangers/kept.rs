//! Bans on disk: one JSON file in the state directory, written whole and put in the place of the last one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::trunk::Network;
use crate::trunk::guard::{Ban, Cause, Offence};

/// Its name.
pub(super) const FILE: &str = "bans.json";

/// The form of the file.
const VERSION: u32 = 1;

/// Bytes that are read at most.
const MAX_BYTES: u64 = 1 << 30;

#[derive(Debug, Deserialize, Serialize)]
struct Kept {
    version: u32,
    bans: Vec<Entry>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Entry {
    network: String,
    since: u64,
    until: Option<u64>,
    times: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    offence: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reason: String,
}

/// The bans of a file. One that cannot be read is told and moved aside: an edge starts without its bans.
pub(super) fn read(path: &Path) -> Vec<Ban> {
    let kept = match load(path) {
        Ok(Some(kept)) => kept,
        Ok(None) => return Vec::new(),
        Err(error) => {
            let aside = path.with_extension("json.damaged");
            let moved = fs::rename(path, &aside).is_ok();
            tracing::warn!(file = %path.display(), %error, moved, "the bans cannot be read: the edge starts without them");
            return Vec::new();
        }
    };
    kept.bans.into_iter().filter_map(ban).collect()
}

fn load(path: &Path) -> io::Result<Option<Kept>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let kept: Kept = serde_json::from_reader(io::BufReader::new(io::Read::take(file, MAX_BYTES)))?;
    if kept.version != VERSION {
        return Err(io::Error::other(format!("version {} is not known", kept.version)));
    }
    Ok(Some(kept))
}

fn ban(entry: Entry) -> Option<Ban> {
    let network: Network = entry.network.parse().ok()?;
    let cause = match entry.offence {
        Some(name) => Cause::Offence(Offence::ALL.into_iter().find(|offence| offence.name() == name)?),
        None => Cause::Operator(entry.reason.into()),
    };
    Some(Ban { network, since: entry.since, until: entry.until, times: entry.times, cause })
}

/// Writes the bans.
pub(super) fn write(path: &Path, bans: &[Ban]) -> io::Result<()> {
    let entry = |ban: &Ban| {
        let (offence, reason) = match &ban.cause {
            Cause::Offence(offence) => (Some(offence.name().to_owned()), String::new()),
            Cause::Operator(reason) => (None, reason.to_string()),
        };
        let Ban { network, since, until, times, .. } = *ban;
        Entry { network: network.to_string(), since, until, times, offence, reason }
    };
    let kept = Kept { version: VERSION, bans: bans.iter().map(entry).collect() };
    let draft = path.with_extension("json.new");
    let mut file = File::create(&draft)?;
    file.write_all(&serde_json::to_vec(&kept)?)?;
    file.sync_data()?;
    fs::rename(&draft, path)
}
