//! What imports of users have in common: the tenant, the file that is written, and what would change.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::super::write::{self, Readers};
use super::super::{ConfigFile, EXIT_FAULTS, Output, json};
use super::{MAX_SHOWN, NEXT, read_text};
use crate::config::{self, FaultFile, Faults, FileFaults, Instead, Loaded, Remark};
use crate::routing::number::NumberingPlan;
use crate::routing::people::{Credentials, UserRecord, UserRows, masked, user_file};

/// Arguments of imports of users.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The file to import.
    #[arg(value_name = "FILE")]
    pub from: PathBuf,

    #[command(flatten)]
    pub file: ConfigFile,

    /// The tenant whose users they are. May be left out when there is one tenant only.
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,

    /// The FQDN of the site that they belong to. May be left out when the tenant has one site only.
    #[arg(long, value_name = "FQDN")]
    pub site: Option<String>,

    /// The file to write; all users in it are replaced.
    #[arg(long, value_name = "PATH")]
    pub to: Option<PathBuf>,

    /// Tell what would change, and write nothing.
    #[arg(long)]
    pub dry_run: bool,

    /// Print the result as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// A user of the file.
#[derive(Clone, Debug)]
pub(super) struct Imported {
    pub user: UserRecord,
    pub credentials: Credentials,
    /// Where the row stands.
    pub span: Range<usize>,
}

/// A user as a file holds it.
type Known = (UserRecord, Credentials);

/// What rows are checked against, and where their faults go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings<'a> {
    pub tenant: &'a str,
    pub numbering: &'a NumberingPlan,
    pub site: Option<&'a str>,
    pub file: FaultFile,
    pub faults: &'a FileFaults,
}

/// What an import of users prints as JSON.
#[derive(Debug, Serialize)]
struct Report<'a> {
    /// Whether the file can be taken.
    valid: bool,
    #[serde(flatten)]
    faults: &'a Faults,
    users: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(flatten)]
    changes: Option<Changes<'a>>,
    /// Whether the file was written.
    written: bool,
}

/// What would change, by user id.
#[derive(Debug, Default, Serialize)]
struct Changes<'a> {
    added: Vec<&'a UserRecord>,
    removed: Vec<&'a UserRecord>,
    changed: Vec<Changed<'a>>,
    unchanged: usize,
}

/// A user who is not as before.
#[derive(Debug, Serialize)]
struct Changed<'a> {
    id: &'a str,
    /// The columns that differ; what stands in them may be a secret.
    fields: Vec<&'static str>,
}

