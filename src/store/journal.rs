//! The journal: a line for each batch, safe on disk before the batch is used.
//!
//! A line is a checksum, a blank, a JSON object and a line feed. Lines are only ever added; a line that was being
//! written when the machine stopped is found by its checksum and cut off, since nobody was told that it was kept. When
//! there are many, [`Journal::compact`] writes a new file with what they come to, and puts it in the place of the old.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions, TryLockError};
use std::hash::{Hash, Hasher};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use thiserror::Error;

use crate::routing::{BatchError, Change, Record, Routing, TenantChange, UserChange};

/// How many hexadecimal digits a checksum has.
const CHECKSUM_DIGITS: usize = 16;

/// Why the journal cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    #[error("cannot {what} {path}: {error}")]
    Io { what: &'static str, path: String, error: io::Error },
    #[error("{path}:{line}: the line is damaged, but lines after it are not")]
    Damaged { path: String, line: usize },
    #[error("{0} is no call store that this version can read")]
    NotCalls(String),
    #[error("{0} is in use by another process")]
    InUse(String),
    #[error("{0} could not be written before and is closed to changes until a restart")]
    Closed(String),
    #[error("a change cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// What a journal holds, in the order in which it happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Batches whose effect is part of `net`.
    pub past: Vec<Record>,
    /// What the batches before the last compaction come to: what each rule, user and tenant became; it has no id.
    pub net: Record,
    /// Batches since.
    pub records: Vec<Record>,
    /// How many bytes of an unfinished line were cut off.
    pub torn: u64,
}

/// A journal that is open for writing, and locked against other processes.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
    lines: usize,
    closed: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line<'a> {
    Past(std::borrow::Cow<'a, Record>),
    Net(Vec<Change>),
    NetUsers(Vec<UserChange>),
    NetTenants(Vec<TenantChange>),
    Record(std::borrow::Cow<'a, Record>),
}

impl Journal {
    /// Opens a journal, made when it is not there, and reads what it holds.
    pub fn open(path: &Path) -> Result<(Self, Contents), StoreError> {
        let io = |what| move |error| failed(what, path, error);
        let file = options().open(path).map_err(io("open"))?;
        lock(&file, path)?;
        let (contents, lines, length) = read(&file, path)?;
        if contents.torn > 0 {
            file.set_len(length).and_then(|()| file.sync_all()).map_err(io("cut"))?;
        }
        sync_directory(path).map_err(io("keep"))?;
        let mut journal = Self { path: path.to_owned(), file, length, lines, closed: false };
        journal.file.seek(SeekFrom::Start(length)).map_err(io("read"))?;
        Ok((journal, contents))
    }

    /// Keeps a batch: when this returns, it is on the disk.
    pub fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        if self.closed {
            return Err(StoreError::Closed(shown(&self.path)));
        }
        let line = encoded(&Line::Record(std::borrow::Cow::Borrowed(record)))?;
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a line must not stay before the next one. If even that fails, there is no next one.
            let cut = self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
            // Linux forgets what it failed to write: after that only reading the file again tells what is in it.
            self.closed = cut.and_then(|_| self.file.sync_data()).is_err();
            return Err(failed("write", &self.path, error));
        }
        self.length += line.len() as u64;
        self.lines += 1;
        Ok(())
    }

    /// What it holds now.
    pub fn contents(&mut self) -> Result<Contents, StoreError> {
        let (contents, ..) = read(&self.file, &self.path)?;
        self.file.seek(SeekFrom::Start(self.length)).map_err(|error| failed("read", &self.path, error))?;
        Ok(contents)
    }

    /// How many lines it has: many make a start slow, see [`Journal::compact`].
    pub const fn lines(&self) -> usize {
        self.lines
    }

    /// How long it is, in bytes.
    pub const fn bytes(&self) -> u64 {
        self.length
    }

    /// Replaces the lines by what they come to, and the last `keep` batches, so that they can still be taken back.
    pub fn compact(&mut self, keep: usize) -> Result<(), StoreError> {
        if self.closed {
            return Err(StoreError::Closed(shown(&self.path)));
        }
        let (contents, ..) = read(&self.file, &self.path)?;
        self.file.seek(SeekFrom::Start(self.length)).map_err(|error| failed("read", &self.path, error))?;
        let net = contents.sum();
        let batches: Vec<&Record> = contents.past.iter().chain(&contents.records).collect();
        let kept = batches.get(batches.len().saturating_sub(keep)..).unwrap_or_default();

        let path = self.path.with_extension("new");
        let io = |what| {
            let path = &path;
            move |error| failed(what, path, error)
        };
        let mut file = options().truncate(true).open(&path).map_err(io("open"))?;
        lock(&file, &path)?;
        let (mut length, mut lines) = (0, 0);
        let past = kept.iter().map(|record| Line::Past(std::borrow::Cow::Borrowed(*record)));
        let net = [Line::Net(net.changes), Line::NetUsers(net.users), Line::NetTenants(net.tenants)];
        for line in past.chain(net) {
            let line = encoded(&line)?;
            file.write_all(&line).map_err(io("write"))?;
            length += line.len() as u64;
            lines += 1;
        }
        file.sync_all().map_err(io("write"))?;
        std::fs::rename(&path, &self.path).map_err(io("rename"))?;
        (self.file, self.length, self.lines) = (file, length, lines);
        sync_directory(&self.path).map_err(|error| failed("keep", &self.path, error))
    }
}

