//! `trunkway export`: the rules of the dial plans as CSV.

use std::path::PathBuf;

use clap::Args;

use super::rule_lists::{self, Columns, Rule};
use super::write::{self, Readers};
use super::{ConfigFile, EXIT_FAULTS, Output};
use crate::config;

/// Arguments of `trunkway export`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    pub file: ConfigFile,

    /// Only the rules of this dial plan; may stand more than once.
    #[arg(long = "plan", value_name = "NAME")]
    pub plans: Vec<String>,

    /// Only the rules of this owner.
    #[arg(long, value_name = "OWNER")]
    pub owner: Option<String>,

    /// 3 columns, `dialPlanName,prefix,tag`, or 5, with `owner` and `active`. As many as the rules need when left out.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(3..=5))]
    pub columns: Option<u8>,

    /// Write the rules to a file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Writes the rules of a configuration.
pub fn export(arguments: &Arguments, color: bool) -> Output {
    let loaded = match config::load(&arguments.file.config) {
        Ok(loaded) => loaded,
        Err(faults) => return Output::fault(faults.render(color)),
    };
    let table = loaded.routing.table();
    for name in &arguments.plans {
        if table.plan(name).is_none() {
            let known: Vec<&str> = table.plans().iter().map(|plan| &**plan.name()).collect();
            return Output::fault(format!("there is no dial plan `{name}`; known: {}\n", known.join(", ")));
        }
    }
    let mut list = rule_lists::of_table(table);
    list.retain(|rule| {
        let named = arguments.plans.is_empty() || arguments.plans.iter().any(|plan| *plan == rule.plan);
        named && arguments.owner.as_ref().is_none_or(|owner| *owner == rule.owner)
    });
    // They come plan by plan, in the order of the configuration.
    for plan in list.chunk_by_mut(|a, b| a.plan == b.plan) {
        plan.sort_by(|a, b| (&a.prefix, &a.owner, &a.tag, a.active).cmp(&(&b.prefix, &b.owner, &b.tag, b.active)));
    }
    let needed = Columns::needed(&list);
    let mut output = Output::default();
    let columns = match arguments.columns {
        Some(3) => Columns::Three,
        Some(5) => Columns::Five,
        None => needed,
        Some(_) => return Output::fault("a file of rules has 3 columns or 5\n".to_owned()),
    };
    if columns == Columns::Three && needed == Columns::Five {
        if let Some(rule) = list.iter().find(|rule| !rule.active) {
            let Rule { plan, prefix, .. } = rule;
            let why = "and 3 columns cannot say so: write 5";
            return Output::fault(format!("rule {prefix} of dial plan `{plan}` is inactive, {why}\n"));
        }
        output.err = "the owners of rules are left out: 5 columns have room for them\n".to_owned();
    }
    let text = match rule_lists::rule_file(&list, columns) {
        Ok(text) => text,
        Err(rule) => return Output::fault(unwritable(rule)),
    };
    let Some(path) = &arguments.output else { return Output { out: text, ..output } };
    match write::replace(path, &text, Readers::Unchanged) {
        Ok(()) => output.out = format!("{}: {} rules\n", path.display(), list.len()),
        Err(error) => {
            output.err = format!("cannot write {}: {error}\n", path.display());
            output.code = EXIT_FAULTS;
        }
    }
    output
}

/// What is said of a rule that no CSV file can hold.
pub(super) fn unwritable(rule: &Rule<'_>) -> String {
    let Rule { plan, prefix, tag, owner, .. } = rule;
    let what = "a line break, a blank at an end, or a quote and a comma together cannot stand in a file";
    format!("rule {prefix:?} of dial plan `{plan}` (tag {tag:?}, owner {owner:?}): {what}\n")
}
