//! Tests of the arguments and of what the subcommands say.

use std::path::{Path, PathBuf};

use clap::CommandFactory;

use super::*;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples").join(name)
}

/// Runs a command line up to what it would print.
fn output(line: &[&str]) -> Output {
    match Cli::try_parse_from(std::iter::once(&"trunkway").chain(line)).unwrap().command {
        Command::Check(arguments) => check::check(&arguments, false),
        Command::Route(arguments) => route::route(&arguments, false),
        Command::Certs(arguments) => certs::certs(&arguments),
        Command::Run(_) | Command::Demo(_) | Command::Lab(_) | Command::Version => Output::default(),
    }
}

#[test]
fn arguments_hold_together_and_every_one_has_a_help_text() {
    let mut command = Cli::command();
    command.clone().debug_assert();
    command.build();
    for sub in command.get_subcommands() {
        assert!(sub.get_about().is_some(), "{}", sub.get_name());
        for argument in sub.get_arguments() {
            assert!(argument.get_help().is_some(), "{} {}", sub.get_name(), argument.get_id());
        }
    }
}

#[test]
fn check_of_a_good_file_counts_what_is_in_it() {
    let file = example("loopback.toml");
    let file = file.to_str().unwrap();
    assert_eq!(
        output(&["check", "--config", file]),
        Output::said("ok: listeners 1, trunks 2, sites 0, dial plans 1 (prefixes 2), routes 0\n".to_owned())
    );
    let json = output(&["check", "-c", file, "--json"]);
    assert_eq!(json.code, 0);
    let value: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(value["valid"], true);
    assert_eq!((&value["trunks"], &value["faults"]), (&2.into(), &serde_json::json!([])));
}

#[test]
fn check_of_a_bad_file_ends_with_64() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("edge.toml");
    std::fs::write(&file, "[node]\nnam = 'x'\n").unwrap();
    let file = file.to_str().unwrap();
    let text = output(&["check", "--config", file]);
    assert_eq!((text.code, &*text.out), (64, ""));
    assert!(text.err.contains("did you mean `name`?"), "{}", text.err);
    assert!(text.err.ends_with("edge.toml cannot be taken\n"), "{}", text.err);
    let json = output(&["check", "--config", file, "--json"]);
    assert_eq!((json.code, &*json.err), (64, ""));
    let value: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(value["valid"], false);
    assert_eq!(value["faults"][0]["line"], 1);
    assert_eq!(value["faults"][1]["help"], "did you mean `name`?");
    assert_eq!(value.get("trunks"), None);
}

#[test]
fn route_tells_the_way_and_the_reasons() {
    let file = example("loopback.toml");
    let file = file.to_str().unwrap();
    assert_eq!(
        output(&["route", "left", "20-01", "--config", file]),
        Output::said(
            "\
from `left`, number `2001`
  1. dial plan `extensions`: longest prefix `2`, tag `right`
to right
"
            .to_owned()
        )
    );
    let none = output(&["route", "left", "+44", "--config", file]);
    assert_eq!(none.code, 1);
    assert!(none.out.ends_with("no route: no dial plan rule and no route takes this number\n"), "{}", none.out);
    let json = output(&["route", "right", "1", "--config", file, "--json"]);
    let value: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(
        (json.code, &value["to"], &value["refused"]),
        (0, &serde_json::json!(["left"]), &serde_json::Value::Null)
    );
    let unknown = output(&["route", "middle", "1", "--config", file]);
    assert_eq!((unknown.code, &*unknown.err), (64, "there is no trunk `middle`; known: left, right\n"));
}

#[test]
fn route_from_teams_takes_the_only_site_as_host() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("edge.toml");
    let text = std::fs::read_to_string(example("teams-and-pbx.toml")).unwrap();
    std::fs::write(&file, text).unwrap();
    std::fs::create_dir(directory.path().join("certs")).unwrap();
    for name in ["edge.pem", "edge.key", "roots.pem"] {
        std::fs::write(directory.path().join("certs").join(name), "").unwrap();
    }
    let file = file.to_str().unwrap();
    let found = output(&["route", "teams", "5755", "--config", file]);
    assert!(found.out.ends_with("to pbx\nsite sbc.example.net of tenant example\n"), "{}", found.out);
    let refused = output(&["route", "teams", "5755", "--host", "evil.example", "--config", file]);
    assert_eq!(refused.code, 1);
    assert!(refused.out.contains("host `evil.example` is no site of trunk `teams`"), "{}", refused.out);
}
