//! What a plan says beside the best rule: all that match, those that nearly do, and numbers that are not over.

use std::collections::{BTreeMap, BTreeSet};

use super::naive::{Naive, Part, Specific, naive, order};
use super::*;
use crate::routing::NearMiss;

/// A prefix in its one form and an owner.
type Key = (String, String);

/// A rule as it should be: whether it is active, and the origin in the base or `None` for a change.
type Rules = BTreeMap<Key, (bool, Option<u32>)>;

const INACTIVE: f64 = 0.2;

/// Rules of a file and changes to them, some folded in.
#[derive(Debug, Clone)]
struct Case {
    base: Vec<(String, u8, bool)>,
    /// The prefix, the owner, whether active, and what: put, remove, remove the owner.
    edits: Vec<(String, u8, bool, u8)>,
}

fn case() -> impl Strategy<Value = Case> {
    let rule = || (prefix(), 0..3_u8, prop::bool::weighted(1.0 - INACTIVE));
    let what = prop::sample::select(vec![0_u8, 0, 0, 0, 1, 1, 2]);
    let edit = (rule(), what).prop_map(|((prefix, owner, active), what)| (prefix, owner, active, what));
    (prop::collection::vec(rule(), 0..40), prop::collection::vec(edit, 0..25))
        .prop_map(|(base, edits)| Case { base, edits })
}

fn one_form(prefix: &str) -> String {
    Prefix::read(prefix, false).unwrap().to_string()
}

/// The tag of a prefix: owners may share it, so that nothing is in conflict.
fn tag(prefix: &str) -> String {
    format!("t{}", one_form(prefix))
}

impl Case {
    fn table(&self) -> (Table, Rules) {
        let mut expected = Rules::new();
        let mut set = super::layer::Rules::new(1000);
        set.source(0, "plan.csv".into(), 1);
        let owner = |owner: u8| format!("o{owner}");
        for (origin, (prefix, of, active)) in (0..).zip(&self.base) {
            let (of, key) = (owner(*of), (one_form(prefix), owner(*of)));
            if expected.contains_key(&key) {
                continue;
            }
            set.add_rule(super::layer::Rule { prefix, tag: &tag(prefix), owner: &of, active: *active }, origin)
                .unwrap();
            expected.insert(key, (*active, Some(origin)));
        }
        let mut table = Table::new(vec![Plan::new("p".into(), set, |_| None).0]);
        for (prefix, of, active, what) in &self.edits {
            let (of, key) = (owner(*of), (one_form(prefix), owner(*of)));
            let edit = match what {
                0 => {
                    // What is so already is not changed.
                    expected
                        .entry(key)
                        .and_modify(|rule| *rule = if rule.0 == *active { *rule } else { (*active, None) })
                        .or_insert((*active, None));
                    let (plan, prefix) = ("p".to_owned(), prefix.clone());
                    Edit::Put { plan, tag: tag(&prefix), prefix, owner: of, active: *active }
                }
                1 => {
                    // Any rule of that owner, so that there is one most times.
                    let Some(key) = expected.keys().rfind(|known| known.1 == of).cloned() else { continue };
                    expected.remove(&key);
                    remove(&key.0, &of)
                }
                _ => {
                    expected.retain(|known, _| known.1 != of);
                    Edit::RemoveOwner { owner: of }
                }
            };
            table = table.apply(&batch("change", vec![edit]), 1000, &resolve).unwrap().0;
        }
        (table, expected)
    }
}

/// How a rule fits a number; identities come first.
fn fits(prefix: &str, number: &str) -> Option<(bool, Specific)> {
    let naive = naive(prefix);
    naive.fit(number).map(|(specific, _)| (naive.identity.is_none(), specific))
}

