//! Bytes that nobody should send: nothing panics, nothing stays behind.

use proptest::prelude::*;

use super::wire::Request;
use super::world::{ALICE, BOB, World};
use crate::sip::Transport;

/// A change to a message at some place.
#[derive(Clone, Debug)]
enum Harm {
    Byte(prop::sample::Index, u8),
    Cut(prop::sample::Index, u8),
    Insert(prop::sample::Index, &'static str),
    Copy(prop::sample::Index, prop::sample::Index, u8),
    Truncate(prop::sample::Index),
}

fn harm() -> impl Strategy<Value = Harm> {
    let pieces = vec![
        "\r\n",
        "\n",
        "\r",
        " ",
        "\t",
        ";",
        ",",
        "<",
        ">",
        "\"",
        "\\",
        ":",
        "@",
        "=",
        "?",
        "[",
        "]",
        "%00",
        "\0",
        "sip:",
        "Via: SIP/2.0/UDP a\r\n",
        "v:x\r\n",
        "Route: <sip:192.0.2.1;lr>\r\n",
        "Route: <sip:192.0.2.25>\r\n",
        "Content-Length: 0\r\n",
        "l: 70000\r\n",
        "Max-Forwards: 1\r\n",
        ";tag=",
        ";branch=z9hG4bK",
        ";rport",
        ";maddr=1.2.3.4",
        "z9hG4bKtw",
        "\r\n\r\n",
        ";received=",
        "Record-Route: <sip:x;lr>\r\n",
        "CSeq: 1 ACK\r\n",
        "Proxy-Require: x\r\n",
        "\u{e9}",
        "65536",
        "-1",
    ];
    prop_oneof![
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Harm::Byte(at, byte)),
        (any::<prop::sample::Index>(), 1u8..40).prop_map(|(at, length)| Harm::Cut(at, length)),
        (any::<prop::sample::Index>(), prop::sample::select(pieces)).prop_map(|(at, piece)| Harm::Insert(at, piece)),
        (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1u8..60)
            .prop_map(|(from, to, length)| Harm::Copy(from, to, length)),
        any::<prop::sample::Index>().prop_map(Harm::Truncate),
    ]
}

fn harmed(mut bytes: Vec<u8>, harms: &[Harm]) -> Vec<u8> {
    for harm in harms {
        if bytes.is_empty() {
            break;
        }
        let length = bytes.len();
        match harm {
            Harm::Byte(at, byte) => bytes[at.index(length)] = *byte,
            Harm::Cut(at, count) => {
                let at = at.index(length);
                bytes.drain(at..(at + usize::from(*count)).min(length));
            }
            Harm::Insert(at, piece) => {
                let at = at.index(length);
                bytes.splice(at..at, piece.bytes());
            }
            Harm::Copy(from, to, count) => {
                let from = from.index(length);
                let piece = bytes[from..(from + usize::from(*count)).min(length)].to_vec();
                let to = to.index(length);
                bytes.splice(to..to, piece);
            }
            Harm::Truncate(at) => bytes.truncate(at.index(length)),
        }
    }
    bytes
}

fn requests() -> Vec<Vec<u8>> {
    let called = ["200", "300", "400", "500", "600", "700", "999"];
    let methods = ["INVITE", "ACK", "CANCEL", "OPTIONS", "BYE", "REGISTER", "MESSAGE"];
    let mut all = Vec::new();
    for method in methods {
        for called in called {
            let request = Request::new(method, &format!("sip:{called}@192.0.2.1"), "1").body("v=0\r\n");
            all.push(request.text().into_bytes());
            all.push(request.tagged("b").extra("Route: <sip:192.0.2.1;lr>, <sip:192.0.2.20>").text().into_bytes());
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn harmed_requests_do_no_harm(
        which in prop::sample::select(requests()), harms in prop::collection::vec(harm(), 0..6), stream in any::<bool>(),
    ) {
        let bytes = harmed(which, &harms);
        let mut world = World::new();
        let (transport, from) = if stream { (Transport::Tcp, "192.0.2.30:5060") } else { (Transport::Udp, ALICE) };
        for _ in 0..2 {
            world.arrive(transport, from.parse().unwrap(), &bytes);
        }
        for sent in world.take() {
            // Whatever the edge makes of it, it can read itself.
            let read = crate::sip::Message::parse(sent.bytes.clone().into(), crate::sip::Framing::Stream, &crate::sip::Limits::TOP);
            prop_assert!(read.is_ok_and(|read| read.flaw().is_none()), "{}", sent.text());
        }
        world.finish();
    }

    #[test]
    fn harmed_answers_do_no_harm(
        called in prop::sample::select(vec!["200", "300", "400", "500", "700"]),
        rounds in prop::collection::vec((prop::sample::select(vec![100u16, 180, 200, 302, 401, 408, 486, 487, 503, 603]), prop::collection::vec(harm(), 0..4)), 1..6),
        cancelled in any::<bool>(),
    ) {
        let mut world = World::new();
        let invite = Request::new("INVITE", &format!("sip:{called}@192.0.2.1"), "1");
        let mut pending = world.call(&invite);
        for (round, (status, harms)) in rounds.into_iter().enumerate() {
            if cancelled && round == 1 {
                world.request(ALICE, &invite.following("CANCEL"));
            }
            let Some(sent) = pending.pop() else { break };
            let answer = sent.answer(status, "b").extra("WWW-Authenticate: Digest realm=\"x\"").body("x").text();
            world.arrive(sent.transport, sent.to, &harmed(answer.into_bytes(), &harms));
            pending.push(sent);
            pending.extend(world.take().into_iter().filter(|sent| sent.branch.is_some() && sent.what() != "ACK"));
            world.pass(700);
        }
        world.finish();
    }

    #[test]
    fn noise_is_no_message(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut world = World::new();
        world.arrive(Transport::Udp, ALICE.parse().unwrap(), &bytes);
        world.arrive(Transport::Tcp, BOB.parse().unwrap(), &bytes);
        prop_assert_eq!(world.len(), 0);
    }
}
