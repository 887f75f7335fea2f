use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::call::CallId;
use crate::call::live::hang_up::Cause;
use crate::call::record::{Facts, Party};
use crate::trunk::TrunkKind;

pub fn style() -> Style {
    Style { node: "edge-1".into(), mask: Mask::default() }
}

/// A call of a minute, answered after two seconds.
pub fn answered(id: u64, invited_unix_ms: u64) -> Over {
    let record = CallRecord {
        id: CallId(id),
        call_id: format!("{id}@caller").into(),
        from: Party { trunk: "carrier".into(), kind: TrunkKind::Carrier },
        to: Some(Party { trunk: "teams".into(), kind: TrunkKind::Teams }),
        tenant: Some("contoso".into()),
        began_unix: invited_unix_ms / 1_000 + 2,
        lasted: Some(Duration::from_millis(60_250)),
        relearned: false,
        outcome: Outcome::HungUp(End::Callee),
        status: 200,
        reason: "Q.850;cause=16".into(),
        meaning: None,
        facts: Facts {
            caller: "+441632760001".into(),
            called: "402".into(),
            sent_to: "+441632760402".into(),
            target: "tls:sip.pstnhub.microsoft.com".into(),
            invited_unix_ms,
            rang_after: Some(Duration::from_millis(400)),
            answered_after: Some(Duration::from_millis(2_125)),
            q850: Some(16),
            tries: 2,
            ..Facts::default()
        },
    };
    Over { told: Told::Ended(record, None), ended_unix_ms: invited_unix_ms + 62_375 }
}

/// The record of a call whose end was seen.
pub fn record(over: &mut Over) -> &mut CallRecord {
    match &mut over.told {
        Told::Ended(record, _) => record,
        Told::Lost(_) => panic!("its end was not seen"),
    }
}

#[test]
fn a_call_is_told_with_times_and_words() {
    let entry = Entry::of(&answered(0xab, 1_795_342_500_123), &style());
    assert_eq!((&*entry.call, &*entry.node), ("00000000000000ab", "edge-1"));
    assert_eq!(entry.invited_at, "2026-11-22T10:15:00.123Z");
    assert_eq!(entry.answered_at, "2026-11-22T10:15:02.248Z");
    assert_eq!(entry.ended_at, "2026-11-22T10:16:02.498Z");
    assert_eq!((entry.ring_ms, entry.setup_ms, entry.duration_s), (Some(400), Some(2_125), Some(60.25)));
    assert_eq!(
        (&*entry.outcome, &*entry.result, &*entry.hung_up_by),
        ("callee-hung-up", "the callee hung up", "callee")
    );
    assert_eq!((entry.q850, &*entry.q850_meaning, entry.failovers), (Some(16), "normal clearing", 1));
    assert_eq!((&*entry.from_trunk, &*entry.from_kind, &*entry.to_kind), ("carrier", "carrier", "teams"));
}

#[test]
fn results_are_in_words() {
    let told = |outcome, status, limit: Option<&str>| {
        let mut over = answered(1, 0);
        record(&mut over).outcome = outcome;
        record(&mut over).status = status;
        record(&mut over).facts.limit = limit.map(Into::into);
        let Entry { result, hung_up_by, .. } = Entry::of(&over, &style());
        (result, hung_up_by)
    };
    for (outcome, status, limit, result, by) in [
        (Outcome::HungUp(End::Caller), 200, None, "the caller hung up", "caller"),
        (Outcome::Cancelled, 487, None, "the caller gave up before it was answered", "caller"),
        (Outcome::Refused, 486, None, "refused: busy", "callee"),
        (Outcome::Refused, 499, None, "refused with 499", "callee"),
        (Outcome::Unreachable, 408, None, "nobody could be reached", ""),
        (Outcome::NotPassed, 404, None, "not let through: the number is unknown", "edge"),
        (Outcome::NotPassed, 503, Some("trunk pbx calls"), "not let through: the limit trunk pbx calls", "edge"),
        (Outcome::Ended(Cause::Operator), 200, None, "an operator ended it", "edge"),
        (
            Outcome::Ended(Cause::Gone(End::Caller)),
            200,
            None,
            "the caller's side does not know of the call any more",
            "edge",
        ),
    ] {
        assert_eq!(told(outcome, status, limit), (result.to_owned(), by.to_owned()));
    }
}