impl Contents {
    /// Makes the changes again over the routing of the configuration.
    ///
    /// What the configuration no longer allows is left out and comes back.
    pub fn replay(&self, routing: &Routing) -> (Routing, Vec<BatchError>) {
        routing.replay(std::iter::once(&self.net).chain(&self.records))
    }

    /// What all changes come to: each rule, user and tenant once, with what it became, in the order of its last change.
    fn sum(&self) -> Record {
        let all = || std::iter::once(&self.net).chain(&self.records);
        let rules = last(all().flat_map(|record| &record.changes), |it| (&*it.plan, &*it.prefix, &*it.owner));
        let users = last(all().flat_map(|record| &record.users), |it| (&*it.tenant, &*it.user));
        let tenants = last(all().flat_map(|record| &record.tenants), |it| &*it.tenant);
        Record {
            changes: rules.map(|change| Change { old: None, ..change.clone() }).collect(),
            users: users.map(|change| UserChange { old: None, ..change.clone() }).collect(),
            tenants: tenants.cloned().collect(),
            ..Record::default()
        }
    }
}

/// The last item of each key, in their order.
fn last<'a, T: 'a, K: Eq + Hash + 'a>(
    items: impl Iterator<Item = &'a T>,
    key: impl Fn(&'a T) -> K,
) -> impl Iterator<Item = &'a T> {
    let mut order: BTreeMap<usize, &T> = BTreeMap::new();
    let mut last: HashMap<K, usize, foldhash::fast::RandomState> = HashMap::default();
    for (index, item) in items.enumerate() {
        if let Some(before) = last.insert(key(item), index) {
            order.remove(&before);
        }
        order.insert(index, item);
    }
    order.into_values()
}

/// Numbers are personal data: nobody else reads the file.
pub(super) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    options
}

pub(super) fn lock(file: &File, path: &Path) -> Result<(), StoreError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(shown(path))),
        Err(TryLockError::Error(error)) => Err(failed("lock", path, error)),
    }
}

/// A new name is only there for good when the directory that has it is.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

/// What a file holds, how many lines of it are good, and how many bytes they have.
fn read(file: &File, path: &Path) -> Result<(Contents, usize, u64), StoreError> {
    let io = |error| failed("read", path, error);
    let mut reader = BufReader::new(file);
    reader.seek(SeekFrom::Start(0)).map_err(io)?;
    let mut contents = Contents::default();
    let (mut good, mut lines, mut bad) = (0, 0, None);
    let mut text = Vec::new();
    loop {
        text.clear();
        let length = reader.read_until(b'\n', &mut text).map_err(io)? as u64;
        if length == 0 {
            break;
        }
        match (decoded(&text), bad) {
            (Some(_), Some(line)) => return Err(StoreError::Damaged { path: shown(path), line }),
            (Some(line), None) => {
                match line {
                    Line::Past(record) => contents.past.push(record.into_owned()),
                    Line::Net(changes) => contents.net.changes = changes,
                    Line::NetUsers(changes) => contents.net.users = changes,
                    Line::NetTenants(changes) => contents.net.tenants = changes,
                    Line::Record(record) => contents.records.push(record.into_owned()),
                }
                lines += 1;
                good += length;
            }
            (None, _) => {
                bad = bad.or(Some(lines + 1));
                contents.torn += length;
            }
        }
    }
    Ok((contents, lines, good))
}

fn encoded(line: &Line<'_>) -> Result<Vec<u8>, StoreError> {
    let json = serde_json::to_vec(line)?;
    let mut text = format!("{:0CHECKSUM_DIGITS$x} ", checksum(&json)).into_bytes();
    text.extend(json);
    text.push(b'\n');
    Ok(text)
}

