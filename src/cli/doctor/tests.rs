//! Tests of the doctor on loopback: targets that are there, that are not, and that shake hands.

use std::net::TcpListener;

use serde_json::Value;

use super::*;
use crate::cli::{Cli, Command};
use clap::Parser;

fn examined(config: &str, more: &[&str]) -> (Output, Vec<(String, String, String)>) {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("edge.toml");
    std::fs::write(&file, config).unwrap();
    let file = file.to_string_lossy().into_owned();
    let line = ["trunkway", "doctor", "--config", &file, "--json", "--timeout-s", "2"];
    let Command::Doctor(arguments) = Cli::try_parse_from(line.iter().chain(more)).unwrap().command else { panic!() };
    let output = doctor(&arguments);
    let report: Value = serde_json::from_str(&output.out).unwrap_or_default();
    let text = |step: &Value, key: &str| step[key].as_str().unwrap_or_default().to_owned();
    let steps = report["steps"].as_array().cloned().unwrap_or_default();
    let steps = steps.iter().map(|step| (text(step, "step"), text(step, "result"), text(step, "text"))).collect();
    (output, steps)
}

fn config(targets: &str) -> String {
    format!(
        "[node]\nname = 'edge'\n[[listen]]\nname = 'inside'\nbind = 'tcp:127.0.0.1:0'\nadvertise = '127.0.0.1:5060'\n\
         [trunk.pbx]\nkind = 'pbx'\nlisten = 'inside'\ntargets = [{targets}]\ntransparent = true\n"
    )
}

#[test]
fn target_that_listens_is_well_and_one_that_does_not_is_told_with_what_to_do() {
    let there = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (well, steps) = examined(&config(&format!("'tcp:{}'", there.local_addr().unwrap())), &[]);
    assert!(steps.iter().any(|(step, result, _)| step == "target" && result == "ok"), "{steps:?}");
    assert_eq!(well.code, 0, "no running edge is a warning: {steps:?}");
    assert!(steps.iter().any(|(step, result, _)| step == "edge" && result == "warn"), "{steps:?}");
    let (ill, steps) = examined(&config(&format!("'tcp:{gone}'")), &[]);
    let failed = steps.iter().find(|(_, result, _)| result == "fail").expect("a failure");
    assert!(ill.code == EXIT_NO && failed.0 == "target" && failed.2.contains("no connection"), "{steps:?}");
}

#[test]
fn unknown_tenant_and_bad_configuration_are_faults() {
    let (output, _) = examined(&config("'tcp:127.0.0.1:9'"), &["--tenant", "nobody"]);
    assert!(output.code == 64 && output.err.contains("no tenant `nobody`"), "{}", output.err);
    let (output, _) = examined("[node]\n", &[]);
    assert_eq!(output.code, 64);
}

#[test]
fn people_read_what_failed_and_what_to_do() {
    let steps = [Step::ok("name", "a is b"), Step::fail("target", "c is away", "look there\nand there")];
    let wanted = "\
ok    name           a is b
FAIL  target         c is away
                     look there
                     and there

1 ok, 0 warnings, 1 failures
";
    let output = told(&steps, false);
    assert_eq!((output.out.as_str(), output.code), (wanted, EXIT_NO));
}
