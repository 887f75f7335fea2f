//! What Prometheus sees.

mod prometheus;
mod reference;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use self::prometheus::{Prometheus, ask, promtool};
use self::reference::{Family, of_page, of_reference, row};
use crate::support::edge::{Edge, trunkway};
use crate::support::place::Place;
use crate::support::sipp::{Scenario, Sipp, scenario};
use crate::support::{SOON, until};

const CALLER: u8 = 2;
const CALLEE: u8 = 3;
const BUSY: u8 = 4;

/// A caller, a callee and one that is busy, over UDP; `more` goes at the end.
fn config(place: &Place, more: &str) -> String {
    let [edge, caller, callee, busy] = [1, CALLER, CALLEE, BUSY].map(|host| place.at(host));
    format!(
        r#"
[[listen]]
name = "inside"
bind = "udp:{edge}"

[trunk.caller]
kind = "pbx"
listen = "inside"
targets = ["udp:{caller}"]

[trunk.callee]
kind = "pbx"
listen = "inside"
targets = ["udp:{callee}"]

[trunk.busy]
kind = "carrier"
listen = "inside"
targets = ["udp:{busy}"]

[dialplan.numbers]
rules = [{{ prefix = "2", tag = "callee" }}, {{ prefix = "3", tag = "busy" }}]

[state]
dir = "state"

[control]
socket = "control.sock"
{more}
"#
    )
}

fn monitoring(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/monitoring").join(name)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn refused(status: &str) -> Vec<(&'static str, String)> {
    vec![("status", status.to_owned())]
}

/// So many calls that are answered, calls to one that is busy, and calls to numbers that nobody has.
fn call(place: &Place, answered: u32, busy: u32, nowhere: u32) {
    let callee = Sipp::callee(place, CALLEE, scenario("callee")).calls(answered, 10).start(place);
    Sipp::caller(place, CALLER, scenario("caller"), "2001").calls(answered, 10).run(place);
    callee.finish();
    let callee =
        Sipp::callee(place, BUSY, Scenario::File("callee-refuses", refused("486"))).calls(busy, 10).start(place);
    Sipp::caller(place, CALLER, Scenario::File("caller-is-refused", refused("486")), "3001").calls(busy, 10).run(place);
    callee.finish();
    let asks = Scenario::File("caller-is-refused", refused("404"));
    Sipp::caller(place, CALLER, asks, "9001").calls(nowhere, 10).run(place);
}

