//! What no rule touches leaves byte for byte: undoing the edge's edits gives what came.

use proptest::prelude::*;

use super::wire::{Request, Sent};
use super::world::{ALICE, World};

/// Header lines as peers may write them; none of them is the edge's business.
fn odd_line() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "Subject: ",
        "s:  two  blanks ",
        "X-Empty:",
        "x-MIXED : a,b;;c=\"\\\"\"",
        "Supported: 100rel , timer",
        "P-Asserted-Identity: \"A, B\" <sip:a@b>,\r\n\t<tel:+1>",
        "Date: Mon, 32 Foo 2025 99:99:99 XXX",
        "Allow: INVITE",
        "Contact:Mr. X<sip:x@[2001:db8::1]:5070;transport=tcp?a=b> ;expires=7",
        "Geolocation: <cid:x@y>;inserted-by=\"z\"",
        "FROM-like: <sip:x>",
        "Expires: 99999999999999",
        "User-Agent: caf\u{e9} \u{1f4de}",
        "Content-Disposition: session;handling=optional",
    ]);
    prop_oneof![
        fixed.prop_map(str::to_owned),
        ("X-[A-Za-z0-9!%*_+`'~.-]{1,12}", "[ -~]{0,40}").prop_map(|(name, value)| format!("{name}: {value}")),
        ("X-[A-Za-z]{1,6}", "[!-~]{1,10}", "[!-~]{1,10}").prop_map(|(name, a, b)| format!("{name}:\t{a}\r\n  {b}")),
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(Vec::new()), prop::collection::vec(any::<u8>(), 0..600)]
}

/// The lines that every request has, with the odd ones between them in some order.
#[derive(Clone)]
struct Given {
    bytes: Vec<u8>,
    via: String,
    max_forwards: String,
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&shown(&self.bytes))
    }
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\r\\n", "\n")
}

fn vias() -> impl Strategy<Value = String> {
    let vias = vec![
        "SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKx",
        "SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKx ,SIP/2.0/TCP far.example;branch=1;received=10.0.0.1",
        "SIP  / 2.0\r\n /UDP   192.0.2.10 ;branch=z9hG4bKx;x=\"y;z\"",
    ];
    prop::sample::select(vias).prop_map(str::to_owned)
}

fn given(method: &'static str, uri: &'static str, to_tag: &'static str) -> impl Strategy<Value = Given> {
    let lines = prop::collection::vec(odd_line(), 0..12);
    let names = (any::<bool>(), any::<bool>(), any::<bool>(), 1u8..200);
    (lines, vias(), names, body(), any::<prop::sample::Index>()).prop_map(move |(odd, via, names, body, seed)| {
        let (short, lower, folded, forwards) = names;
        let name = |long: &str, compact: &str| match (short, lower) {
            (true, _) => compact.to_owned(),
            (false, true) => long.to_lowercase(),
            (false, false) => long.to_owned(),
        };
        let blank = if folded { "\r\n   " } else { " " };
        let max_forwards = format!("0{forwards}");
        let mut lines = vec![
            format!("{}: {via}", name("Via", "v")),
            format!("{}:{blank}<sip:a@b>;tag=f", name("From", "f")),
            format!("{}: <sip:b@c>{to_tag}", name("To", "t")),
            format!("{}: call-1", name("Call-ID", "i")),
            format!("CSeq: 01{blank}{method}"),
            format!("Max-Forwards: {max_forwards}"),
            format!("{} : {}", name("Content-Length", "l"), body.len()),
        ];
        for (index, line) in odd.into_iter().enumerate() {
            let at = seed.index(lines.len() + index + 1) % (lines.len() + 1);
            lines.insert(at, line);
        }
        let mut bytes = format!("{method} {uri} SIP/2.0\r\n{}\r\n\r\n", lines.join("\r\n")).into_bytes();
        bytes.extend_from_slice(&body);
        Given { bytes, via, max_forwards }
    })
}

fn remove_once(bytes: &mut Vec<u8>, part: &[u8]) {
    let at = memchr::memmem::find(bytes, part).expect("the part");
    bytes.drain(at..at + part.len());
}

fn replace_once(bytes: &mut Vec<u8>, part: &[u8], by: &[u8]) {
    let at = memchr::memmem::find(bytes, part).expect("the part");
    bytes.splice(at..at + part.len(), by.iter().copied());
}