impl Naive {
    /// Whether digits behind the number could make it fit.
    fn goes_on(&self, number: &str) -> bool {
        if self.identity.is_some() {
            return false;
        }
        let is_number = |text: &str| text.chars().all(|symbol| symbol.is_ascii_digit());
        let (mut rest, mut goes_on) = (number, false);
        for part in &self.parts {
            let any;
            let all = match part {
                Part::OneOf(all) => all,
                Part::Any => {
                    any = ('0'..='9').map(String::from).collect();
                    &any
                }
            };
            let here = &rest[..rest.len().min(all[0].len())];
            if !all.iter().any(|one| one.strip_prefix(here).is_some_and(is_number)) {
                return false;
            }
            goes_on |= here.len() < all[0].len();
            rest = &rest[here.len()..];
        }
        goes_on
    }

    /// How far a number gets, and what stands against it.
    fn missed(&self, number: &str) -> Option<(usize, NearMiss)> {
        let mut at = 0;
        for part in &self.parts {
            let start = at;
            let width = if let Part::OneOf(all) = part { all[0].len() } else { 1 };
            for index in 0..width {
                let Some(symbol) = number[at..].chars().next() else { return Some((at, NearMiss::TooShort)) };
                let allowed: BTreeSet<char> = match part {
                    Part::Any => ('0'..='9').collect(),
                    Part::OneOf(all) => {
                        let going = all.iter().filter(|one| one[..index] == number[start..at]);
                        going.map(|one| one[index..].chars().next().unwrap()).collect()
                    }
                };
                if !allowed.contains(&symbol) {
                    let is_choice = matches!(part, Part::OneOf(_)) && allowed.len() > 1;
                    return Some((at, if is_choice { NearMiss::Range } else { NearMiss::Digit }));
                }
                at += 1;
            }
        }
        (self.ended && at < number.len()).then_some((at, NearMiss::End))
    }
}

fn has_letters(number: &str) -> bool {
    number.contains(|symbol: char| symbol.is_ascii_alphabetic())
}

