//! The layering rules, checked on the source itself: which module may name which other, and which crate.
//!
//! Code that is compiled for tests only is not looked at. A fault names the file, the line and the rule.

#[path = "layers/source.rs"]
mod source;

use std::path::{Path, PathBuf};

use source::{Mention, Source};

/// A top-level module: what it may import, beside itself.
struct Layer {
    name: &'static str,
    kind: Kind,
    may_import: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Takes time, randomness and configuration as arguments, does no I/O.
    Pure,
    /// Does I/O; drivers do not know each other.
    Driver,
    /// Puts the others together.
    Top,
}

const LAYERS: &[Layer] = &[
    Layer { name: "sip", kind: Kind::Pure, may_import: &[] },
    Layer { name: "sdp", kind: Kind::Pure, may_import: &["sip"] },
    Layer { name: "transaction", kind: Kind::Pure, may_import: &["sip"] },
    Layer { name: "trunk", kind: Kind::Pure, may_import: &["sip", "transaction"] },
    Layer { name: "routing", kind: Kind::Pure, may_import: &["sip", "trunk"] },
    Layer { name: "call", kind: Kind::Pure, may_import: &["routing", "sdp", "sip", "transaction", "trunk"] },
    Layer { name: "shard", kind: Kind::Pure, may_import: &["call", "routing", "sdp", "sip", "transaction", "trunk"] },
    Layer { name: "presence", kind: Kind::Pure, may_import: &["sip", "transaction", "trunk"] },
    Layer { name: "graph", kind: Kind::Driver, may_import: &["presence"] },
    Layer { name: "directory", kind: Kind::Driver, may_import: &["presence", "routing"] },
    Layer { name: "transport", kind: Kind::Driver, may_import: &["sip", "trunk"] },
    Layer { name: "dns", kind: Kind::Driver, may_import: &["sip", "trunk"] },
    Layer { name: "store", kind: Kind::Driver, may_import: &["call", "presence", "routing"] },
    Layer { name: "admin", kind: Kind::Driver, may_import: &["call", "presence", "routing", "sip", "trunk"] },
    Layer { name: "cdr", kind: Kind::Driver, may_import: &["call", "trunk"] },
    Layer { name: "telemetry", kind: Kind::Driver, may_import: &["call", "sip", "trunk"] },
    // The stand-ins judge the edge: they share no code with it.
    Layer { name: "lab", kind: Kind::Driver, may_import: &[] },
    Layer { name: "config", kind: Kind::Top, may_import: &["presence", "routing", "sip", "transaction", "trunk"] },
    Layer {
        name: "daemon",
        kind: Kind::Top,
        may_import: &[
            "admin",
            "call",
            "cdr",
            "config",
            "directory",
            "dns",
            "graph",
            "presence",
            "routing",
            "shard",
            "sip",
            "store",
            "telemetry",
            "transaction",
            "transport",
            "trunk",
        ],
    },
    Layer {
        name: "cli",
        kind: Kind::Top,
        may_import: &[
            "admin",
            "call",
            "cdr",
            "config",
            "daemon",
            "directory",
            "dns",
            "graph",
            "lab",
            "presence",
            "routing",
            "shard",
            "sip",
            "store",
            "telemetry",
            "transaction",
            "transport",
            "trunk",
        ],
    },
];

/// What no pure module names. A name with `::` is found at the end of a path too, since types are imported first.
const NOT_PURE: &[&str] = &[
    "tokio",
    "tokio_rustls",
    "tokio_util",
    "async_std",
    "mio",
    "socket2",
    "rustix",
    "quinn_udp",
    "rand",
    "getrandom",
    "metrics",
    "metrics_exporter_prometheus",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::io::stdin",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "std::os",
    "Instant::now",
    "SystemTime::now",
    "Instant::elapsed",
];

/// Crates that stay in one place, by the beginnings of the paths that may name them.
const KEPT: &[(&str, &[&str])] = &[
    ("rustls", &["transport/", "transport.rs", "lab/", "lab.rs", "cli/certs"]),
    ("tokio_rustls", &["transport/", "transport.rs", "lab/", "lab.rs"]),
    ("rcgen", &["transport/tls", "lab/", "cli/certs"]),
    ("rustls_pemfile", &["transport/tls/pem.rs"]),
    (
        "aws_lc_rs",
        &["admin/tokens.rs", "call/seal/", "graph/", "lab/graph/", "lab/wire", "presence/digest/", "transport/tls"],
    ),
    ("reqwest", &["graph/", "graph.rs", "lab/graph/"]),
    ("jsonwebtoken", &["graph/notifications", "lab/graph/"]),
    ("hickory_resolver", &["dns/", "dns.rs"]),
    ("hickory_proto", &["dns/", "dns.rs"]),
    ("quick_xml", &["presence/xml.rs"]),
    ("redb", &["cdr/history", "directory/store.rs"]),
    ("rsip", &["sip/rsip.rs"]),
    ("quinn_udp", &["transport/"]),
    ("socket2", &["transport/"]),
    ("rustix", &["transport/", "daemon/overload.rs", "daemon/presence.rs"]),
    ("clap", &["cli/", "cli.rs", "main.rs"]),
    ("mimalloc", &["main.rs"]),
    ("axum", &["admin/", "daemon/presence/webhook/door.rs", "telemetry/metrics/"]),
    (
        "hyper",
        &[
            "admin/server.rs",
            "admin/trace/lines.rs",
            "cli/control.rs",
            "daemon/presence/webhook/door.rs",
            "lab/graph/",
            "telemetry/metrics/",
        ],
    ),
    (
        "hyper_util",
        &["admin/server.rs", "cli/control.rs", "daemon/presence/webhook/door.rs", "lab/graph/", "telemetry/metrics/"],
    ),
    ("sd_notify", &["daemon/notify.rs", "daemon/handover.rs"]),
    ("listenfd", &["daemon/handover.rs"]),
    ("http_body_util", &["admin/bodies.rs", "cli/control.rs", "daemon/presence/webhook/door.rs", "lab/graph/"]),
    ("metrics_exporter_prometheus", &["daemon/", "daemon.rs"]),
];

