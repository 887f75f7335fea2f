//! Reloads under load.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::edge::{Edge, trunkway};
use crate::support::place::Place;
use crate::support::sipp::{Running, Scenario, Sipp};
use crate::support::{SOON, until};

/// Tenants of the large configurations.
const TENANTS: usize = 1_000;
/// Reloads under load.
const RELOADS: usize = 100;
/// A file at fault comes in between once in so many reloads.
const FAULTY: usize = 10;

const CALLER: Scenario = Scenario::File("../../operations/reload/caller", Vec::new());

fn callee() -> Scenario {
    Scenario::File("../../operations/reload/callee", Vec::new())
}

/// What changes from one configuration to the next.
#[derive(Clone, Copy, Debug, Default)]
struct Variant {
    /// Tenants, each with a rule of its own.
    tenants: usize,
    /// Which port the second listener has; `None`: there is none.
    second: Option<u16>,
    /// Further trunks.
    extra: usize,
    /// Where the number 77 leads.
    to_owned: bool,
    watch: bool,
}

/// Callers at 2 and 4, callees at 3 (textbook proxy) and 5 (owned legs).
fn config(place: &Place, variant: Variant) -> String {
    let edge = place.at(1);
    let mut text = format!(
        "[[listen]]\nname = \"inside\"\nbind = \"udp:{edge}\"\n\n\
         [control]\nsocket = \"control.sock\"\n\n[service]\ndrain_timeout_s = 1\nwatch = {}\n\n",
        variant.watch
    );
    for (name, host, transparent) in
        [("caller", 2, true), ("callee", 3, true), ("caller-2", 4, true), ("owned", 5, false)]
    {
        text += &trunk(name, &place.at(host).to_string(), transparent);
    }
    for number in 0..variant.extra {
        text += &trunk(&format!("extra-{number}"), &format!("{}:7000", place.ip(100 + number as u8)), true);
    }
    if let Some(port) = variant.second {
        text += &format!("[[listen]]\nname = \"second\"\nbind = \"udp:{}:{port}\"\n\n", place.ip(1));
        text += &format!(
            "[trunk.second]\nkind = \"pbx\"\nlisten = \"second\"\ntargets = [\"udp:{}:7000\"]\ndialplan = \"main\"\n\n",
            place.ip(90)
        );
    }
    for number in 0..variant.tenants {
        text += &format!("[tenant.t{number:05}]\ncountry = \"GB\"\n\n");
    }
    let to = if variant.to_owned { "owned" } else { "callee" };
    let rules = (0..variant.tenants).map(|number| format!("{{ prefix = \"9{number:05}\", tag = \"{to}\" }},\n"));
    text += &format!(
        "[dialplan.main]\nrules = [\n{{ prefix = \"2\", tag = \"callee\" }},\n{{ prefix = \"3\", tag = \"owned\" }},\n\
         {{ prefix = \"77\", tag = \"{to}\" }},\n{}]\n",
        rules.collect::<String>()
    );
    text
}

fn trunk(name: &str, target: &str, transparent: bool) -> String {
    format!(
        "[trunk.{name}]\nkind = \"pbx\"\nlisten = \"inside\"\ntargets = [\"udp:{target}\"]\ndialplan = \"main\"\n\
         transparent = {transparent}\n\n"
    )
}

/// Puts a configuration in the place of the one that is there, as an editor does.
fn put(place: &Place, config: &str) {
    let metrics = place.metrics();
    let rest = format!("\n[node]\nname = \"edge\"\nseal_key_file = \"seal.key\"\n\n[metrics]\nbind = \"{metrics}\"\n");
    let new = place.write("edge.toml.new", &format!("{config}{rest}"));
    std::fs::rename(new, place.folder().join("edge.toml")).expect("a file takes another's place");
}

