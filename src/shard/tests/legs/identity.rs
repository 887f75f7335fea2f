//! Who calls and who has diverted the call, as the far side is told: whole header lines.

use std::path::Path;
use std::sync::Arc;

use super::super::office::{SITE, TEAMS, office};
use super::super::wire::{Answer, Sent, headers, param};
use super::super::world::{ALICE, BOB, World, own_all_legs};
use super::party::{Party, uri};
use crate::call::Edge;
use crate::sip::Transport;
use crate::trunk::dialect::identity::{Diverted, From, Told};
use crate::trunk::dialect::{Dialect, Identity};
use crate::trunk::{Trunk, TrunkKind};

const HOST: &str = "192.0.2.1";
const NOBODY: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";

/// Changes a trunk of an edge.
fn change(edge: &mut Edge, name: &str, change: impl FnOnce(&mut Trunk)) {
    let trunks = &mut Arc::make_mut(&mut edge.trunks).0;
    change(trunks.iter_mut().find(|trunk| &*trunk.name == name).expect("a trunk"));
}

fn speak(edge: &mut Edge, name: &str, kind: TrunkKind, and: impl FnOnce(&mut Dialect)) {
    change(edge, name, |trunk| {
        trunk.kind = kind;
        trunk.transparent = false;
        let mut dialect = Dialect::of_kind(kind);
        and(&mut dialect);
        trunk.dialect = Arc::new(dialect);
    });
}

/// A world in which `alice` is a peer of one kind and `bob` of another, each with something of its own.
fn world(near: (TrunkKind, fn(&mut Identity)), far: (TrunkKind, fn(&mut Identity))) -> World {
    World::with(
        |edge| {
            speak(edge, "alice", near.0, |dialect| near.1(&mut dialect.identity));
            speak(edge, "bob", far.0, |dialect| far.1(&mut dialect.identity));
        },
        1_000,
    )
}

/// The lines of what was sent that tell of people, in order.
fn told(sent: &Sent) -> Vec<String> {
    const NAMES: [&str; 13] = [
        "From",
        "P-Asserted-Identity",
        "P-Preferred-Identity",
        "Remote-Party-ID",
        "Privacy",
        "Diversion",
        "History-Info",
        "Referred-By",
        "Identity",
        "Reply-To",
        "P-Served-User",
        "Subject",
        "Organization",
    ];
    let text = sent.text();
    let head = text.split("\r\n\r\n").next().unwrap();
    let lines = head.split("\r\n").skip(1);
    lines
        .filter(|line| NAMES.iter().any(|name| line.split(':').next().is_some_and(|it| it.eq_ignore_ascii_case(name))))
        .map(str::to_owned)
        .collect()
}

/// What `bob` is told of an INVITE of `alice`'s with this From and these further lines.
#[track_caller]
fn invited(mut world: World, from: &str, lines: &[&str]) -> Vec<String> {
    let mut alice = Party::new(ALICE, Transport::Udp, "alice", "200");
    alice.own = format!("{from};tag=of-alice");
    alice.extra = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let sent = alice.asks(&mut world, "INVITE");
    assert_eq!(sent.what(), "INVITE", "{}", sent.text());
    told(&sent)
}

const PLAIN: fn(&mut Identity) = |_| {};
const FROM: &str = "\"Al Ice\" <sip:+441632960001@pbx.example:5070;user=phone>";
const PAI: &str = "P-Asserted-Identity: \"Al\" <sip:+441632960002@pbx.example;user=phone>";
const RPID: &str = "Remote-Party-ID: <sip:+441632960003@pbx.example>;party=calling;privacy=off";

fn from(address: &str) -> String {
    format!("From: {address};tag=of-alice")
}

fn passed() -> String {
    from(&format!("\"Al Ice\" <sip:+441632960001@{HOST};user=phone>"))
}

fn asserted(number: &str) -> String {
    format!("P-Asserted-Identity: <sip:{number}@{HOST};user=phone>")
}

