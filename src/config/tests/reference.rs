//! The files under `config/`: they pass the check, and the reference leaves no key out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::*;
use crate::trunk::TrunkId;

fn config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

/// A copy of `config/` in which every certificate that a file names is there.
fn copied() -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_directory(&config(), copy.path());
    for directory in ["", "examples", "examples/hosting"] {
        let certs = copy.path().join(directory).join("certs");
        fs::create_dir_all(&certs).unwrap();
        for name in [
            "edge.pem",
            "edge.key",
            "roots.pem",
            "carrier-roots.pem",
            "carrier.pem",
            "carrier.key",
            "operators.token",
            "contoso.token",
            "hep.password",
            "graph.secret",
            "graph.refresh",
            "pbx.password",
        ] {
            fs::write(certs.join(name), "").unwrap();
        }
    }
    copy
}

fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn every_file_passes_the_check_without_a_warning() {
    let copy = copied();
    let mut files = vec![copy.path().join("edge.toml"), copy.path().join("examples/hosting/edge.toml")];
    for entry in fs::read_dir(copy.path().join("examples")).unwrap() {
        files
            .extend(Some(entry.unwrap().path()).filter(|path| path.extension().is_some_and(|ending| ending == "toml")));
    }
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        match load(&file) {
            Ok(loaded) => assert!(loaded.warnings.is_empty(), "{}", loaded.warnings),
            Err(faults) => panic!("{faults}"),
        }
    }
}

#[test]
fn reference_shows_the_defaults() {
    let copy = copied();
    let loaded = load(&copy.path().join("edge.toml")).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(loaded.config.timers, Timers::default());
    assert_eq!(loaded.config.limits, Limits::default());
    let Dns { servers, .. } = loaded.config.dns.clone();
    assert_eq!(loaded.config.dns, Dns { servers, ..Dns::default() });

    // Each of these keys of the reference's Teams trunk is its default: without them nothing changes.
    let optional = [
        "cloud",
        "peer_names",
        "accept_server_auth_only",
        "fqdn",
        "fork",
        "failover_codes",
        "no_answer_ms",
        "max_requests_per_second",
        "stream_when_large",
        "connection_reuse",
        "methods",
        "extensions",
        "early",
        "reliable_early",
        "progress_after_ms",
        "answers_to",
        "answers_from",
        "drop_on_503",
        "transparent",
        "session_timer",
        "session_expires_s",
        "min_session_expires_s",
        "offerless",
        "refer",
        "max_transfers",
        "called_form",
        "calling_form",
        "hold",
        "slim",
        "location",
    ];
    let text = fs::read_to_string(copy.path().join("edge.toml")).unwrap();
    let short: Vec<&str> = text
        .lines()
        .filter(|line| {
            !optional.iter().any(|key| line.starts_with(&format!("{key} ="))) || line.contains("fqdn = \"contoso")
        })
        .collect();
    let again = [
        "cloud in [tenant.ID.graph]",
        "fqdn in [node]",
        "failover_codes in [[route]]",
        "called_form there",
        "calling_form there",
        "session_expires_s in [presence]",
    ];
    assert_eq!(text.lines().count() - short.len(), optional.len() + again.len());
    let short = short.join("\n").replace("name = \"edge-1\"", "name = \"edge-1\"\nfqdn = \"sbc.example.net\"");
    let short = load_str("short.toml", &short, copy.path()).unwrap_or_else(|faults| panic!("{faults}"));
    let mut trunk = short.trunks.0[0].clone();
    assert_eq!(trunk.fqdn.take(), None, "the name is that of the listener then");
    let mut full = loaded.trunks.0[0].clone();
    full.fqdn = None;
    assert_eq!(format!("{trunk:?}"), format!("{full:?}"));
    assert_eq!(short.config.trunk_tls, loaded.config.trunk_tls);
    let forms = |loaded: &Loaded| loaded.routing.origin(TrunkId(0)).map(|origin| (origin.called, origin.calling));
    assert_eq!(forms(&short), forms(&loaded));
}

/// The keys that stand in a file, as `table.key`, names of trunks and the like replaced as in [`Table`] paths.
fn keys_in(text: &str) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for (key, value) in &text.parse::<toml::Table>().unwrap() {
        keys.insert(format!(".{key}"));
        let name = match &**key {
            "trunk" | "dialplan" | "limits_profile" => Some("NAME"),
            "tenant" => Some("ID"),
            _ => None,
        };
        match (name, value.as_table()) {
            (Some(name), Some(all)) => {
                all.values().for_each(|value| keys_below(&format!("{key}.{name}"), value, &mut keys));
            }
            _ => keys_below(key, value, &mut keys),
        }
    }
    keys
}

fn keys_below(path: &str, value: &toml::Value, keys: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                // Users are known by names of their own.
                let key = if path.ends_with(".users") { "NAME" } else { key };
                let path = format!("{path}.{key}");
                keys_below(&path, value, keys);
                keys.insert(path);
            }
        }
        toml::Value::Array(list) => list.iter().for_each(|value| keys_below(path, value, keys)),
        _ => {}
    }
}

#[test]
fn reference_and_readme_leave_no_key_out() {
    let copy = copied();
    let path = copy.path().join("edge.toml");
    let text = fs::read_to_string(&path).unwrap();
    let reading = Reading::default();
    assert!(compile(&reading, "edge.toml".to_owned(), &text, copy.path(), Some(&path), |_, _| ()).is_some());
    let keys = reading.keys.into_inner();
    let standing = keys_in(&text);
    let readme = fs::read_to_string(config().join("README.md")).unwrap();
    let mut count = 0;
    for (table, keys) in &keys {
        for key in keys {
            // What nobody should switch on by copying the file stands in a comment.
            let commented = text.lines().any(|line| line.starts_with(&format!("# {key} = ")));
            let shown = standing.contains(&format!("{table}.{key}")) || commented;
            assert!(shown, "edge.toml does not show `{key}` of [{table}]");
            assert!(readme.contains(&format!("`{key}`")) || table.is_empty(), "README.md has no `{key}` of [{table}]");
            count += 1;
        }
    }
    assert!(count > 70, "{count} keys");
}
