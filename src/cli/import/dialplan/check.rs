//! The rows of an imported file, checked against the configuration.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::super::super::progress::Progress;
use super::super::super::rule_lists::{RawRow, RawRows, Rule};
use crate::config::{FaultFile, FileFaults, Loaded, Remark, prefix_help};
use crate::routing::Destination;

/// What rows have that do not say so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults<'a> {
    pub plan: Option<&'a str>,
    pub owner: &'a str,
    pub tag: Option<&'a str>,
}

/// A rule of the file.
#[derive(Clone, Debug)]
pub(super) struct Imported<'t> {
    pub rule: Rule<'t>,
    /// Where its row stands.
    pub span: Range<usize>,
    /// Where its tag leads; `None` after a fault.
    pub lead: Option<Destination>,
}

/// The rules of the file, each once.
#[derive(Debug)]
pub(super) struct Checked<'t> {
    pub rules: Vec<Imported<'t>>,
    /// Rows that said again what another row said.
    pub duplicates: usize,
}

/// The indices of rules by plan and prefix in its one form.
pub(super) type ByPrefix<'r> = HashMap<(&'r str, &'r str), SmallVec<[u32; 2]>, RandomState>;

/// Reads and checks all rows.
pub(super) fn check<'t>(
    file: FaultFile,
    text: &'t str,
    loaded: &'t Loaded,
    defaults: Defaults<'t>,
    faults: &FileFaults,
) -> Checked<'t> {
    let mut reading = Reading { file, loaded, defaults, faults, tags: HashMap::default(), plans: BTreeMap::new() };
    reading.defaults();
    let mut list = Vec::new();
    let mut rows = RawRows::new(text);
    let mut progress = Progress::new("reading rules", text.len());
    let mut seen = 0_usize;
    while let Some(row) = rows.next() {
        progress.at(rows.position());
        seen += 1;
        match row {
            Ok(row) => list.extend(reading.row(row)),
            Err((fault, span)) => reading.error(span, || fault.to_string()),
        }
    }
    if seen == 0 {
        faults.add(Remark::error_of(file, "there is no rule in the file"));
    }
    reading.unknown();
    let before = list.len();
    let rules = unique(file, list, faults);
    Checked { duplicates: before - rules.len(), rules }
}

/// A tag of the file.
#[derive(Debug)]
struct Tag {
    lead: Option<Destination>,
    /// Where it was first seen.
    span: Range<usize>,
    /// How many rows have it.
    count: usize,
}

struct Reading<'a, 't> {
    file: FaultFile,
    loaded: &'t Loaded,
    defaults: Defaults<'t>,
    faults: &'a FileFaults,
    tags: HashMap<String, Tag, RandomState>,
    /// Plans that are not known: where they were first seen, and how often.
    plans: BTreeMap<String, (Range<usize>, usize)>,
}