/// Imports a file of users: `shown` hides its secrets, `read` makes users of its rows.
pub(super) fn import(
    arguments: &Arguments,
    color: bool,
    shown: impl Fn(&str) -> Option<String>,
    read: impl FnOnce(&str, Surroundings<'_>) -> Vec<Imported>,
) -> Output {
    let faults = FileFaults::default();
    let Some((file, text)) = read_text(&arguments.from, &faults, shown) else {
        return refuse(arguments, color, &faults.into_faults(), 0);
    };
    let loaded = match config::load_instead(&arguments.file.config, Instead::empty()) {
        Ok(loaded) => loaded,
        Err(faults) => return refuse(arguments, color, &faults, 0),
    };
    let known = tenant(arguments, &loaded).and_then(|(tenant, numbering)| {
        let site = site(arguments, &loaded, tenant)?;
        let named = loaded.user_files.get(tenant).map(Vec::as_slice).unwrap_or_default();
        let path = match (&arguments.to, named) {
            (Some(path), _) => path.as_path(),
            (None, [path]) => path.as_path(),
            (None, []) => return Err(format!("tenant `{tenant}` names no file in `users_files`: say where with --to")),
            (None, _) => return Err(format!("tenant `{tenant}` names several `users_files`: say which with --to")),
        };
        Ok((Surroundings { tenant, numbering, site, file, faults: &faults }, path))
    });
    let (around, path) = match known {
        Ok(known) => known,
        Err(message) => {
            faults.add(Remark::error_of(file, message));
            return refuse(arguments, color, &faults.into_faults(), 0);
        }
    };
    let users = unique(read(&text, around), around);
    let old = path.exists().then(|| read_text(path, &faults, masked)).flatten();
    let old = old.map(|(file, text)| old_users(file, &text, &faults)).unwrap_or_default();
    if faults.failed() {
        return refuse(arguments, color, &faults.into_faults(), users.len());
    }
    let text: Arc<str> = match user_file(users.iter().map(|one| (&one.user, &one.credentials))) {
        Ok(text) => text.into(),
        Err(error) => {
            faults.add(Remark::error_of(file, error.to_string()));
            return refuse(arguments, color, &faults.into_faults(), users.len());
        }
    };
    let instead = Instead::forgiving().with(path, Arc::clone(&text));
    if let Err(faults) = config::load_instead(&arguments.file.config, instead) {
        return refuse(arguments, color, &faults, users.len());
    }
    let new: Vec<Known> = users.into_iter().map(|one| (one.user, one.credentials)).collect();
    finish(arguments, color, path, &text, (&old, &new), &faults.into_faults())
}

fn finish(
    arguments: &Arguments,
    color: bool,
    path: &Path,
    text: &str,
    (old, new): (&[Known], &[Known]),
    faults: &Faults,
) -> Output {
    let changes = Changes::between(old, new);
    let is_written = std::fs::read_to_string(path).is_ok_and(|now| now == text);
    let name = path.display().to_string();
    let mut written = false;
    let mut failure = String::new();
    if !(arguments.dry_run || is_written) {
        match write::replace(path, text, Readers::Owner) {
            Ok(()) => written = true,
            Err(error) => failure = format!("cannot write {name}: {error}\n"),
        }
    }
    let code = if failure.is_empty() { 0 } else { EXIT_FAULTS };
    if arguments.json {
        let changes = Some(changes);
        let report = Report { valid: true, faults, users: new.len(), file: Some(&name), changes, written };
        return Output { out: json(&report), err: failure, code };
    }
    let mut out = format!("{}: {} users\n{name}: {}", arguments.from.display(), new.len(), changes.words());
    if written {
        out.push_str(&format!("written: {name}\n{NEXT}"));
    } else if arguments.dry_run {
        out.push_str("nothing is written: this is a dry run\n");
    } else if is_written {
        out.push_str("nothing is written: the file is as it should be\n");
    }
    Output { out, err: faults.render(color) + &failure, code }
}

fn refuse(arguments: &Arguments, color: bool, faults: &Faults, users: usize) -> Output {
    if arguments.json {
        let report = Report { valid: false, faults, users, file: None, changes: None, written: false };
        return Output { out: json(&report), code: EXIT_FAULTS, ..Output::default() };
    }
    let verdict = format!("{} cannot be taken: nothing is written\n", arguments.from.display());
    Output::fault(faults.render(color) + &verdict)
}

fn tenant<'a>(arguments: &Arguments, loaded: &'a Loaded) -> Result<(&'a str, &'a NumberingPlan), String> {
    let mut all = loaded.numbering.iter();
    let found = match &arguments.tenant {
        Some(name) => loaded.numbering.get_key_value(&**name),
        None => all.next().filter(|_| all.next().is_none()),
    };
    found.map(|(name, plan)| (&**name, plan)).ok_or_else(|| {
        let known = loaded.numbering.keys().map(|name| &**name).collect::<Vec<_>>().join(", ");
        match &arguments.tenant {
            _ if known.is_empty() => "the configuration has no tenant".to_owned(),
            Some(name) => format!("there is no tenant `{name}`; known: {known}"),
            None => format!("say which tenant is meant with --tenant; known: {known}"),
        }
    })
}

fn site<'a>(arguments: &Arguments, loaded: &'a Loaded, tenant: &str) -> Result<Option<&'a str>, String> {
    let Some(fqdn) = &arguments.site else { return Ok(None) };
    let mine = |site: &&Arc<crate::routing::Site>| *site.tenant == *tenant;
    match loaded.routing.site(fqdn.as_bytes()).filter(mine) {
        Some(site) => Ok(Some(&site.fqdn)),
        None => {
            let known: Vec<&str> = loaded.routing.sites().iter().filter(mine).map(|site| &*site.fqdn).collect();
            Err(format!("tenant `{tenant}` has no site `{fqdn}`; known: {}", known.join(", ")))
        }
    }
}

