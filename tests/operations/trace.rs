//! Calls as the edge saw them: over UDP on one side and TLS on the other, judged by tshark, sngrep and a collector that
//! was written from HEP's specification.

mod collector;
mod secure;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::edge::{Edge, trunkway};
use crate::support::place::Place;
use crate::support::process::Process;
use crate::support::sipp::{Scenario, Sipp};
use crate::support::{SOON, certificates, until};
use collector::Collector;
use secure::Callee;

/// Host numbers in a place; the edge is 1.
const CALLER: u8 = 2;
const CALLEE: u8 = 3;

/// What no output may show: a key of media, and the answer to a challenge.
const KEY: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
const RESPONSE: &str = "6629fae49393a05397450978507c4ef1";

/// A PBX over UDP, and one behind it over TLS; the edge owns both legs.
fn config(place: &Place, more: &str) -> String {
    let (udp, tls) = (place.at(1), place.tls_at(1));
    let (caller, callee) = (place.at(CALLER), place.tls_at(CALLEE));
    format!(
        r#"
[[listen]]
name = "inside"
bind = "udp:{udp}"

[[listen]]
name = "outside"
bind = "tls:{tls}"
certificate = "certs/edge.pem"
key = "certs/edge.key"
client_ca = "certs/ca.pem"

[tls_client]
ca = "certs/ca.pem"
certificate = "certs/edge.pem"
key = "certs/edge.key"

[trunk.pbx]
kind = "pbx"
listen = "inside"
targets = ["udp:{caller}"]
transparent = false

[trunk.secure]
kind = "pbx"
listen = "outside"
targets = ["tls:{callee}"]
peer_names = ["pbx.example.net"]
transparent = false

[dialplan.numbers]
rules = [{{ prefix = "2", tag = "secure" }}]

[control]
socket = "control.sock"

{more}
"#
    )
}

/// An edge between a PBX and one over TLS.
struct Stand {
    // Ended in this order: the place is free for others when nobody listens there any more.
    callee: Callee,
    edge: Edge,
    place: Place,
}

impl Stand {
    fn new(more: &str) -> Self {
        Self::with(Place::new(), more)
    }

    fn with(place: Place, more: &str) -> Self {
        let certs = certificates::make(&place);
        let callee = Callee::start(place.tls_at(CALLEE), &certs);
        let edge = Edge::start(&place, &config(&place, more));
        Self { callee, edge, place }
    }

    /// Calls that are answered over TLS and hung up.
    fn call(&self, number: &str, calls: u32) {
        let blanks = vec![("key", KEY.to_owned()), ("response", RESPONSE.to_owned())];
        let scenario = Scenario::File("caller-with-secrets", blanks);
        Sipp::caller(&self.place, CALLER, scenario, number).calls(calls, 5).run(&self.place);
    }

    /// A command, which must succeed.
    fn ask(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = trunkway("trace");
        command.args(arguments).arg("--socket").arg(self.socket());
        command.output().expect("trunkway can be started")
    }

