use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::sip::{Essentials, Framing, Limits};
use crate::transaction::Timing;

const CONFIG: &str = r#"
[node]
name = "n"
fqdn = "sbc1.adatum.biz"
[[listen]]
name = "inside"
bind = "udp:192.0.2.1:5060"
[[listen]]
name = "six"
bind = "udp:[2001:db8::1]:5060"
[[listen]]
name = "stream"
bind = "tcp:192.0.2.1:5070"
[trunk.teams]
kind = "teams"
listen = "stream"
fqdn = "sbc1.adatum.biz"
targets = ["sip.pstnhub.microsoft.com:5061", "sip2.pstnhub.microsoft.com:5061"]
allow_from = ["52.112.0.0/14"]
transparent = false
[trunk.pbx]
kind = "pbx"
listen = "inside"
targets = ["udp:192.0.2.80:5080", "192.0.2.81"]
[trunk.six]
kind = "carrier"
listen = "six"
targets = ["udp:[2001:db8::5]:5060"]
"#;

const ID: ProbeId = ProbeId { target: 3, number: 0xfeed };

fn edge() -> Edge {
    let loaded = crate::config::load_str("t", CONFIG, Path::new(".")).unwrap();
    let listeners = loaded.config.listeners.iter().map(|listen| listen.listener.clone()).collect();
    Edge::new(listeners, loaded.trunks, loaded.routing, Timing::default(), Limits::default())
}

/// The OPTIONS to a target, at some address by the transport of the trunk's listener or another one's.
fn options(edge: &Edge, trunk: &str, target: usize, listener: Option<&str>) -> String {
    let trunk = edge.trunks.named(trunk).unwrap();
    let listener = match listener {
        Some(name) => edge.listeners.iter().find(|listener| &*listener.name == name).unwrap(),
        None => edge.listener(trunk.listener).unwrap(),
    };
    let hop = Hop {
        listener: listener.id,
        transport: listener.transport,
        addr: "192.0.2.200:5061".parse().unwrap(),
        name: None,
        trunk: trunk.id,
    };
    let random = Random { call_id: 0xca11, tag: 0x7a6 };
    String::from_utf8(request(edge, &hop, &trunk.targets[target], ID, random).to_vec()).unwrap()
}

fn message(text: &str) -> Message {
    Message::parse(Bytes::copy_from_slice(text.as_bytes()), Framing::Datagram, &Limits::default()).unwrap()
}

#[test]
fn e08_options_to_teams_have_the_carriers_name_in_contact_and_say_what_the_edge_takes() {
    let text = options(&edge(), "teams", 0, None);
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(
        lines,
        [
            "OPTIONS sip:sip.pstnhub.microsoft.com:5061;transport=tcp SIP/2.0",
            "Via: SIP/2.0/TCP sbc1.adatum.biz:5070;branch=z9hG4bKtp00000003000000000000feed",
            "Max-Forwards: 70",
            "From: <sip:sbc1.adatum.biz:5070>;tag=00000000000007a6",
            "To: <sip:sip.pstnhub.microsoft.com:5061;transport=tcp>",
            "Call-ID: 000000000000ca11",
            "CSeq: 1 OPTIONS",
            "Contact: <sip:sbc1.adatum.biz:5070;transport=tcp>",
            "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER",
            concat!("X-MS-SBC: Trunkway/Edge/", env!("CARGO_PKG_VERSION")),
            "Content-Length: 0",
            "",
            "",
        ]
    );
}

