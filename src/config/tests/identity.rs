//! Who calls, who has diverted, and rules for headers: the keys of a trunk's dialect, and what is wrong with them.

use std::path::Path;

use super::super::*;
use super::faults::{GROUND, on_ground};
use crate::trunk::TrunkKind;
use crate::trunk::dialect::Dialect;
use crate::trunk::dialect::headers::{Action, On, Part, Variable};
use crate::trunk::dialect::identity::{Diverted, From, Identity, Told};

/// The dialect of the carrier of the ground, with these lines in its table.
fn carrier(lines: &str) -> Dialect {
    let text = format!("{GROUND}{lines}");
    let loaded = load_str("edge.toml", &text, Path::new("/nonexistent")).unwrap_or_else(|faults| panic!("{faults}"));
    (*loaded.trunks.named("carrier").unwrap().dialect).clone()
}

#[test]
fn defaults_are_those_of_the_kind() {
    assert_eq!(carrier("").identity, Identity::of_kind(TrunkKind::Carrier));
    for (kind, trusted, diverted, referred_by) in [
        (TrunkKind::Teams, true, Diverted::HistoryInfo, true),
        (TrunkKind::Carrier, false, Diverted::Diversion, false),
        (TrunkKind::Pbx, true, Diverted::Pass, true),
    ] {
        let it = Identity::of_kind(kind);
        assert_eq!((it.trusted, it.believed, it.diverted, it.referred_by), (trusted, trusted, diverted, referred_by));
        assert_eq!((it.from, it.asserted, it.preferred), (From::Pass, Told::Pass, Told::Strip));
    }
}

#[test]
fn keys_are_read() {
    let it = carrier(
        "diverted = 'both'\nmax_diversions = 3\npass_referred_by = true\npass_signatures = false\n[trunk.carrier.caller_id]\n\
         trusted = true\nbelieved = false\nnumber = '+441632960000'\nfrom = 'number'\nasserted = 'add'\npreferred = 'number'\n\
         remote_party_id = 'strip'\n",
    );
    let wanted = Identity {
        trusted: true,
        believed: false,
        from: From::Number,
        asserted: Told::Add,
        preferred: Told::Number,
        remote_party: Told::Strip,
        number: Some("+441632960000".into()),
        diverted: Diverted::Both,
        max_diversions: 3,
        referred_by: true,
        signatures: false,
    };
    assert_eq!(it.identity, wanted);
    // Trust goes both ways where nothing else is said.
    assert!(carrier("caller_id = { trusted = true }\n").identity.believed);
}

#[test]
fn rules_for_headers_are_read() {
    let it = carrier(
        "pass_headers = ['X-*', 'P-Early-Media']\n[[trunk.carrier.header]]\ndirection = 'out'\non = ['INVITE', '18x', '2xx', '486', \
         'requests', 'answers']\naction = 'set'\nname = 'X-A'\nvalue = 'a{{{from.user}}}{header:Subject} b'\nwhen = 'Via'\nmatches = 'x$'\n\
         [[trunk.carrier.header]]\ndirection = 'in'\naction = 'remove'\nname = 'X-B'\n",
    )
    .headers;
    assert!(it.passes(b"x-foo") && it.passes(b"P-EARLY-MEDIA") && !it.passes(b"P-Early-Media-2"));
    assert_eq!((it.inbound.len(), it.outbound.len()), (1, 1));
    assert_eq!((&it.inbound[0].action, &*it.inbound[0].on), (&Action::Remove, &[On::Requests, On::Answers][..]));
    let rule = &it.outbound[0];
    let status = |first, last| On::Status(first, last);
    let on =
        [On::Method("INVITE".into()), status(180, 189), status(200, 299), status(486, 486), On::Requests, On::Answers];
    assert_eq!(*rule.on, on);
    let Action::Set(value) = &rule.action else { panic!("{rule:?}") };
    let parts = [
        Part::Text("a{".into()),
        Part::Variable(Variable::FromUser),
        Part::Text("}".into()),
        Part::Variable(Variable::Header("Subject".into())),
        Part::Text(" b".into()),
    ];
    assert_eq!(*value.0, parts);
    assert_eq!(rule.when.as_ref().map(|when| &*when.name), Some("Via"));
}

