//! The Python package `phonenumbers` as an oracle: tools that print what it knows, one fact a line.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is said whether the test passes or not; `eprintln!` would be held back.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn has_package(python: &Path) -> bool {
    let import = Command::new(python).args(["-c", "import phonenumbers"]).output();
    import.is_ok_and(|output| output.status.success())
}

/// A Python that has the package; in CI it is installed where it is missing.
fn python() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oracle-venv");
    let candidates = [own.join("bin/python"), "python3".into()];
    if let Some(found) = candidates.iter().find(|python| has_package(python)) {
        return Some(found.clone());
    }
    if std::env::var_os("CI").is_none_or(|value| value != "true") {
        return None;
    }
    let made = Command::new("python3").args(["-m", "venv"]).arg(&own).status();
    let pip = Command::new(own.join("bin/pip")).args(["install", "--quiet", "phonenumbers"]).status();
    (made.is_ok() && pip.is_ok()).then(|| own.join("bin/python")).filter(|python| has_package(python))
}

/// The facts that a tool of this directory prints, by kind; `None` and a word about it when there is no such package.
pub fn facts(tool: &str) -> Option<BTreeMap<String, Vec<Vec<String>>>> {
    let Some(python) = python() else {
        say(&format!("{tool}: SKIPPED, nothing was compared: no python3 with `phonenumbers` (CI=true installs it)"));
        return None;
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools").join(tool);
    let output = Command::new(python).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut facts = BTreeMap::<String, Vec<Vec<String>>>::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let mut fields = line.split('\t').map(str::to_owned);
        facts.entry(fields.next().unwrap()).or_default().push(fields.collect());
    }
    Some(facts)
}
