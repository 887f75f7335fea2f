//! `trunkway import dialplan`: rules of dial plans.
//!
//! The configuration is looked at three times: without any rows, for its plans and what they are called; with what the
//! files hold that are not written, for rules that contradict; and as it will be, so that what is written is taken.

mod check;
mod overlaps;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use self::check::{Checked, Defaults, Imported};
use super::super::export::unwritable;
use super::super::rule_lists::{Changes, Columns, Placed, RawRows, Rule, rule_file};
use super::super::write::{self, Readers};
use super::super::{ConfigFile, EXIT_FAULTS, Output, json};
use super::{MAX_SHOWN, NEXT, read_text};
use crate::config::{self, FaultFile, Faults, FileFaults, Instead, Loaded, Remark};

/// Arguments of `trunkway import dialplan`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The file to import.
    #[arg(value_name = "FILE")]
    pub from: PathBuf,

    #[command(flatten)]
    pub file: ConfigFile,

    /// The dial plan of rows that name none. May be left out when there is one plan only.
    #[arg(long, value_name = "NAME")]
    pub plan: Option<String>,

    /// The file to write, instead of the one that the dial plan names.
    #[arg(long, value_name = "PATH")]
    pub to: Option<PathBuf>,

    /// The owner of rows that name none.
    #[arg(long, value_name = "OWNER")]
    pub owner: Option<String>,

    /// The tag of rows that have none: the FQDN of a site or the name of a trunk.
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,

    /// Keep the rules that are there, and add and overwrite.
    #[arg(long)]
    pub merge: bool,

    /// Tell what would change, and write nothing.
    #[arg(long)]
    pub dry_run: bool,

    /// Print the result as one JSON object.
    #[arg(long)]
    pub json: bool,
}

impl Arguments {
    fn defaults(&self) -> Defaults<'_> {
        let (plan, tag) = (self.plan.as_deref(), self.tag.as_deref());
        Defaults { plan, owner: self.owner.as_deref().unwrap_or_default(), tag }
    }
}

/// What `import dialplan --json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    /// Whether the file can be taken.
    valid: bool,
    #[serde(flatten)]
    faults: &'a Faults,
    /// Rules of the file.
    rules: usize,
    /// Rows that say again what another row says.
    duplicates: usize,
    files: Vec<FileReport<'a>>,
    /// Whether files were written.
    written: bool,
}

/// What becomes of one file.
#[derive(Debug, Serialize)]
struct FileReport<'a> {
    file: &'a str,
    #[serde(flatten)]
    changes: &'a Changes<'a>,
}

/// A file that is to be written.
#[derive(Debug)]
struct Target {
    path: PathBuf,
    name: String,
    /// The plans whose rules go there.
    plans: BTreeSet<String>,
    /// What it holds now.
    old: Option<(FaultFile, Arc<str>)>,
}

/// Imports a file of rules.
pub fn import(arguments: &Arguments, color: bool) -> Output {
    let faults = FileFaults::default();
    let read = read_text(&arguments.from, &faults, |_| None);
    let plain = match config::load_instead(&arguments.file.config, Instead::empty()) {
        Ok(loaded) => loaded,
        Err(other) => return refuse(arguments, color, &first(faults, other), 0, 0),
    };
    let Some((file, text)) = read else { return refuse(arguments, color, &faults.into_faults(), 0, 0) };
    let Checked { rules, duplicates } = check::check(file, &text, &plain, arguments.defaults(), &faults);
    let refuse = |faults: Faults| refuse(arguments, color, &faults, rules.len(), duplicates);
    let Some(targets) = targets(arguments, &plain, &rules, file, &faults) else { return refuse(faults.into_faults()) };
    let lists = lists(arguments, &plain, &targets, &rules, file, &faults);
    match config::load_instead(&arguments.file.config, instead(&targets, &[])) {
        Ok(around) => overlaps::contradictions(file, &rules, &around, &faults),
        Err(other) => return refuse(first(faults, other)),
    }
    let texts = texts(&targets, &lists, file, &faults);
    if faults.failed() {
        return refuse(faults.into_faults());
    }
    let after = match config::load_instead(&arguments.file.config, instead(&targets, &texts)) {
        Ok(loaded) => loaded,
        Err(other) => return refuse(other),
    };
    let changes: Vec<Changes<'_>> = lists.iter().map(|list| Changes::between(&list.old, &list.new)).collect();
    unread(&targets, &after, file, &faults);
    overlaps::shadows(file, &rules, &after, &changes, &faults);
    let done = Done { arguments, targets: &targets, changes: &changes, count: rules.len(), duplicates };
    done.finish(&texts, &faults.into_faults(), color)
}

