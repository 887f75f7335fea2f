//! Tests of the table: the rules of the module `prefixes` against a matcher that tries every rule, and changes at run
//! time against a table built anew.

mod answers;
mod naive;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::batch::*;
use super::*;
use naive::{best, number, prefix};

fn table_of(rules: &[(String, String)]) -> Table {
    let mut set = Rules::new(10_000);
    for (origin, (prefix, tag)) in (0..).zip(rules) {
        set.add(prefix, tag, origin).unwrap();
    }
    Table::new(vec![Plan::new("p".into(), set, |_| None).0])
}

fn find(table: &Table, number: &str) -> Option<(String, usize)> {
    table.plans()[0].find(number.as_bytes()).map(|found| (found.tag.to_owned(), found.symbols))
}

/// Identities are letters, which the number reader stops at.
fn covered(number: &str) -> usize {
    number.find(|symbol: char| symbol.is_ascii_alphabetic()).unwrap_or(number.replace('.', "").len())
}

fn check(rules: &[(String, String)], table: &Table, number: &str) -> Result<(), TestCaseError> {
    let expected = best(rules, number);
    let found = find(table, number);
    match (&found, expected.first()) {
        (None, None) => {}
        (Some((tag, symbols)), Some((_, length))) => {
            prop_assert!(expected.iter().any(|(known, _)| known == tag), "{} {:?} {:?}", number, found, expected);
            let is_identity = number.contains(|symbol: char| symbol.is_ascii_alphabetic());
            prop_assert_eq!(*symbols, if is_identity { covered(number) } else { *length }, "{}", number);
        }
        _ => prop_assert!(false, "{} {:?} {:?}", number, found, expected),
    }
    Ok(())
}

fn resolve(_: &str) -> Option<Destination> {
    None
}

fn put(prefix: &str, tag: &str, owner: &str) -> Edit {
    let text = |text: &str| text.to_owned();
    Edit::Put { plan: text("p"), prefix: text(prefix), owner: text(owner), tag: text(tag), active: true }
}

fn remove(prefix: &str, owner: &str) -> Edit {
    Edit::Remove { plan: "p".to_owned(), prefix: prefix.to_owned(), owner: owner.to_owned() }
}

fn batch(id: &str, edits: Vec<Edit>) -> Batch {
    Batch { id: id.to_owned(), who: "admin".to_owned(), when: 1, edits }
}

fn all(table: &Table) -> BTreeMap<(String, String), (String, bool)> {
    let mut rules = BTreeMap::new();
    table.for_each(|rule| {
        let prefix = Prefix::read(&rule.prefix, false).unwrap().to_string();
        let again = rules.insert((prefix, rule.owner), (rule.tag, rule.active));
        assert_eq!(again, None);
    });
    assert_eq!(rules.len(), table.len());
    rules
}