/// Drops users who are there again, and tells of those who contradict.
fn unique(users: Vec<Imported>, around: Surroundings<'_>) -> Vec<Imported> {
    let Surroundings { file, faults, .. } = around;
    let mut kept: Vec<Imported> = Vec::with_capacity(users.len());
    let mut ids: HashMap<String, usize> = HashMap::new();
    let mut extensions: HashMap<(String, Option<String>), usize> = HashMap::new();
    let mut again = 0;
    for one in users {
        let first = ids.get(&one.user.id.to_lowercase()).and_then(|at| kept.get(*at));
        if first.is_some_and(|first| first.user == one.user && first.credentials == one.credentials) {
            again += 1;
            continue;
        }
        let tell = |what: String, first: &Imported| {
            if faults.is_full() {
                return faults.count(1);
            }
            let remark = Remark::error(file, one.span.clone(), what).label("again");
            faults.add(remark.also(file, first.span.clone(), "first"));
        };
        if let Some(first) = first {
            tell(format!("user `{}` is there twice", one.user.id), first);
        }
        // One extension may be there on each PBX.
        let host = one.user.pbx_identity.as_ref().and_then(|identity| identity.split_once('.'));
        let host = host.map(|(_, host)| host.to_lowercase());
        if let Some(extension) = &one.user.extension {
            let key = (extension.clone(), host);
            match extensions.get(&key).and_then(|at| kept.get(*at)) {
                Some(other) if first.is_none() => tell(format!("extension {extension} has two users"), other),
                Some(_) => {}
                None => {
                    extensions.insert(key, kept.len());
                }
            }
        }
        ids.entry(one.user.id.to_lowercase()).or_insert(kept.len());
        kept.push(one);
    }
    if again > 0 {
        faults.add(Remark::warning_of(file, format!("{again} rows are there again and count once")));
    }
    kept
}

/// The users that a file holds; what cannot be read goes away.
fn old_users(file: FaultFile, text: &str, faults: &FileFaults) -> Vec<Known> {
    let mut list = Vec::new();
    let mut bad = 0;
    for row in UserRows::new(text) {
        match row.user {
            Ok(user) => list.push(user),
            Err(_) => bad += 1,
        }
    }
    if bad > 0 {
        faults.add(Remark::warning_of(file, format!("{bad} rows that cannot be read go away")));
    }
    list
}

impl<'a> Changes<'a> {
    fn between(old: &'a [Known], new: &'a [Known]) -> Self {
        let mut left: BTreeMap<&str, &Known> = old.iter().map(|user| (&*user.0.id, user)).collect();
        let mut changes = Self::default();
        for user in new {
            match left.remove(&*user.0.id) {
                None => changes.added.push(&user.0),
                Some(before) if before == user => changes.unchanged += 1,
                Some(before) => changes.changed.push(Changed { id: &user.0.id, fields: fields(before, user) }),
            }
        }
        changes.removed = left.into_values().map(|user| &user.0).collect();
        changes
    }

    fn words(&self) -> String {
        let Self { added, removed, changed, unchanged } = self;
        let (plus, minus, other) = (added.len(), removed.len(), changed.len());
        let mut text = format!("{plus} added, {minus} removed, {other} changed, {unchanged} unchanged\n");
        let more = |text: &mut String, mark: char, count: usize| {
            if count > MAX_SHOWN {
                text.push_str(&format!("  {mark} ... and {} more\n", count - MAX_SHOWN));
            }
        };
        for (mark, users) in [('+', added), ('-', removed)] {
            for user in users.iter().take(MAX_SHOWN) {
                text.push_str(&format!("  {mark} {}\n", line(user)));
            }
            more(&mut text, mark, users.len());
        }
        for Changed { id, fields } in changed.iter().take(MAX_SHOWN) {
            text.push_str(&format!("  ~ {id}: {}\n", fields.join(", ")));
        }
        more(&mut text, '~', changed.len());
        text
    }
}

/// A user in one line, without credentials.
fn line(user: &UserRecord) -> String {
    let UserRecord { id, name, number, extension, lives, .. } = user;
    let mut text = id.clone();
    if !name.is_empty() {
        text.push_str(&format!(" ({name})"));
    }
    for (what, value) in [("", number), ("extension ", extension)] {
        if let Some(value) = value {
            text.push_str(&format!(", {what}{value}"));
        }
    }
    text + &format!(", {lives}")
}

/// The columns in which a user differs.
fn fields(old: &Known, new: &Known) -> Vec<&'static str> {
    let ((old, old_secret), (new, new_secret)) = (old, new);
    [
        ("name", old.name != new.name),
        ("number", old.number != new.number),
        ("extension", old.extension != new.extension),
        ("lives", old.lives != new.lives),
        ("kind", old.kind != new.kind),
        ("site", old.site != new.site),
        ("coverage_delay_s", old.coverage_delay_s != new.coverage_delay_s),
        ("pbx_identity", old.pbx_identity != new.pbx_identity),
        ("register_user", old_secret.user != new_secret.user),
        ("register_password", old_secret.password != new_secret.password),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}