proptest! {
    #[test]
    fn all_rules_that_match_come_in_the_order_of_the_search(
        case in case(),
        numbers in prop::collection::vec(number(), 40),
    ) {
        let (table, rules) = case.table();
        let plan = &table.plans()[0];
        for number in &numbers {
            prop_assert_eq!(plan.matches(number.as_bytes()).next(), plan.find(number.as_bytes()));
            let mut found = Vec::new();
            for rule in plan.matches(number.as_bytes()) {
                let (prefix, source) = plan.rule(number.as_bytes(), &rule);
                let key = (one_form(&prefix), rule.owner().to_owned());
                prop_assert_eq!(&tag(&prefix), rule.tag);
                match rules[&key].1 {
                    Some(origin) => prop_assert_eq!(source, Source::File("plan.csv".into(), origin + 1)),
                    None => prop_assert_eq!(source, Source::Change("change".into())),
                }
                found.push(key);
            }
            // Letters end a number, which the naive matcher does not know.
            let digits = number.split(|symbol: char| symbol.is_ascii_alphabetic()).next().unwrap();
            let fits = |prefix: &str| match naive(prefix) {
                Naive { identity: Some(_), .. } => fits(prefix, number),
                Naive { ended: true, .. } if has_letters(number) => None,
                _ => fits(prefix, digits),
            };
            let mut expected: Vec<Key> = rules
                .iter()
                .filter(|((prefix, _), (active, _))| *active && fits(prefix).is_some())
                .map(|(key, _)| key.clone())
                .collect();
            for pair in found.windows(2) {
                let [a, b] = pair else { unreachable!() };
                let (a, b) = (fits(&a.0).unwrap(), fits(&b.0).unwrap());
                prop_assert!(a.0.cmp(&b.0).then_with(|| order(&a.1, &b.1)).is_le(), "{} {:?}", number, found);
            }
            found.sort();
            expected.sort();
            prop_assert_eq!(found, expected, "{}", number);
        }
    }

    #[test]
    fn number_is_incomplete_when_digits_could_make_it_match(
        case in case(),
        numbers in prop::collection::vec(number(), 60),
    ) {
        let (table, rules) = case.table();
        let plan = &table.plans()[0];
        let active: Vec<Naive> =
            rules.iter().filter(|(_, (active, _))| *active).map(|((prefix, _), _)| naive(prefix)).collect();
        for number in &numbers {
            let expected = number.contains(|symbol: char| symbol.is_ascii_digit())
                && !has_letters(number)
                && plan.find(number.as_bytes()).is_none()
                && active.iter().any(|rule| rule.goes_on(number));
            prop_assert_eq!(plan.is_incomplete(number.as_bytes()), expected, "{}", number);
            if !expected && !has_letters(number) && number.ends_with(|last: char| last.is_ascii_digit()) {
                let one_more = (0..10).any(|digit| plan.find(format!("{number}{digit}").as_bytes()).is_some());
                prop_assert!(!one_more || plan.find(number.as_bytes()).is_some(), "{}", number);
            }
        }
    }

    #[test]
    fn near_rules_are_those_that_go_with_the_number_for_longest(
        case in case(),
        numbers in prop::collection::vec("[0-3+*#]{0,2}[0-39]{0,5}", 40),
    ) {
        let (table, rules) = case.table();
        let plan = &table.plans()[0];
        for number in &numbers {
            let matching: Vec<Key> = plan
                .matches(number.as_bytes())
                .map(|rule| (one_form(&plan.rule(number.as_bytes(), &rule).0), rule.owner().to_owned()))
                .collect();
            let least = matching.first().and_then(|(prefix, _)| fits(prefix, number)).map_or(1, |(_, (positions, _))| {
                positions.iter().take_while(|(allowed, _)| *allowed == 1).count().max(1)
            });
            let near = plan.near(number.as_bytes(), 1000);
            let kept = |which: fn(NearMiss) -> bool| -> Vec<Key> {
                near.iter()
                    .filter(|near| which(near.why))
                    .map(|near| (one_form(&near.prefix), near.owner.clone()))
                    .collect()
            };
            prop_assert_eq!(&kept(|why| why == NearMiss::LessSpecific)[..], matching.get(1..).unwrap_or_default());
            let sorted = |mut list: Vec<Key>| { list.sort(); list };
            let inactive = rules
                .iter()
                .filter(|((prefix, _), (active, _))| !active && fits(prefix, number).is_some())
                .map(|(key, _)| key.clone());
            prop_assert_eq!(sorted(kept(|why| why == NearMiss::Inactive)), inactive.collect::<Vec<_>>(), "{}", number);
            let is_missed = |why| !matches!(why, NearMiss::LessSpecific | NearMiss::Inactive);
            let mut expected: Vec<(usize, Key, NearMiss)> = rules
                .iter()
                .filter(|((prefix, _), (active, _))| *active && naive(prefix).identity.is_none())
                .filter_map(|(key, _)| naive(&key.0).missed(number).map(|(shared, why)| (shared, key.clone(), why)))
                .filter(|(shared, ..)| *shared >= least)
                .collect();
            let others: Vec<_> = near.iter().filter(|near| is_missed(near.why)).collect();
            // A second owner's rule for a prefix is not told of when neither matches.
            let told: BTreeSet<&str> = others.iter().map(|near| near.tag.as_str()).collect();
            let all: BTreeSet<String> = expected.iter().map(|(_, (prefix, _), _)| tag(prefix)).collect();
            prop_assert_eq!(told, all.iter().map(String::as_str).collect::<BTreeSet<_>>(), "{} least {}", number, least);
            let mut before = usize::MAX;
            for near in &others {
                let key = (one_form(&near.prefix), near.owner.clone());
                let known = expected.iter().find(|(_, known, _)| *known == key).unwrap();
                prop_assert_eq!(near.why, known.2, "{} {:?}", number, near);
                prop_assert!(near.active && known.0 <= before);
                before = known.0;
            }
            // With little room those come that share most.
            let few = plan.near(number.as_bytes(), 3);
            prop_assert_eq!(few.len(), near.len().min(3));
            expected.sort_by_key(|(shared, ..)| std::cmp::Reverse(*shared));
            let shares = |near: &crate::routing::Near| naive(&near.prefix).missed(number).map(|(shared, _)| shared);
            for (few, all) in few.iter().zip(&near) {
                prop_assert_eq!((is_missed(few.why), shares(few)), (is_missed(all.why), shares(all)), "{}", number);
            }
        }
    }
}