proptest! {
    #[test]
    fn most_specific_rule_is_found(
        prefixes in prop::collection::vec(prefix(), 0..40),
        numbers in prop::collection::vec(number(), 60),
    ) {
        // A tag of its own for each: which rule was found is seen.
        let rules: Vec<(String, String)> =
            prefixes.into_iter().enumerate().map(|(index, prefix)| (prefix, index.to_string())).collect();
        let table = table_of(&rules);
        for number in &numbers {
            // Letters after a number do not count for prefixes, but do for the naive matcher.
            if number.contains(|symbol: char| symbol.is_ascii_alphabetic()) && best(&rules, number).is_empty() {
                continue;
            }
            check(&rules, &table, number)?;
        }
    }

    #[test]
    fn changes_make_the_table_that_a_build_would(
        base in prop::collection::vec((prefix(), 0..3_u8), 0..30),
        edits in prop::collection::vec((prefix(), 0..3_u8, 0..10_u8, prop::sample::select(vec![0_u8, 0, 0, 1, 1, 2])), 0..40),
        fold_at in 0..40_usize,
        numbers in prop::collection::vec(number(), 40),
    ) {
        // A tag for each prefix, so that owners may share it and nothing is in conflict.
        let tag = |prefix: &str| format!("t{}", Prefix::read(prefix, false).unwrap());
        let owner = |owner: u8| format!("o{owner}");
        let mut rules = Rules::new(1000);
        let mut expected: BTreeMap<(String, String), (String, bool)> = BTreeMap::new();
        let one = |prefix: &str| Prefix::read(prefix, false).unwrap().to_string();
        for (origin, (prefix, of)) in (0..).zip(&base) {
            let rule = super::layer::Rule { prefix, tag: &tag(prefix), owner: &owner(*of), active: true };
            rules.add_rule(rule, origin).unwrap();
            expected.insert((one(prefix), owner(*of)), (tag(prefix), true));
        }
        let mut table = Table::new(vec![Plan::new("p".into(), rules, |_| None).0]);
        prop_assert_eq!(&all(&table), &expected);
        let mut folding: Option<Table> = None;
        for (index, (prefix, of, active, what)) in edits.iter().enumerate() {
            let (key, active) = ((one(prefix), owner(*of)), *active > 1);
            let known = expected.contains_key(&key);
            let edit = match what {
                0 => {
                    expected.insert(key, (tag(prefix), active));
                    Edit::Put { plan: "p".into(), prefix: prefix.clone(), owner: owner(*of), tag: tag(prefix), active }
                }
                1 if known => {
                    expected.remove(&key);
                    remove(prefix, &owner(*of))
                }
                1 => continue,
                _ => {
                    expected.retain(|(_, known), _| *known != owner(*of));
                    Edit::RemoveOwner { owner: owner(*of) }
                }
            };
            let made = table.apply(&batch(&index.to_string(), vec![edit]), 1000, &resolve);
            table = made.map_err(|error| TestCaseError::fail(error.to_string()))?.0;
            if index == fold_at {
                folding = Some(table.folded(&resolve));
            }
        }
        if let Some(folded) = folding {
            table = table.rebased(&folded, &resolve).unwrap();
        }
        prop_assert_eq!(&all(&table), &expected);
        let mut rules = Rules::new(1000);
        for (origin, ((prefix, owner), (tag, active))) in (0..).zip(&expected) {
            rules.add_rule(super::layer::Rule { prefix, tag, owner, active: *active }, origin).unwrap();
        }
        let rebuilt = Table::new(vec![Plan::new("p".into(), rules, |_| None).0]);
        let folded = table.folded(&resolve);
        prop_assert_eq!(folded.pending(), 0);
        for number in &numbers {
            let found = find(&rebuilt, number);
            // Prefixes that tie have tags of their own: those of another prefix may come back.
            let ties = |found: &Option<(String, usize)>, other: &Option<(String, usize)>| {
                found == other || (found.is_some() && other.is_some() && {
                    let rules: Vec<(String, String)> = expected
                        .iter()
                        .filter(|(_, (_, active))| *active)
                        .map(|((prefix, _), (tag, _))| (prefix.clone(), tag.clone()))
                        .collect();
                    let best = best(&rules, number);
                    [found, other].iter().all(|one| {
                        one.as_ref().is_some_and(|(tag, _)| best.iter().any(|(known, _)| known == tag))
                    })
                })
            };
            prop_assert!(ties(&found, &find(&table, number)), "{} {:?} {:?}", number, found, find(&table, number));
            prop_assert!(ties(&found, &find(&folded, number)), "{} {:?} {:?}", number, found, find(&folded, number));
        }
    }
}

fn rules(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(prefix, tag)| ((*prefix).to_owned(), (*tag).to_owned())).collect()
}

#[test]
fn specificity_is_decided_digit_by_digit() {
    let table = table_of(&rules(&[
        ("12", "literal"),
        ("1x5", "wildcard"),
        ("1[0-4]7", "set"),
        ("5[000-999]", "wide"),
        ("5[050-999]", "narrow"),
        ("5[0500-0999]", "longer"),
        ("911#", "ended"),
        ("911", "open"),
        ("[00-99]xx", "any four"),
        ("402.pbx.example", "identity"),
        ("40", "forty"),
        ("7[0000000-9999999]", "seven"),
        ("\\#31", "hash"),
    ]));
    for (number, expected) in [
        ("125", "literal"),
        ("135", "wildcard"),
        ("137", "set"),
        ("5049", "wide"),
        ("5050", "narrow"),
        ("50501", "longer"),
        ("911", "ended"),
        ("9112", "open"),
        ("8888", "any four"),
        ("402.PBX.example", "identity"),
        ("402%2Epbx.example;user=phone", "identity"),
        ("402.pbx.example2", "forty"),
        ("71234567", "seven"),
        ("7123456", "any four"),
        ("#310", "hash"),
        ("888", ""),
    ] {
        assert_eq!(find(&table, number).map_or("".to_owned(), |(tag, _)| tag), expected, "{number}");
    }
}

#[test]
fn many_ranges_stay_small() {
    let mut list = Rules::new(100_000);
    list.add("+[0000000-9999999]", "all", 0).unwrap();
    for block in 0..10_000_u32 {
        list.add(&format!("+4416{block:04}[0123-8765]"), "block", block + 1).unwrap();
    }
    let (plan, conflicts) = Plan::new("p".into(), list, |_| None);
    assert_eq!(conflicts, []);
    assert!(plan.bytes() < 10_000 * 600, "{}", plan.bytes());
    let tag = |number: &str| plan.find(number.as_bytes()).map(|found| found.tag);
    assert_eq!(tag("+441612340123"), Some("block"));
    assert_eq!(tag("+441612348766"), Some("all"));
}

#[test]
fn plus_counts_unless_the_plan_is_normalized() {
    let with = |normalize| {
        let mut set = Rules::new(10).normalize(normalize);
        set.add("+441", "plus", 0).unwrap();
        set.add("2", "none", 1).unwrap();
        Table::new(vec![Plan::new("p".into(), set, |_| None).0])
    };
    let tags = |table: &Table| ["+4412", "4412", "+2", "2"].map(|number| find(table, number));
    let found = |tag: &str, symbols| Some((tag.to_owned(), symbols));
    assert_eq!(tags(&with(false)), [found("plus", 4), None, None, found("none", 1)]);
    assert_eq!(tags(&with(true)), [found("plus", 4), found("plus", 3), found("none", 2), found("none", 1)]);
}