/// The value of a series as it stands on a page.
fn value(page: &str, series: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

#[test]
fn a_page_under_load_passes_promtool_and_counts_each_call() {
    let place = Place::new();
    let edge = Edge::start(&place, &config(&place, ""));
    call(&place, 30, 10, 5);
    let attempts = |trunk: &str, direction: &str, result: &str, page: &str| {
        let labels = format!("trunk=\"{trunk}\",tenant=\"\",direction=\"{direction}\",result=\"{result}\"");
        value(page, &format!("trunkway_call_attempts_total{{{labels}}}"))
    };
    let page = until("all calls are counted", SOON, || {
        let page = edge.page();
        (attempts("caller", "in", "not-passed", &page) == Some(5.0)).then_some(page)
    });
    for (trunk, direction, result, count) in [
        ("caller", "in", "answered", 30.0),
        ("caller", "in", "busy", 10.0),
        ("caller", "in", "failed", 0.0),
        ("callee", "out", "answered", 30.0),
        ("busy", "out", "busy", 10.0),
    ] {
        assert_eq!(attempts(trunk, direction, result, &page), Some(count), "{trunk} {direction} {result} in:\n{page}");
    }
    for (series, least) in [
        ("trunkway_requests_received_total{method=\"INVITE\"}", 45.0),
        ("trunkway_requests_received_total{method=\"BYE\"}", 30.0),
        ("trunkway_requests_sent_total{method=\"INVITE\"}", 40.0),
        ("trunkway_responses_received_total{method=\"INVITE\",class=\"4xx\"}", 10.0),
        ("trunkway_responses_sent_total{method=\"INVITE\",class=\"4xx\"}", 15.0),
        ("trunkway_responses_sent_total{method=\"BYE\",class=\"2xx\"}", 30.0),
        ("trunkway_call_duration_seconds_count{trunk=\"callee\"}", 30.0),
        ("trunkway_call_answer_seconds_count{trunk=\"callee\"}", 30.0),
        ("trunkway_call_ringing_seconds_count{trunk=\"callee\"}", 30.0),
        ("trunkway_trunk_window_calls{trunk=\"caller\",direction=\"in\",window=\"1h\"}", 45.0),
        ("trunkway_ready", 1.0),
        ("process_resident_memory_bytes", 1_000_000.0),
    ] {
        let found = value(&page, &format!("{series} "));
        assert!(
            found.is_some_and(|found| found >= least),
            "{series} is {found:?}, at least {least} is wanted:\n{page}"
        );
    }
    let ratio = |name: &str| value(&page, &format!("{name}{{trunk=\"caller\",direction=\"in\",window=\"1h\"}} "));
    assert_eq!(ratio("trunkway_trunk_network_effectiveness_ratio"), Some(40.0 / 45.0));
    assert_eq!(ratio("trunkway_trunk_answer_seizure_ratio"), Some(30.0 / 45.0));
    let (_, body) = ask(place.metrics(), "/metrics").expect("it shows its metrics");
    let (content, said) = promtool(&["check", "metrics"], Some(&place.write("page.txt", &body)));
    assert!(content && said.is_empty(), "promtool says of the page:\n{said}");
    edge.stop();
}

/// Families of the reference that this test's edge has no reason to show.
const SELDOM: &[&str] = &[
    "trunkway_certificate_expiry_seconds",
    "trunkway_control_refused_total",
    "trunkway_graph_notifications_total",
    "trunkway_graph_request_seconds",
    "trunkway_graph_requests_total",
    "trunkway_graph_secret_expiry_seconds",
    "trunkway_graph_subscriptions",
    "trunkway_graph_token_age_seconds",
    "trunkway_graph_token_failing",
    "trunkway_presence_unmatched_users",
    "trunkway_presence_write_lag_seconds",
    "trunkway_presence_writes_waiting",
    "trunkway_tenant_calls",
    "trunkway_tls_connections",
];

#[test]
fn the_reference_names_each_metric_and_no_other() {
    let place = Place::new();
    let edge = Edge::start(&place, &config(&place, ""));
    call(&place, 5, 1, 1);
    let series = "trunkway_call_attempts_total{trunk=\"caller\",tenant=\"\",direction=\"in\",result=\"not-passed\"} 1";
    let (_, page) =
        until("calls are counted", SOON, || ask(place.metrics(), "/metrics").filter(|(_, page)| page.contains(series)));
    edge.stop();
    let (page, known) = (of_page(&page), of_reference(&read(&monitoring("../metrics.md"))));
    let fits = |name: &String, family: &Family| {
        known.get(name).is_some_and(|known| (&known.kind, &known.labels) == (&family.kind, &family.labels))
    };
    let missing: Vec<_> =
        page.iter().filter(|(name, family)| !fits(name, family)).map(|(name, family)| row(name, family)).collect();
    assert!(missing.is_empty(), "config/metrics.md wants these rows:\n{}", missing.join("\n"));
    let gone: Vec<_> =
        known.keys().filter(|name| !page.contains_key(*name) && !SELDOM.contains(&name.as_str())).collect();
    assert!(gone.is_empty(), "config/metrics.md names what is not on the page: {gone:?}");
    for (name, family) in &page {
        assert!(!family.help.is_empty(), "{name} has no help");
        assert_eq!(name.ends_with("_total"), family.kind == "counter", "{name} is a {}", family.kind);
    }
}

/// Whether each alert is tested both ways, by the lines of the tests.
fn tested(tests: &str) -> BTreeMap<&str, (bool, bool)> {
    let mut found = BTreeMap::new();
    let mut lines = tests.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(alert) = line.trim().strip_prefix("alertname: ") else { continue };
        let (silent, speaks): &mut (bool, bool) = found.entry(alert).or_default();
        match lines.peek().map(|line| line.trim()) {
            Some("exp_alerts: []") => *silent = true,
            Some("exp_alerts:") => *speaks = true,
            other => panic!("{alert}: what is expected? {other:?}"),
        }
    }
    found
}