#[test]
fn e25_caller_id_policies_of_a_trunk() {
    use TrunkKind::{Carrier, Pbx};
    let pai = || format!("P-Asserted-Identity: \"Al\" <sip:+441632960002@{HOST};user=phone>");
    let rpid = || format!("Remote-Party-ID: <sip:+441632960003@{HOST}>;party=calling;privacy=off");
    type Row<'a> = (&'a str, fn(&mut Identity), &'a [&'a str], Vec<String>);
    let rows: [Row<'_>; 12] = [
        ("nothing said", PLAIN, &[], vec![passed()]),
        ("pass", PLAIN, &[PAI, RPID], vec![passed(), pai(), rpid()]),
        ("strip", |it| (it.asserted, it.remote_party) = (Told::Strip, Told::Strip), &[PAI, RPID], vec![passed()]),
        ("add where there is none", |it| it.asserted = Told::Add, &[], vec![passed(), asserted("+441632960001")]),
        ("add where there is one", |it| it.asserted = Told::Add, &[PAI], vec![passed(), pai()]),
        (
            "a number of the trunk",
            |it| (it.asserted, it.number) = (Told::Number, Some("01632960000".into())),
            &[PAI],
            vec![passed(), asserted("01632960000")],
        ),
        (
            "from as asserted",
            |it| it.from = From::Asserted,
            &[PAI],
            vec![from(&format!("\"Al Ice\" <sip:+441632960002@{HOST};user=phone>")), pai()],
        ),
        ("from as asserted, and nothing is", |it| it.from = From::Asserted, &[], vec![passed()]),
        (
            "from is the trunk's number, who calls is asserted",
            |it| (it.from, it.asserted, it.number) = (From::Number, Told::Add, Some("+441632960000".into())),
            &[],
            vec![from(&format!("\"Al Ice\" <sip:+441632960000@{HOST};user=phone>")), asserted("+441632960001")],
        ),
        ("preferred goes no further", PLAIN, &["P-Preferred-Identity: <sip:+44@pbx.example>"], vec![passed()]),
        (
            "preferred instead",
            |it| (it.asserted, it.preferred) = (Told::Strip, Told::Add),
            &[PAI],
            vec![passed(), format!("P-Preferred-Identity: <sip:+441632960002@{HOST};user=phone>")],
        ),
        (
            "remote party",
            |it| it.remote_party = Told::Add,
            &[],
            vec![
                passed(),
                format!("Remote-Party-ID: <sip:+441632960001@{HOST};user=phone>;party=calling;screen=yes;privacy=off"),
            ],
        ),
    ];
    for (what, policy, lines, wanted) in rows {
        for kind in [Carrier, Pbx] {
            assert_eq!(invited(world((Pbx, PLAIN), (kind, policy)), FROM, lines), wanted, "{what}");
        }
    }
}

