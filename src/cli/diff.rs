//! `trunkway diff`: what is different between two lists of dial plan rules.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::progress::Progress;
use super::rule_lists::{self, Changes, RawRows, Rule};
use super::{EXIT_NO, Output, json};
use crate::config::{self, FaultFile, FileFaults, Loaded, Remark, prefix_help};

/// Arguments of `trunkway diff`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The old rules: a CSV file, or a configuration (`.toml`) with all its dial plans.
    #[arg(value_name = "A")]
    pub old: PathBuf,

    /// The new rules, as a file of either kind.
    #[arg(value_name = "B")]
    pub new: PathBuf,

    /// Print the result as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What `diff --json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    equal: bool,
    #[serde(flatten)]
    changes: &'a Changes<'a>,
    duplicates: Duplicates,
}

/// Rows that say again what another row says.
#[derive(Debug, Serialize)]
struct Duplicates {
    old: usize,
    new: usize,
}

/// How many differences of each kind are shown to people.
const MAX_SHOWN: usize = 1000;

/// A file as it was read.
enum Source {
    Configuration(Box<Loaded>),
    Rows(FaultFile, Arc<str>),
}

/// Compares two lists.
pub fn diff(arguments: &Arguments, color: bool) -> Output {
    let faults = FileFaults::default();
    let mut sources = Vec::new();
    for path in [&arguments.old, &arguments.new] {
        match open(path, &faults) {
            Ok(source) => sources.push(source),
            Err(text) => return Output::fault(text.render(color)),
        }
    }
    let [Some(old), Some(new)] = &*sources else {
        return Output::fault(faults.into_faults().render(color));
    };
    let configured = [old, new].into_iter().find_map(|source| match source {
        Source::Configuration(loaded) => Some(&**loaded),
        Source::Rows(..) => None,
    });
    let (mut old, mut new) = (old.rules(&faults, configured), new.rules(&faults, configured));
    if faults.failed() {
        return Output::fault(faults.into_faults().render(color));
    }
    name_plan(&mut old, &new);
    name_plan(&mut new, &old);
    let changes = Changes::between(&old, &new);
    let code = if changes.is_empty() { 0 } else { EXIT_NO };
    let out = if arguments.json {
        let duplicates = Duplicates { old: changes.old_duplicates, new: changes.new_duplicates };
        json(&Report { equal: changes.is_empty(), changes: &changes, duplicates })
    } else {
        words(arguments, &changes)
    };
    Output { out, code, ..Output::default() }
}

fn words(arguments: &Arguments, changes: &Changes<'_>) -> String {
    let mut text = changes.counts() + "\n" + &changes.examples(MAX_SHOWN);
    for (path, count) in [(&arguments.old, changes.old_duplicates), (&arguments.new, changes.new_duplicates)] {
        if count > 0 {
            text.push_str(&format!("{}: {count} rows are there again\n", path.display()));
        }
    }
    text
}

/// Reads a file; `None` after a fault of the file itself.
fn open(path: &Path, faults: &FileFaults) -> Result<Option<Source>, config::Faults> {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml")) {
        return config::load(path).map(|loaded| Some(Source::Configuration(Box::new(loaded))));
    }
    Ok(super::import::read_text(path, faults, |_| None).map(|(file, text)| Source::Rows(file, text)))
}

impl Source {
    fn rules(&self, faults: &FileFaults, configured: Option<&Loaded>) -> Vec<Rule<'_>> {
        let (file, text) = match self {
            Self::Configuration(loaded) => return rule_lists::of_table(loaded.routing.table()),
            Self::Rows(file, text) => (*file, text),
        };
        let normalized = |plan: &str| {
            configured.and_then(|loaded| loaded.routing.table().plan(plan)).is_some_and(|plan| plan.is_normalized())
        };
        let mut list = Vec::new();
        let mut rows = RawRows::new(text);
        let mut progress = Progress::new("reading rules", text.len());
        while let Some(row) = rows.next() {
            progress.at(rows.position());
            if faults.is_full() {
                faults.count(usize::from(row.is_err()));
                continue;
            }
            let row = match row {
                Ok(row) => row,
                Err((fault, span)) => {
                    faults.add(Remark::error(file, span, fault.to_string()));
                    continue;
                }
            };
            let text = |value: Option<rule_lists::Placed<'_>>| {
                value.map_or(Cow::Borrowed(""), |(text, _)| Cow::Owned(text.into_owned()))
            };
            let plan = text(row.plan);
            let Some((tag, _)) = row.tag else {
                faults.add(Remark::error(file, row.span, "the row has no tag"));
                continue;
            };
            let (prefix, span) = row.prefix;
            let normalize = normalized(&plan);
            match Rule::new(plan, prefix.clone(), (tag, text(row.owner), row.active), normalize) {
                Ok(rule) => list.push(rule),
                Err(error) => {
                    let remark = Remark::error(file, span, format!("prefix `{prefix}`: {error}"));
                    faults.add(match prefix_help(error) {
                        Some(help) => remark.help(help),
                        None => remark,
                    });
                }
            }
        }
        list
    }
}

/// Gives rules that name no plan the only one that the other list has.
fn name_plan(rules: &mut [Rule<'_>], others: &[Rule<'_>]) {
    let plans: BTreeSet<&str> = others.iter().map(|rule| &*rule.plan).collect();
    let mut plans = plans.into_iter();
    if let (Some(plan), None) = (plans.next(), plans.next()) {
        for rule in rules.iter_mut().filter(|rule| rule.plan.is_empty()) {
            rule.plan = Cow::Owned(plan.to_owned());
        }
    }
}