#[test]
fn every_rule_is_sound_and_tested_both_ways() {
    let [rules, tests] = ["trunkway.rules.yml", "trunkway.rules.test.yml"].map(monitoring);
    let (sound, said) = promtool(&["check", "rules", "--lint=all", "--lint-fatal", &rules.to_string_lossy()], None);
    assert!(sound, "{said}");
    let (sound, said) = promtool(&["test", "rules", &tests.to_string_lossy()], None);
    assert!(sound, "{said}");
    let (rules, tests) = (read(&rules), read(&tests));
    let tested = tested(&tests);
    let alerts: BTreeSet<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 20, "{alerts:?}");
    for alert in &alerts {
        assert_eq!(tested.get(alert), Some(&(true, true)), "{alert}: (silent, speaks)");
    }
    for record in rules.lines().filter_map(|line| line.trim().strip_prefix("- record: ")) {
        assert!(tests.contains(&format!("expr: {record}")), "{record} is not tested");
    }
    for key in ["summary: ", "description: "] {
        let count = rules.lines().filter(|line| line.trim().starts_with(key)).count();
        assert_eq!(count, alerts.len(), "each alert has a {key}");
    }
}

/// The expressions of the dashboard by the titles of their panels, with its variables filled in.
fn expressions() -> Vec<(String, String)> {
    let dashboard: serde_json::Value =
        serde_json::from_str(&read(&monitoring("grafana-dashboard.json"))).expect("the dashboard is JSON");
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().expect("it has panels") {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().expect("a target has an expression");
            let filled = ["$instance", "$trunk", "$tenant"]
                .iter()
                .fold(expression.to_owned(), |text, variable| text.replace(variable, ".*"));
            let filled = filled.replace("$__rate_interval", "1m");
            assert!(!filled.contains('$'), "an unknown variable in {filled}");
            found.push((panel["title"].as_str().expect("a panel has a title").to_owned(), filled));
        }
    }
    found
}

/// Panels that must show something for an edge that has had calls.
const CORE_PANELS: [&str; 24] = [
    "Edges ready",
    "Calls up",
    "Calls a second",
    "NER, 1 h",
    "ASR, 1 h",
    "Calls over, by result",
    "Requests that came, by method",
    "Responses sent, by class",
    "Refused and dropped",
    "NER by trunk, last 5 minutes",
    "ASR by trunk, last hour",
    "Calls over, by trunk",
    "Post-dial delay, 95 of 100",
    "Time to answer, median",
    "Mean duration of calls",
    "Targets",
    "NER by tenant, 1 h",
    "Connections",
    "Processor time",
    "Memory",
    "File descriptors, used share",
    "Limits, used share",
    "Transactions",
    "Versions",
];

