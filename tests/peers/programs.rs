//! What needs no peer: the demo, and `trunkway check` on every example of the repository.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::certificates;
use crate::support::edge::trunkway;
use crate::support::place::Place;

#[test]
fn demo_passes_in_words_and_as_json() {
    let _place = Place::new();
    let words = trunkway("demo").output().expect("trunkway can be started");
    assert!(words.status.success(), "{}", String::from_utf8_lossy(&words.stdout));
    let json = trunkway("demo").arg("--json").output().expect("trunkway can be started");
    assert!(json.status.success(), "{}", String::from_utf8_lossy(&json.stdout));
    let report: Value = serde_json::from_slice(&json.stdout).expect("the report is JSON");
    assert_eq!(report["passed"], true);
    let rows = report["rows"].as_array().expect("the report has rows");
    assert!(rows.len() > 5 && rows.iter().all(|row| row["passed"] == true), "{report}");
}

#[test]
fn every_example_is_accepted() {
    let place = Place::new();
    let made = certificates::make(&place);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let copy = place.folder().join("config");
    let mut entries = Vec::new();
    copy_tree(&source, &copy, &made, &mut entries);
    assert!(entries.len() >= 5, "{entries:?}");
    for path in entries {
        let checked = trunkway("check").arg("--config").arg(&path).output().expect("trunkway can be started");
        assert!(checked.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&checked.stderr));
    }
}

/// Copies a folder, puts certificates where its files expect them, and collects the files with a `[node]`.
fn copy_tree(from: &Path, to: &Path, certificates: &Path, entries: &mut Vec<PathBuf>) {
    std::fs::create_dir(to).expect("the temporary folder takes a folder");
    for entry in std::fs::read_dir(from).expect("the folder can be read") {
        let source = entry.expect("the folder can be read").path();
        let target = to.join(source.file_name().expect("an entry has a name"));
        if source.is_dir() {
            copy_tree(&source, &target, certificates, entries);
            continue;
        }
        let text = std::fs::read_to_string(&source).expect("the file can be read");
        for named in text.split('"').filter(|part| part.starts_with("certs/") && !part.ends_with("seal.key")) {
            put_certificate(&to.join(named), certificates);
        }
        if text.lines().any(|line| line == "[node]") {
            entries.push(target.clone());
        }
        std::fs::write(&target, text).expect("the temporary folder takes a file");
    }
}

/// Puts a file there: an authority, a certificate or a key, as the name says.
fn put_certificate(path: &Path, certificates: &Path) {
    let name = path.file_name().and_then(|name| name.to_str()).expect("a certificate has a name");
    let made = match name {
        name if name.contains("roots") => "ca.pem",
        name if name.ends_with(".key") => "edge.key",
        _ => "edge.pem",
    };
    std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder can be made");
    std::fs::copy(certificates.join(made), path).expect("a certificate can be copied");
}