impl<'t> Reading<'_, 't> {
    fn error(&self, span: Range<usize>, message: impl FnOnce() -> String) {
        if self.faults.is_full() {
            self.faults.count(1);
        } else {
            self.faults.add(Remark::error(self.file, span, message()));
        }
    }

    fn plan_names(&self) -> impl Iterator<Item = &str> {
        self.loaded.routing.plans().iter().map(|plan| &**plan.name())
    }

    fn tag_names(&self) -> impl Iterator<Item = &str> {
        let sites = self.loaded.routing.sites().iter().map(|site| &*site.fqdn);
        sites.chain(self.loaded.trunks.0.iter().map(|trunk| &*trunk.name))
    }

    /// Checks what the command line says.
    fn defaults(&mut self) {
        if let Some(plan) = self.defaults.plan.filter(|plan| self.loaded.routing.table().plan(plan).is_none()) {
            let message = format!("--plan: there is no dial plan `{plan}` in the configuration");
            self.faults.add(Remark::error_of(self.file, message).did_you_mean(plan, self.plan_names()));
        }
        if let Some(tag) = self.defaults.tag.filter(|tag| self.loaded.routing.resolve(tag).is_none()) {
            let message = format!("--tag: `{tag}` is neither a site's FQDN nor a trunk");
            self.faults.add(Remark::error_of(self.file, message).did_you_mean(tag, self.tag_names()));
        }
        if self.defaults.plan.is_none() {
            let mut plans = self.loaded.routing.plans().iter();
            self.defaults.plan = plans.next().filter(|_| plans.next().is_none()).map(|plan| &**plan.name());
        }
    }

    fn row(&mut self, row: RawRow<'t>) -> Option<Imported<'t>> {
        let normalize = match &row.plan {
            Some((plan, span)) => self.plan(plan, span.clone()),
            None => match self.defaults.plan {
                Some(plan) => self.loaded.routing.table().plan(plan).map(|plan| plan.is_normalized()),
                None => {
                    let remark = Remark::error(self.file, row.span.clone(), "the row names no dial plan");
                    self.faults.add(remark.help("say which is meant with --plan"));
                    None
                }
            },
        };
        let lead = match (&row.tag, self.defaults.tag) {
            (Some((tag, span)), _) => self.tag(tag, span.clone()),
            (None, Some(tag)) => self.loaded.routing.resolve(tag),
            (None, None) => {
                if self.faults.is_full() {
                    self.faults.count(1);
                } else {
                    let remark = Remark::error(self.file, row.span.clone(), "the row has no tag");
                    self.faults.add(remark.help("say where such rows lead with --tag"));
                }
                None
            }
        };
        let text =
            |value: Option<(Cow<'t, str>, _)>, default: &'t str| value.map_or(Cow::Borrowed(default), |(text, _)| text);
        let plan = text(row.plan, self.defaults.plan.unwrap_or_default());
        let tag = text(row.tag, self.defaults.tag.unwrap_or_default());
        let owner = text(row.owner, self.defaults.owner);
        let (prefix, span) = row.prefix;
        match Rule::new(plan, prefix.clone(), (tag, owner, row.active), normalize.unwrap_or_default()) {
            Ok(rule) => Some(Imported { rule, span: row.span, lead }),
            Err(error) => {
                if self.faults.is_full() {
                    self.faults.count(1);
                } else {
                    let remark = Remark::error(self.file, span, format!("prefix `{prefix}`: {error}"));
                    let help = prefix_help(error);
                    self.faults.add(help.into_iter().fold(remark, Remark::help));
                }
                None
            }
        }
    }

    /// Whether a plan is normalized; `None`: it is not known.
    fn plan(&mut self, name: &str, span: Range<usize>) -> Option<bool> {
        let plan = self.loaded.routing.table().plan(name);
        if plan.is_none() {
            self.plans.entry(name.to_owned()).or_insert((span, 0)).1 += 1;
        }
        plan.map(|plan| plan.is_normalized())
    }

    fn tag(&mut self, tag: &str, span: Range<usize>) -> Option<Destination> {
        if let Some(known) = self.tags.get_mut(tag) {
            known.count += 1;
            return known.lead;
        }
        let lead = self.loaded.routing.resolve(tag);
        self.tags.insert(tag.to_owned(), Tag { lead, span, count: 1 });
        lead
    }

    /// Tells of plans and tags that lead nowhere, each once.
    fn unknown(&self) {
        let label = |count: usize| match count {
            1 => String::new(),
            count => format!("the first of {count} rows"),
        };
        for (plan, (span, count)) in &self.plans {
            let message = format!("there is no dial plan `{plan}` in the configuration");
            let remark = Remark::error(self.file, span.clone(), message).label(label(*count));
            self.faults.add(remark.did_you_mean(plan, self.plan_names()));
        }
        for (tag, Tag { lead, span, count }) in &self.tags {
            if lead.is_none() {
                if self.faults.is_full() {
                    self.faults.count(1);
                    continue;
                }
                let message = format!("tag `{tag}` is neither a site's FQDN nor a trunk");
                let remark = Remark::error(self.file, span.clone(), message).label(label(*count));
                self.faults.add(remark.did_you_mean(tag, self.tag_names()));
            }
        }
    }
}

/// Drops rows that are there again, and tells of those that contradict.
fn unique<'t>(file: FaultFile, list: Vec<Imported<'t>>, faults: &FileFaults) -> Vec<Imported<'t>> {
    let mut again = vec![false; list.len()];
    let mut known: ByPrefix<'_> = HashMap::with_capacity_and_hasher(list.len(), RandomState::default());
    for ((index, one), again) in (0_u32..).zip(&list).zip(&mut again) {
        let same = known.entry((&one.rule.plan, one.rule.form())).or_default();
        for first in same.iter().filter_map(|first| list.get(*first as usize)) {
            if first.rule.says_the_same(&one.rule) {
                *again = true;
            } else if first.rule.active && one.rule.active && differ(first.lead, one.lead) {
                contradiction(file, one, faults, |remark| remark.also(file, first.span.clone(), "first"));
                break;
            }
        }
        if !*again {
            same.push(index);
        }
    }
    drop(known);
    list.into_iter().zip(again).filter(|(_, again)| !again).map(|(one, _)| one).collect()
}

/// Whether two rules for one prefix cannot both be; of one without a lead another fault was told.
pub(super) fn differ(a: Option<Destination>, b: Option<Destination>) -> bool {
    a.is_some() && b.is_some() && a != b
}

/// Tells of a rule that leads elsewhere than another for its prefix, which `also` names.
pub(super) fn contradiction(
    file: FaultFile,
    one: &Imported<'_>,
    faults: &FileFaults,
    also: impl FnOnce(Remark) -> Remark,
) {
    if faults.is_full() {
        return faults.count(1);
    }
    let message = format!("dial plan `{}`: one prefix with two tags", one.rule.plan);
    faults.add(also(Remark::error(file, one.span.clone(), message).label("leads elsewhere")));
}
