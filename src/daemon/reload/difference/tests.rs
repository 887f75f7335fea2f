use std::path::Path;

use super::*;
use crate::config::{Loaded, Slots, load_str, load_str_over};

const BASE: &str = r#"
[node]
name = "edge"
[[listen]]
name = "inside"
bind = "udp:127.0.0.1:5060"
[[listen]]
name = "outside"
bind = "udp:127.0.0.1:5070"
[trunk.pbx]
kind = "pbx"
listen = "inside"
targets = ["127.0.1.1"]
dialplan = "main"
[trunk.carrier]
kind = "carrier"
listen = "outside"
targets = ["127.0.2.1"]
[dialplan.main]
rules = [{ prefix = "100", tag = "pbx" }, { prefix = "200", tag = "pbx" }]
[[route]]
prefix = "+44"
to = ["carrier"]
"#;

fn load(text: &str, over: Option<&Loaded>) -> Loaded {
    let slots = over.map(Slots::of).unwrap_or_default();
    load_str_over("t", text, Path::new(""), slots).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

fn side<'a>(loaded: &'a Loaded, certificates: &'a Certificates) -> Side<'a> {
    let Loaded { config, trunks, translations, routing, .. } = loaded;
    Side { config, trunks, translations, routing, certificates }
}

/// `trunks +new -old ~changed`, one line a kind.
fn told(old: &Loaded, new: &Loaded) -> (Vec<String>, Moved) {
    let none = Certificates::new();
    let (kinds, moved) = differences(&side(old, &none), &side(new, &none));
    let signed =
        |sign: char, names: &Named| names.names.iter().map(|name| format!(" {sign}{name}")).collect::<String>();
    let line = |kind: &KindOfDifference| {
        let KindOfDifference { kind, added, removed, changed } = kind;
        format!("{kind}{}{}{}", signed('+', added), signed('-', removed), signed('~', changed))
    };
    (kinds.iter().map(line).collect(), moved)
}

#[test]
fn differences_are_told_by_name() {
    let old = load(BASE, None);
    type Row<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
    #[rustfmt::skip]
    let rows: &[Row<'_>] = &[
        (&[], &[]),
        (&[("\"inside\"", "\"lan\"")], &["listeners +lan -inside"]),
        (&[("udp:127.0.0.1:5070", "udp:127.0.0.1:5080")], &["listeners ~outside", "trunks ~carrier"]),
        (&[("127.0.2.1", "127.0.2.2")], &["trunks ~carrier"]),
        (&[("trunk.carrier", "trunk.provider"), ("[\"carrier\"]", "[\"provider\"]")],
            &["trunks +provider -carrier", "routes ~prefix \"+44\""]),
        (&[("prefix = \"200\"", "prefix = \"300\"")], &["dialplans ~main"]),
        (&[("\"+44\"", "\"+49\"")], &["routes +prefix \"+49\" -prefix \"+44\""]),
        (&[("[[route]]", "[timers]\nt4_ms = 4000\n[[route]]")], &["settings ~[timers]"]),
        (&[("[[route]]", "[tenant.contoso]\ncountry = \"GB\"\n[[route]]")], &["tenants +contoso"]),
        (&[("[[route]]", "[emergency]\nto = [\"carrier\"]\n[[route]]")], &["settings ~[emergency]"]),
    ];
    for (edits, wanted) in rows {
        let text = edits.iter().fold(BASE.to_owned(), |text, (from, to)| text.replace(from, to));
        let new = load(&text, Some(&old));
        assert_eq!(told(&old, &new).0, *wanted, "{edits:?}");
    }
}

#[test]
fn prefixes_that_go_elsewhere_have_both_tags() {
    let old = load(BASE, None);
    let more = r#"{ prefix = "200", tag = "carrier" }, { prefix = "3", tag = "pbx" }"#;
    let text = BASE.replace(r#"{ prefix = "200", tag = "pbx" }"#, more);
    let text = text.replace(r#"{ prefix = "100", tag = "pbx" }, "#, "");
    let new = load(&text, Some(&old));
    let (_, moved) = told(&old, &new);
    let shown = |it: &MovedPrefix| {
        let tag = |tag: &Option<String>| tag.clone().unwrap_or_else(|| "none".to_owned());
        format!("{} {} {} -> {}", it.plan, it.prefix, tag(&it.from), tag(&it.to))
    };
    let mut lines: Vec<String> = moved.examples.iter().map(shown).collect();
    lines.sort();
    assert_eq!(moved.count, 3);
    assert_eq!(lines, ["main 100 pbx -> none", "main 200 pbx -> carrier", "main 3 none -> pbx"]);
    // Back again, and nothing differs.
    let back = load(BASE, Some(&new));
    assert_eq!(told(&old, &back), (Vec::new(), Moved::default()));
}

#[test]
fn a_long_list_is_counted_and_cut() {
    let rules = |to: &str| {
        let rule = |prefix: u32| format!(r#"{{ prefix = "{prefix}", tag = "{to}" }}"#);
        let rules: Vec<String> = (100..400).map(rule).collect();
        let (before, rest) = BASE.split_once("rules = [").unwrap();
        let (_, after) = rest.split_once('\n').unwrap();
        format!("{before}rules = [{}]\n{after}", rules.join(", "))
    };
    let old = load(&rules("pbx"), None);
    let new = load(&rules("carrier"), Some(&old));
    let moved = told(&old, &new).1;
    assert_eq!((moved.count, moved.examples.len()), (300, EXAMPLES));
}

#[test]
fn keys_of_the_start_keep_their_values_and_are_named() {
    let old = load_str("t", BASE, Path::new("")).unwrap();
    let text = BASE.replace("name = \"edge\"", "name = \"other\"\nworkers = 3");
    let text = text.replace("[[route]]", "[dns]\ntimeout_ms = 900\n[[route]]");
    let mut new = load(&text, Some(&old)).config;
    let restart = keep_fixed(&mut new, &old.config, &[]);
    let keys: Vec<&str> = restart.iter().map(|it| &*it.key).collect();
    assert_eq!(keys, ["[node] name", "[node] workers", "[dns] timeout_ms"]);
    assert_eq!(restart[0].running.as_deref(), Some("\"edge\""));
    assert_eq!((&*new.node.name, new.node.workers, new.dns.timeout), ("edge", None, old.config.dns.timeout));
    // They are told again until the restart comes.
    let mut again = load(&text, Some(&old)).config;
    assert_eq!(keep_fixed(&mut again, &new, &[]).len(), 3);
}

#[test]
fn the_key_log_is_taken_and_the_rest_of_its_table_is_not() {
    let old = load(BASE, None);
    let with = |keys: &str| load(&BASE.replace("[[route]]", &format!("[trace]\n{keys}\n[[route]]")), Some(&old)).config;
    let mut new = with("key_log = \"keys.log\"");
    assert!(keep_fixed(&mut new, &old.config, &[]).is_empty());
    assert!(new.trace.key_log.is_some());
    let mut new = with("key_log = \"keys.log\"\noptions = true");
    let restart = keep_fixed(&mut new, &old.config, &[]);
    assert_eq!(restart.iter().map(|it| &*it.key).collect::<Vec<_>>(), ["[trace]"]);
    assert_eq!((new.trace.options, new.trace.key_log.is_some()), (old.config.trace.options, true));
}

#[test]
fn a_table_that_nobody_takes_needs_a_restart() {
    let old = load(BASE, None);
    let text = BASE.replace("[[route]]", "[metrics]\nbind = \"127.0.0.1:9090\"\n[[route]]");
    let mut new = load(&text, Some(&old)).config;
    let restart = keep_fixed(&mut new.clone(), &old.config, &[]);
    assert_eq!(restart, [NeedsRestart { key: "[metrics]".to_owned(), running: None, file: None }]);
    assert!(keep_fixed(&mut new, &old.config, &["metrics"]).is_empty());
    assert!(new.metrics.bind.is_some());
}