/// The faults of the imported file when there are any, else those of the configuration.
fn first(faults: FileFaults, other: Faults) -> Faults {
    if faults.failed() { faults.into_faults() } else { other }
}

/// Texts for the files that are to be written; without texts they are taken as empty.
fn instead(targets: &[Target], texts: &[Arc<str>]) -> Instead {
    let texts = texts.iter().cloned().chain(std::iter::repeat(Arc::from("")));
    targets.iter().zip(texts).fold(Instead::forgiving(), |instead, (target, text)| instead.with(&target.path, text))
}

/// What is to stand in each file.
fn texts(targets: &[Target], lists: &[Lists<'_>], file: FaultFile, faults: &FileFaults) -> Vec<Arc<str>> {
    let mut texts = Vec::with_capacity(lists.len());
    for (target, list) in targets.iter().zip(lists) {
        match rule_file(&list.new, Columns::needed(&list.new)) {
            Ok(text) => texts.push(text.into()),
            Err(rule) => {
                let message = format!("{}: {}", target.name, unwritable(rule).trim_end());
                faults.add(Remark::error_of(file, message));
            }
        }
    }
    texts
}

/// Warns of files that the configuration does not read.
fn unread(targets: &[Target], after: &Loaded, file: FaultFile, faults: &FileFaults) {
    let read: BTreeSet<PathBuf> = after.files.iter().map(|path| config::whole(path)).collect();
    for target in targets.iter().filter(|target| !read.contains(&config::whole(&target.path))) {
        let message = format!("no dial plan of the configuration reads {}", target.name);
        faults.add(Remark::warning_of(file, message).help("name it in `files` of the dial plan"));
    }
}

/// What is known when everything is good.
struct Done<'a> {
    arguments: &'a Arguments,
    targets: &'a [Target],
    changes: &'a [Changes<'a>],
    count: usize,
    duplicates: usize,
}

impl Done<'_> {
    fn finish(&self, texts: &[Arc<str>], faults: &Faults, color: bool) -> Output {
        let mut written = Vec::new();
        let mut failure = None;
        if !self.arguments.dry_run {
            for (target, text) in self.targets.iter().zip(texts) {
                if target.old.as_ref().is_some_and(|(_, old)| old == text) {
                    continue;
                }
                match write::replace(&target.path, text, Readers::Unchanged) {
                    Ok(()) => written.push(&*target.name),
                    Err(error) => {
                        failure = Some(format!("cannot write {}: {error}\n", target.name));
                        break;
                    }
                }
            }
        }
        let code = if failure.is_some() { EXIT_FAULTS } else { 0 };
        if self.arguments.json {
            let both = self.targets.iter().zip(self.changes);
            let files = both.map(|(target, changes)| FileReport { file: &target.name, changes }).collect();
            let (rules, duplicates) = (self.count, self.duplicates);
            let report = Report { valid: true, faults, rules, duplicates, files, written: !written.is_empty() };
            return Output { out: json(&report), err: failure.unwrap_or_default(), code };
        }
        let again = match self.duplicates {
            0 => String::new(),
            count => format!(", {count} rows are there again"),
        };
        let mut out = format!("{}: {} rules{again}\n", self.arguments.from.display(), self.count);
        for (target, changes) in self.targets.iter().zip(self.changes) {
            out.push_str(&format!("{}: {}\n{}", target.name, changes.counts(), changes.examples(MAX_SHOWN)));
        }
        for name in &written {
            out.push_str(&format!("written: {name}\n"));
        }
        out.push_str(match (self.arguments.dry_run, written.is_empty(), &failure) {
            (true, ..) => "nothing is written: this is a dry run\n",
            (false, true, None) => "nothing is written: the files are as they should be\n",
            (false, false, _) => NEXT,
            (false, true, Some(_)) => "",
        });
        Output { out, err: faults.render(color) + &failure.unwrap_or_default(), code }
    }
}

fn refuse(arguments: &Arguments, color: bool, faults: &Faults, rules: usize, duplicates: usize) -> Output {
    if arguments.json {
        let report = Report { valid: false, faults, rules, duplicates, files: Vec::new(), written: false };
        return Output { out: json(&report), code: EXIT_FAULTS, ..Output::default() };
    }
    let verdict = format!("{} cannot be taken: nothing is written\n", arguments.from.display());
    Output::fault(faults.render(color) + &verdict)
}

