//! Documents against the schemas of the RFCs, by xmllint (Debian package `libxml2-utils`).

use std::path::Path;
use std::process::Command;

use crate::support::SOON;
use crate::support::place::Place;
use crate::support::process::Process;

/// Asserts that documents are valid: each by the schema of its outermost element.
pub fn assert_valid(place: &Place, documents: &[String]) {
    assert!(!documents.is_empty(), "nothing to look at");
    for (schema, mark) in [("pidf", "<presence"), ("dialog-info", "<dialog-info")] {
        let files: Vec<_> = documents
            .iter()
            .enumerate()
            .filter(|(_, text)| text.contains(mark))
            .map(|(number, text)| place.write(&format!("{schema}-{number}.xml"), text))
            .collect();
        if files.is_empty() {
            continue;
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/presence/schemas");
        let mut command = Command::new("xmllint");
        command.arg("--noout").arg("--nonet").arg("--schema").arg(folder.join(schema).with_extension("xsd"));
        let mut process = Process::start("xmllint", place.folder(), command.args(&files));
        let status = process.wait(SOON);
        let output = process.output();
        assert!(status.success(), "{output}");
        assert_eq!(output.lines().filter(|line| line.ends_with(" validates")).count(), files.len(), "{output}");
    }
}