#[test]
fn what_a_process_before_knew_completes_a_record_or_is_all_there_is() {
    let mut over = answered(7, 1_795_342_500_123);
    let opened = Entry::of_answered(record(&mut over), 1_795_342_502_248, &style());
    let read: Opened = serde_json::from_str(&serde_json::to_string(&opened).unwrap()).unwrap();
    assert_eq!(read, opened);
    let whole = Entry::of(&over, &style());
    // What is known of it when a BYE of an unknown call passes.
    let bye = record(&mut over);
    (bye.relearned, bye.lasted, bye.began_unix) = (true, Some(Duration::ZERO), 1_795_342_562);
    bye.facts = Facts { q850: Some(16), ..Facts::default() };
    bye.tenant = None;
    let alone = Entry::of(&over, &style());
    assert_eq!((&*alone.answered_at, alone.duration_s, &*alone.caller), ("", None, ""));
    let Told::Ended(bye, before) = &mut over.told else { panic!() };
    bye.from.trunk = "gone".into();
    *before = Some(Box::new(opened.clone()));
    assert_eq!(over.began_unix_ms(), 1_795_342_500_123);
    assert_eq!(Entry::of(&over, &style()), Entry { relearned: true, ..whole.clone() });
    let lost = Entry::of(&Over { told: Told::Lost(Box::new(opened)), ended_unix_ms: 9 }, &style());
    assert_eq!((&*lost.outcome, &*lost.ended_at, lost.duration_s, &lost.caller), (LOST, "", None, &whole.caller));
    assert_eq!((&lost.answered_at, &*lost.hung_up_by), (&whole.answered_at, ""));
}

#[test]
fn numbers_are_masked_in_every_field() {
    let mut over = answered(1, 1_000);
    record(&mut over).reason = "SIP;text=\"no +441632760001\"".into();
    record(&mut over).call_id = "441632760001-x".into();
    let style = Style { mask: Mask::new(Some(3)), ..style() };
    let mut line = Vec::new();
    Entry::of(&over, &style).write_json(&mut line);
    let line = String::from_utf8(line).unwrap();
    assert!(!line.contains("1632760") && line.contains("\"caller\":\"+*********001\""), "{line}");
    assert!(line.contains("\"called\":\"402\""), "{line}");
}

#[test]
fn names_are_documented_in_their_order() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/records.md")).unwrap();
    let documented: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter(|(name, rest)| !name.contains('-') && rest.split(" | ").count() == 2)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(documented, Entry::NAMES);
    let outcomes = Outcome::NAMES.iter().chain([&LOST]).filter(|name| !page.contains(&format!("`{name}`")));
    assert_eq!(outcomes.collect::<Vec<_>>(), Vec::<&&str>::new());
}

/// Reads rows of RFC 4180.
pub fn rows(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut letters = text.chars().peekable();
    let mut quoted = false;
    while let Some(letter) = letters.next() {
        match (letter, quoted) {
            ('"', true) if letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            ('"', _) => quoted = !quoted,
            (',', false) => row.push(std::mem::take(&mut cell)),
            ('\n', false) => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            (letter, _) => cell.push(letter),
        }
    }
    assert!(cell.is_empty() && row.is_empty(), "the last row has an end");
    rows
}

/// The entry that a row of CSV says.
pub fn read_back(head: &[String], row: &[String]) -> Entry {
    assert_eq!(head.len(), row.len());
    let sample = serde_json::to_value(Entry { status: Some(1), ..Entry::default() }).unwrap();
    let mut object = serde_json::Map::new();
    for (name, cell) in head.iter().zip(row) {
        let value = match &sample[name] {
            serde_json::Value::String(_) => cell.clone().into(),
            _ if cell.is_empty() => serde_json::Value::Null,
            _ => serde_json::from_str(cell).unwrap(),
        };
        object.insert(name.clone(), value);
    }
    serde_json::from_value(object.into()).unwrap()
}

proptest! {
    #[test]
    fn a_record_reads_back_as_it_was_written(
        texts in proptest::collection::vec("[\\PC\"',;=\\r\\n\\x00\\t\\u{2028}]{0,24}", 9),
        numbers in (any::<u8>(), any::<u16>(), any::<u32>(), any::<u32>(), any::<u64>()),
        present in proptest::bits::u8::ANY,
    ) {
        let has = |bit: u32| present >> bit & 1 == 1;
        let (small, status, millis, lasted, id) = numbers;
        let mut over = answered(id, u64::from(millis) * 1_000);
        let mut texts = texts.into_iter();
        let mut text = || texts.next().unwrap_or_default();
        record(&mut over).call_id = text().into();
        record(&mut over).reason = text().into();
        record(&mut over).from.trunk = text().into();
        record(&mut over).tenant = has(0).then(|| text().into());
        record(&mut over).lasted = has(1).then(|| Duration::from_millis(lasted.into()));
        record(&mut over).status = status;
        let facts = &mut record(&mut over).facts;
        facts.caller = text().into();
        facts.called = text().into();
        facts.target = text().into();
        facts.limit = has(2).then(|| text().into());
        facts.q850 = has(3).then_some(small);
        facts.answered_after = has(4).then(|| Duration::from_millis(millis.into()));
        (facts.tries, facts.emergency, facts.transparent) = (small, has(5), has(6));
        let entry = Entry::of(&over, &style());
        let mut json = Vec::new();
        entry.write_json(&mut json);
        prop_assert_eq!(json.iter().filter(|&&byte| byte == b'\n').count(), 1);
        prop_assert_eq!(&serde_json::from_slice::<Entry>(&json).unwrap(), &entry);
        let mut csv = csv_head();
        entry.write_csv(&mut csv);
        let read = rows(std::str::from_utf8(&csv).unwrap());
        prop_assert_eq!(read.len(), 2);
        prop_assert_eq!(&read_back(&read[0], &read[1]), &entry);
    }
}
