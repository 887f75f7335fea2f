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
        Command::Number(arguments) => number::number(&arguments, false),
        Command::Import(arguments) => import::import(&arguments, false),
        Command::Export(arguments) => export::export(&arguments, false),
        Command::Diff(arguments) => diff::diff(&arguments, false),
        Command::Certs(arguments) => certs::certs(&arguments),
        Command::Rules(arguments) => control::rules::rules(&arguments),
        Command::Users(arguments) => control::users::users(&arguments),
        Command::Tenants(arguments) => control::tenants::tenants(&arguments),
        Command::Trunks(arguments) => control::trunks::trunks(&arguments),
        Command::Keys(arguments) => control::keys::keys(&arguments),
        Command::Bans(arguments) => control::bans::bans(&arguments),
        Command::Presence(arguments) => presence::presence(&arguments, false),
        // What runs on, or only asks a running edge.
        _ => Output::default(),
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
        Output::said(
            "ok: listeners 1, trunks 2, tenants 0, sites 0, users 0, dial plans 1 (prefixes 2), routes 0\n".to_owned()
        )
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
    let text = output(&["route", "--from-trunk", "left", "--called", "20-01", "--caller", "1000", "--config", file]);
    assert_eq!(text.code, 0, "{}", text.err);
    assert!(text.out.starts_with("call from `left` to `20-01`\n  1. "), "{}", text.out);
    assert!(text.out.contains("\nto       right  sip:20-01@127.0.0.3:5080  caller 1000\n"), "{}", text.out);
    assert!(text.out.contains("\nby       rule `2` of dial plan `extensions`, tag `right`\n"), "{}", text.out);
    let none = output(&["route", "--from-trunk", "left", "--called", "+44", "--config", file]);
    assert_eq!(none.code, 1);
    assert!(none.out.contains("\nreject   404: no dial plan rule and no route takes this number\n"), "{}", none.out);
    let json = output(&["route", "--from-trunk", "right", "--called", "1", "--config", file, "--json"]);
    let value: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.code, &value["decision"], &value["code"]), (0, &"forward".into(), &serde_json::Value::Null));
    assert_eq!(value["targets"][0]["trunk"], "left");
    assert_eq!(value["rule"]["prefix"], "1");
    let unknown = output(&["route", "--from-trunk", "middle", "--called", "1", "--config", file]);
    assert_eq!((unknown.code, &*unknown.err), (64, "there is no trunk `middle`; known: left, right\n"));
    let nobody = output(&["route", "--from-trunk", "left", "--config", file]);
    assert_eq!((nobody.code, &*nobody.err), (64, "neither a called number nor a Request-URI with one is given\n"));
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
    let ask = ["route", "--from-trunk", "teams", "--called", "5755", "--config", file];
    let found = output(&ask);
    assert!(found.out.contains("\nto       pbx  sip:5755@"), "{}", found.out);
    assert!(found.out.contains("\ntenant   example\nsite     sbc.example.net\n"), "{}", found.out);
    let refused = output(&[&ask[..], &["--request-uri", "sip:+1@evil.example"]].concat());
    assert_eq!(refused.code, 1);
    assert!(refused.out.contains("host `evil.example` is no site of trunk `teams`"), "{}", refused.out);
}

/// A configuration with the given tenants.
fn with_tenants(tenants: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("edge.toml");
    let loopback = std::fs::read_to_string(example("loopback.toml")).unwrap();
    std::fs::write(&file, loopback + tenants).unwrap();
    let name = file.to_str().unwrap().to_owned();
    (directory, name)
}

const CONTOSO: &str = "[tenant.contoso]\ncountry = 'GB'\nnumbering.extension_ranges = ['400-499']\n";