/// What a command of the running edge says: exit code, standard output, standard error.
fn ask(place: &Place, line: &[&str]) -> (i32, String, String) {
    let mut command: Command = trunkway(line[0]);
    command.args(&line[1..]).arg("--socket").arg(place.folder().join("control.sock"));
    let output = command.output().expect("the program runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
}

fn reload(place: &Place) -> Value {
    let (code, out, err) = ask(place, &["reload", "--json"]);
    assert_eq!(code, 0, "{out}{err}");
    serde_json::from_str(&out).expect("JSON")
}

/// The names of one kind that were added, removed and changed.
fn names(report: &Value, kind: &str) -> [Vec<String>; 3] {
    let kinds = report["differences"].as_array().expect("a list");
    let found = kinds.iter().find(|it| it["kind"] == kind).cloned().unwrap_or_default();
    ["added", "removed", "changed"].map(|word| {
        let names = found[word]["names"].as_array().cloned().unwrap_or_default();
        names.iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
    })
}

/// Calls from a host to the edge, with a callee.
fn calls(place: &Place, hosts: (u8, u8), number: &str, count: u32, pause: Duration) -> (Running, Running) {
    let limit = Duration::from_secs(400);
    let to = Sipp::callee(place, hosts.1, callee()).calls(count, 10).limit(limit).start(place);
    let from = Sipp::caller(place, hosts.0, CALLER, number).calls(count, 10).pause(pause).limit(limit).start(place);
    (from, to)
}

#[test]
fn no_call_fails_over_a_hundred_reloads() {
    const CALLS: u32 = 250;
    let place = Place::alone();
    let port = place.port + 5;
    let base = Variant { tenants: TENANTS, second: Some(port), extra: 3, ..Variant::default() };
    let variants = [
        base,
        Variant { second: Some(port + 1), extra: 1, to_owned: true, ..base },
        Variant { tenants: TENANTS - 10, second: None, ..base },
        Variant { second: Some(port + 2), extra: 0, ..base },
    ];
    let edge = Edge::start(&place, &config(&place, base));
    let pause = Duration::from_secs(4);
    let plain = calls(&place, (2, 3), "2001", CALLS, pause);
    let owned = calls(&place, (4, 5), "3001", CALLS, pause);
    let mut changed = 0;
    for number in 1..=RELOADS {
        if number % FAULTY == 0 {
            put(&place, &config(&place, base).replace("kind = \"pbx\"", "kind = \"pbxx\""));
            let (code, _, err) = ask(&place, &["reload"]);
            assert_eq!(code, 64, "{err}");
        }
        put(&place, &config(&place, variants[number % variants.len()]));
        let report = reload(&place);
        changed += usize::from(report["changed"] == true);
        assert!(report["restart"].as_array().is_some_and(Vec::is_empty), "{report}");
    }
    assert_eq!(changed, RELOADS, "each configuration differs from the one before it");
    for (from, to) in [plain, owned] {
        let stats = from.finish();
        assert_eq!((stats.failed, stats.unexpected), (0, 0), "{stats:?}");
        to.finish();
    }
    until("the page has the reloads", SOON, || {
        let page = edge.page();
        let counted = |result: &str, count: usize| {
            page.contains(&format!("trunkway_reloads_total{{result=\"{result}\"}} {count}\n"))
        };
        (counted("changed", RELOADS) && counted("failed", RELOADS / FAULTY)).then_some(())
    });
    assert_eq!(edge.metric("trunkway_reload_last_failed"), 0.0);
    // Nothing is left over of them: a call goes as it does without any reload.
    let last = calls(&place, (2, 3), "2001", 5, Duration::from_millis(100));
    last.0.finish();
    last.1.finish();
    assert_eq!(reload_state(&place)["result"], "changed");
}

/// The callers' trunk and that of a textbook callee go; the other callee's stays under another name.
#[test]
fn a_call_over_a_trunk_that_is_removed_goes_on_to_its_end() {
    let place = Place::new();
    let base = Variant::default();
    let edge = Edge::start(&place, &config(&place, base));
    let pause = Duration::from_secs(6);
    let plain = calls(&place, (2, 3), "2001", 3, pause);
    let owned = calls(&place, (4, 5), "3001", 3, pause);
    // Six legs are up, and nobody has asked anything yet.
    until("all calls are up", SOON, || {
        let answered = edge.metric("trunkway_requests_forwarded_total");
        (answered >= 12.0).then_some(())
    });
    let text = config(&place, base);
    let (_, rest) = text.split_once("[trunk.caller]").expect("a trunk");
    let (_, rest) = rest.split_once("[trunk.caller-2]").expect("a trunk");
    let (head, _) = text.split_once("[trunk.caller]").expect("a trunk");
    let text = format!("{head}[trunk.caller-2]{rest}").replace("trunk.owned", "trunk.renamed");
    let text = text.replace("tag = \"callee\"", "tag = \"renamed\"").replace("tag = \"owned\"", "tag = \"renamed\"");
    put(&place, &text);
    let report = reload(&place);
    let [added, removed, changed] = names(&report, "trunks");
    assert_eq!(
        (added, removed, changed),
        (vec!["renamed".into()], ["callee", "caller", "owned"].map(String::from).to_vec(), vec![])
    );
    for (from, to) in [plain, owned] {
        let stats = from.finish();
        assert_eq!((stats.failed, stats.unexpected), (0, 0), "{stats:?}");
        to.finish();
    }
    // A stranger's call is refused, the one of a trunk that stayed goes to the new name.
    let refused =
        Sipp::caller(&place, 2, Scenario::File("caller-is-refused", vec![("status", "403".to_owned())]), "3001");
    refused.run(&place);
    let (from, to) = calls(&place, (4, 5), "3001", 1, Duration::from_millis(100));
    from.finish();
    to.finish();
    // It comes back, and is what it was.
    put(&place, &config(&place, base));
    let report = reload(&place);
    assert_eq!(names(&report, "trunks")[0], ["callee", "caller", "owned"]);
    let (from, to) = calls(&place, (2, 3), "2001", 1, Duration::from_millis(100));
    from.finish();
    to.finish();
    edge.stop();
}

#[test]
fn a_wrong_file_and_a_dry_run_change_nothing() {
    let place = Place::new();
    let base = Variant { tenants: 20, extra: 2, ..Variant::default() };
    let edge = Edge::start(&place, &config(&place, base));
    let route = |number: &str| {
        let (code, out, err) = ask(&place, &["rules", "find", "main", number]);
        assert_eq!(code, 0, "{err}");
        out
    };
    let before = route("771");
    assert!(before.contains("callee"), "{before}");

    // What would change is told, and does not.
    let other = config(&place, Variant { to_owned: true, extra: 1, second: Some(place.port + 5), ..base });
    put(&place, &other);
    let (code, out, err) = ask(&place, &["reload", "--dry-run"]);
    assert_eq!(code, 0, "{err}");
    for wanted in [
        "+ listeners added: second",
        "- trunks removed: extra-1",
        "+ trunks added: second",
        "21 prefixes would go elsewhere",
        "main: 77  callee -> owned",
    ] {
        assert!(out.contains(wanted), "no {wanted:?} in:\n{out}");
    }
    assert_eq!(route("771"), before);
    let trunks = ask(&place, &["trunks"]).1;
    assert!(trunks.contains("extra-1") && !trunks.contains("second"), "{trunks}");

    // A fault has its line, and changes nothing.
    let broken = other.replacen("kind = \"pbx\"", "kind = \"pbxx\"", 1);
    let line = broken.lines().position(|line| line.contains("pbxx")).expect("the fault") + 1;
    put(&place, &broken);
    let (code, _, err) = ask(&place, &["reload"]);
    assert_eq!(code, 64, "{err}");
    assert!(err.contains(&format!("edge.toml:{line}:8")) && err.contains("pbxx"), "{err}");
    assert_eq!(route("771"), before);
    let last = reload_state(&place);
    assert_eq!(last["result"], "failed", "{last}");
    assert!(last["faults"][0].as_str().is_some_and(|fault| fault.contains(&format!("edge.toml:{line}:"))), "{last}");
    assert_eq!(edge.metric("trunkway_reload_last_failed"), 1.0);

    // So does an address that somebody else has.
    let taken = std::net::UdpSocket::bind((place.ip(1), place.port + 5)).expect("a free port");
    put(&place, &other);
    let (code, _, err) = ask(&place, &["reload"]);
    assert_eq!(code, 64, "{err}");
    assert!(err.contains("cannot listen") && err.contains("nothing was changed"), "{err}");
    assert_eq!(route("771"), before);
    drop(taken);

    // Then it is done, by a signal as well.
    let hung_up = Command::new("kill").args(["-HUP", &edge.id().to_string()]).status().expect("kill runs");
    assert!(hung_up.success());
    until("the signal is obeyed", SOON, || (reload_state(&place)["by"] == "signal").then_some(()));
    assert_eq!(reload_state(&place)["result"], "changed");
    assert!(route("771").contains("owned"));
    let report = reload(&place);
    assert_eq!(report["changed"], false, "{report}");
}

#[test]
fn what_needs_a_restart_is_named() {
    let place = Place::new();
    let base = Variant::default();
    let edge = Edge::start(&place, &config(&place, base));
    put(&place, &format!("{}\n[dns]\ntimeout_ms = 900\n\n[timers]\nt4_ms = 4000\n", config(&place, base)));
    let report = reload(&place);
    assert_eq!(report["restart"][0]["key"], "[dns] timeout_ms", "{report}");
    assert_eq!(names(&report, "settings")[2], ["[timers]"]);
    edge.stop();
}

#[test]
fn a_change_of_the_files_is_a_reload_when_they_are_watched() {
    let place = Place::new();
    let base = Variant { watch: true, ..Variant::default() };
    let edge = Edge::start(&place, &config(&place, base));
    let by_watch = || {
        let last = reload_state(&place);
        (last["by"] == "watch").then(|| last["result"].as_str().unwrap_or_default().to_owned())
    };
    put(&place, &config(&place, Variant { extra: 1, ..base }));
    until("the new file is taken", SOON, || by_watch().filter(|result| result == "changed"));
    assert!(ask(&place, &["trunks"]).1.contains("extra-0"));
    put(&place, "this is no configuration");
    until("the fault is told", SOON, || by_watch().filter(|result| result == "failed"));
    // Without the key nobody watches any more.
    put(&place, &config(&place, Variant { extra: 2, watch: false, ..base }));
    until("the correction is taken", SOON, || by_watch().filter(|result| result == "changed"));
    assert!(ask(&place, &["trunks"]).1.contains("extra-1"));
    edge.id();
}

/// What came of the last reload.
fn reload_state(place: &Place) -> Value {
    let (code, out, err) = ask(place, &["reload", "--last", "--json"]);
    // Before the first one there is none.
    if code == 1 && err.contains("no reload") {
        return Value::Null;
    }
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).expect("JSON")
}