#[test]
fn prometheus_scrapes_the_edge_and_answers_for_every_rule_and_panel() {
    let place = Place::new();
    let edge = Edge::start(&place, &config(&place, ""));
    // The first calls make the series, so that the others are seen to be added to them.
    call(&place, 2, 2, 2);
    let prometheus = Prometheus::start(&place, place.metrics());
    prometheus.until("trunkway_call_attempts_total{trunk=\"caller\",result=\"not-passed\"} == 2");
    prometheus.until("count_over_time(trunkway_build_info[1m]) >= 2");
    call(&place, 30, 10, 10);
    prometheus.until("trunkway_call_attempts_total{trunk=\"caller\",result=\"not-passed\"} == 12");
    prometheus.until("up{job=\"trunkway\"} == 1");

    // A range is extrapolated to its ends: of 40 calls in 50, about that share has come through.
    let ratio = |expression: &str| {
        until(expression, SOON, || {
            let found = prometheus.query(expression).expect("it answers");
            found.first().map(|(_, value)| *value).filter(|value| (0.7..0.9).contains(value))
        })
    };
    ratio("trunk_direction:trunkway_ner:ratio1h{trunk=\"caller\",direction=\"in\"}");
    ratio("trunk_direction:trunkway_ner:ratio5m{trunk=\"caller\",direction=\"in\"}");
    let one = prometheus.until("trunk_direction:trunkway_ner:ratio1h{trunk=\"busy\",direction=\"out\"}");
    assert_eq!(one.first().map(|(_, value)| *value), Some(1.0), "busy is no fault of the network");
    for record in [
        "trunk_direction:trunkway_call_attempts:increase5m",
        "trunk_direction:trunkway_asr:ratio1h",
        "trunk:trunkway_call_ringing_seconds:p95_1h",
        "instance_limit:trunkway_limit_used:ratio",
    ] {
        prometheus.until(record);
    }
    assert_eq!(prometheus.rule_faults(), Vec::<String>::new());

    let expressions = expressions();
    let titles: BTreeSet<&str> = expressions.iter().map(|(title, _)| title.as_str()).collect();
    let mut faults = Vec::new();
    for (title, expression) in &expressions {
        if let Err(fault) = prometheus.query(expression) {
            faults.push(format!("{title}: {fault}: {expression}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for title in CORE_PANELS {
        assert!(titles.contains(title), "the dashboard has no panel {title}");
        for (_, expression) in expressions.iter().filter(|(of, _)| of == title) {
            prometheus.until(expression);
        }
    }
    edge.stop();
}

#[test]
fn labels_are_capped() {
    let place = Place::new();
    // Edge::start writes the table [metrics] itself, at the end.
    let edge = Edge::start_with_metrics(&place, &config(&place, ""), "max_trunks = 1");
    call(&place, 3, 2, 1);
    let other = "trunkway_call_attempts_total{trunk=\"other\",tenant=\"\",direction=\"out\",result=\"answered\"} 3";
    let page = until("all calls are counted", SOON, || {
        Some(edge.page()).filter(|page| page.contains(other) && page.contains("result=\"not-passed\"} 1"))
    });
    let named = page.lines().filter(|line| line.starts_with("trunkway_call_") && line.contains("trunk=\""));
    let strangers: Vec<_> =
        named.filter(|line| !line.contains("trunk=\"caller\"") && !line.contains("trunk=\"other\"")).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
    edge.stop();
}

#[test]
fn readiness_follows_a_drain_and_strangers_read_nothing() {
    let place = Place::new();
    let network = format!("allow_from = [\"{}/32\"]", place.ip(1));
    let edge = Edge::start_with_metrics(&place, &config(&place, ""), &network);
    let at = place.metrics();
    // The edge's own address asks: a socket that connects there on loopback has it as its source.
    let from = |host: u8, path: &str| prometheus::ask_from(place.ip(host), at, path);
    assert_eq!(from(1, "/healthz"), Some((200, "ok\n".to_owned())));
    assert_eq!(from(1, "/readyz"), Some((200, "ready\n".to_owned())));
    assert_eq!(from(9, "/metrics"), None, "a stranger gets no answer");
    let control = |verb: &str| {
        let done = trunkway(verb).arg("--socket").arg(place.folder().join("control.sock")).output();
        let done = done.expect("the command runs");
        assert!(done.status.success(), "{done:?}");
    };
    control("drain");
    let drained = (503, "not ready: the edge drains: it takes no new calls\n".to_owned());
    assert_eq!(from(1, "/readyz"), Some(drained));
    assert_eq!(from(1, "/healthz"), Some((200, "ok\n".to_owned())));
    let (_, page) = from(1, "/metrics").expect("it shows its metrics");
    assert!(page.contains("\ntrunkway_ready 0\n") && page.contains("\ntrunkway_draining 1\n"), "{page}");
    control("undrain");
    assert_eq!(from(1, "/readyz"), Some((200, "ready\n".to_owned())));
    edge.stop();
}
