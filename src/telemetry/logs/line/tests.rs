use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;

pub fn line(message: &str, fields: Vec<(&'static str, Value)>) -> Line {
    Line { level: Level::INFO, target: "trunkway::calls".to_owned(), message: message.to_owned(), fields }
}

fn at() -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(1_795_342_500_123_456)
}

#[test]
fn a_line_is_for_people_or_for_programs() {
    let fields = vec![
        ("call", json!("00000000000000ab")),
        ("status", json!(486)),
        ("reason", json!("busy here")),
        ("to", json!("")),
        ("relearned", json!(false)),
    ];
    let line = line("call over", fields);
    let text = String::from_utf8(line.text(at(), false)).unwrap();
    let wanted = "2026-11-22T10:15:00.123456Z  INFO trunkway::calls: call over call=00000000000000ab status=486 \
        reason=\"busy here\" to=\"\" relearned=false\n";
    assert_eq!(text, wanted);
    let colored = String::from_utf8(line.text(at(), true)).unwrap();
    assert!(colored.contains("\x1b[32m INFO\x1b[0m"), "{colored:?}");
    let json: Value = serde_json::from_slice(&line.json(at())).unwrap();
    assert_eq!((&json["timestamp"], &json["level"]), (&json!("2026-11-22T10:15:00.123456Z"), &json!("INFO")));
    assert_eq!(
        (&json["call"], &json["status"], &json["message"]),
        (&json!("00000000000000ab"), &json!(486), &json!("call over"))
    );
}

#[test]
fn what_a_peer_sends_cannot_make_a_line_of_its_own() {
    let evil = "x\r\n2026-11-22T10:15:00Z ERROR trunkway: owned\u{1b}[2J\u{202e}\0";
    let line = line(evil, vec![("reason", json!(evil))]);
    for bytes in [line.text(at(), false), line.clone().json(at())] {
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        assert!(!text.trim_end_matches('\n').contains(|letter: char| letter.is_control()), "{text:?}");
        assert!(text.ends_with('\n'));
    }
}

proptest! {
    #[test]
    fn a_line_is_one_line(text in "[\\PC\\x00-\\x20\\x7f-\\u{9f}\\u{2028}]{0,60}") {
        let line = line(&text, vec![("value", json!(text))]);
        let shown = String::from_utf8(line.text(at(), false)).unwrap();
        prop_assert_eq!(shown.lines().count(), 1);
        prop_assert!(!shown.trim_end_matches('\n').contains(is_unsafe));
        let read: Value = serde_json::from_slice(&line.json(at())).unwrap();
        prop_assert_eq!(read["value"].as_str(), Some(&*text));
    }
}

#[test]
fn long_values_are_cut() {
    for text in ["ä".repeat(MAX_VALUE), "x".repeat(MAX_VALUE + 1)] {
        let text = bounded(format_args!("{text}"));
        assert!(text.len() <= MAX_VALUE + 3 && text.ends_with("..."), "{}", text.len());
    }
    let text = "x".repeat(MAX_VALUE);
    assert_eq!(bounded(format_args!("{text}")), text);
}
