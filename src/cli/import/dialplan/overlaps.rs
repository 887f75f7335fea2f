//! Imported rules against others: those of other files that contradict, and those of other owners that they take
//! numbers from or lose numbers to.

use std::collections::{BTreeMap, HashMap, HashSet};

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::super::super::rule_lists::{Changes, Rule};
use super::check::{ByPrefix, Imported, contradiction, differ};
use super::{Old, place_name};
use crate::config::{FaultFile, FileFaults, Loaded, Remark};
use crate::routing::{Destination, Routing, Source, one_form};

/// How many rules that lie over or under those of other owners are shown.
const MAX_SHADOWS: usize = 20;

fn by_prefix<'r>(rules: &'r [Imported<'_>]) -> ByPrefix<'r> {
    let mut known: ByPrefix<'r> = HashMap::with_capacity_and_hasher(rules.len(), RandomState::default());
    for (index, one) in (0..).zip(rules) {
        known.entry((&one.rule.plan, one.rule.form())).or_default().push(index);
    }
    known
}

/// Tells of rules that contradict what stays in the configuration.
pub(super) fn contradictions(file: FaultFile, rules: &[Imported<'_>], around: &Loaded, faults: &FileFaults) {
    let table = around.routing.table();
    if table.is_empty() {
        return;
    }
    let known = by_prefix(rules);
    let mut files: BTreeMap<String, FaultFile> = BTreeMap::new();
    table.for_each(|other| {
        let normalize = table.plan(&other.plan).is_some_and(|plan| plan.is_normalized());
        let form = one_form(&other.prefix, normalize).unwrap_or_default();
        let Some(same) = known.get(&(&*other.plan, &*form)).filter(|_| other.active) else { return };
        let lead = around.routing.resolve(&other.tag);
        for one in same.iter().filter_map(|index| rules.get(*index as usize)) {
            if one.rule.active && differ(one.lead, lead) {
                contradiction(file, one, faults, |remark| match &other.source {
                    Source::File(name, line) => {
                        let read = || faults.file(name, std::fs::read_to_string(&**name).unwrap_or_default().into());
                        let first = *files.entry(name.to_string()).or_insert_with(read);
                        remark.also(first, faults.line(first, *line), "first")
                    }
                    _ => remark.help(format!("the other leads to `{}`", other.tag)),
                });
            }
        }
    });
}

/// The rules of a file that stay beside the imported ones, which take the place of those of their prefix and owner.
pub(super) fn kept<'t>(
    file: FaultFile,
    old: &[Old<'t>],
    rules: &[Imported<'_>],
    loaded: &Loaded,
    faults: &FileFaults,
) -> Vec<Rule<'t>> {
    let known = by_prefix(rules);
    let mut kept = Vec::new();
    for (rule, place) in old {
        let same = known.get(&(&*rule.plan, rule.form()));
        let same = || same.into_iter().flatten().filter_map(|index| rules.get(*index as usize));
        if same().any(|one| one.rule.owner == rule.owner) {
            continue;
        }
        let lead = loaded.routing.resolve(&rule.tag);
        for one in same().filter(|one| one.rule.active && rule.active && differ(one.lead, lead)) {
            contradiction(file, one, faults, |remark| remark.also(place.0, place.1.clone(), "of another owner"));
        }
        kept.push(rule.clone());
    }
    kept
}

/// Warns of rules that are new or changed and lie over or under one of another owner.
pub(super) fn shadows(
    file: FaultFile,
    rules: &[Imported<'_>],
    after: &Loaded,
    changes: &[Changes<'_>],
    faults: &FileFaults,
) {
    let routing = &after.routing;
    let table = routing.table();
    let mut fresh: HashSet<(&str, &str), RandomState> = HashSet::default();
    for changes in changes {
        let changed = changes.changed.iter().map(|changed| changed.new);
        fresh.extend(changes.added.iter().copied().chain(changed).map(|rule| (&*rule.plan, rule.form())));
    }
    let known = by_prefix(rules);
    let mut found = 0;
    let mut owners = Owners { routing, leads: HashMap::default() };
    table.for_each(|rule| {
        let Some(plan) = table.plan(&rule.plan).filter(|_| rule.active) else { return };
        let Some(number) = above(&rule.prefix) else { return };
        let Some(over) = plan.find(number.as_bytes()) else { return };
        let (Some(mine), Some(other)) = (owners.of(&rule.tag, &rule.owner), owners.of(over.tag, over.owner())) else {
            return;
        };
        if mine == other {
            return;
        }
        let (over_prefix, over_source) = plan.rule(number.as_bytes(), &over);
        let normalize = plan.is_normalized();
        let row = |prefix: &str| {
            let form = one_form(prefix, normalize).ok()?;
            let key = (&*rule.plan, &*form);
            let index = known.get(&key).filter(|_| fresh.contains(&key))?.first()?;
            rules.get(*index as usize)
        };
        let (under, above) = (row(&rule.prefix), row(&over_prefix));
        let Some(place) = under.or(above) else { return };
        found += 1;
        if found > MAX_SHADOWS {
            return;
        }
        let message = format!(
            "dial plan `{}`: `{}` of {mine} takes numbers out of `{over_prefix}` of {other}",
            rule.plan, rule.prefix
        );
        let remark = Remark::warning(file, place.span.clone(), message);
        let source = if under.is_some() { over_source } else { rule.source.clone() };
        faults.add(match (under, above, source) {
            (Some(_), Some(above), _) => remark.also(file, above.span.clone(), "the other"),
            (_, _, Source::File(name, line)) => remark.help(format!("the other stands in {}", place_name(&name, line))),
            _ => remark,
        });
    });
    if found > MAX_SHADOWS {
        let message = format!("{} more rules take numbers out of those of other owners", found - MAX_SHADOWS);
        faults.add(Remark::warning_of(file, message));
    }
}

/// Whose rules are.
struct Owners<'a> {
    routing: &'a Routing,
    /// By tag: the tenant.
    leads: HashMap<String, Option<String>, RandomState>,
}

impl Owners<'_> {
    /// The owner that a rule names, or else the tenant that it leads to.
    fn of(&mut self, tag: &str, owner: &str) -> Option<String> {
        if !owner.is_empty() {
            return Some(format!("owner `{owner}`"));
        }
        if let Some(known) = self.leads.get(tag) {
            return known.clone();
        }
        let site = match self.routing.resolve(tag) {
            Some(Destination::Site(index)) => self.routing.sites().get(index),
            _ => None,
        };
        let tenant = site.map(|site| format!("tenant `{}`", site.tenant));
        self.leads.insert(tag.to_owned(), tenant.clone());
        tenant
    }
}

/// A number that fits a prefix up to the symbol before its last; `None`: an identity, or nothing is left.
fn above(prefix: &str) -> Option<String> {
    let mut number: SmallVec<[u8; 64]> = SmallVec::new();
    let mut characters = prefix.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => number.push(u8::try_from(characters.next()?).ok()?),
            'x' | 'X' => number.push(b'0'),
            '[' => {
                let (inside, rest) = characters.as_str().split_once(']')?;
                let first = inside.split([',', '-']).next()?;
                number.extend_from_slice(first.trim().as_bytes());
                characters = rest.chars();
            }
            // Nothing may follow: that is its last position.
            '#' if characters.as_str().is_empty() => number.push(b'#'),
            other => number.push(u8::try_from(other).ok()?),
        }
    }
    let symbol = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'*' | b'#');
    number.pop()?;
    (!number.is_empty() && number.iter().all(symbol)).then(|| number.iter().map(|byte| char::from(*byte)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_above_is_one_symbol_shorter() {
        for (prefix, expected) in [
            ("+4416", Some("+441")),
            ("55[10-19]", Some("551")),
            ("[1,3]x9", Some("10")),
            ("911#", Some("911")),
            ("\\#31", Some("#3")),
            ("4", None),
            ("402.pbx.example", None),
            ("", None),
        ] {
            assert_eq!(above(prefix).as_deref(), expected, "{prefix}");
        }
    }
}
