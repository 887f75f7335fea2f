//! Tests of lists of rules.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::routing::{Destination, Plan, Rules};
use crate::trunk::TrunkId;

fn rule<'t>(plan: &'t str, prefix: &'t str, tag: &'t str, owner: &'t str, active: bool) -> Rule<'t> {
    Rule::new(plan.into(), prefix.into(), (tag.into(), owner.into(), active), false).unwrap()
}

/// The rules of a text, all of whose rows are good.
fn read(text: &str) -> Vec<Rule<'_>> {
    RawRows::new(text)
        .map(|row| {
            let row = row.unwrap();
            let text = |value: Option<Placed<'static>>| value.map(|(text, _)| text).unwrap_or_default();
            let own = |value: Option<Placed<'_>>| value.map(|(text, at)| (Cow::Owned(text.into_owned()), at));
            let rest = (text(own(row.tag)), text(own(row.owner)), row.active);
            Rule::new(text(own(row.plan)), row.prefix.0, rest, false).unwrap()
        })
        .collect()
}

/// The rules of a text as a dial plan reads them.
fn compiled(text: &str, names: &[&str]) -> Table {
    let resolve = |tag: &str| Some(Destination::Trunk(TrunkId(tag.bytes().next().unwrap_or(0).into())));
    let plan = |name: &&str| {
        let mut rules = Rules::new(1000);
        let mut reader = RowReader::default();
        for row in reader.rows(text) {
            let fields = row.fields.unwrap();
            if fields.plan.is_none_or(|plan| plan == *name) {
                let (prefix, tag) = (fields.prefix, fields.tag);
                let rule = crate::routing::Rule { prefix, tag, owner: fields.owner, active: fields.active };
                rules.add_rule(rule, row.line as u32).unwrap();
            }
        }
        Plan::new(Arc::from(*name), rules, resolve).0
    };
    Table::new(names.iter().map(plan).collect())
}

#[test]
fn rows_are_read_as_operators_write_them() {
    let text =
        "\u{feff}dialPlanName, prefix ,tag\r\nA, 551136184[4000-9999]\r\n\r\nA,\"+1[2,3]\",\"x\"\nA,+1[2,3],x,me,no\n";
    let rows: Vec<_> = RawRows::new(text).map(Result::unwrap).collect();
    let short: Vec<_> = rows
        .iter()
        .map(|row| {
            let tag = row.tag.as_ref().map(|(tag, _)| &**tag);
            (&*row.plan.as_ref().unwrap().0, &text[row.prefix.1.clone()], tag, row.active)
        })
        .collect();
    let expected = [
        ("A", "551136184[4000-9999]", None, true),
        ("A", "+1[2,3]", Some("x"), true),
        ("A", "+1[2,3]", Some("x"), false),
    ];
    assert_eq!(short, expected);
    let plain: Vec<_> = RawRows::new("#31\n911,x\n").map(Result::unwrap).collect();
    assert!(plain[0].plan.is_none() && plain[0].tag.is_none() && plain[0].prefix.0 == "#31");
    assert!(plain[1].plan.is_none() && plain[1].prefix.0 == "911");
    let odd: Vec<_> = RawRows::new("tag,prefix\nx,1\nx,1,2\n").collect();
    assert_eq!(odd[0].as_ref().unwrap().prefix.0, "1");
    let fault = rows::RowFault::HeaderCount { expected: 2, found: 3 };
    assert_eq!(odd[1].as_ref().unwrap_err().0, fault);
}

#[test]
fn rows_that_are_none_are_told_with_their_place() {
    for (row, message) in [
        ("A,,x", "the row has no prefix"),
        ("A,1,x,o,maybe", "`active` is `true` or `false`"),
        ("A,\"1,x", "a quoted value ends with a quote and a comma, on the line that it began on"),
        ("A,1,x,o,1,6", "the row has 6 values: its columns are `dialPlanName,prefix,tag`, and perhaps `owner,active`"),
    ] {
        let text = format!("A,1,x\n  {row} \r\n");
        let (fault, span) = RawRows::new(&text).nth(1).unwrap().unwrap_err();
        assert_eq!((&*fault.to_string(), &text[span]), (message, row));
    }
}

#[test]
fn differences_are_found_whatever_the_order_and_the_writing() {
    let old = [
        rule("A", "55[00-19]", "x", "", true),
        rule("A", "+1", "x", "me", true),
        rule("A", "+2", "x", "", true),
        rule("A", "+3", "x", "a", true),
        rule("A", "+3", "x", "b", true),
        rule("B", "+1", "x", "", true),
        rule("B", "+1", "x", "", true),
    ];
    let new = [
        rule("B", "+1", "x", "", true),
        rule("A", "+3", "y", "b", false),
        rule("A", "+3", "x", "c", true),
        rule("A", "+4", "x", "", true),
        rule("A", "+1", "x", "you", true),
        rule("A", "55[0-1][0-9]", "x", "", true),
    ];
    let changes = Changes::between(&old, &new);
    assert_eq!(changes.counts(), "1 added, 1 removed, 3 changed, 2 unchanged");
    assert_eq!((changes.old_duplicates, changes.new_duplicates), (1, 0));
    assert_eq!(
        changes.examples(2),
        "  + A +4 -> x
  - A +2 -> x
  ~ A +1: owner me -> you
  ~ A +3: tag x -> y, active -> inactive
  ~ ... and 1 more
"
    );
    let back: Vec<_> = old.iter().rev().cloned().collect();
    assert!(Changes::between(&old, &back).is_empty());
    let json = serde_json::to_value(Changes::between(&old[..1], &new[..1])).unwrap();
    assert_eq!(json["added"][0], serde_json::json!({"plan": "B", "prefix": "+1", "tag": "x", "active": true}));
}