#[test]
fn number_is_told_in_every_form() {
    let (_directory, file) = with_tenants(CONTOSO);
    let json = output(&["number", "--config", &file, "--tenant", "contoso", "(01632) 768402 x402", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(
        value,
        serde_json::json!({
            "tenant": "contoso",
            "value": "(01632) 768402 x402",
            "kind": "e164",
            "canonical": "+441632768402;ext=402",
            "e164": "+441632768402",
            "extension": "402",
            "service": null,
            "emergency": false,
            "country": "GB",
            "dialled": "01632768402",
            "reason": "behind the national prefix",
            "forms": {
                "entra-admin": "+441632768402 x402",
                "entra-admin-no-plus": "441632768402 x402",
                "entra-business-phones": "+441632768402;ext=402",
                "pbx-directory": "441632768402-402",
                "pbx-teams-uri": "+441632768402;ext=402",
                "sip-uri": "sip:+441632768402;ext=402@sip.pstnhub.microsoft.com:5061",
                "teams-admin": "tel:441632768402;ext=402",
                "teams-client": "(1632) 768 402 extn 402",
            },
        })
    );
    assert_eq!(
        output(&["number", "--config", &file, "+402"]),
        Output::said(
            "\
`+402` to tenant `contoso` (United Kingdom)
  is                     extension: in the tenant's extension ranges
  canonical              402
  dialled                402
  entra-admin            x402
  entra-admin-no-plus    -
  entra-business-phones  x402
  teams-admin            402
  pbx-teams-uri          +402
  pbx-directory          +402
  teams-client           +402
  sip-uri                -
"
            .to_owned()
        )
    );
    let json = output(&["number", "-c", &file, "--json", "+999"]);
    let value: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(
        (&value["kind"], &value["service"], &value["emergency"]),
        (&"service".into(), &"999".into(), &true.into())
    );
    assert_eq!(value["forms"]["sip-uri"], "sip:999@sip.pstnhub.microsoft.com:5061");
    let json = output(&["number", "-c", &file, "--json", "33123456789-12", "--as", "pbx-directory"]);
    let value: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&value["e164"], &value["country"]), (&"+33123456789".into(), &"FR".into()));
}

#[test]
fn number_of_nobody_known_ends_with_64() {
    let (_directory, file) = with_tenants(&format!("{CONTOSO}[tenant.fabrikam]\n"));
    let text = output(&["number", "--config", &file, "--tenant", "contosso", "402"]);
    assert_eq!((text.code, &*text.err), (64, "there is no tenant `contosso`; known: contoso, fabrikam\n"));
    let text = output(&["number", "--config", &file, "402"]);
    assert_eq!((text.code, &*text.err), (64, "say which tenant is meant with --tenant; known: contoso, fabrikam\n"));
    let text = output(&["number", "--config", &file, "--tenant", "contoso", "--as", "entra", "402"]);
    assert!(
        text.code == 64 && text.err.starts_with("there is no interface `entra`; known: entra-admin, "),
        "{}",
        text.err
    );
    let file = example("loopback.toml");
    let text = output(&["number", "--config", file.to_str().unwrap(), "402"]);
    assert_eq!((text.code, &*text.err), (64, "the configuration has no tenant\n"));
    let text = output(&["number", "--config", "/nonexistent/edge.toml", "402"]);
    assert_eq!(text.code, 64);
}

/// The words of an example, up to a pipe, a redirection or a remark behind two blanks.
fn words_of(example: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut rest = example.trim().chars().peekable();
    while let Some(sign) = rest.next() {
        match (sign, quote) {
            (sign, Some(end)) if sign == end => quote = None,
            ('\'' | '"', None) => {
                quote = Some(sign);
                word.get_or_insert_default();
            }
            (' ', None) => {
                words.extend(word.take());
                if matches!(rest.peek(), Some(' ' | '|' | '>' | '&')) {
                    break;
                }
            }
            (sign, _) => word.get_or_insert_default().push(sign),
        }
    }
    words.extend(word);
    words
}

#[test]
fn every_subcommand_shows_examples_that_can_be_typed() {
    let mut command = Cli::command();
    command.build();
    let mut typed = 0;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let name = sub.get_name();
        let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.starts_with("Examples:"), "`trunkway {name} --help` has no examples");
        let lines: Vec<Vec<String>> = help.lines().skip(1).map(words_of).collect();
        let of_sub = |words: &&Vec<String>| words.first().is_some_and(|word| word == "trunkway") && words[1] == name;
        assert!(lines.iter().any(|words| of_sub(&words)), "`trunkway {name} --help` does not show itself");
        for inner in sub.get_subcommands().filter(|inner| inner.get_name() != "help") {
            let own = inner.get_after_help().is_some();
            let shown = lines.iter().filter(of_sub).any(|words| words.iter().any(|word| word == inner.get_name()));
            assert!(own || shown, "no example of `trunkway {name} {}`", inner.get_name());
        }
        for words in lines.iter().filter(of_sub) {
            let parsed = Cli::try_parse_from(words);
            assert!(parsed.is_ok(), "{words:?}: {}", parsed.unwrap_err());
            typed += 1;
        }
    }
    assert!(typed > 30, "{typed} examples");
}
