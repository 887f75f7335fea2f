//! What is different between two lists of rules.

use serde::{Serialize, Serializer};

use super::Rule;

/// The differences from one list to another.
#[derive(Debug, Default, Serialize)]
pub(in crate::cli) struct Changes<'r> {
    #[serde(serialize_with = "shown")]
    pub added: Vec<&'r Rule<'r>>,
    #[serde(serialize_with = "shown")]
    pub removed: Vec<&'r Rule<'r>>,
    pub changed: Vec<Changed<'r>>,
    pub unchanged: usize,
    /// Rows of the old list that say again what another says.
    #[serde(skip)]
    pub old_duplicates: usize,
    #[serde(skip)]
    pub new_duplicates: usize,
}

/// A rule for one prefix of one plan, before and after.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Changed<'r> {
    #[serde(serialize_with = "one_shown")]
    pub old: &'r Rule<'r>,
    #[serde(serialize_with = "one_shown")]
    pub new: &'r Rule<'r>,
}

/// A rule in JSON.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Shown<'r> {
    plan: &'r str,
    prefix: &'r str,
    tag: &'r str,
    #[serde(skip_serializing_if = "str::is_empty")]
    owner: &'r str,
    active: bool,
}

impl<'r> From<&'r Rule<'r>> for Shown<'r> {
    fn from(rule: &'r Rule<'r>) -> Self {
        Self { plan: &rule.plan, prefix: &rule.prefix, tag: &rule.tag, owner: &rule.owner, active: rule.active }
    }
}

fn shown<S: Serializer>(rules: &[&Rule<'_>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(rules.iter().map(|rule| Shown::from(*rule)))
}

fn one_shown<S: Serializer>(rule: &Rule<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    Shown::from(rule).serialize(serializer)
}

/// The rules by plan and prefix, each once, and how many were there again.
fn sorted<'r>(rules: &'r [Rule<'r>]) -> (Vec<&'r Rule<'r>>, usize) {
    let mut list: Vec<&Rule<'_>> = rules.iter().collect();
    list.sort_by(|a, b| a.key().cmp(&b.key()));
    list.dedup_by(|later, first| later.key() == first.key());
    let duplicates = rules.len() - list.len();
    (list, duplicates)
}

impl<'r> Changes<'r> {
    /// Compares two lists; neither the order of rules nor how their prefixes are written counts.
    pub(in crate::cli) fn between(old: &'r [Rule<'r>], new: &'r [Rule<'r>]) -> Self {
        let ((old, old_duplicates), (new, new_duplicates)) = (sorted(old), sorted(new));
        let mut changes = Self { old_duplicates, new_duplicates, ..Self::default() };
        let place = |rule: &&'r Rule<'r>| -> (&'r str, &'r str) { (&rule.plan, rule.form()) };
        let same = |a: &&'r Rule<'r>, b: &&'r Rule<'r>| place(a) == place(b);
        let mut olds = old.chunk_by(same).peekable();
        let mut news = new.chunk_by(same).peekable();
        loop {
            let first = |group: &&[&'r Rule<'r>]| group.first().map(place);
            let (next_old, next_new) = (olds.peek().and_then(first), news.peek().and_then(first));
            let order = match (next_old, next_new) {
                (None, None) => return changes,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(old), Some(new)) => old.cmp(&new),
            };
            let old = if order.is_le() { olds.next() } else { None };
            let new = if order.is_ge() { news.next() } else { None };
            changes.prefix(old.unwrap_or_default(), new.unwrap_or_default());
        }
    }

    /// Compares the rules of one prefix: what is equal first, then those of one owner, then what is left.
    fn prefix(&mut self, old: &[&'r Rule<'r>], new: &[&'r Rule<'r>]) {
        if let ([old], [new]) = (old, new) {
            // What most prefixes have.
            return match old.key() == new.key() {
                true => self.unchanged += 1,
                false => self.changed.push(Changed { old, new }),
            };
        }
        let (mut old, mut new) = (old.to_vec(), new.to_vec());
        self.unchanged += take_pairs(&mut old, &mut new, |old, new| old.key() == new.key()).len();
        self.changed.extend(take_pairs(&mut old, &mut new, |old, new| old.owner == new.owner));
        self.changed.extend(take_pairs(&mut old, &mut new, |_, _| true));
        self.added.extend(new);
        self.removed.extend(old);
    }

    /// Whether both lists say the same.
    pub(in crate::cli) const fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    /// `1 added, 0 removed, 0 changed, 7 unchanged`.
    pub(in crate::cli) fn counts(&self) -> String {
        let Self { added, removed, changed, unchanged, .. } = self;
        format!("{} added, {} removed, {} changed, {unchanged} unchanged", added.len(), removed.len(), changed.len())
    }

    /// A line for each difference, up to `most` of each kind.
    pub(in crate::cli) fn examples(&self, most: usize) -> String {
        let mut text = String::new();
        let more = |text: &mut String, mark, count: usize| {
            if count > most {
                text.push_str(&format!("  {mark} ... and {} more\n", count - most));
            }
        };
        for (mark, rules) in [('+', &self.added), ('-', &self.removed)] {
            for rule in rules.iter().take(most) {
                let Rule { plan, prefix, tag, .. } = rule;
                text.push_str(&format!("  {mark} {plan} {prefix} -> {tag}{}\n", rest(rule)));
            }
            more(&mut text, mark, rules.len());
        }
        for Changed { old, new } in self.changed.iter().take(most) {
            let Rule { plan, prefix, .. } = new;
            text.push_str(&format!("  ~ {plan} {prefix}: {}\n", differences(old, new)));
        }
        more(&mut text, '~', self.changed.len());
        text
    }
}

/// Takes out what has a partner on the other side.
fn take_pairs<'r>(
    old: &mut Vec<&'r Rule<'r>>,
    new: &mut Vec<&'r Rule<'r>>,
    same: impl Fn(&Rule<'_>, &Rule<'_>) -> bool,
) -> Vec<Changed<'r>> {
    let mut pairs = Vec::new();
    old.retain(|old| match new.iter().position(|new| same(old, new)) {
        Some(at) => {
            pairs.push(Changed { old, new: new.remove(at) });
            false
        }
        None => true,
    });
    pairs
}

/// What a rule has beside prefix and tag.
fn rest(rule: &Rule<'_>) -> String {
    let owner = if rule.owner.is_empty() { String::new() } else { format!(", owner {}", rule.owner) };
    owner + if rule.active { "" } else { ", inactive" }
}

fn differences(old: &Rule<'_>, new: &Rule<'_>) -> String {
    let word = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
    let state = |active: bool| if active { "active" } else { "inactive" };
    let mut list = Vec::new();
    for (name, old, new) in [("tag", &old.tag, &new.tag), ("owner", &old.owner, &new.owner)] {
        if old != new {
            list.push(format!("{name} {} -> {}", word(old), word(new)));
        }
    }
    if old.active != new.active {
        list.push(format!("{} -> {}", state(old.active), state(new.active)));
    }
    list.join(", ")
}