#[test]
fn what_no_row_can_say_is_not_written() {
    let written = |prefix: &str, owner: &str| {
        let rule = rule("A", prefix, "x", owner, true);
        rule_file([&rule], Columns::needed([&rule])).map_err(|_| ())
    };
    assert_eq!(written("+1", ""), Ok("dialPlanName,prefix,tag\nA,+1,x\n".to_owned()));
    assert_eq!(written("\"a.b", "").as_deref(), Ok("dialPlanName,prefix,tag\nA,\\\"a.b,x\n"));
    let five = Ok("dialPlanName,prefix,tag,owner,active\nA,\"[1,3]\",x,\"a,b\",true\n".to_owned());
    assert_eq!(written("[1,3]", "a,b"), five);
    for (prefix, owner) in [("a,\".b", ""), ("a.b\\ ", ""), ("+1", "a\nb"), ("+1", " a"), ("+1", "\"a\",")] {
        assert_eq!(written(prefix, owner), Err(()), "{prefix:?} {owner:?}");
    }
}

fn any_prefix() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[0-9]{1,3}",
        1 => Just("x".to_owned()),
        1 => "[*]",
        1 => Just("\\#".to_owned()),
        1 => (0_u32..50, 50_u32..100).prop_map(|(low, high)| format!("[{low:02}-{high}]")),
        1 => (0_u32..5, 5_u32..10).prop_map(|(low, high)| format!("[{low},{high}]")),
        1 => (0_u32..3, 3_u32..6).prop_map(|(low, high)| format!("[{low}-{high},9]")),
    ];
    let number =
        ("\\+?", prop::collection::vec(part, 1..5), "#?").prop_map(|(plus, parts, end)| plus + &parts.concat() + &end);
    let identity = "[a-z0-9\",]{1,4}(\\\\[\\[\\]a-z,\"\\\\])?\\.[a-z]{1,3}";
    prop_oneof![3 => number, 1 => identity]
}

proptest! {
    #[test]
    fn rules_that_were_written_are_read_again(
        list in prop::collection::vec((any_prefix(), "[xyz]", "(|acme|a,b)", prop::bool::weighted(0.8), "[AB]"), 0..20)
    ) {
        let rules: Vec<Rule<'_>> = list
            .iter()
            .map(|(prefix, tag, owner, active, plan)| rule(plan, prefix, tag, owner, *active))
            .filter(|rule| rule_file([rule], Columns::Five).is_ok())
            .collect();
        let text = rule_file(&rules, Columns::Five).unwrap();
        let again = read(&text);
        prop_assert!(Changes::between(&rules, &again).is_empty(), "{}", text);

        // Through a configuration, which drops what contradicts.
        let table = compiled(&text, &["A", "B"]);
        let exported = of_table(&table);
        let text = rule_file(&exported, Columns::needed(&exported)).unwrap();
        let imported = read(&text);
        prop_assert!(Changes::between(&exported, &imported).is_empty(), "{}", text);
        let second = of_table(&compiled(&text, &["A", "B"]));
        let changes = Changes::between(&exported, &second);
        prop_assert!(changes.is_empty(), "{}", changes.examples(9));
    }

    #[test]
    fn what_a_dial_plan_reads_an_import_reads_alike(
        text in "(dialPlanName,prefix,tag\n)?((A|B|\"A\"| ),?(\\+1|2|\\[1,3\\]|\" 4\"|5 ),(x|\"y\"|)(,|,me)?(,true|,0)?\r?\n){0,4}"
    ) {
        let mut reader = RowReader::default();
        let lenient: Vec<_> = RawRows::new(&text).collect();
        for row in reader.rows(&text) {
            let Ok(fields) = row.fields else { continue };
            let same = lenient.iter().flatten().find(|other| other.span == row.span);
            let Some(same) = same else { return Err(TestCaseError::fail(format!("{text:?}"))) };
            // A pair below a header that has plans is a plan and a prefix, which a dial plan does not take so.
            if text.starts_with("dialPlanName") && fields.plan.is_none() {
                continue;
            }
            let text = |value: &Option<Placed<'_>>| value.as_ref().map(|(text, _)| text.to_string());
            prop_assert_eq!(text(&same.plan), fields.plan.map(str::to_owned));
            prop_assert_eq!(&*same.prefix.0, fields.prefix);
            prop_assert_eq!(text(&same.tag).unwrap_or_default(), fields.tag);
            prop_assert_eq!(text(&same.owner).unwrap_or_default(), fields.owner);
            prop_assert_eq!(same.active, fields.active);
        }
    }
}
