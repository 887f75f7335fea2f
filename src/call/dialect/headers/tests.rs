use bytes::Bytes;
use proptest::prelude::*;
use regex::bytes::Regex;

use super::*;
use crate::trunk::TrunkKind;
use crate::trunk::dialect::Dialect;
use crate::trunk::dialect::headers::{OWN, Pattern};

fn trunk() -> Trunk {
    let edge = crate::config::load_str(
        "edge",
        "[node]\nname = 'n'\n[[listen]]\nname = 'l'\nbind = 'udp:127.0.0.1:5060'\n[trunk.one]\nkind = 'pbx'\nlisten = 'l'\ntargets = ['udp:127.0.0.1:5080']\n",
        std::path::Path::new("."),
    );
    edge.unwrap_or_else(|faults| panic!("{faults}")).trunks.0.remove(0)
}

fn read(text: &str) -> Message {
    Message::reread(&Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

const TEXT: &str = "INVITE sip:200@edge SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: \"A\" <sip:al@a>;tag=1\r\n\
    To: <sip:200@edge>\r\nCall-ID: c@a\r\nCSeq: 1 INVITE\r\ns: hello\r\nSUBJECT: again\r\nX-Two: 1\r\nx-two:\r\n 2\r\n\
    Content-Length: 4\r\n\r\nbody";

fn made(rules: &[Rule]) -> Option<String> {
    let trunk = trunk();
    let facts = Facts { trunk: &trunk, peer: None, tenant: None, site: None };
    let message = applied(rules, &read(TEXT), &facts, &mut Edits::new())?;
    Some(String::from_utf8(message.bytes().to_vec()).unwrap())
}

fn text(text: &str) -> Value {
    Value(vec![Part::Text(text.into())].into())
}

fn rule(name: &str, action: Action) -> Rule {
    Rule { on: vec![On::Requests].into(), name: name.into(), action, when: None }
}

#[test]
fn actions_touch_the_lines_of_their_name_and_no_others() {
    for (what, rules, before, after) in [
        (
            "add",
            vec![rule("X-New", Action::Add(text("1")))],
            "Content-Length: 4\r\n",
            "Content-Length: 4\r\nX-New: 1\r\n",
        ),
        (
            "set, none",
            vec![rule("X-New", Action::Set(text("1")))],
            "Content-Length: 4\r\n",
            "Content-Length: 4\r\nX-New: 1\r\n",
        ),
        ("set", vec![rule("X-TWO", Action::Set(text("3")))], "X-Two: 1\r\nx-two:\r\n 2\r\n", "X-Two: 3\r\n"),
        ("remove", vec![rule("x-two", Action::Remove)], "X-Two: 1\r\nx-two:\r\n 2\r\n", ""),
        ("remove, short", vec![rule("Subject", Action::Remove)], "s: hello\r\nSUBJECT: again\r\n", ""),
        (
            "rename",
            vec![rule("x-two", Action::Rename("X-2".into()))],
            "X-Two: 1\r\nx-two:\r\n 2\r\n",
            "X-2: 1\r\nX-2:\r\n 2\r\n",
        ),
    ] {
        assert_eq!(made(&rules), Some(TEXT.replace(before, after)), "{what}");
    }
    let mut other = rule("X-Two", Action::Remove);
    other.on = vec![On::Answers, On::Method("BYE".into()), On::Status(180, 189)].into();
    assert_eq!(made(&[other]), None);
    assert_eq!(made(&[rule("X-None", Action::Remove)]), None);
}

#[test]
fn variables_are_filled_in_on_one_line_or_the_rule_does_nothing() {
    let value = |variable: Variable| {
        Value(vec![Part::Text("<".into()), Part::Variable(variable), Part::Text(">".into())].into())
    };
    for (variable, wanted) in [
        (Variable::Trunk, Some("<one>")),
        (Variable::FromUser, Some("<al>")),
        (Variable::ToUser, Some("<200>")),
        (Variable::CallId, Some("<c@a>")),
        (Variable::Method, Some("<INVITE>")),
        (Variable::Header("Subject".into()), Some("<hello>")),
        (Variable::Header("X-None".into()), None),
        (Variable::Tenant, None),
        (Variable::Site, None),
        (Variable::Peer, None),
    ] {
        let made = made(&[rule("X-New", Action::Add(value(variable.clone())))]);
        assert_eq!(
            made,
            wanted.map(|it| TEXT.replace("\r\n\r\n", &format!("\r\nX-New: {it}\r\n\r\n"))),
            "{variable:?}"
        );
    }
    let mut out = Vec::new();
    write_on_one_line(b"a\r\n\t b\0c", &mut out);
    assert_eq!(out, b"a  b c");
    let long = Value(vec![Part::Text("x".repeat(MAX_VALUE).into()), Part::Variable(Variable::Trunk)].into());
    assert_eq!(made(&[rule("X-New", Action::Set(long))]), None, "too long");
}

#[test]
fn kinds_of_peers_are_spared_what_is_not_for_them() {
    for (kind, name, spared) in [
        (TrunkKind::Carrier, "X-Foo", true),
        (TrunkKind::Carrier, "p-foo", true),
        (TrunkKind::Carrier, "Subject", false),
        (TrunkKind::Carrier, "X", false),
        (TrunkKind::Pbx, "X-Foo", false),
        (TrunkKind::Pbx, "x-ms-sbc", true),
        (TrunkKind::Teams, "X-MS-UserLocation", true),
        (TrunkKind::Teams, "ms-conversation-id", true),
        (TrunkKind::Teams, "P-Foo", false),
    ] {
        assert_eq!(Dialect::of_kind(kind).headers.spares(name.as_bytes()), spared, "{kind:?} {name}");
    }
}

fn any_name() -> impl Strategy<Value = String> {
    let free = |name: &String| !OWN.iter().any(|own| own.eq_ignore_ascii_case(name));
    prop_oneof!["[A-Za-z0-9.!%*_+`'~-]{1,20}", Just("x-two".to_owned()), Just("Subject".to_owned())]
        .prop_filter("own", free)
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let variable = prop_oneof![
        Just(Variable::Trunk),
        Just(Variable::FromUser),
        Just(Variable::CallId),
        any_name().prop_map(|name| Variable::Header(name.into()))
    ];
    let part = prop_oneof!["[ -~]{0,30}".prop_map(|it| Part::Text(it.into())), variable.prop_map(Part::Variable)];
    let value = || proptest::collection::vec(part.clone(), 0..4).prop_map(|parts| Value(parts.into()));
    let action = prop_oneof![
        value().prop_map(Action::Add),
        value().prop_map(Action::Set),
        Just(Action::Remove),
        any_name().prop_map(|name| Action::Rename(name.into()))
    ];
    let when = proptest::option::of((any_name(), proptest::option::of("[a-z0-9]{1,3}")).prop_map(|(name, pattern)| {
        When { name: name.into(), matches: pattern.map(|pattern| Pattern(Regex::new(&pattern).unwrap())) }
    }));
    (any_name(), action, when).prop_map(|(name, action, when)| Rule {
        on: vec![On::Requests].into(),
        name: name.into(),
        action,
        when,
    })
}

proptest! {
    /// Whatever rules do: start line, body and all that calls live by stay, and the message is one message.
    #[test]
    fn rules_never_break_a_message(rules in proptest::collection::vec(any_rule(), 1..8)) {
        let Some(text) = made(&rules) else { return Ok(()) };
        let (before, after) = (read(TEXT), Message::reread(&Bytes::from(text.clone())).unwrap());
        prop_assert_eq!(after.flaw(), None, "{}", &text);
        prop_assert_eq!(after.bytes().len(), text.len());
        prop_assert_eq!((after.method(), after.request_uri()), (before.method(), before.request_uri()));
        prop_assert_eq!(after.body(), before.body());
        for name in [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq, HeaderName::ContentLength] {
            let values = |message: &Message| message.lines_of(name).map(|line| message.value_at(line).to_vec()).collect::<Vec<_>>();
            prop_assert_eq!(values(&after), values(&before));
        }
    }
}
