//! `trunkway keys`: the keys that seal what the edge writes into its own URIs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Door, Failure, columns, field};
use crate::cli::{EXIT_NO, Output};
use crate::config::Node;
use crate::daemon::{KeysOffline, SealKeyError};

/// What is said when a running edge may not know of the new key.
const UNTOLD: &str = "no running edge was told: it takes the keys with `trunkway keys reload`, or at its next start\n";

/// What is said after a rotation.
const OTHERS: &str = "other nodes of this edge need the file too: copy it, then `trunkway keys reload` there\n";

/// Arguments of `trunkway keys`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

/// What is done with keys.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the ids of the keys and how old they are; never the keys.
    List {
        #[command(flatten)]
        door: Door,
    },

    /// Make a new key for new calls and keep the one before for calls that are up.
    ///
    /// The key before that goes, and with it calls that were sealed with it: where there may still be any, nothing is
    /// done unless by force. When no edge answers, the file is changed and the edge takes it at its next start.
    Rotate {
        /// Even if calls may be up that need the key that goes: they are refused then.
        #[arg(long)]
        force: bool,

        #[command(flatten)]
        door: Door,
    },

    /// Have the running edge take the keys that are in its file now.
    Reload {
        #[command(flatten)]
        door: Door,
    },
}

/// Runs it.
pub fn keys(arguments: &Arguments) -> Output {
    match &arguments.command {
        Command::List { door } => match asked(door, |client| client.get("/v1/keys")) {
            Some(answer) => shown(door, answer, words),
            None => offline(door, KeysOffline::list, words),
        },
        Command::Rotate { force, door } => {
            match asked(door, |client| client.post("/v1/keys/rotate", &json!({ "force": force }))) {
                Some(answer) => shown(door, answer, |list| words(list) + OTHERS),
                None => offline(door, |keys| keys.rotate(*force), |list| words(list) + UNTOLD + OTHERS),
            }
        }
        Command::Reload { door } => door.show(|client| client.post("/v1/keys/reload", &json!({})), words),
    }
}

/// What the edge says; `None` when there is no edge to be asked and nobody said which.
fn asked(door: &Door, ask: impl FnOnce(&super::Client) -> Result<Value, Failure>) -> Option<Result<Value, Failure>> {
    if door.socket.is_some() {
        return Some(door.client().and_then(|client| ask(&client)));
    }
    match ask(&door.client().ok()?) {
        Err(Failure::Unreachable(_)) => None,
        answer => Some(answer),
    }
}

fn shown(door: &Door, answer: Result<Value, Failure>, words: impl FnOnce(&Value) -> String) -> Output {
    door.show(|_| answer, words)
}

/// Works on the file itself.
fn offline(
    door: &Door,
    work: impl FnOnce(&KeysOffline) -> Result<crate::admin::KeyList, SealKeyError>,
    words: impl FnOnce(&Value) -> String,
) -> Output {
    let keys = match configured(&door.file.config) {
        Ok(keys) => keys,
        Err(failure) => return failure.output(door.json),
    };
    match work(&keys) {
        Ok(list) => {
            let list = json!(list);
            Output::said(if door.json { crate::cli::json(&list) } else { words(&list) })
        }
        Err(error @ SealKeyError::TooSoon { .. }) => {
            Output { code: EXIT_NO, ..Output::fault(format!("error: {error}\n")) }
        }
        Err(error) => Output::fault(format!("error: {error}\n")),
    }
}

/// What a configuration says of keys. Only that is read of it: dial plans may be large.
fn configured(config: &Path) -> Result<KeysOffline, Failure> {
    let shown = config.display();
    let text = std::fs::read_to_string(config)
        .map_err(|error| Failure::Fault(format!("cannot read {shown}: {error}; give --config")))?;
    let table: toml::Table = text.parse().map_err(|error| Failure::Fault(format!("{shown}: {error}")))?;
    let node = table.get("node");
    let file = node.and_then(|node| node.get("seal_key_file")).and_then(toml::Value::as_str);
    let none = || Failure::Fault(format!("{shown} has no `seal_key_file` in [node]"));
    let file: PathBuf = config.parent().unwrap_or(Path::new("")).join(file.ok_or_else(none)?);
    let age = node.and_then(|node| node.get("seal_max_age_s")).and_then(toml::Value::as_integer);
    let max_age = age.and_then(|age| u64::try_from(age).ok()).map_or(Node::SEAL_MAX_AGE, Duration::from_secs);
    Ok(KeysOffline { file, max_age })
}