#[test]
fn batch_is_all_or_nothing() {
    let table = table_of(&rules(&[("1", "a"), ("2", "b")]));
    let wrong = batch("w", vec![put("3", "c", "me"), remove("4", "me")]);
    let error = table.apply(&wrong, 10, &resolve).unwrap_err();
    assert_eq!(error.to_string(), "dial plan `p` has no rule `4` of owner `me`");
    let conflict = batch("c", vec![put("[1]", "c", "me")]);
    let error = table.apply(&conflict, 10, &resolve).unwrap_err();
    assert_eq!(error.to_string(), "dial plan `p`: `[1]` leads to `a` by a rule of owner ``, not to `c`");
    let good = batch("g", vec![put("3", "c", "me"), remove("1", ""), put("12[3-4]", "d", "me")]);
    let (changed, record) = table.apply(&good, 10, &resolve).unwrap();
    assert_eq!(find(&changed, "3"), Some(("c".to_owned(), 1)));
    assert_eq!(find(&changed, "123"), Some(("d".to_owned(), 3)));
    assert_eq!(find(&changed, "1"), None);
    assert_eq!(find(&table, "1"), Some(("a".to_owned(), 1)), "who has the old table keeps it");
    let found = changed.plans()[0].find(b"123").unwrap();
    let source = changed.plans()[0].rule(b"123", &found);
    assert_eq!(source, ("12[3-4]".to_owned(), Source::Change("g".into())));

    let (back, undone) = changed.revert(&record, &batch("r", vec![]), &resolve).unwrap();
    assert_eq!(undone.reverts.as_deref(), Some("g"));
    assert_eq!(all(&back), all(&table));
    assert_eq!(find(&back, "1"), Some(("a".to_owned(), 1)));
    let (later, _) = changed.apply(&batch("l", vec![put("3", "other", "me")]), 10, &resolve).unwrap();
    let error = later.revert(&record, &batch("r", vec![]), &resolve).unwrap_err();
    assert_eq!(error.to_string(), "dial plan `p`: the rule `3` of owner `me` has changed since");
    let full = batch("f", (0..20).map(|number| put(&format!("8{number}"), "a", "me")).collect());
    assert_eq!(table.apply(&full, 10, &resolve).unwrap_err(), BatchError::Full(10));
}

#[test]
fn owner_goes_from_every_plan_in_one_change() {
    let plan = |name: &str| {
        let mut set = Rules::new(100);
        set.source(0, "plan.csv".into(), 1);
        for (origin, (prefix, owner)) in
            (0..).zip([("1", "acme"), ("1", "bee"), ("2[00-19]", "acme"), ("anna.host", "acme"), ("3", "bee")])
        {
            set.add_rule(super::layer::Rule { prefix, tag: "t", owner, active: true }, origin).unwrap();
        }
        Plan::new(name.into(), set, |_| None).0
    };
    let table = Table::new(vec![plan("p"), plan("q")]);
    let gone = batch("1", vec![Edit::RemoveOwner { owner: "acme".to_owned() }]);
    let (changed, record) = table.apply(&gone, 100, &resolve).unwrap();
    assert_eq!((table.len(), changed.len(), record.changes.len()), (10, 4, 6));
    for plan in changed.plans() {
        let owner = |number: &str| plan.find(number.as_bytes()).map(|found| found.owner().to_owned());
        assert_eq!(owner("1").as_deref(), Some("bee"), "the other owner's rule answers");
        assert_eq!(owner("3").as_deref(), Some("bee"));
        assert_eq!((owner("215"), owner("anna.host")), (None, None));
        let found = plan.find(b"1").unwrap();
        assert_eq!(plan.rule(b"1", &found), ("1".to_owned(), Source::File("plan.csv".into(), 2)));
    }
    let (again, _) = changed.apply(&batch("2", vec![put("2[00-19]", "new", "acme")]), 100, &resolve).unwrap();
    assert_eq!(find(&again, "215"), Some(("new".to_owned(), 3)));
    let (back, _) = changed.revert(&record, &batch("3", vec![]), &resolve).unwrap();
    assert_eq!(all_of(&back), all_of(&table));
    let folded = changed.folded(&resolve);
    assert_eq!((folded.len(), folded.pending()), (4, 0));
    let plan = &folded.plans()[0];
    let found = plan.find(b"3").unwrap();
    assert_eq!(plan.rule(b"3", &found).1, Source::File("plan.csv".into(), 5), "a fold keeps the places");
}

fn all_of(table: &Table) -> Vec<(String, String, String, String)> {
    let mut rules = Vec::new();
    table.for_each(|rule| rules.push((rule.plan.to_string(), rule.prefix, rule.owner, rule.tag)));
    rules.sort();
    rules
}