/// Takes back what the edge may do to a request whose Via needs no completion.
fn undone(sent: &Sent, given: &Given) -> Vec<u8> {
    let mut bytes = sent.bytes.clone();
    // The edge's own lines, each of which ends where it says.
    for start in ["Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKtw", "Record-Route: <sip:"] {
        if let Some(at) = memchr::memmem::find(&bytes, start.as_bytes()) {
            let end = at + memchr::memmem::find(&bytes[at..], b"\r\n").expect("a line end") + 2;
            bytes.drain(at..end);
        }
    }
    let left: u32 = given.max_forwards.parse::<u32>().expect("a number") - 1;
    replace_once(
        &mut bytes,
        format!("Max-Forwards: {left}\r\n").as_bytes(),
        format!("Max-Forwards: {}\r\n", given.max_forwards).as_bytes(),
    );
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_new_request_leaves_as_it_came(given in given("INVITE", "sip:200@elsewhere.example;x=y", "")) {
        let mut world = World::new();
        world.arrive(crate::sip::Transport::Udp, ALICE.parse().unwrap(), &given.bytes);
        let sent = world.take().pop().expect("the request");
        prop_assert_eq!(sent.what(), "INVITE", "{}", String::from_utf8_lossy(&given.bytes));
        prop_assert_eq!(shown(&undone(&sent, &given)), shown(&given.bytes));
        world.finish();
    }

    #[test]
    fn a_request_in_a_dialog_leaves_as_it_came(given in given("NOTIFY", "sip:b@192.0.2.20", ";tag=b")) {
        let mut world = World::new();
        world.arrive(crate::sip::Transport::Udp, ALICE.parse().unwrap(), &given.bytes);
        let sent = world.take().pop().expect("the request");
        prop_assert_eq!(sent.what(), "NOTIFY", "{}", String::from_utf8_lossy(&given.bytes));
        prop_assert_eq!(shown(&undone(&sent, &given)), shown(&given.bytes));
        world.finish();
    }

    /// The top Via gets `received` and `rport`, and nothing else changes.
    #[test]
    fn a_completed_via_is_the_only_other_change(given in given("OPTIONS", "sip:200@elsewhere.example", "")) {
        let mut given = given;
        let (old, new) = ("192.0.2.10", "pbx.alice.example");
        replace_once(&mut given.bytes, old.as_bytes(), new.as_bytes());
        let via = given.via.replacen(old, new, 1);
        let mut world = World::new();
        world.arrive(crate::sip::Transport::Udp, ALICE.parse().unwrap(), &given.bytes);
        let sent = world.take().pop().expect("the request");
        prop_assert_eq!(sent.what(), "OPTIONS", "{}", String::from_utf8_lossy(&given.bytes));
        let mut bytes = undone(&sent, &given);
        remove_once(&mut bytes, b";received=192.0.2.10");
        // Folds and blanks of the completed value are the edge's business; the rest is not.
        let first = via.split(" ,").next().expect("a value");
        let at = memchr::memmem::find(&given.bytes, first.as_bytes()).expect("the Via");
        prop_assert_eq!(&bytes[..at], &given.bytes[..at]);
        let tail = &given.bytes[at + first.len()..];
        prop_assert!(bytes.ends_with(tail));
        let squeeze = |bytes: &[u8]| bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect::<Vec<_>>();
        prop_assert_eq!(squeeze(&bytes), squeeze(&given.bytes));
        world.finish();
    }

    #[test]
    fn an_answer_leaves_as_it_came_less_one_via(
        odd in prop::collection::vec(odd_line(), 0..12), body in body(), status in prop::sample::select(vec![180u16, 200, 302, 404, 486, 603]),
        reason in "[ -~]{0,30}", joined in any::<bool>(), at in any::<prop::sample::Index>(),
    ) {
        let mut world = World::new();
        let sent = world.call(&Request::new("INVITE", "sip:200@192.0.2.1", "1")).remove(0);
        let vias = sent.headers("Via");
        let lines = |own: &str| {
            let mut lines = vec![
                own.to_owned(),
                "f: <sip:a@alice.example>;tag=f-1".to_owned(),
                "T :\r\n <sip:b@bob.example>;tag=b".to_owned(),
                "Call-ID: call-1".to_owned(),
                "CSEQ:  1   INVITE".to_owned(),
                format!("Content-Length: {}", body.len()),
            ];
            for line in &odd {
                let at = at.index(lines.len() + 1);
                lines.insert(at, line.clone());
            }
            lines.retain(|line| !line.is_empty());
            let mut bytes = format!("SIP/2.0 {status} {reason}\r\n{}\r\n\r\n", lines.join("\r\n")).into_bytes();
            bytes.extend_from_slice(&body);
            bytes
        };
        let (came, leaves) = if joined {
            (lines(&format!("v: {},  {}", vias[0], vias[1])), lines(&format!("v: {}", vias[1])))
        } else {
            (lines(&format!("VIA:{}\r\nvia:\t{}", vias[0], vias[1])), lines(&format!("via:\t{}", vias[1])))
        };
        world.arrive(crate::sip::Transport::Udp, sent.to, &came);
        let passed = world.take().into_iter().find(|sent| sent.status() > 0).expect("the answer");
        prop_assert_eq!(shown(&passed.bytes), shown(&leaves));
        world.finish();
    }
}