fn words(list: &Value) -> String {
    let keys = list.get("keys").and_then(Value::as_array).cloned().unwrap_or_default();
    let running = keys.iter().any(|key| key.get("in_use") == Some(&Value::Bool(true)));
    let row = |(at, key): (usize, &Value)| {
        let is = |name: &str| key.get(name) == Some(&Value::Bool(true));
        let use_of = match (running, is("current"), is("in_use")) {
            (true, true, _) => "new calls and those that are up",
            (true, false, true) => "calls that are up",
            (true, false, false) => "not taken up yet",
            (false, ..) if at == 0 => "first in the file",
            (false, ..) => "second in the file",
        };
        let age = key.get("age_s").and_then(Value::as_u64).map_or_else(String::new, age);
        vec![field(key, "id"), age, field(key, "made"), use_of.to_owned()]
    };
    columns(&["id", "age", "made", "seals"], &keys.iter().enumerate().map(row).collect::<Vec<_>>())
}

/// A time in its largest unit.
fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn run(words: &[&str]) -> Output {
        let line = ["keys"].iter().chain(words).copied();
        keys(&Line::try_parse_from(line).unwrap().arguments)
    }

    fn node(dir: &tempfile::TempDir, more: &str) -> String {
        let path = dir.path().join("edge.toml");
        std::fs::write(&path, format!("[node]\nname = \"edge\"\n{more}")).unwrap();
        path.display().to_string()
    }

    #[test]
    fn keys_of_a_file_are_rotated_when_no_edge_answers() {
        let dir = tempfile::tempdir().unwrap();
        let config = node(&dir, "seal_key_file = \"seal.key\"\n[control]\nsocket = \"nobody.sock\"\n");
        let key = dir.path().join("seal.key");
        assert_eq!(run(&["list", "--config", &config]).code, crate::cli::EXIT_FAULTS, "there is no file yet");
        let old = "0a".repeat(32);
        std::fs::write(&key, format!("{old} 2026-01-01T00:00:00Z\n")).unwrap();
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let listed = run(&["list", "--config", &config]);
        assert_eq!(listed.code, 0, "{}", listed.err);
        assert!(listed.out.contains("2026-01-01T00:00:00Z  first in the file"), "{}", listed.out);
        let rotated = run(&["rotate", "--config", &config]);
        assert_eq!(rotated.code, 0, "{}", rotated.err);
        assert!(rotated.out.contains("0 s") && rotated.out.contains("second in the file"), "{}", rotated.out);
        assert!(rotated.out.contains("keys reload"), "{}", rotated.out);
        // The first key was in use a moment ago.
        let soon = run(&["rotate", "--config", &config]);
        assert_eq!((soon.code, soon.out.as_str()), (EXIT_NO, ""));
        assert!(soon.err.contains("force"), "{}", soon.err);
        let forced = run(&["rotate", "--force", "--json", "--config", &config]);
        let list: Value = serde_json::from_str(&forced.out).unwrap();
        assert_eq!(list["keys"].as_array().unwrap().len(), 2);
        let text = std::fs::read_to_string(&key).unwrap();
        assert!(!text.contains(&old));
        for output in [&listed, &rotated, &soon, &forced] {
            for key in text.lines().chain([old.as_str()]) {
                let key = &key[..64];
                assert!(!output.out.contains(key) && !output.err.contains(key), "a key is shown");
            }
        }
        assert_eq!(run(&["reload", "--config", &config]).code, crate::cli::run::EXIT_UNAVAILABLE);
    }

    #[test]
    fn what_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let config = node(&dir, "");
        let output = run(&["rotate", "--config", &config]);
        assert_eq!(output.code, crate::cli::EXIT_FAULTS);
        assert!(output.err.contains("`seal_key_file`"), "{}", output.err);
        // A socket that was named is meant.
        let config = node(&dir, "seal_key_file = \"seal.key\"\n");
        let output = run(&["rotate", "--config", &config, "--socket", "nobody.sock"]);
        assert_eq!(output.code, crate::cli::run::EXIT_UNAVAILABLE);
        assert!(!dir.path().join("seal.key").exists());
    }

    #[test]
    fn each_key_says_what_it_seals() {
        let key = |id: &str, in_use: bool, current: bool, age: u64| json!({ "id": id, "in_use": in_use, "current": current, "made": "2026-01-01T00:00:00Z", "age_s": age });
        let list = json!({ "keys": [key("aa", false, false, 7), key("3f", true, true, 7_260), key("b0", true, false, 864_000)] });
        let wanted = "\
id  age      made                  seals
aa  7 s      2026-01-01T00:00:00Z  not taken up yet
3f  2 h      2026-01-01T00:00:00Z  new calls and those that are up
b0  10 days  2026-01-01T00:00:00Z  calls that are up
";
        assert_eq!(words(&list), wanted);
    }
}
