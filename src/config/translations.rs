//! `[[trunk.NAME.translate]]`: rules that rewrite numbers.

use std::collections::BTreeMap;

use super::log::{Draft, Place};
use super::reader::{Table, quoted};
use crate::routing::translate::{MAX_RULES, Rule, RuleError, Translation, Translations};

/// Which list of a trunk a rule belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum List {
    InCalled,
    InCalling,
    OutCalled,
    OutCalling,
}

/// The rules of a trunk, from its table.
pub(super) fn read(trunk: &mut Table<'_>) -> Translations {
    let of = trunk.title.clone();
    let tables =
        trunk.tables("translate", "trunk.NAME.translate", |index| format!("translation rule {} of {of}", index + 1));
    let mut lists = BTreeMap::<List, Vec<Rule>>::new();
    let mut names = BTreeMap::<String, Place>::new();
    let mut patterns = BTreeMap::<(List, String), Place>::new();
    for mut table in tables {
        let place = table.place;
        let Some((list, rule)) = rule(&mut table, &mut names) else {
            table.finish();
            continue;
        };
        let pattern = table.place_of("pattern");
        let first = *patterns.entry((list, rule.pattern().to_owned())).or_insert(pattern);
        if first != pattern {
            let message = format!("{}: an earlier rule has the same pattern", table.title);
            table.log().add(Draft::warning(pattern, message).label("never reached").also(first, "this one is taken"));
        }
        let rules = lists.entry(list).or_default();
        if rules.len() == MAX_RULES {
            let message = format!("{}: {}", table.title, RuleError::TooMany);
            table.log().add(Draft::error(place, message).help("the limit holds for each direction and kind of number"));
        }
        rules.push(rule);
        table.finish();
    }
    let mut list = |list| {
        let mut rules = lists.remove(&list).unwrap_or_default();
        rules.truncate(MAX_RULES);
        // Not longer than it may be, so there is nothing to complain of.
        Translation::new(rules).unwrap_or_default()
    };
    let mut translations = Translations::default();
    translations.inbound.called = list(List::InCalled);
    translations.inbound.calling = list(List::InCalling);
    translations.outbound.called = list(List::OutCalled);
    translations.outbound.calling = list(List::OutCalling);
    translations
}

fn rule(table: &mut Table<'_>, names: &mut BTreeMap<String, Place>) -> Option<(List, Rule)> {
    for key in ["direction", "number"] {
        table.must_have(key);
    }
    let inbound = table.choice("direction", &[("in", true), ("out", false)]);
    let called = table.choice("number", &[("called", true), ("calling", false)]);
    let name = table.required("name");
    let pattern = table.required("pattern");
    let replacement = table.required("replacement");
    if let Some(name) = &name {
        let first = *names.entry(name.value.to_owned()).or_insert(name.place);
        if first != name.place {
            let message = format!("{}: the name {} is there twice", table.title, quoted(name.value));
            table.log().add(Draft::error(name.place, message).label("again").also(first, "first"));
        }
    }
    let (name, pattern, replacement) = (name?, pattern?, replacement?);
    let rule = match Rule::new(name.value, pattern.value, replacement.value) {
        Ok(rule) => rule,
        Err(error) => {
            let (key, place) = match &error {
                error if error.is_of_name() => ("name", name.place),
                error if error.is_of_replacement() => ("replacement", replacement.place),
                _ => ("pattern", pattern.place),
            };
            let message = format!("{}: `{key}`: {error}", table.title);
            table.log().add(Draft::error(place, message));
            return None;
        }
    };
    let list = match (inbound?.value, called?.value) {
        (true, true) => List::InCalled,
        (true, false) => List::InCalling,
        (false, true) => List::OutCalled,
        (false, false) => List::OutCalling,
    };
    Some((list, rule))
}
