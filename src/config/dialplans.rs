//! `[dialplan.NAME]`: rules from files and from the configuration itself.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::log::{At, Draft, FileId, Log, Place};
use super::names::Names;
use super::nearest::did_you_mean;
use super::reader::{Table, quoted};
use super::sheets::{self, Sheets};
use super::stretches::Stretches;
use super::tenants::TenantSet;
use super::trunks::TrunkSet;
use crate::routing::{Destination, Plan, PrefixError, RowReader, Rule, Rules};

/// The dial plans.
#[derive(Debug)]
pub(super) struct PlanSet {
    /// Index in `list`.
    pub names: Names<u32>,
    pub list: Vec<Plan>,
    /// Where each stands.
    pub places: Vec<Place>,
    /// By plan: the files that it names, not those that a pattern found.
    pub named: BTreeMap<Arc<str>, Vec<PathBuf>>,
}

/// What a tag may mean.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tags<'a> {
    pub tenants: &'a TenantSet<'a>,
    pub trunks: &'a TrunkSet<'a>,
}

impl Tags<'_> {
    fn resolve(&self, tag: &str) -> Option<Destination> {
        let site = self.tenants.sites.names.get(&tag.trim_end_matches('.').to_ascii_lowercase());
        site.map(Destination::Site).or_else(|| self.trunks.names.get(tag).map(Destination::Trunk))
    }
}

pub(super) fn read(
    log: &Log,
    tables: Vec<(At<&str>, Table<'_>)>,
    tags: Tags<'_>,
    sheets: &mut Sheets,
    max_prefixes: usize,
) -> PlanSet {
    let mut set =
        PlanSet { names: Names::new("dial plan"), list: Vec::new(), places: Vec::new(), named: BTreeMap::new() };
    for (index, (name, _)) in (0..).zip(&tables) {
        set.names.add(log, At::new(name.value, name.place), index);
    }
    let mut left = max_prefixes;
    for (name, mut table) in tables {
        let mut reading = PlanReading {
            log,
            name: name.value,
            title: table.title.clone(),
            plans: &set.names,
            rules: Rules::new(left).normalize(table.boolean("normalize").is_some_and(|normalize| normalize.value)),
            stretches: Stretches::default(),
            tags: Vec::new(),
        };
        set.named.insert(name.value.into(), sheets::literal(&mut table, "files"));
        for file in sheets.named(&mut table, "files") {
            reading.file(file);
        }
        let title = format!("a rule of {}", table.title);
        for rule in table.tables("rules", "dialplan.NAME.rules", |_| title.clone()) {
            reading.rule(rule);
        }
        left = left.saturating_sub(reading.rules.len());
        set.list.push(reading.finish(tags));
        set.places.push(name.place);
        table.finish();
    }
    set
}

struct PlanReading<'a> {
    log: &'a Log,
    name: &'a str,
    title: String,
    plans: &'a Names<u32>,
    rules: Rules,
    stretches: Stretches,
    /// Each tag once, where it was first seen.
    tags: Vec<At<String>>,
}

