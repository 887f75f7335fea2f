//! Nothing of one side can be seen on the other: whole captures are searched.

use super::super::wire::Sent;
use super::super::world::{ALICE, BOB};
use super::party::{Call, Party, SDP, owned, set_up};
use crate::sip::Transport;

/// What a side says of itself.
const OF_CALLER: [&str; 9] = [
    "192.0.2.10",
    "192.0.2.11",
    "alice-200",
    "inner.alice.example",
    "pai.alice.example",
    "div.alice.example",
    "hist.alice.example",
    "Phone of alice",
    "secret-alice",
];
const OF_CALLEE: [&str; 6] =
    ["192.0.2.20", "192.0.2.21", "inner.bob.example", "Phone of", "warn.bob.example", "pai.bob.example"];

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
        Via: SIP/2.0/TCP inner.alice.example;branch=z9hG4bKsecret-alice\r\n";
    let answer = "Record-Route: <sip:192.0.2.21;lr>\r\nWarning: 399 warn.bob.example \"hm\"\r\n\
        P-Asserted-Identity: <sip:+449@pai.bob.example>\r\n";
    let Call { mut world, mut caller, mut callee, mut seen } = set_up(owned(), caller, callee, invite, answer);
    let asserted = seen[0].header("P-Asserted-Identity").unwrap();
    assert_eq!(asserted, "\"A\" <sip:+441@192.0.2.1;user=phone>, <tel:+441>");
    assert_eq!(
        seen[0].header("History-Info").unwrap(),
        "<sip:+443@192.0.2.1?Reason=SIP%3Bcause%3D302>;index=1, <sip:4@192.0.2.1>;index=1.1"
    );
    assert_eq!(seen[0].header("Diversion").unwrap(), "<sip:+442@192.0.2.1>;reason=no-answer");
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
