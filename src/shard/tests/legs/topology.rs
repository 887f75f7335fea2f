//! Nothing of one side can be seen on the other: whole captures are searched.

use std::sync::Arc;

use super::super::wire::Sent;
use super::super::world::{ALICE, BOB};
use super::party::{Call, Party, SDP, owned, set_up};
use crate::sip::Transport;
use crate::trunk::TrunkKind;
use crate::trunk::dialect::Dialect;

/// What a side says of itself.
const OF_CALLER: [&str; 7] =
    ["192.0.2.10", "192.0.2.11", "alice-200", "alice.example", "Phone of alice", "secret-alice", "House of"];
const OF_CALLEE: [&str; 6] = ["192.0.2.20", "192.0.2.21", "bob.example", "Phone of", "House of", "2001:db8::b"];

#[track_caller]
fn clean(sent: &[Sent], to: &str, words: &[&str], but: &[&str]) {
    let mut looked = 0;
    for sent in sent.iter().filter(|sent| sent.to == to.parse().unwrap()) {
        looked += 1;
        let text = sent.text().replace(SDP, "");
        // The address of a target is its own in its Request-URI.
        for word in words.iter().filter(|word| !but.contains(word)) {
            assert!(!text.contains(word), "{word} in\n{text}");
        }
    }
    assert!(looked > 3, "{looked} messages to {to}");
}

#[test]
fn captures_of_both_sides_hold_nothing_of_the_other() {
    let caller = Party::new(ALICE, Transport::Udp, "alice", "200");
    let callee = Party::new(BOB, Transport::Udp, "bob", "");
    let invite = "Record-Route: <sip:192.0.2.11;lr>\r\nRoute: <sip:192.0.2.1;lr>, <sip:inner.alice.example;lr>\r\n\
        P-Asserted-Identity: \"A\" <sip:+441@pai.alice.example:5070;user=phone>, <tel:+441>\r\n\
        P-Preferred-Identity: <sip:+441@pai.alice.example>\r\nRemote-Party-ID: <sip:+441@pai.alice.example>;party=calling\r\n\
        Diversion: <sip:+442@div.alice.example;transport=tcp>;reason=no-answer\r\n\
        History-Info: <sip:+443@hist.alice.example?Reason=SIP%3Bcause%3D302>;index=1, <sip:4@hist.alice.example>;index=1.1\r\n\
        Reply-To: <sip:a@reply.alice.example>\r\nReferred-By: <sip:a@ref.alice.example>\r\nOrganization: House of A\r\n\
        Call-Info: <http://info.alice.example/a.png>;purpose=icon, <cid:1@part>;purpose=card\r\n\
        Alert-Info: <urn:alert:service:call-waiting>\r\nAlert-Info: <http://ring.alice.example/tone.wav>\r\n\
        In-Reply-To: secret-alice@192.0.2.10\r\nP-Visited-Network-ID: \"net of alice.example\"\r\n\
        P-Charging-Vector: icid-value=1;icid-generated-at=192.0.2.10\r\nP-Charging-Function-Addresses: ccf=ccf.alice.example\r\n\
        P-Served-User: <sip:a@served.alice.example>\r\nP-Called-Party-ID: <sip:2@called.alice.example>\r\n\
        P-Associated-URI: <sip:a@assoc.alice.example>\r\nX-Node: 7 at node7.inner.alice.example\r\nX-Real-IP: 192.0.2.10\r\n\
        X-Plain: 192.0.2.1 and alice\r\nSubject: hello\r\nUser-Agent: Phone of alice\r\nX-MS-Conversation: 1\r\n\
        Via: SIP/2.0/TCP inner.alice.example;branch=z9hG4bKsecret-alice\r\n";
    let answer = "Record-Route: <sip:192.0.2.21;lr>\r\nWarning: 399 warn.bob.example \"hm\", 307 [2001:db8::b] \"x\"\r\n\
        P-Asserted-Identity: <sip:+449@pai.bob.example>\r\nError-Info: <sip:sorry@error.bob.example>\r\n\
        Organization: House of B\r\nX-Media-Server: 192.0.2.20:4000\r\nX-Route: via 192.0.2.21\r\nX-Plain: 2\r\n\
        Call-Info: <https://www.bob.example/>\r\nReply-To: <sip:b@reply.bob.example>\r\n";
    let mut world = owned();
    for trunk in &mut Arc::make_mut(&mut Arc::make_mut(&mut world.edge).trunks).0 {
        // The side that is told most: nothing is left out for its kind.
        trunk.kind = TrunkKind::Pbx;
        trunk.dialect = Arc::new(Dialect::of_kind(TrunkKind::Pbx));
    }
    let Call { mut world, mut caller, mut callee, mut seen } = set_up(world, caller, callee, invite, answer);
    for (name, wanted) in [
        ("P-Asserted-Identity", "\"A\" <sip:+441@192.0.2.1;user=phone>, <tel:+441>"),
        ("History-Info", "<sip:+443@192.0.2.1?Reason=SIP%3Bcause%3D302>;index=1, <sip:4@192.0.2.1>;index=1.1"),
        ("Diversion", "<sip:+442@192.0.2.1>;reason=no-answer"),
        ("Reply-To", "<sip:a@192.0.2.1>"),
        ("Call-Info", "<cid:1@part>;purpose=card"),
        ("Alert-Info", "<urn:alert:service:call-waiting>"),
        ("P-Called-Party-ID", "<sip:2@192.0.2.1>"),
        ("X-Plain", "192.0.2.1 and alice"),
        ("Subject", "hello"),
    ] {
        assert_eq!(seen[0].headers(name), [wanted], "{name}");
    }
    for name in ["X-Node", "X-Real-IP", "P-Charging-Vector", "X-MS-Conversation", "P-Preferred-Identity"] {
        assert!(seen[0].headers(name).is_empty(), "{name}");
    }
    assert_eq!(seen[2].headers("X-Plain"), ["2"]);
    assert_eq!(seen[2].header("Warning").unwrap(), "399 192.0.2.1 \"hm\", 307 192.0.2.1 \"x\"");
    // The routes of both sides lead to proxies; here they answer for the phones.
    for (method, by_caller) in [("INVITE", true), ("INFO", false), ("INVITE", false), ("UPDATE", true), ("BYE", false)]
    {
        let (from, to) = if by_caller { (&mut caller, &mut callee) } else { (&mut callee, &mut caller) };
        let mut sent = from.asks(&mut world, method);
        let proxy = sent.to;
        let text = to.answer_text(&sent.text(), 200, if by_caller { answer } else { "" });
        world.arrive(Transport::Udp, to.addr.parse().unwrap(), text.as_bytes());
        assert!(["192.0.2.11:5060", "192.0.2.21:5060"].contains(&proxy.to_string().as_str()), "{proxy}");
        sent.to = to.addr.parse().unwrap();
        seen.push(sent);
        let mut back = world.take();
        assert_eq!(back.len(), 1);
        from.learns(&back[0]);
        seen.append(&mut back);
    }
    let ack = seen.iter_mut().find(|sent| sent.what() == "ACK").unwrap();
    ack.to = BOB.parse().unwrap();
    clean(&seen, BOB, &OF_CALLER, &[]);
    clean(&seen, ALICE, &OF_CALLEE, &[]);
}