    fn socket(&self) -> PathBuf {
        self.place.folder().join("control.sock")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.ask(&[arguments, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The last call once the edge knows how it ended.
    fn last(&self) -> Value {
        until("a call is over", SOON, || {
            let page = self.json(&["--list"]);
            page["traces"].get(0).filter(|call| !call["outcome"].is_null()).cloned()
        })
    }

    /// Writes the capture of a call.
    fn capture(&self, call: &str) -> PathBuf {
        let file = self.place.folder().join("call.pcapng");
        let said = self.ask(&[call, "--pcap", file.to_str().expect("a path is text")]);
        assert!(said.contains("bytes written to"), "{said}");
        file
    }
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

fn has_no_secret(text: &str) {
    for secret in [KEY, RESPONSE] {
        assert!(!text.contains(secret), "{secret} in:\n{text}");
    }
}

#[test]
fn a_call_over_udp_and_tls_is_one_ladder_by_any_of_its_names() {
    let stand = Stand::new("");
    stand.call("2001", 1);
    let last = stand.last();
    let call = text(&last, "call");
    assert_eq!((text(&last, "from"), text(&last, "to"), text(&last, "outcome")), ("pbx", "secure", "caller-hung-up"));
    let shown = stand.json(&[call]);
    let call_ids: Vec<&str> = shown["call_ids"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert_eq!(call_ids.len(), 2, "the edge owns both legs: {shown}");
    let mut ladders = BTreeSet::new();
    for name in [call, call_ids[0], call_ids[1]] {
        let ladder = stand.ask(&[name]);
        has_no_secret(&ladder);
        ladders.insert(ladder);
    }
    ladders.insert(stand.ask(&["--number", "2001"]));
    assert_eq!(ladders.len(), 1, "all of its names show the same: {ladders:#?}");
    let ladder = ladders.pop_first().expect("there is one");
    let title = ladder.lines().find(|line| line.contains(" ms ")).unwrap_or_else(|| panic!("{ladder}"));
    let columns: Vec<&str> = title.split_whitespace().collect();
    assert_eq!(columns, ["ms", "pbx", "edge", "secure"]);
    // Each passes twice: to the edge and from it.
    for (what, count) in
        [(" INVITE sdp ", 2), (" 180 Ringing ", 2), (" 200 OK sdp ", 2), (" BYE ", 2), (" 200 OK (BYE)", 2)]
    {
        let found = ladder.lines().filter(|line| line.contains(what) && !line.contains("(again)")).count();
        assert_eq!(found, count, "{what}\n{ladder}");
    }
    assert!(ladder.contains("the caller hung up after"), "{ladder}");
    let messages = stand.ask(&[call, "--messages"]);
    has_no_secret(&messages);
    assert!(messages.contains("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:…"), "{messages}");
    assert!(messages.contains("Proxy-Authorization: Digest …"), "{messages}");
    let open = stand.ask(&[call, "--messages", "--unredacted"]);
    assert!(open.contains(KEY) && open.contains(RESPONSE), "{open}");
    stand.edge.stop();
}

#[test]
fn who_asks_for_what_is_not_there_is_told_so() {
    let stand = Stand::new("");
    let unknown = stand.run(&["0123456789abcdef"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("nothing is kept of call"), "{unknown:?}");
    assert_eq!(stand.run(&["--last-failed"]).status.code(), Some(1));
    assert_eq!(stand.run(&["--follow", "?"]).status.code(), Some(64));
    stand.edge.stop();
    let off = Stand::new("[trace]\nring_bytes = 0\n");
    off.call("2001", 1);
    let answer = off.run(&["--list"]);
    assert_eq!(answer.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&answer.stderr).contains("`ring_bytes` of [trace] is 0"), "{answer:?}");
    off.edge.stop();
}

#[test]
fn a_failed_call_is_found_and_told_in_words() {
    let stand = Stand::new("");
    stand.callee.refuse_from_now_on();
    let scenario = Scenario::File("caller-is-refused", vec![("status", "486".to_owned())]);
    Sipp::caller(&stand.place, CALLER, scenario, "2002").calls(1, 5).run(&stand.place);
    until("the call is over", SOON, || stand.run(&["--last-failed"]).status.success().then_some(()));
    let ladder = stand.ask(&["--last-failed"]);
    for words in ["486 Busy Here", "Reason: Q.850;cause=17", "refused with 486", "from pbx to secure"] {
        assert!(ladder.contains(words), "{words}\n{ladder}");
    }
    assert!(stand.json(&["--list", "--result", "failed"])["traces"][0]["failed"].as_bool().unwrap_or_default());
    assert_eq!(stand.json(&["--list", "--trunk", "nobody"])["traces"].as_array().map(Vec::len), Some(0));
    stand.edge.stop();
}

/// Runs tshark over a capture; the lines that it prints.
fn tshark(file: &Path, arguments: &[&str]) -> Vec<String> {
    let output = Command::new("tshark").arg("-n").arg("-r").arg(file).args(arguments).output();
    let output = output.expect("tshark can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn a_capture_is_read_by_tshark_and_sngrep() {
    let stand = Stand::new("");
    stand.call("2001", 1);
    let last = stand.last();
    let file = stand.capture(text(&last, "call"));
    let methods = tshark(&file, &["-Y", "sip.Method", "-T", "fields", "-e", "sip.Method"]);
    for method in ["INVITE", "ACK", "BYE"] {
        assert!(methods.iter().filter(|found| *found == method).count() >= 2, "{method}: {methods:?}");
    }
    let answers = tshark(&file, &["-Y", "sip.Status-Code == 200", "-T", "fields", "-e", "sip.CSeq.method"]);
    assert!(answers.iter().filter(|found| *found == "INVITE").count() >= 2, "{answers:?}");
    assert!(answers.iter().filter(|found| *found == "BYE").count() >= 2, "{answers:?}");
    assert_eq!(tshark(&file, &["-Y", "_ws.malformed"]), Vec::<String>::new());
    let bad = ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"];
    let bad = tshark(&file, &[&bad[..], &["-Y", "ip.checksum.status == 0 || udp.checksum.status == 0"]].concat());
    assert_eq!(bad, Vec::<String>::new());
    let comments = tshark(&file, &["-T", "fields", "-e", "frame.comment"]);
    assert!(comments.iter().any(|comment| comment.contains("tls at listener outside, trunk secure")), "{comments:?}");
    has_no_secret(&String::from_utf8_lossy(&std::fs::read(&file).expect("there is a capture")));
    sngrep(&stand.place, &file);
    stand.edge.stop();
}

/// sngrep without its windows reads the capture, and writes what it understood into another one.
fn sngrep(place: &Place, file: &Path) {
    let copy = place.folder().join("sngrep.pcap");
    let mut command = Command::new("sngrep");
    command.arg("-N").arg("-q").arg("-I").arg(file).arg("-O").arg(&copy).env("TERM", "dumb");
    let mut sngrep = Process::start("sngrep", place.folder(), &mut command);
    let count = |file: &Path| tshark(file, &["-Y", "sip"]).len();
    until("sngrep has read the capture", SOON, || {
        let ended = sngrep.ended().is_some();
        (ended || copy.metadata().is_ok_and(|copy| copy.len() > 24)).then_some(())
    });
    // It writes the last of it when it ends.
    if sngrep.ended().is_none() {
        sngrep.terminate(SOON);
    }
    assert_eq!(count(&copy), count(file), "sngrep knows each message as one");
}

#[test]
fn calls_are_followed_while_they_pass() {
    let stand = Stand::new("[trace]\nmax_followers = 1\n");
    let mut command = trunkway("trace");
    command.args(["--follow", "2007", "--messages", "--json", "--socket"]).arg(stand.socket());
    let mut follower = Process::start("follower", stand.place.folder(), &mut command);
    until("somebody follows", SOON, || (stand.edge.metric("trunkway_trace_followers") == 1.0).then_some(()));
    assert_eq!(stand.run(&["--follow", "all"]).status.code(), Some(1), "one is the limit");
    stand.call("2001", 1);
    stand.call("2007", 1);
    until("the end of the call is followed", SOON, || follower.output().contains("\"ended\"").then_some(()));
    let output = follower.output();
    has_no_secret(&output);
    let lines: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    let calls: BTreeSet<&str> = lines.iter().map(|line| text(line, "call")).collect();
    assert_eq!(calls.len(), 1, "the other call is not followed: {output}");
    let peers: BTreeSet<&str> = lines.iter().filter_map(|line| line["peer"].as_str()).collect();
    assert_eq!(peers, BTreeSet::from(["pbx", "secure"]));
    follower.terminate(SOON);
    until("nobody follows any more", SOON, || (stand.edge.metric("trunkway_trace_followers") == 0.0).then_some(()));
    stand.edge.stop();
}

#[test]
fn a_collector_gets_each_message_with_one_id_for_both_legs() {
    for transport in ["udp", "tcp"] {
        let place = Place::new();
        let mut collector = Collector::start(transport, place.ip(9));
        place.write("hep.password", "open-sesame\n");
        let more = format!(
            "[trace.hep]\ncollector = \"{transport}:{}\"\ncapture_id = 2042\npassword_file = \"hep.password\"\n",
            collector.at
        );
        let stand = Stand::with(place, &more);
        stand.call("2001", 1);
        let last = stand.last();
        let call = text(&last, "call");
        let shown = stand.json(&[call]);
        let messages = shown["messages"].as_array().expect("a list").len();
        let packets = until("the collector has all", SOON, || {
            let packets = collector.packets();
            (packets.len() >= messages).then_some(packets)
        });
        assert_eq!(packets.len(), messages, "one for each");
        for packet in &packets {
            assert_eq!(packet.correlation, call, "{packet:?}");
            assert_eq!((packet.capture_id, packet.password.as_str(), packet.payload_type), (2042, "open-sesame", 1));
            has_no_secret(&packet.payload);
            assert!(packet.payload.contains("Call-ID") || packet.payload.contains("\ni:"), "{packet:?}");
        }
        let protocols: BTreeSet<u8> = packets.iter().map(|packet| packet.protocol).collect();
        assert_eq!(protocols, BTreeSet::from([6, 17]), "TLS counts as TCP");
        let own = [stand.place.at(1), stand.place.tls_at(1)];
        assert!(packets.iter().all(|packet| own.contains(&packet.source) != own.contains(&packet.target)));
        let invites: Vec<_> = packets.iter().filter(|packet| packet.payload.starts_with("INVITE ")).collect();
        assert_eq!(invites[0].source, stand.place.at(CALLER), "{invites:?}");
        assert!(packets.is_sorted_by_key(|packet| packet.time_us), "in the order in which they passed");
        until("what was sent is counted", SOON, || {
            (stand.edge.metric("trunkway_hep_sent_total") >= packets.len() as f64).then_some(())
        });
        assert_eq!(stand.edge.metric("trunkway_hep_dropped_total"), 0.0);
        stand.edge.stop();
    }
}