impl PlanReading<'_> {
    fn file(&mut self, file: FileId) {
        let text = self.log.text(file);
        let base = self.stretches.lines(self.log, file);
        self.rules.source(base, self.log.name(file), 1);
        // Rows of other plans, by the plan's name: where the first is, and how many there are.
        let mut others: BTreeMap<&str, (Place, usize)> = BTreeMap::new();
        let mut reader = RowReader::default();
        for row in reader.rows(&text) {
            let place = Place::new(file, row.span);
            let fields = match row.fields {
                Ok(fields) => fields,
                Err(why) => {
                    self.log.add(Draft::error(place, format!("{}: {why}", self.title)));
                    continue;
                }
            };
            match fields.plan {
                Some(plan) if plan != self.name => {
                    others.entry(plan).or_insert((place, 0)).1 += 1;
                }
                _ => {
                    let origin = base.saturating_add(u32::try_from(row.line).unwrap_or(u32::MAX));
                    let rule =
                        Rule { prefix: fields.prefix, tag: fields.tag, owner: fields.owner, active: fields.active };
                    self.add(rule, place, place, origin);
                }
            }
        }
        for (plan, (place, count)) in others {
            // Another plan that is configured may share the file.
            if self.plans.get(plan).is_none() && self.log.is_complete() {
                let message =
                    format!("{}: {count} rows are for a dial plan {} that is not configured", self.title, quoted(plan));
                let help = did_you_mean(plan, self.plans.words());
                self.log.add(Draft::warning(place, message).label("the first of them").maybe_help(help));
            }
        }
    }

    fn rule(&mut self, mut table: Table<'_>) {
        let (prefix, tag) = (table.required("prefix"), table.required("tag"));
        let (owner, active) = (table.text("owner"), table.boolean("active"));
        table.finish();
        let (Some(prefix), Some(tag)) = (prefix, tag) else {
            return;
        };
        let prefix = At::new(prefix.value.trim(), prefix.place);
        if prefix.value.is_empty() {
            let message = format!("{}: the rule's prefix is empty", self.title);
            let help = "a rule for every number is a [[route]] without a prefix";
            self.log.add(Draft::error(prefix.place, message).help(help));
            return;
        }
        let origin = self.stretches.place(prefix.place);
        self.rules.source(origin, self.log.name(prefix.place.file), self.log.line(prefix.place));
        let owner = owner.map_or("", |owner| owner.value.trim());
        let active = active.is_none_or(|active| active.value);
        let rule = Rule { prefix: prefix.value, tag: tag.value.trim(), owner, active };
        self.add(rule, prefix.place, tag.place, origin);
    }

    fn add(&mut self, rule: Rule<'_>, prefix: Place, tag: Place, origin: u32) {
        match self.rules.add_rule(rule, origin) {
            Ok(true) => self.tags.push(At::new(rule.tag.to_owned(), tag)),
            Ok(false) => {}
            Err(error) => {
                if self.log.is_full() {
                    return self.log.count(1);
                }
                let message = format!("{}: prefix {}: {error}", self.title, quoted(rule.prefix));
                let help = prefix_help(error);
                self.log.add(Draft::error(prefix, message).maybe_help(help));
            }
        }
    }

    fn finish(self, tags: Tags<'_>) -> Plan {
        for tag in &self.tags {
            if tags.resolve(&tag.value).is_none() && self.log.is_complete() {
                let message =
                    format!("{}: tag {} is neither a site's FQDN nor a trunk", self.title, quoted(&tag.value));
                let known = tags.tenants.sites.names.words().chain(tags.trunks.names.words());
                let help = did_you_mean(&tag.value, known);
                self.log.add(Draft::error(tag.place, message).maybe_help(help));
            }
        }
        let name: Arc<str> = self.name.into();
        let (plan, conflicts) = Plan::new(name, self.rules, |tag| tags.resolve(tag));
        for (told, conflict) in conflicts.iter().enumerate() {
            if self.log.is_full() {
                self.log.count(conflicts.len() - told);
                break;
            }
            let (kept, dropped) =
                (self.stretches.find(self.log, conflict.kept), self.stretches.find(self.log, conflict.dropped));
            if let (Some(kept), Some(dropped)) = (kept, dropped) {
                let message = format!("{}: one prefix with two tags", self.title);
                self.log.add(Draft::error(dropped, message).label("leads elsewhere").also(kept, "first"));
            }
        }
        plan
    }
}

/// What to do about a prefix that cannot be read.
pub fn prefix_help(error: PrefixError) -> Option<String> {
    let help = match error {
        PrefixError::Character(_) => "a prefix has digits, `+`, `*`, `#`, `x`, ranges `[000-999]` and sets `[1,3,5-7]`",
        PrefixError::Full(_) => "raise `max_dialplan_prefixes` in [limits]",
        _ => return None,
    };
    Some(help.to_owned())
}