fn decoded(text: &[u8]) -> Option<Line<'static>> {
    let (sum, rest) = text.strip_suffix(b"\n")?.split_at_checked(CHECKSUM_DIGITS)?;
    let json = rest.strip_prefix(b" ")?;
    let sum = u64::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    // What was damaged on purpose is not what this is against, so the key need not be secret.
    if sum != checksum(json) {
        return None;
    }
    serde_json::from_slice(json).ok()
}

pub(super) fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

pub(super) fn failed(what: &'static str, path: &Path, error: io::Error) -> StoreError {
    StoreError::Io { what, path: shown(path), error }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::routing::number::NumberingPlan;
    use crate::routing::people::{Lives, UserRecord};
    use crate::routing::{
        Batch, Bounds, Edit, Ledger, Origin, Outcome, Parts, Plan, Routing, Rules, Table, Tenant, Tenants,
    };
    use crate::trunk::TrunkKind;

    fn start() -> Routing {
        let mut rules = Rules::new(100);
        for (origin, (prefix, tag)) in (0..).zip([("1", "a"), ("2[00-19]", "b"), ("3", "c")]) {
            rules.add(prefix, tag, origin).unwrap();
        }
        let names = ["a", "b", "c"].map(str::to_owned).into_iter().chain((10..20).map(|number| format!("t{number}")));
        let origins = names.map(|name| Origin::new(name, TrunkKind::Pbx, "edge.example")).collect();
        let plans = vec![Plan::new("p".into(), rules, |_| None).0];
        let tenant = |owner: u8| Tenant::new(format!("o{owner}"), NumberingPlan::new(None));
        let tenants = Tenants::new((0..3).map(tenant).collect());
        Routing::new(Parts { plans, origins, tenants, ..Parts::default() }).unwrap().0
    }

    fn edit((number, owner, what): (u8, u8, u8)) -> Edit {
        let (plan, prefix, owner) = ("p".to_owned(), format!("{number}"), format!("o{owner}"));
        let (tenant, user) = (owner.clone(), format!("u{}", number % 4));
        let extension = Some(format!("{number}"));
        match what {
            0..4 => Edit::Put { plan, tag: format!("t{number}"), prefix, owner, active: what > 0 },
            4 => Edit::Remove { plan, prefix, owner },
            5 => Edit::RemoveOwner { owner },
            6..8 => Edit::PutUser { tenant, user: UserRecord { id: user, extension, ..UserRecord::default() } },
            8 => Edit::RemoveUser { tenant, user },
            9 => Edit::SetLives { tenant, user, lives: Lives::Both },
            10 => Edit::RemoveTenant { tenant },
            _ => Edit::RestoreTenant { tenant },
        }
    }

    /// All rules, users and tenants.
    fn state(routing: &Routing) -> Vec<String> {
        let mut state = Vec::new();
        let table: &Table = routing.table();
        table.for_each(|rule| state.push(format!("{} {} {} {}", rule.prefix, rule.owner, rule.tag, rule.active)));
        for tenant in routing.tenants().iter() {
            state.push(format!("{} {}", tenant.id, tenant.removed));
            state.extend(tenant.users().iter().map(|user| format!("{} {:?}", tenant.id, user.record)));
        }
        state.sort();
        state
    }

    /// Makes batches; after each, the table and the length of the journal.
    fn play(journal: &mut Journal, edits: &[(u8, u8, u8)], compact_at: usize) -> (Vec<(Routing, u64)>, Vec<Record>) {
        let mut table = start();
        let mut ledger = Ledger::new(Bounds { records: 100, rules: 1000, users: 1000 });
        let mut states = vec![(table.clone(), journal.bytes())];
        for (index, edits) in edits.chunks(2).enumerate() {
            let edits = edits.iter().map(|what| edit(*what)).collect();
            let batch = Batch { id: index.to_string(), who: "x".to_owned(), when: index as u64, edits };
            if let Ok(Outcome::Made(next, record)) = table.apply(&ledger, &batch) {
                journal.append(&record).unwrap();
                ledger.remember(record);
                table = *next;
            }
            if index == compact_at {
                journal.compact(3).unwrap();
                // What was before can no longer be torn.
                states.clear();
            }
            states.push((table.clone(), journal.bytes()));
        }
        (states, ledger.records().cloned().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn journal_torn_anywhere_gives_the_table_of_the_whole_lines(
            edits in prop::collection::vec((10..20_u8, 0..3_u8, 0..12_u8), 2..24),
            compact_at in 0..12_usize,
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 24),
        ) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("journal");
            let (mut journal, contents) = Journal::open(&path).unwrap();
            prop_assert_eq!(contents, Contents::default());
            let (states, records) = play(&mut journal, &edits, compact_at);
            drop(journal);
            let whole = fs::read(&path).unwrap();
            let first = states[0].1 as usize;
            for cut in cuts {
                let cut = first + cut.index(whole.len() - first + 1);
                fs::write(&path, &whole[..cut]).unwrap();
                let (mut journal, contents) = Journal::open(&path).unwrap();
                let (expected, length) = states.iter().rev().find(|(_, length)| *length <= cut as u64).unwrap();
                prop_assert_eq!(journal.bytes(), *length);
                prop_assert_eq!(contents.torn, cut as u64 - length);
                let (table, errors) = contents.replay(&start());
                prop_assert_eq!(errors, []);
                prop_assert_eq!(state(&table), state(expected));
                // And it can be gone on with.
                journal.append(&records_like(&contents)).unwrap();
                drop(journal);
                let (_, again) = Journal::open(&path).unwrap();
                prop_assert_eq!((again.torn, again.records.len()), (0, contents.records.len() + 1));
            }
            fs::write(&path, &whole).unwrap();
            let (_, contents) = Journal::open(&path).unwrap();
            let kept: Vec<Record> = contents.past.iter().chain(&contents.records).cloned().collect();
            prop_assert!(records.ends_with(&kept));
        }
    }

    fn records_like(contents: &Contents) -> Record {
        let id = format!("after {}", contents.records.len());
        Record { id, who: "x".to_owned(), ..Record::default() }
    }

    #[test]
    fn journal_without_users_and_tenants_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let change = r#"{"plan":"p","prefix":"4","owner":"","old":null,"new":{"tag":"a","active":true}}"#;
        let record = |changes: &str| format!(r#"{{"record":{{"id":"1","who":"x","when":5,"changes":[{changes}]}}}}"#);
        let lines = [format!(r#"{{"net":[{change}]}}"#), record(&change.replace('4', "5"))];
        let text = lines.map(|line| format!("{:0CHECKSUM_DIGITS$x} {line}\n", checksum(line.as_bytes()))).concat();
        fs::write(&path, text).unwrap();
        let (_, contents) = Journal::open(&path).unwrap();
        let (table, errors) = contents.replay(&start());
        assert_eq!((errors, table.table().len()), (vec![], start().table().len() + 2));
        assert_eq!((contents.records[0].revision, contents.records[0].when), (0, 5));
    }

    #[test]
    fn damage_before_good_lines_is_no_torn_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let (mut journal, _) = Journal::open(&path).unwrap();
        play(&mut journal, &[(10, 0, 1), (11, 0, 1), (12, 0, 1), (13, 1, 1)], 99);
        drop(journal);
        let mut text = fs::read(&path).unwrap();
        text[30] ^= 1;
        fs::write(&path, &text).unwrap();
        let error = Journal::open(&path).unwrap_err();
        assert_eq!(error.to_string(), format!("{}:1: the line is damaged, but lines after it are not", path.display()));
        assert_eq!(fs::read(&path).unwrap(), text, "nothing is cut off");
    }

    #[test]
    fn two_processes_do_not_write_one_journal() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let (mut journal, _) = Journal::open(&path).unwrap();
        assert!(matches!(Journal::open(&path), Err(StoreError::InUse(_))));
        journal.compact(0).unwrap();
        assert!(matches!(Journal::open(&path), Err(StoreError::InUse(_))), "the new file is locked as well");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn compaction_keeps_the_net_effect_and_the_last_batches() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let (mut journal, _) = Journal::open(&path).unwrap();
        let edits: Vec<(u8, u8, u8)> = (0..200_u8).map(|index| (10 + index % 4, index % 2, 1 + index % 3)).collect();
        let (states, _) = play(&mut journal, &edits, usize::MAX);
        let before = journal.bytes();
        journal.compact(5).unwrap();
        assert!(journal.bytes() < before / 2, "{} of {before}", journal.bytes());
        drop(journal);
        let (_, contents) = Journal::open(&path).unwrap();
        assert!(contents.past.len() <= 5 && contents.records.is_empty());
        let (table, errors) = contents.replay(&start());
        assert_eq!(errors, []);
        assert_eq!(state(&table), state(&states.last().unwrap().0));
    }
}