#[test]
fn nearly_matching_rules_say_what_stands_against_them() {
    let mut set = super::layer::Rules::new(1000);
    set.source(0, "plan.csv".into(), 2);
    let rules = [
        ("+44", true),
        ("+4416327684[00-49]", true),
        ("+44163276850", true),
        ("+441632768499#", false),
        ("+4416327684990", true),
        ("+44163276849#", true),
        ("+33", true),
    ];
    for (origin, (prefix, active)) in (0..).zip(rules) {
        let rule = super::layer::Rule { prefix, tag: &format!("tag {prefix}"), owner: "acme", active };
        set.add_rule(rule, origin).unwrap();
    }
    let plan = Plan::new("p".into(), set, |_| None).0;
    let near = plan.near(b"+441632768499", 9);
    let told: Vec<(&str, NearMiss)> = near.iter().map(|near| (near.prefix.as_str(), near.why)).collect();
    assert_eq!(
        told,
        [
            ("+441632768499#", NearMiss::Inactive),
            ("+4416327684990", NearMiss::TooShort),
            ("+44163276849#", NearMiss::End),
            ("+4416327684[00-49]", NearMiss::Range),
            ("+44163276850", NearMiss::Digit),
        ]
    );
    let first = &near[0];
    assert_eq!((first.tag.as_str(), first.owner.as_str(), first.active), ("tag +441632768499#", "acme", false));
    assert_eq!(first.source, Source::File("plan.csv".into(), 5));
    assert_eq!(serde_json::to_string(&NearMiss::TooShort).unwrap(), "\"too_short\"");
    assert_eq!(NearMiss::Range.to_string(), "a digit is outside the range");
    assert_eq!(plan.near(b"anna", 9), []);
}

#[test]
fn large_plan_is_not_walked_for_a_near_rule() {
    let mut set = super::layer::Rules::new(1_000_000);
    for number in 0..60_000_u32 {
        set.add(&format!("+4416{number:05}[0-4]"), "range", number).unwrap();
        set.add(&format!("+4417{number:05}"), "one", number).unwrap();
    }
    let plan = Plan::new("p".into(), set, |_| None).0;
    let near = plan.near(b"+44170000", 5);
    assert_eq!(near.len(), 5);
    assert!(near.iter().all(|near| near.why == NearMiss::TooShort), "{near:?}");
    let near = plan.near(b"+4416000017", 2);
    assert_eq!(near[0].prefix, "+441600001[0-4]");
    assert_eq!(near[0].why, NearMiss::Range);
    assert!(plan.is_incomplete(b"+4416"));
    assert!(!plan.is_incomplete(b"+4418"));
}

#[test]
fn only_a_number_that_is_over_can_be_incomplete() {
    let table = table_of(&rules(&[
        ("+4416[00-49]x#", "range"),
        ("911#", "end"),
        ("7*1", "star"),
        ("402.pbx.example", "identity"),
        ("44[01-98][01-98][01-98][01-98][01-98][01-98][01-98][01-98][01-98][01-98]*", "long"),
    ]));
    let plan = &table.plans()[0];
    for (user, expected) in [
        ("+44", true),
        ("+44-16 ", false),
        ("+4416", true),
        ("%2B4416;ext=1", true),
        ("+441649", true),
        ("+44165", false),
        ("+4416490", false),
        ("+44164901", false),
        ("9", true),
        ("911", false),
        ("9112", false),
        ("7", false),
        ("402", false),
        ("402.pbx.example", false),
        ("9a", false),
        ("+", false),
        ("", false),
        // No digit but a star would be the last.
        ("44", false),
        ("4", false),
    ] {
        assert_eq!(plan.is_incomplete(user.as_bytes()), expected, "{user}");
    }
    let dead = batch("d", vec![remove("+4416[00-49]x#", ""), remove("911#", "")]);
    let (table, _) = table.apply(&dead, 100, &resolve).unwrap();
    assert!(!table.plans()[0].is_incomplete(b"9"));
    let (table, _) = table.apply(&batch("e", vec![put("92", "new", "")]), 100, &resolve).unwrap();
    assert!(table.plans()[0].is_incomplete(b"9"));
}