#[test]
fn options_are_whole_requests_and_only_teams_is_told_the_product() {
    let edge = edge();
    for (trunk, target, listener, uri, contact) in [
        (
            "teams",
            1,
            None,
            "sip:sip2.pstnhub.microsoft.com:5061;transport=tcp",
            "<sip:sbc1.adatum.biz:5070;transport=tcp>",
        ),
        ("pbx", 0, None, "sip:192.0.2.80:5080", "<sip:192.0.2.1:5060>"),
        ("pbx", 1, Some("stream"), "sip:192.0.2.81;transport=tcp", "<sip:192.0.2.1:5070;transport=tcp>"),
        ("six", 0, None, "sip:[2001:db8::5]:5060", "<sip:[2001:db8::1]:5060>"),
    ] {
        let request = message(&options(&edge, trunk, target, listener));
        let essentials = Essentials::of_request(&request, &Limits::default()).unwrap();
        assert_eq!(std::str::from_utf8(essentials.uri.raw).unwrap(), uri);
        assert_eq!(request.value(HeaderName::Contact).map(String::from_utf8_lossy).as_deref(), Some(contact));
        assert_eq!((essentials.to_tag, essentials.max_forwards), (None, Some(70)));
        assert_eq!(ProbeId::read(essentials.via.branch.unwrap()), Some(ID), "{trunk}");
        assert_eq!(request.other(b"X-MS-SBC").is_some(), trunk == "teams", "{trunk}");
    }
}

#[test]
fn answers_are_read_with_and_without_tag_and_contact() {
    let of = |start: &str, branch: &str, method: &str, more: &str| {
        let text = format!(
            "SIP/2.0 {start}\r\nVIA: SIP/2.0/TLS sbc1.adatum.biz:5061;branch={branch}\r\nFROM: <sip:a@b>;tag=1\r\n\
             TO: <sip:c@d>\r\nCALL-ID: x\r\nCSEQ: 1 {method}\r\n{more}\r\n"
        );
        ProbeAnswer::read(&message(&text))
    };
    let branch = "z9hG4bKtp00000003000000000000feed";
    let answer = |status, seconds: Option<u64>| {
        Some(ProbeAnswer { id: ID, status, retry_after: seconds.map(Duration::from_secs) })
    };
    assert_eq!(of("200 OK", branch, "OPTIONS", ""), answer(200, None));
    assert_eq!(of("503 x", branch, "OPTIONS", "Retry-After: 120 (busy);duration=3\r\n"), answer(503, Some(120)));
    assert_eq!(of("503 x", branch, "OPTIONS", "Retry-After: soon\r\n"), answer(503, None));
    assert_eq!(of("486 x", branch, "OPTIONS", "Retry-After: 120\r\n"), answer(486, None));
    assert_eq!(of("200 OK", branch, "INVITE", ""), None, "another method");
    assert_eq!(of("200 OK", "z9hG4bKtw000000003000000000000feed00000", "OPTIONS", ""), None, "a call's branch");
    assert_eq!(of("200 OK", "z9hG4bKtp00000003", "OPTIONS", ""), None, "cut");
}

#[test]
fn e09_answers_to_peers_carry_contact_and_allow() {
    let edge = edge();
    let headers = |trunk: &str| {
        let id = edge.trunks.named(trunk).unwrap().id;
        String::from_utf8(answer_headers(&edge, id, b"")).unwrap()
    };
    let teams = headers("teams");
    let wanted = "Contact: <sip:sbc1.adatum.biz:5070;transport=tcp>\r\nAccept: application/sdp\r\n\
                  Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER\r\nX-MS-SBC: Trunkway/Edge/";
    assert!(teams.starts_with(wanted) && teams.ends_with("\r\n"), "{teams}");
    let pbx = headers("pbx");
    assert!(
        pbx.starts_with("Contact: <sip:192.0.2.1:5060>\r\nAccept: application/sdp\r\nAllow: ") && !pbx.contains("X-MS"),
        "{pbx}"
    );
}

proptest! {
    #[test]
    fn branches_are_read_as_written_and_never_taken_for_those_of_calls(target: u32, number: u64) {
        let id = ProbeId { target, number };
        let mut out = Vec::new();
        id.write(&mut out);
        prop_assert_eq!(ProbeId::read(&out), Some(id));
        prop_assert_eq!(super::super::BranchId::read(&out), None);
    }
}