#[test]
fn modules_import_only_what_lies_below_them() {
    report(each_mention(|file, mention| {
        let here = layer(file)?;
        let there = mention.module()?;
        if there == here.name || here.may_import.contains(&there) {
            return None;
        }
        Some(format!("`{}` may import {:?} and not `{there}`", here.name, here.may_import))
    }));
}

#[test]
fn pure_modules_do_no_io_and_ask_no_clock() {
    report(each_mention(|file, mention| {
        let here = layer(file).filter(|layer| layer.kind == Kind::Pure)?;
        let bad = NOT_PURE.iter().find(|bad| mention.names(bad))?;
        Some(format!("`{}` is pure and does not name `{bad}`", here.name))
    }));
}

#[test]
fn crates_stay_in_their_place() {
    report(each_mention(|file, mention| {
        let (krate, places) = KEPT.iter().find(|(krate, _)| mention.is_of_crate(krate))?;
        let allowed = places.iter().any(|place| file.starts_with(place));
        (!allowed).then(|| format!("`{krate}` is named in {places:?} only"))
    }));
}

#[test]
fn the_store_knows_of_calls_only_what_it_keeps() {
    report(each_mention(|file, mention| {
        let of_calls = layer(file)?.name == "store" && mention.module()? == "call";
        (of_calls && !mention.names("crate::call::stored"))
            .then(|| "`store` names `call::stored` and no more".to_owned())
    }));
}

#[test]
fn every_module_has_a_layer() {
    let found: Vec<_> = std::fs::read_dir(source_root())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "main" && name != "lib")
        .filter(|name| LAYERS.iter().all(|layer| layer.name != name))
        .collect();
    assert!(found.is_empty(), "modules without a place in the table of layers: {found:?}");
}

#[test]
fn drivers_know_neither_each_other_nor_the_core() {
    // The table above could be edited into nonsense: these hold whatever it says.
    for layer in LAYERS {
        for import in layer.may_import {
            let other = LAYERS.iter().find(|other| other.name == *import).unwrap();
            match layer.kind {
                Kind::Pure => assert!(other.kind == Kind::Pure, "{} -> {import}", layer.name),
                Kind::Driver => {
                    let values = matches!(*import, "presence" | "routing" | "sip" | "trunk")
                        || (*import == "call" && matches!(layer.name, "admin" | "cdr" | "store" | "telemetry"));
                    assert!(values, "{} -> {import}", layer.name);
                }
                Kind::Top => assert!(*import != "cli", "{} -> {import}", layer.name),
            }
        }
    }
}

#[test]
fn faults_are_found_where_they_stand() {
    let text = r##"
        use crate::{call::{Edge, Env}, daemon};
        use std::{fs, time::Instant};
        // use tokio::net;
        const TEXT: &str = "crate::cli tokio::spawn";
        fn now() -> Instant {
            /* rand::random() */
            let raw = r#"metrics::counter"#;
            Instant::now()
        }
        fn wait<'a>(c: char) { if c == '"' { super::super::transport::go(); } }
        #[cfg(test)]
        mod inner { use crate::lab::Agent; }
        #[cfg(test)]
        use crate::cli;
        mod rand;
        fn local() { rand::next(); ::metrics::counter!("x"); }
    "##;
    let source = Source::read(Path::new("shard/one.rs"), text);
    let modules: Vec<_> =
        source.mentions.iter().filter_map(|mention| Some((mention.module()?, mention.line))).collect();
    assert_eq!(modules, [("call", 2), ("call", 2), ("daemon", 2), ("transport", 11)]);
    let bad: Vec<_> = source
        .mentions
        .iter()
        .filter_map(|mention| Some((*NOT_PURE.iter().find(|bad| mention.names(bad))?, mention.line)))
        .collect();
    assert_eq!(bad, [("std::fs", 3), ("Instant::now", 9), ("metrics", 17)]);
}

/// The layer of a file, given relative to `src`.
fn layer(file: &str) -> Option<&'static Layer> {
    let name = file.split('/').next()?;
    let name = name.strip_suffix(".rs").unwrap_or(name);
    LAYERS.iter().find(|layer| layer.name == name)
}

/// Applies a rule to each path that a file outside of tests names; gives the faults.
fn each_mention(rule: impl Fn(&str, &Mention) -> Option<String>) -> Vec<String> {
    let root = source_root();
    let mut faults = Vec::new();
    let mut mentions = 0;
    for source in Source::read_all(&root) {
        let file = source.path.to_string_lossy().replace('\\', "/");
        for mention in &source.mentions {
            mentions += 1;
            if let Some(broken) = rule(&file, mention) {
                faults.push(format!("src/{file}:{}: {broken} (`{}`)", mention.line, mention.path.join("::")));
            }
        }
    }
    assert!(mentions > 1_000, "the source was not read: {mentions} paths");
    faults
}

fn report(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}