/// Lines in the table of the carrier: the first is line 17.
#[test]
fn faults_say_what_is_wrong_and_where() {
    let rule = |rest: &str| format!("[[trunk.carrier.header]]\ndirection = 'out'\n{rest}");
    let own = "calls live by this header: the edge writes it itself";
    for (text, wanted) in [
        (
            "diverted = 'yes'".to_owned(),
            "17:12 trunk `carrier`: `diverted`: `yes` is none of `history-info`, `diversion`, `both`, `strip`, `pass`",
        ),
        ("max_diversions = 101".to_owned(), "17:18 trunk `carrier`: `max_diversions` must be from 0 to 100"),
        (
            "caller_id = { from = 'number' }".to_owned(),
            "17:22 trunk `carrier`: `caller_id`: `from` asks for the number of the trunk, but there is no `number` | give `number`, as the operator at the other end writes it",
        ),
        (
            "caller_id = { number = '+44 16' }".to_owned(),
            "17:24 trunk `carrier`: `caller_id`: `number`: `+44 16` is no telephone number | digits, with or without `+` in front: \"+441632960000\"",
        ),
        (
            "pass_headers = ['X Y']".to_owned(),
            "17:17 trunk `carrier`: `pass_headers`: `X Y` is no name of a header | 1 to 64 letters, digits, and `-.!%*_+'~`, without a colon",
        ),
        (
            rule("action = 'add'\nname = 'X-A'\nvalue = \"a\\r\\nVia: b\""),
            "21:9 header rule 1 of trunk `carrier`: `value`: a value holds no line breaks and other control characters | a value is one line",
        ),
        (rule("action = 'add'\nname = 'X-A'"), "17:1 header rule 1 of trunk `carrier` has no `value`"),
        (
            rule("action = 'remove'\nname = 'X-A'\nvalue = 'x'"),
            "21:9 header rule 1 of trunk `carrier`: `value` means nothing to this action",
        ),
        (rule("action = 'rename'\nname = 'X-A'"), "17:1 header rule 1 of trunk `carrier` has no `new_name`"),
        (
            rule("action = 'add'\nname = 'X-A'\nvalue = '{tenent}'"),
            "21:9 header rule 1 of trunk `carrier`: `value`: there is no variable `tenent` | known are {tenant}, {site}, {trunk}, {peer}, {from.user}, {to.user}, {call_id}, {method} and {header:NAME}",
        ),
        (
            rule("action = 'add'\nname = 'X-A'\nvalue = 'a}'"),
            "21:9 header rule 1 of trunk `carrier`: `value`: a brace has no other end | a brace that is meant as such is written twice: `{{`, `}}`",
        ),
        (
            rule("action = 'remove'\nname = 'X-A'\non = ['invite']"),
            "21:7 header rule 1 of trunk `carrier`: `on`: `invite` names no messages | `requests`, `answers`, a method such as `INVITE`, or a status such as `486`, `18x` or `2xx`",
        ),
        (
            rule("action = 'remove'\nname = 'X-A'\non = []"),
            "21:6 header rule 1 of trunk `carrier`: `on` is empty | leave `on` out for all requests and answers",
        ),
        (
            rule("action = 'remove'\nname = 'X-A'\nmatches = 'x'"),
            "21:11 header rule 1 of trunk `carrier`: `matches` says nothing without `when` | name the header that must match in `when`",
        ),
        (
            rule("action = 'remove'\nname = 'X-A'\nwhen = 'X-B'\nmatches = '('"),
            "22:11 header rule 1 of trunk `carrier`: `matches`: unclosed group",
        ),
        (
            rule("action = 'remove'\nname = 'Via'"),
            &format!("20:8 header rule 1 of trunk `carrier`: `name`: no rule may touch `Via` | {own}"),
        ),
        (
            rule("action = 'remove'\nname = 'm'"),
            &format!("20:8 header rule 1 of trunk `carrier`: `name`: no rule may touch `m` | {own}"),
        ),
        (
            rule("action = 'rename'\nname = 'X-A'\nnew_name = 'CSEQ'"),
            &format!("21:12 header rule 1 of trunk `carrier`: `new_name`: no rule may touch `CSEQ` | {own}"),
        ),
        (
            rule("action = 'remove'\nname = 'From'"),
            "20:8 header rule 1 of trunk `carrier`: `name`: no rule may touch `From` | numbers are rewritten by `translate` rules, and who calls is said by the table `caller_id`",
        ),
    ] {
        assert_eq!(on_ground(&text), [wanted], "{text}");
    }
}

#[test]
fn rules_and_names_are_bounded() {
    let rules = "[[trunk.carrier.header]]\ndirection = 'in'\naction = 'remove'\nname = 'X'\n".repeat(65);
    let told = on_ground(&rules);
    assert_eq!(told, ["273:1 trunk `carrier`: `header` has more than 64 entries"]);
    let names = format!("pass_headers = [{}]", "'X',".repeat(65));
    assert_eq!(on_ground(&names), ["17:273 trunk `carrier`: `pass_headers` has more than 64 entries"]);
    let long = format!(
        "[[trunk.carrier.header]]\ndirection = 'in'\naction = 'add'\nname = 'X'\nvalue = '{}'",
        "x".repeat(513)
    );
    assert_eq!(
        on_ground(&long),
        ["21:9 header rule 1 of trunk `carrier`: `value`: a value has at most 512 characters"]
    );
}
