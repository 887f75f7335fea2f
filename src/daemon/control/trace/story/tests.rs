use std::path::Path;

use super::*;
use crate::config;

const CONFIG: &str = "[node]\nname = \"n\"\n[[listen]]\nname = \"inside\"\nbind = \"udp:127.0.0.1:5060\"\n\
    [trunk.pbx]\nkind = \"pbx\"\nlisten = \"inside\"\ntargets = [\"udp:192.0.2.1:5060\"]\n\
    [trunk.carrier]\nkind = \"carrier\"\nlisten = \"inside\"\ntargets = [\"udp:192.0.2.2:5060\", \"udp:192.0.2.3:5060\"]\n";

fn edge() -> Edge {
    let loaded = config::load_str("t", CONFIG, Path::new(".")).unwrap();
    crate::daemon::build::edge(loaded.config.limits, &loaded, |_| None)
}

fn kept(at_us: u64, direction: Direction, remote: &str, start: &str, headers: &str) -> Kept {
    let bytes = format!("{start}\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n{headers}\r\n").into_bytes();
    let mut entry = Entry::default();
    (entry.at_us, entry.unix_us) = (1_000 + at_us, 1_795_510_801_000_000 + at_us);
    (entry.direction, entry.remote) = (direction, remote.parse().unwrap());
    entry.local = "127.0.0.1:5060".parse().unwrap();
    entry.full_len = bytes.len() as u32;
    Kept { entry, bytes: bytes.into() }
}

fn tell(edge: &Edge, look: TraceLook, kept: &[Kept]) -> TraceShown {
    Teller::new(edge, look).tell(CallId(1), "edge-1", kept)
}

#[test]
fn peers_are_trunks_at_addresses() {
    let edge = edge();
    let shown = tell(
        &edge,
        TraceLook::default(),
        &[
            kept(0, Direction::In, "192.0.2.1:5060", "INVITE sip:1@h SIP/2.0", "To: <sip:1@h>\r\n"),
            kept(5, Direction::Out, "192.0.2.2:5060", "INVITE sip:1@h SIP/2.0", ""),
            kept(9, Direction::Out, "192.0.2.3:5060", "INVITE sip:1@h SIP/2.0", ""),
            kept(10, Direction::In, "192.0.2.1:40000", "ACK sip:1@h SIP/2.0", ""),
            kept(11, Direction::In, "198.51.100.9:5060", "SIP/2.0 200 OK", ""),
        ],
    );
    let names: Vec<&str> = shown.peers.iter().map(|peer| peer.name.as_str()).collect();
    assert_eq!(names, ["pbx", "carrier 192.0.2.2", "carrier 192.0.2.3", "198.51.100.9"]);
    assert_eq!(shown.messages.iter().map(|message| message.peer).collect::<Vec<_>>(), [0, 1, 2, 0, 3]);
    assert_eq!(shown.messages.iter().map(|message| message.at_us).collect::<Vec<_>>(), [0, 5, 9, 10, 11]);
    assert!(shown.whole && shown.redacted);
    assert_eq!((shown.began.as_str(), shown.call_ids), ("2026-11-24T09:00:01.000000Z", vec!["x".to_owned()]));
}

#[test]
fn what_passes_again_is_marked_and_reasons_are_put_in_words() {
    let edge = edge();
    let refusal = "Reason: Q.850;cause=21;text=\"403 510560\"\r\n";
    let shown = tell(
        &edge,
        TraceLook::default(),
        &[
            kept(0, Direction::In, "192.0.2.1:5060", "INVITE sip:1@h SIP/2.0", ""),
            kept(1, Direction::In, "192.0.2.1:5060", "INVITE sip:1@h SIP/2.0", ""),
            kept(2, Direction::Out, "192.0.2.1:5060", "INVITE sip:1@h SIP/2.0", ""),
            kept(3, Direction::In, "192.0.2.2:5060", "SIP/2.0 403 Forbidden", refusal),
        ],
    );
    assert_eq!(shown.messages.iter().map(|message| message.again).collect::<Vec<_>>(), [false, true, false, false]);
    let refused = &shown.messages[3];
    assert_eq!((refused.status, refused.phrase.as_deref()), (Some(403), Some("Forbidden")));
    assert!(refused.meaning.as_deref().unwrap().contains("Enterprise Voice"), "{refused:?}");
}

#[test]
fn messages_are_shown_when_asked_for_and_open_only_when_let() {
    let edge = edge();
    let message = [kept(0, Direction::In, "192.0.2.1:5060", "BYE sip:1@h SIP/2.0", "Authorization: Digest x\r\n")];
    let text = |messages, unredacted| tell(&edge, TraceLook { messages, unredacted }, &message).messages.remove(0).text;
    assert_eq!(text(false, true), None);
    assert!(text(true, false).unwrap().contains("Authorization: Digest …\r\n"));
    assert!(text(true, true).unwrap().contains("Authorization: Digest x\r\n"));
}

#[test]
fn addresses_that_only_say_any_are_learned() {
    let edge = edge();
    let mut teller = Teller::new(&edge, TraceLook::default());
    let mut any = kept(0, Direction::Out, "192.0.2.1:5060", "BYE sip:1@h SIP/2.0", "").entry;
    any.local = "0.0.0.0:5060".parse().unwrap();
    assert_eq!(teller.local_of(&any), any.local);
    teller.local_of(&kept(0, Direction::In, "192.0.2.1:5060", "BYE sip:1@h SIP/2.0", "").entry);
    assert_eq!(teller.local_of(&any).to_string(), "127.0.0.1:5060");
    assert_eq!(teller.comment(&any), "call 0000000000000000, udp at listener inside, trunk pbx");
}

#[test]
fn parties_and_times_are_read() {
    let message = b"INVITE sip:1@h SIP/2.0\r\nf: \"A\" <sip:+44;x=y@h>;tag=1\r\nTo: <sip:h>\r\n\r\n";
    assert_eq!(party(message, b"from", b"f").as_deref(), Some("+44;x=y"));
    assert_eq!(party(message, b"to", b"t").as_deref(), Some("h"));
    assert_eq!(party(message, b"contact", b"m"), None);
    assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000Z");
    assert_eq!(rfc3339(u64::MAX), "");
}