/// The files that the rules go to; `None` after a fault.
fn targets(
    arguments: &Arguments,
    loaded: &Loaded,
    rules: &[Imported<'_>],
    file: FaultFile,
    faults: &FileFaults,
) -> Option<Vec<Target>> {
    let plans: BTreeSet<&str> = rules.iter().map(|imported| &*imported.rule.plan).collect();
    let mut targets: BTreeMap<PathBuf, Target> = BTreeMap::new();
    let mut good = true;
    // Of a plan that is not known another fault was told.
    for plan in plans.into_iter().filter(|plan| loaded.routing.table().plan(plan).is_some()) {
        let named = loaded.plan_files.get(plan).map(Vec::as_slice).unwrap_or_default();
        let path = match (&arguments.to, named) {
            (Some(path), _) => path,
            (None, [path]) => path,
            (None, several) => {
                let what = if several.is_empty() { "no file" } else { "several files" };
                let message = format!("dial plan `{plan}` names {what} that its rules could be written to");
                faults.add(Remark::error_of(file, message).help("say which with --to"));
                good = false;
                continue;
            }
        };
        let add = || Target { path: path.clone(), name: path.display().to_string(), plans: BTreeSet::new(), old: None };
        targets.entry(config::whole(path)).or_insert_with(add).plans.insert(plan.to_owned());
    }
    let mut list: Vec<Target> = targets.into_values().collect();
    for target in list.iter_mut().filter(|target| target.path.exists()) {
        target.old = read_text(&target.path, faults, |_| None);
    }
    (good && !list.is_empty()).then_some(list)
}

/// What a file holds, and what it is to hold.
#[derive(Debug)]
struct Lists<'t> {
    old: Vec<Rule<'t>>,
    new: Vec<Rule<'t>>,
}

fn lists<'t>(
    arguments: &Arguments,
    loaded: &Loaded,
    targets: &'t [Target],
    rules: &[Imported<'t>],
    file: FaultFile,
    faults: &FileFaults,
) -> Vec<Lists<'t>> {
    let mut all = Vec::with_capacity(targets.len());
    for target in targets {
        let old = old_rules(arguments, loaded, target, faults);
        let mine = || rules.iter().filter(|imported| target.plans.contains(&*imported.rule.plan));
        let mut new = Vec::new();
        if arguments.merge {
            new = overlaps::kept(file, &old, rules, loaded, faults);
        } else {
            let lost = old.iter().filter(|(rule, _)| !target.plans.contains(&*rule.plan)).count();
            if let Some((rule, _)) = old.iter().find(|(rule, _)| !target.plans.contains(&*rule.plan)) {
                let message =
                    format!("{lost} rules of other dial plans, such as `{}`, go away with {}", rule.plan, target.name);
                faults.add(Remark::warning_of(file, message).help("import with --merge to keep what is there"));
            }
        }
        new.extend(mine().map(|imported| imported.rule.clone()));
        all.push(Lists { old: old.into_iter().map(|(rule, _)| rule).collect(), new });
    }
    all
}

/// A rule and where it stands.
type Old<'t> = (Rule<'t>, (FaultFile, std::ops::Range<usize>));

/// The rules that a file holds; what cannot be read goes away, unless all is to be kept.
fn old_rules<'t>(arguments: &Arguments, loaded: &Loaded, target: &'t Target, faults: &FileFaults) -> Vec<Old<'t>> {
    let Some((file, text)) = &target.old else { return Vec::new() };
    let mut list = Vec::new();
    let mut bad = 0;
    for row in RawRows::new(text) {
        let read = row.map_err(|(fault, span)| (fault.to_string(), span)).and_then(|row| {
            let text = |value: Option<Placed<'t>>| value.map_or(Cow::Borrowed(""), |(text, _)| text);
            // A file without the column belongs to the plan that names it.
            let only = || target.plans.first().map(|plan| Cow::Owned(plan.clone())).unwrap_or_default();
            let plan = row.plan.map_or_else(only, |(plan, _)| plan);
            let normalize = loaded.routing.table().plan(&plan).is_some_and(|plan| plan.is_normalized());
            let Some((tag, _)) = row.tag else { return Err(("the row has no tag".to_owned(), row.span)) };
            let (prefix, span) = row.prefix;
            Rule::new(plan, prefix, (tag, text(row.owner), row.active), normalize)
                .map(|rule| (rule, (*file, row.span)))
                .map_err(|error| (error.to_string(), span))
        });
        match read {
            Ok(rule) => list.push(rule),
            Err((message, span)) if arguments.merge => faults.add(Remark::error(*file, span, message)),
            Err(_) => bad += 1,
        }
    }
    if bad > 0 {
        faults.add(Remark::warning_of(*file, format!("{bad} rows that cannot be read go away")));
    }
    list
}

/// The name of a place, for messages.
fn place_name(file: &str, line: u32) -> String {
    format!("{}:{line}", Path::new(file).display())
}