#[test]
fn e25_who_hides_is_told_to_trusted_peers_only() {
    use TrunkKind::{Carrier, Pbx, Teams};
    let id = "Privacy: id";
    let hidden = || from(NOBODY);
    let pai = || format!("P-Asserted-Identity: \"Al\" <sip:+441632960002@{HOST};user=phone>");
    let privacy = |words: &str| format!("Privacy: {words}");
    let revealing = [
        PAI,
        RPID,
        "Identity: eyJhbGciOiJFUzI1NiJ9;info=<https://cert.example.org/a.crt>",
        "Reply-To: <sip:al@pbx.example>",
        "Referred-By: <sip:al@pbx.example>",
        "P-Served-User: <sip:al@pbx.example>",
        "Organization: Al's",
        "Privacy: user;id",
    ];
    let add: fn(&mut Identity) = |it| (it.asserted, it.remote_party) = (Told::Add, Told::Add);
    let number: fn(&mut Identity) =
        |it| (it.from, it.asserted, it.number) = (From::Number, Told::Number, Some("+441632960000".into()));
    type Row<'a> = (&'a str, TrunkKind, fn(&mut Identity), &'a str, &'a [&'a str], Vec<String>);
    let rows: [Row<'_>; 12] = [
        ("id", Carrier, PLAIN, FROM, &[PAI, id], vec![hidden(), privacy("id")]),
        ("user", Carrier, PLAIN, FROM, &["PRIVACY: User"], vec![hidden(), "PRIVACY: User".to_owned()]),
        ("all of it", Carrier, PLAIN, FROM, &revealing, vec![hidden(), privacy("user;id")]),
        ("id, trusted", Carrier, |it| it.trusted = true, FROM, &[PAI, id], vec![passed(), pai(), privacy("id")]),
        ("id, pbx", Pbx, PLAIN, FROM, &[PAI, id], vec![passed(), pai(), privacy("id")]),
        ("id, teams", Teams, PLAIN, FROM, &[PAI, id], vec![passed(), pai(), privacy("id")]),
        ("none", Carrier, PLAIN, FROM, &[PAI, "Privacy: none"], vec![passed(), pai(), privacy("none")]),
        ("header", Carrier, PLAIN, FROM, &["Privacy: header"], vec![passed(), privacy("header")]),
        (
            "remote party",
            Carrier,
            PLAIN,
            FROM,
            &["Remote-Party-ID: <sip:+441632960003@pbx.example>;privacy=full"],
            vec![hidden(), privacy("id")],
        ),
        ("nothing is added", Carrier, add, FROM, &[id], vec![hidden(), privacy("id")]),
        ("nor put there", Carrier, number, FROM, &[PAI, id], vec![hidden(), privacy("id")]),
        (
            "anonymous already, asserted without a wish",
            Carrier,
            add,
            NOBODY,
            &[PAI],
            vec![
                hidden(),
                pai(),
                format!("Remote-Party-ID: <sip:+441632960002@{HOST};user=phone>;party=calling;screen=yes;privacy=off"),
            ],
        ),
    ];
    for (what, kind, policy, address, lines, wanted) in rows {
        assert_eq!(invited(world((Pbx, PLAIN), (kind, policy)), address, lines), wanted, "{what}");
    }
}

#[test]
fn e25_what_a_stranger_asserts_is_left_out() {
    use TrunkKind::{Carrier, Pbx};
    let add: fn(&mut Identity) = |it| it.asserted = Told::Add;
    assert_eq!(invited(world((Carrier, PLAIN), (Pbx, PLAIN)), FROM, &[PAI, RPID]), [passed()]);
    // What is added then is what From says.
    let wanted = [passed(), asserted("+441632960001")];
    assert_eq!(invited(world((Carrier, PLAIN), (Pbx, add)), FROM, &[PAI]), wanted);
    let believed: fn(&mut Identity) = |it| it.believed = true;
    let wanted = [passed(), format!("P-Asserted-Identity: \"Al\" <sip:+441632960002@{HOST};user=phone>")];
    assert_eq!(invited(world((Carrier, believed), (Pbx, PLAIN)), FROM, &[PAI]), wanted);
}

/// Later requests of a caller who hides do not tell either, after a restart neither, and the answers are the caller's own.
#[test]
fn e25_who_hides_stays_hidden_in_the_dialog() {
    let mut world = world((TrunkKind::Pbx, PLAIN), (TrunkKind::Carrier, PLAIN));
    let mut alice = Party::new(ALICE, Transport::Udp, "alice", "200");
    alice.own = format!("{FROM};tag=of-alice");
    alice.extra = "Privacy: id\r\n".to_owned();
    let sent = alice.asks(&mut world, "INVITE");
    let mut bob = Party::new(BOB, Transport::Udp, "bob", "");
    let ok = bob.answers(&mut world, &sent, 200, "P-Asserted-Identity: <sip:+449@192.0.2.20>\r\n");
    assert_eq!(ok.headers("P-Asserted-Identity"), [""; 0], "a carrier is not believed");
    alice.learns(&ok);
    alice.extra.clear();
    let ack = alice.asks(&mut world, "ACK");
    assert_eq!(told(&ack), [from(NOBODY)]);
    world.restart();
    let sent = alice.asks(&mut world, "INFO");
    assert_eq!(told(&sent), [from(NOBODY)]);
    alice.learns(&bob.answers(&mut world, &sent, 200, ""));
    // The callee's re-INVITE makes the caller's token anew; one that changes nothing would stay on its leg.
    let text = bob.request("INVITE").replace("203.0.113.5", "203.0.113.6");
    bob.send(&mut world, &text);
    let sent = world.take().into_iter().find(|sent| sent.what() == "INVITE").expect("a re-INVITE");
    assert!(sent.header("From").unwrap().contains("of-bob"), "{}", sent.text());
    let back = alice.answers(&mut world, &sent, 200, "");
    bob.learns(&back);
    bob.asks(&mut world, "ACK");
    let bye = alice.asks(&mut world, "BYE");
    assert_eq!(told(&bye), [from(NOBODY)]);
}

/// A callee who hides is not told of either (RFC 3325 section 9.1: answers too).
#[test]
fn e25_answers_follow_the_same_rules() {
    for (kind, wanted) in [(TrunkKind::Pbx, 1), (TrunkKind::Carrier, 0)] {
        let mut world = world((kind, PLAIN), (TrunkKind::Pbx, PLAIN));
        let mut alice = Party::new(ALICE, Transport::Udp, "alice", "200");
        let sent = alice.asks(&mut world, "INVITE");
        let mut bob = Party::new(BOB, Transport::Udp, "bob", "");
        let more = "P-Asserted-Identity: <sip:+449@192.0.2.20>\r\nPrivacy: id\r\nX-Of: 192.0.2.20\r\n";
        let ringing = bob.answers(&mut world, &sent, 180, more);
        assert_eq!(ringing.headers("P-Asserted-Identity").len(), wanted);
        assert_eq!(ringing.headers("Privacy"), ["id"]);
        assert!(ringing.headers("X-Of").is_empty());
    }
}

const BY: &str = "\"B\" <sip:+441632960010@pbx.example;transport=tcp>";
const AND_BY: &str = "<tel:+441632960011>";

/// As Teams writes it, in the forms that were seen, and as others do.
#[test]
fn e25_history_becomes_diversion_for_carriers() {
    let entry =
        |reason: &str| format!("<sip:+441632960010@sip.pstnhub.microsoft.com:5061;user=phone?{reason}>;index=1");
    let last = "<sip:200@sip.pstnhub.microsoft.com:5061;user=phone>;index=1.1";
    let by = |user: &str, reason: &str| {
        format!("Diversion: <sip:{user}@{HOST};user=phone>;reason={reason};counter=1;privacy=off")
    };
    let first = || vec![passed(), by("+441632960010", "unconditional")];
    let rows: Vec<(String, Vec<String>)> = vec![
        (
            format!("{},{last}", entry("Reason=SIP%3Bcause%3D302%3Btext%3D%22Moved%20Temporarily%22")),
            first(),
        ),
        (format!("{}, {last}", entry("Reason=SIP;cause=302;text=\"Moved Temporarily\"")), first()),
        (format!("{}, {last}", entry("Reason=SIP;cause=302;text=\u{201c}Moved Temporarily\u{201d}")), first()),
        (format!("{}, {last}", entry("reason=sip%3bcause%3d302")), first()),
        (format!("{}, {last}", entry("Reason=Q.850%3Bcause%3D17")), vec![passed(), by("+441632960010", "user-busy")]),
        // RFC 7044: the cause stands in whom the call went to.
        (
            "<sip:+441632960010@x.example>;index=1, <sip:+441632960011@x.example;cause=408>;index=1.1;mp=1, \
             <sip:200@x.example;cause=486>;index=1.1.1;mp=1.1"
                .to_owned(),
            vec![passed(), by("+441632960011", "user-busy"), by("+441632960010", "no-answer")],
        ),
        (
            format!("{}, {last}", entry("Privacy=history&Reason=SIP%3Bcause%3D408")),
            vec![
                passed(),
                "Diversion: <sip:anonymous@anonymous.invalid>;reason=no-answer;counter=1;privacy=full".to_owned(),
            ],
        ),
        // Nobody has diverted: the history of a plain call.
        ("<sip:200@x.example>;index=1".to_owned(), vec![passed()]),
        ("nonsense".to_owned(), vec![passed()]),
        (
            "<sip:unknown@unknown.invalid;cause=404>;index=1,<sip:+441632960010@x.example?Reason=SIP%3Bcause%3D503>;index=1.1"
                .to_owned(),
            vec![
                passed(),
                format!("Diversion: <sip:+441632960010@{HOST};user=phone>;reason=unavailable;counter=2;privacy=off"),
            ],
        ),
    ];
    for (history, wanted) in rows {
        let line = format!("HISTORY-INFO: {history}");
        let world = world((TrunkKind::Teams, PLAIN), (TrunkKind::Carrier, PLAIN));
        assert_eq!(invited(world, FROM, &[&line]), wanted, "{history}");
    }
}

#[test]
fn e25_diversion_becomes_history_for_teams() {
    let target = "<sip:200@192.0.2.1;user=phone";
    let by = |cause: &str, rest: &str| format!("\"B\" <sip:+441632960010@{HOST};user=phone{cause}?{rest}>;index=");
    let reason = |cause: u16, text: &str| format!("Reason=SIP%3Bcause%3D{cause}%3Btext%3D%22{text}%22");
    let causes = [
        ("unconditional", 302, "Moved%20Temporarily"),
        ("no-answer", 408, "Request%20Timeout"),
        ("user-busy", 486, "Busy%20Here"),
        ("deflection", 480, "Temporarily%20Unavailable"),
        ("unavailable", 503, "Service%20Unavailable"),
        ("unknown", 404, "Not%20Found"),
        ("time-of-day", 404, "Not%20Found"),
        ("\"away\"", 404, "Not%20Found"),
    ];
    let told = |lines: &[&str]| invited(world((TrunkKind::Carrier, PLAIN), (TrunkKind::Teams, PLAIN)), FROM, lines);
    for (word, cause, text) in causes {
        let wanted = format!("History-Info: {}1, {target};cause={cause}>;index=1.1", by("", &reason(cause, text)));
        assert_eq!(told(&[&format!("Diversion: {BY};reason={word}")]), [passed(), wanted], "{word}");
    }
    // The last who diverted stands first, in one line or in two; a tel URI is a number too.
    let two =
        "<sip:+441632960011@192.0.2.1;user=phone?Reason=SIP%3Bcause%3D408%3Btext%3D%22Request%20Timeout%22>;index=1";
    let wanted = format!(
        "History-Info: {two}, {}1.1, {target};cause=486>;index=1.1.1",
        by(";cause=408", &reason(486, "Busy%20Here"))
    );
    let newest = format!("Diversion: {BY};reason=user-busy");
    let oldest = format!("Diversion: {AND_BY};reason=no-answer;counter=1");
    assert_eq!(told(&[&newest, &oldest]), [passed(), wanted.clone()]);
    assert_eq!(told(&[&format!("{newest}, {AND_BY};reason=no-answer")]), [passed(), wanted]);
    // Who is private stays so; Teams is trusted with it. A counter stands for those whom nobody knows.
    let wanted = format!(
        "History-Info: <sip:unknown@unknown.invalid>;index=1, {}1.1, {target};cause=302>;index=1.1.1",
        by(";cause=404", &format!("Privacy=history&{}", reason(302, "Moved%20Temporarily")))
    );
    let line = format!("Diversion: {BY};reason=unconditional;counter=2;privacy=full");
    assert_eq!(told(&[&line]), [passed(), wanted]);
}

#[test]
fn e25_a_trunk_says_which_headers_it_wants() {
    let diversion = format!("Diversion: {BY};reason=no-answer");
    let history = "History-Info: <sip:+441632960012@pbx.example?Reason=SIP%3Bcause%3D302>;index=1, <sip:200@pbx.example>;index=1.1";
    let kept_diversion = format!("Diversion: \"B\" <sip:+441632960010@{HOST}>;reason=no-answer");
    let kept_history = format!(
        "History-Info: <sip:+441632960012@{HOST}?Reason=SIP%3Bcause%3D302>;index=1, <sip:200@{HOST}>;index=1.1"
    );
    let rows: [(Diverted, Vec<&str>); 5] = [
        (Diverted::Pass, vec![&kept_diversion, &kept_history]),
        (Diverted::Both, vec![&kept_diversion, &kept_history]),
        (Diverted::Diversion, vec![&kept_diversion]),
        (Diverted::HistoryInfo, vec![&kept_history]),
        (Diverted::Strip, vec![]),
    ];
    for (wanted, lines) in rows {
        let world = World::with(
            |edge| {
                speak(edge, "alice", TrunkKind::Pbx, |_| {});
                speak(edge, "bob", TrunkKind::Carrier, |dialect| dialect.identity.diverted = wanted);
            },
            1_000,
        );
        let told = invited(world, FROM, &[&diversion, history]);
        assert_eq!(told[1..].iter().map(String::as_str).collect::<Vec<_>>(), lines, "{wanted:?}");
    }
}

#[test]
fn e25_private_diversions_are_not_told_to_who_is_not_trusted() {
    let private = "History-Info: \"B\" <sip:+441632960012@pbx.example?Privacy=history&Reason=SIP;cause=302>;index=1, <sip:200@pbx.example>;index=1.1";
    let nobody = "<sip:anonymous@anonymous.invalid";
    let pass: fn(&mut Identity) = |it| it.diverted = Diverted::Pass;
    let told = |kind, lines: &[&str]| invited(world((TrunkKind::Pbx, PLAIN), (kind, pass)), FROM, lines)[1..].to_vec();
    assert_eq!(
        told(TrunkKind::Carrier, &[private]),
        [format!(
            "History-Info: {nobody}?Privacy=history&Reason=SIP%3Bcause%3D302>;index=1, <sip:200@{HOST}>;index=1.1"
        )]
    );
    // What was not well-formed is so afterwards.
    assert_eq!(
        told(TrunkKind::Pbx, &[private]),
        [format!(
            "History-Info: \"B\" <sip:+441632960012@{HOST}?Privacy=history&Reason=SIP%3Bcause%3D302>;index=1, <sip:200@{HOST}>;index=1.1"
        )]
    );
    let diversion = format!("Diversion: {BY};reason=no-answer;privacy=full, {BY};reason=away;privacy=off");
    let kept = format!("\"B\" <sip:+441632960010@{HOST}>");
    assert_eq!(
        told(TrunkKind::Carrier, &[&diversion]),
        [format!("Diversion: {nobody}>;reason=no-answer;privacy=full, {kept};reason=away;privacy=off")]
    );
    assert_eq!(
        told(TrunkKind::Carrier, &[&diversion, "Privacy: history"]),
        [
            format!("Diversion: {nobody}>;reason=no-answer;privacy=full, {nobody}>;reason=away;privacy=off"),
            "Privacy: history".to_owned()
        ]
    );
}

#[test]
fn e25_calls_diverted_too_often_or_too_private_are_refused() {
    let carriers: fn(&mut Identity) = |it| it.max_diversions = 3;
    for (lines, status) in [
        (format!("Diversion: {BY};counter=2, {BY}"), None),
        (format!("Diversion: {BY};counter=3, {BY}"), Some(482)),
        (format!("Diversion: {BY};counter=70000"), Some(482)),
        (format!("Diversion: {}", [BY; 4].join(", ")), Some(482)),
        (format!("History-Info: {}", ["<sip:1@a?Reason=SIP%3Bcause%3D302>;index=1"; 4].join(", ")), Some(482)),
        ("Privacy: id;critical".to_owned(), None),
        ("Privacy: session".to_owned(), None),
        ("Privacy: session;critical".to_owned(), Some(500)),
    ] {
        let mut world = world((TrunkKind::Pbx, PLAIN), (TrunkKind::Carrier, carriers));
        let mut alice = Party::new(ALICE, Transport::Udp, "alice", "200");
        alice.extra = format!("{lines}\r\n");
        let sent = alice.asks(&mut world, "INVITE");
        assert_eq!((sent.status() != 0).then(|| sent.status()), status, "{lines}: {}", sent.text());
        assert_eq!(world.counts.identity_refused.total(), u32::from(status.is_some()), "{lines}");
    }
}

/// The office of contoso with a Teams side that speaks as Teams does.
fn teams_office() -> World {
    let mut world = office(1_000);
    let edge = Arc::make_mut(&mut world.edge);
    own_all_legs(edge);
    speak(edge, "echo", TrunkKind::Teams, |_| {});
    speak(edge, "alice", TrunkKind::Carrier, |dialect| dialect.identity.believed = true);
    world
}

#[test]
fn e13_numbers_to_teams_are_e164_and_marked_as_such() {
    for (uri, to, from, wanted_from) in [
        (
            "sip:+441632768403@sbc.contoso.example",
            "<sip:01632768403@192.0.2.1>",
            "\"Al Ice\" <sip:+441632960001@192.0.2.10:5060;transport=udp>",
            "\"Al Ice\" <sip:+441632960001@sbc.contoso.example;user=phone>",
        ),
        (
            "sips:+441632768403@sbc.contoso.example",
            "<sips:x@192.0.2.1>",
            "<sips:+441632960001@a.example>",
            "<sip:+441632960001@sbc.contoso.example;user=phone>",
        ),
        (
            "sip:+441632768403@sbc.contoso.example",
            "<tel:01632768403>",
            "<tel:+441632960001;ext=7>",
            "<sip:+441632960001;ext=7@sbc.contoso.example;user=phone>",
        ),
        (
            "sip:+441632768403;ext=403@sbc.contoso.example;user=phone",
            "<sip:x@y>",
            "John Doe<sip:+441632960001@a.example;user=phone>",
            "John Doe<sip:+441632960001@sbc.contoso.example;user=phone>",
        ),
        (
            "sip:+441632768403@sbc.contoso.example",
            "<sip:x@y>",
            "<sip:al.ice@a.example>",
            "<sip:al.ice@sbc.contoso.example>",
        ),
        ("sip:+441632768403@sbc.contoso.example", "<sip:x@y>", NOBODY, NOBODY),
    ] {
        let mut world = teams_office();
        let mut alice = Party::new(ALICE, Transport::Udp, "alice", "x");
        (alice.target, alice.other, alice.own) = (uri.to_owned(), to.to_owned(), format!("{from};tag=of-alice"));
        let sent = alice.asks(&mut world, "INVITE");
        assert_eq!(sent.to, TEAMS.parse().unwrap(), "{}", sent.text());
        let number = match uri {
            _ if uri.contains(";ext=") => "+441632768403;ext=403",
            _ => "+441632768403",
        };
        assert_eq!(sent.uri(), format!("sip:{number}@192.0.2.80:5060;user=phone"), "{uri}");
        assert_eq!(sent.header("From").unwrap(), format!("{wanted_from};tag=of-alice"));
        let wanted = format!("<sip:{number}@{SITE};user=phone>");
        assert_eq!(sent.header("To").unwrap(), wanted, "{to}");
        let contact = sent.header("Contact").unwrap();
        assert!(contact.contains(&format!("@{SITE}:5060")), "{contact}");
    }
}

/// A number without a host is called at the target (RFC 3261 section 19.1.6), by Teams and by others.
#[test]
fn e13_a_tel_uri_becomes_a_sip_uri() {
    for kind in [TrunkKind::Teams, TrunkKind::Carrier] {
        let mut world = world((TrunkKind::Pbx, PLAIN), (kind, PLAIN));
        let mut alice = Party::new(ALICE, Transport::Udp, "alice", "200");
        (alice.target, alice.other) = ("tel:200;ext=7".to_owned(), "<tel:200>".to_owned());
        let sent = alice.asks(&mut world, "INVITE");
        assert_eq!(sent.uri(), "sip:200;ext=7@192.0.2.20:5060;user=phone", "{kind:?}");
    }
}

/// Who is called by an extension has the number that Teams knows.
#[test]
fn e13_an_extension_rides_behind_the_number() {
    let mut world = teams_office();
    let mut pbx = Party::new(BOB, Transport::Udp, "402", "403");
    let text = pbx.request("INVITE");
    pbx.send(&mut world, &text);
    let sent = world.take().into_iter().find(|sent| sent.to == TEAMS.parse().unwrap()).expect("an INVITE");
    assert_eq!(sent.uri(), "sip:+441632768403;ext=403@192.0.2.80:5060;user=phone");
    assert_eq!(sent.header("To").unwrap(), format!("<sip:+441632768403;ext=403@{SITE};user=phone>"));
    let from = sent.header("From").unwrap();
    assert!(from.starts_with(&format!("\"402\" <sip:+441632768402;ext=402@{SITE};user=phone>")), "{from}");
}

/// X-MS-SBC in all that goes to Teams, of the edge's own too, once in each message, and to nobody else.
#[test]
fn e27_all_that_goes_to_teams_says_who_made_the_edge() {
    let mut world = teams_office();
    let mut seen: Vec<Sent> = Vec::new();
    // Teams calls the PBX: 100, 180, 200, and a re-INVITE.
    let mut teams = Party::new(TEAMS, Transport::Udp, "+441632768499", "");
    teams.target = format!("sip:+441632768402@{SITE}:5061;user=phone;transport=tls");
    teams.other = format!("<sip:+441632768402@{SITE}:5061;user=phone>");
    let text = teams.request("INVITE");
    teams.send(&mut world, &text);
    let mut sent = world.take();
    let invite = sent.iter().find(|sent| sent.what() == "INVITE").expect("an INVITE").clone();
    seen.append(&mut sent);
    let mut pbx = Party::new(BOB, Transport::Udp, "402", "");
    for status in [180, 200] {
        let answer = pbx.answers(&mut world, &invite, status, "X-MS-SBC: Other/Box/1\r\n");
        teams.other = answer.header("To").unwrap();
        teams.target = uri(&answer.header("Contact").unwrap());
        seen.push(answer);
    }
    seen.push(teams.asks(&mut world, "ACK"));
    // In the dialog, both ways.
    let bye = pbx.asks(&mut world, "BYE");
    let ok = teams.answers(&mut world, &bye, 200, "");
    seen.extend([bye, ok]);
    // OPTIONS, and refusals with and without a transaction.
    for (method, uri) in [
        ("OPTIONS", "sip:192.0.2.1"),
        ("INVITE", "sip:+44999@nowhere.example"),
        ("BYE", "sip:x@192.0.2.1"),
        ("INVITE", "mailto:a@b"),
        ("CANCEL", "sip:y@192.0.2.1"),
    ] {
        let mut other = Party::new(TEAMS, Transport::Udp, "t", method);
        other.target = uri.to_owned();
        other.call_id = format!("{method} {}", seen.len()).replace(' ', "-");
        if method == "BYE" {
            other.other = "<sip:x@192.0.2.1>;tag=none".to_owned();
        }
        let text = other.request(method);
        other.send(&mut world, &text);
        seen.append(&mut world.take());
    }
    // A carrier calls Teams, which refuses, and another that is cancelled.
    for cancel in [false, true] {
        let mut alice = Party::new(ALICE, Transport::Udp, if cancel { "alice" } else { "anna" }, "x");
        alice.target = format!("sip:+441632768403@{SITE}");
        let invite = alice.asks(&mut world, "INVITE");
        seen.push(invite.clone());
        if cancel {
            world.answers(&invite, &invite.answer(180, "r"));
            let text = alice.request("CANCEL").replace("1CANCEL\r\n", "1INVITE\r\n");
            alice.send(&mut world, &text);
        } else {
            world.answers(&invite, &Answer::to(&invite.text(), 486, "b"));
        }
        seen.append(&mut world.take());
    }
    let mut kinds: Vec<String> = Vec::new();
    for sent in &seen {
        let (to_teams, lines) = (sent.to == TEAMS.parse().unwrap(), sent.headers("X-MS-SBC"));
        assert_eq!(lines.len(), usize::from(to_teams), "{}", sent.text());
        if to_teams {
            assert!(lines[0].starts_with("Trunkway/Edge/"), "{}", lines[0]);
            kinds.push(sent.what());
        }
    }
    for kind in ["100", "180", "200", "404", "481", "416", "BYE", "INVITE", "ACK", "CANCEL"] {
        assert!(kinds.iter().any(|it| it == kind), "{kind} among {kinds:?}");
    }
}

fn vector(name: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/teams-vectors").join(name);
    Some(std::fs::read_to_string(path).ok()?.replace("\r\n", "\n").replace('\n', "\r\n"))
}

/// TV23: a forwarded call of somebody who hides, to a carrier that wants Diversion and is not trusted, and to one that is.
#[test]
fn tv23_a_forwarded_call_from_teams_goes_to_carriers() {
    let Some(text) = vector("tv23.sip") else { return };
    let text =
        text.replace("+14255550199", "200").replace("200@tenant1.customers.adatum.biz:5061", "200@192.0.2.1:5060");
    for (trusted, wanted) in [
        (
            false,
            vec![
                "FROM: \"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=fwd23".to_owned(),
                format!("Diversion: <sip:+12065550100@{HOST};user=phone>;reason=unconditional;counter=1;privacy=off"),
                "PRIVACY: id".to_owned(),
            ],
        ),
        (
            true,
            vec![
                "FROM: \"Anonymous\"<sip:anonymous@anonymous.invalid>;tag=fwd23".to_owned(),
                format!("Diversion: <sip:+12065550100@{HOST};user=phone>;reason=unconditional;counter=1;privacy=off"),
                format!("P-ASSERTED-IDENTITY: <tel:+12065550100>,<sip:+12065550100@{HOST};user=phone>"),
                "PRIVACY: id".to_owned(),
            ],
        ),
    ] {
        let far: fn(&mut Identity) = if trusted { |it| it.trusted = true } else { PLAIN };
        let mut world = world((TrunkKind::Teams, PLAIN), (TrunkKind::Carrier, far));
        world.udp(ALICE, &text.replace("SIP/2.0/TLS 52.114.76.76:5061", &format!("SIP/2.0/UDP {ALICE}")));
        let sent = world.take().into_iter().find(|sent| sent.what() == "INVITE").expect("an INVITE");
        assert_eq!(told(&sent), wanted);
        assert!(!sent.text().split("\r\n\r\n").next().unwrap().contains("microsoft"), "{}", sent.text());
    }
}

/// TV11: header names in capitals, a name without quotes glued to its address.
#[test]
fn tv11_a_name_without_quotes_is_kept() {
    let Some(text) = vector("tv11.sip") else { return };
    let text = text.replace("sip:+12065550111@tenant1.customers.adatum.biz:5061", "sip:200@192.0.2.1:5060");
    let mut world = world((TrunkKind::Teams, PLAIN), (TrunkKind::Carrier, PLAIN));
    world.udp(ALICE, &text.replace("SIP/2.0/TLS 52.114.76.76:5061", &format!("SIP/2.0/UDP {ALICE}")));
    let sent = world.take().into_iter().find(|sent| sent.what() == "INVITE").expect("an INVITE");
    let tag = param(&headers(&text, "From")[0], "tag").unwrap();
    assert_eq!(told(&sent), [format!("FROM: John Doe<sip:+12065550100@{HOST};user=phone>;tag={tag}")]);
    assert!(!sent.text().split("\r\n\r\n").next().unwrap().contains("microsoft"), "{}", sent.text());
}

/// TV06 and TV26: what the edge makes of a PBX's call has the form of the vectors.
#[test]
fn tv06_tv26_invites_to_teams_have_the_form_of_the_vectors() {
    for name in ["tv06.sip", "tv26.sip"] {
        let Some(vector) = vector(name) else { return };
        let mut world = teams_office();
        let mut alice = Party::new(ALICE, Transport::Udp, "alice", "x");
        alice.target = format!("sip:+441632768403@{SITE}");
        alice.own = "\"Bob\" <sip:+441632960001@192.0.2.10>;tag=of-alice".to_owned();
        let sent = alice.asks(&mut world, "INVITE").text();
        for header in ["From", "To"] {
            let (ours, theirs) = (headers(&sent, header).concat(), headers(&vector, header).concat());
            for text in [&ours, &theirs] {
                let address = text.split('<').nth(1).and_then(|rest| rest.split('>').next()).expect("an address");
                assert!(address.starts_with("sip:+") && address.ends_with(";user=phone"), "{name} {text}");
                assert!(!address.split('@').nth(1).expect("a host").contains(':'), "{name} {text}");
            }
        }
        for text in [&sent, &vector] {
            let line = text.split(' ').nth(1).expect("a URI");
            assert!(line.starts_with("sip:+") && line.contains(";user=phone") && !line.contains("sips"), "{line}");
        }
    }
}

#[test]
fn referred_by_is_byte_for_byte_to_teams_only() {
    let line = "Referred-By: <sip:sip.pstnhub.microsoft.com:5061;x-m=8:orgid:bbbb;x-t=66;x-tt=aHR0cHM6Ly9hcGk%3D>";
    let of_pbx = "Referred-By: <sip:402@192.0.2.10:5060;transport=tcp>;cid=\"x@y\"";
    let teams = |lines: &[&str]| {
        let mut world = teams_office();
        change(Arc::make_mut(&mut world.edge), "echo", |trunk| {
            let mut far = trunk.targets[0].clone();
            (far.host, far.literal) = ("sip2.pstnhub.microsoft.com".into(), None);
            trunk.targets.push(far);
        });
        let mut alice = Party::new(ALICE, Transport::Udp, "alice", "x");
        alice.target = format!("sip:+441632768403@{SITE}");
        alice.extra = lines.iter().map(|line| format!("{line}\r\n")).collect();
        told(&alice.asks(&mut world, "INVITE"))[1..].to_vec()
    };
    assert_eq!(teams(&[line]), [line]);
    assert_eq!(teams(&[of_pbx]), ["Referred-By: <sip:402@sbc.contoso.example;user=phone>;cid=\"x@y\""]);
    let told = |kind| invited(world((TrunkKind::Teams, PLAIN), (kind, PLAIN)), FROM, &[of_pbx])[1..].to_vec();
    assert_eq!(told(TrunkKind::Carrier), [""; 0]);
    assert_eq!(told(TrunkKind::Pbx), [format!("Referred-By: <sip:402@{HOST}>;cid=\"x@y\"")]);
}
