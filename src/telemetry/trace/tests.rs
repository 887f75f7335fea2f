use super::*;
use crate::call::dialog_token::SealKey;
use crate::call::seal::{Key, KeyRing};
use crate::transaction::HashKey;

fn secrets() -> Secrets {
    Secrets {
        hash: HashKey::new([1; 16]),
        tags: [2; 16],
        seal: SealKey::new([3; 16]),
        ring: KeyRing::new(Key::derive(&[4; 32]).unwrap(), None).unwrap(),
    }
}

fn settings() -> Settings {
    Settings {
        ring_bytes: 4 << 20,
        max_message_bytes: 2_000,
        sample_percent: 100,
        hold: Duration::from_secs(30),
        options: false,
        max_followers: 2,
        follower_queue: 4,
    }
}

fn message(method: &str, call: &str) -> Vec<u8> {
    format!("{method} sip:1002@h SIP/2.0\r\nTo: <sip:1002@h>\r\nCall-ID: {call}\r\nCSeq: 1 {method}\r\n\r\n")
        .into_bytes()
}

fn seen(bytes: &[u8]) -> Seen<'_> {
    let Entry { direction, transport, listener, connection, trunk, local, remote, .. } = Entry::default();
    Seen { direction, transport, listener, connection, trunk, stranger: false, local, remote, bytes }
}

fn id(call: &str) -> CallId {
    CallId::of(&secrets(), call.as_bytes())
}

#[test]
fn all_legs_of_a_call_are_kept_together() {
    let (trace, secrets) = (Trace::new(settings(), None), secrets());
    let mut far = Vec::new();
    secrets.ring.seal_call_id(secrets.ring.current(), b"near@pbx", 1, &mut far).unwrap();
    let far = String::from_utf8(far).unwrap();
    let (one, two) = (message("INVITE", "near@pbx"), message("INVITE", &far));
    trace.note(&secrets, &seen(&one));
    trace.note(&secrets, &seen(&two));
    trace.note(&secrets, &seen(&message("INVITE", "other@pbx")));
    trace.note(&secrets, &seen(b"no message"));
    let kept = trace.call(id("near@pbx"));
    assert_eq!(kept.iter().map(|kept| kept.bytes.to_vec()).collect::<Vec<_>>(), [one, two]);
    let headings = trace.headings();
    assert_eq!(headings.iter().map(|heading| heading.messages).collect::<Vec<_>>(), [1, 2], "the last one first");
    assert!(headings[1].whole && headings[1].first.is_some());
    assert_eq!(trace.counts.unreadable.load(Relaxed), 1);
}

#[test]
fn long_messages_are_cut_and_told_to_be() {
    let trace = Trace::new(settings(), None);
    let mut long = message("MESSAGE", "long");
    long.resize(5_000, b'x');
    trace.note(&secrets(), &seen(&long));
    let kept = trace.call(id("long"));
    assert_eq!((kept[0].bytes.len(), kept[0].entry.full_len), (2_000, 5_000));
}

#[test]
fn options_and_strangers_push_no_call_out() {
    let trace = Trace::new(Settings { options: true, ..settings() }, None);
    trace.note(&secrets(), &seen(&message("INVITE", "call")));
    for number in 0..20_000 {
        trace.note(&secrets(), &seen(&message("OPTIONS", &format!("ping-{number}"))));
        let invite = message("INVITE", &format!("stranger-{number}"));
        trace.note(&secrets(), &Seen { stranger: true, ..seen(&invite) });
    }
    assert_eq!(trace.call(id("call")).len(), 1);
    assert_eq!(trace.call(id("ping-19999")).len(), 1, "they are kept, though not for long");
    assert_eq!(trace.call(id("ping-1")).len(), 0);
    assert_eq!(trace.headings().len(), 1);
    let silent = Trace::new(settings(), None);
    silent.note(&secrets(), &seen(&message("OPTIONS", "ping")));
    assert_eq!(silent.fill().entries, 0, "unless they are wanted, OPTIONS are not kept at all");
}

#[test]
fn calls_are_kept_whole_or_not_at_all() {
    let trace = Trace::new(Settings { sample_percent: 30, ..settings() }, None);
    for number in 0..1_000 {
        let call = format!("call-{number}");
        for method in ["INVITE", "ACK", "BYE"] {
            trace.note(&secrets(), &seen(&message(method, &call)));
        }
    }
    let headings = trace.headings();
    assert!(headings.iter().all(|heading| heading.messages == 3));
    assert!((200..400).contains(&headings.len()), "{}", headings.len());
    let skipped = trace.counts.skipped.load(Relaxed);
    assert_eq!(skipped, 3 * (1_000 - headings.len() as u64));
}

#[test]
fn the_ring_never_takes_more_than_its_bytes() {
    let trace = Trace::new(settings(), None);
    let mut large = message("INVITE", "x");
    for number in 0..20_000_u32 {
        large = message("INVITE", &format!("call-{number}"));
        large.resize(300 + (number as usize * 37) % 1_700, b'y');
        trace.note(&secrets(), &seen(&large));
    }
    let fill = trace.fill();
    assert!(fill.bytes <= settings().ring_bytes, "{fill:?}");
    assert!(fill.bytes > settings().ring_bytes / 2 && fill.holds.is_some(), "{fill:?}");
    assert_eq!(trace.call(id("call-19999"))[0].bytes[..], large[..], "and has what came last");
}

#[test]
fn without_a_ring_nothing_is_kept() {
    let trace = Trace::new(Settings { ring_bytes: 0, ..settings() }, None);
    assert!(!trace.is_on() && !trace.has_ring());
    trace.note(&secrets(), &seen(&message("INVITE", "x")));
    assert_eq!((trace.fill().entries, trace.headings().len(), trace.call(id("x")).len()), (0, 0, 0));
}

#[tokio::test]
async fn a_followed_call_is_kept_though_it_was_not_chosen() {
    let trace = Trace::new(Settings { sample_percent: 1, ..settings() }, None);
    let call = (0..).map(|number| format!("c{number}")).find(|call| !trace.chooses(id(call))).unwrap();
    let mut followed = trace.follow(Whom::read("1002").unwrap()).unwrap();
    trace.note(&secrets(), &seen(&message("INVITE", &call)));
    trace.note(&secrets(), &seen(&message("BYE", &call)));
    assert_eq!(trace.call(id(&call)).len(), 2);
    assert_eq!(followed.next().await.unwrap().bytes[..6], b"INVITE"[..]);
    assert_eq!(followed.next().await.unwrap().bytes[..3], b"BYE"[..]);
    for _ in 0..6 {
        trace.note(&secrets(), &seen(&message("BYE", &call)));
    }
    assert_eq!(trace.counts.not_followed.load(Relaxed), 2);
    drop(followed);
    assert_eq!(trace.fill().followers, 0);
}

#[test]
fn workers_and_readers_do_not_disturb_each_other() {
    let trace = Trace::new(settings(), None);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let trace = &trace;
            scope.spawn(move || {
                let secrets = secrets();
                for number in 0..3_000 {
                    trace.note(&secrets, &seen(&message("INVITE", &format!("{worker}-{number}"))));
                }
            });
        }
        for _ in 0..20 {
            for heading in trace.headings() {
                for kept in trace.call(heading.call) {
                    let peek = Peek::at(&kept.bytes).expect("what was kept is what came");
                    assert_eq!(CallId::of(&secrets(), peek.call_id), heading.call);
                }
            }
        }
    });
    assert_eq!(trace.counts.kept.load(Relaxed), 12_000);
}
