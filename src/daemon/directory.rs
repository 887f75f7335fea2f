//! The directories of all tenants that have one: read at the start and then again and again, beside the calls.
//!
//! A tenant's users are taken from what is on disk first, so that a start without Graph has them all. One reading is under
//! way a tenant, and a few in all. Where a tenant wants the bridge and no users, only the ids are read. What waits for
//! disks, and what takes long, is done on threads for that.

mod apply;
mod meters;
mod source;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, Semaphore};
use tokio_util::task::AbortOnDropHandle;

use self::apply::How;
use self::meters::Meters;
use self::source::Source;
use super::changes::{Changes, Lender};
use super::clock::Clock;
use super::core::Core;
use super::graphs::Graphs;
use crate::admin::{
    Cause, DirectoryLast, DirectoryRefusal, DirectoryRun, DirectoryStatus, DirectoryTest, DirectoryTried, Refusal,
    Severity,
};
use crate::config::{self, Config};
use crate::directory::{self, Fault, Matches, Mirror, NumberField, Settings, Store, StoreError};
use crate::presence::Direction;
use crate::routing::people::UserRecord;

/// Readings that are under way at once.
const AT_ONCE: usize = 4;

/// How long after a failure a directory is read again, the first time; it doubles up to the interval.
const RETRY: Duration = Duration::from_secs(60);

/// Of an interval, the part by which it is longer or shorter, so that not all tenants are read at once: one in so many.
const JITTER: u32 = 20;

/// Users of a tenant of which only the ids are read.
const MAX_IDS: usize = 1_000_000;

/// How often they are read.
const IDS_INTERVAL: Duration = Duration::from_secs(3_600);

/// Names that a status has one by one.
const NAMES: usize = 100;

/// Who wants to know which object each user is.
pub type Listener = Box<dyn Fn(Arc<str>, Arc<Matches>) + Send + Sync>;

/// The directories.
pub struct Directories {
    store: Arc<Store>,
    changes: Arc<Changes>,
    core: Arc<Core>,
    graphs: Arc<Graphs>,
    listener: Listener,
    /// By tenant.
    places: Mutex<BTreeMap<Arc<str>, Arc<Place>>>,
    /// The configuration has changed.
    changed: Notify,
    room: Semaphore,
    meters: Meters,
}

/// What of a tenant's configuration matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wishes {
    settings: Settings,
    interval: Duration,
}

/// A tenant with a directory.
struct Place {
    tenant: Arc<str>,
    wishes: Wishes,
    /// One run at a time.
    turn: tokio::sync::Mutex<()>,
    shown: Mutex<Shown>,
}

/// What is known of a tenant's directory without a look at the disk.
#[derive(Default)]
struct Shown {
    last: Option<Last>,
    matches: Arc<Matches>,
    /// Users of the directory.
    users: usize,
    unread: Vec<crate::admin::DirectoryUnreadable>,
    unreadable: usize,
    provisioned: usize,
}

/// What came of the last run.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Last {
    /// RFC 3339.
    at: String,
    /// `changed`, `unchanged`, `stopped` or `failed`.
    result: String,
    text: String,
    /// When a run was last good (RFC 3339).
    good: Option<String>,
}

/// Why a run has come to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// More users would go than may.
    #[error("{text}")]
    Stopped { text: String },
    /// In words.
    #[error("{0}")]
    Failed(String),
}

impl Failure {
    fn no_tenant() -> Self {
        Self::Failed("routing has no such tenant any more".to_owned())
    }

    fn refused(refusal: &Refusal) -> Self {
        Self::Failed(format!("users cannot be changed: {refusal}"))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.to_string())
    }
}

impl Lender for Store {
    fn put_among(&self, tenant: &str, ids: &[&str]) -> Vec<UserRecord> {
        self.put_among(tenant, ids.iter().copied()).unwrap_or_else(|error| {
            tracing::error!(%error, "what the directory has put is not known");
            Vec::new()
        })
    }
}

impl Directories {
    /// Of an edge that starts; nothing is read yet.
    pub fn new(
        store: Store,
        changes: Arc<Changes>,
        core: Arc<Core>,
        graphs: Arc<Graphs>,
        listener: Listener,
    ) -> Arc<Self> {
        let store = Arc::new(store);
        changes.lend(Arc::clone(&store) as Arc<dyn Lender>);
        Arc::new(Self {
            store,
            changes,
            core,
            graphs,
            listener,
            places: Mutex::default(),
            changed: Notify::new(),
            room: Semaphore::new(AT_ONCE),
            meters: Meters::register(),
        })
    }

    /// Takes a configuration: tenants whose wishes are the same go on as they are.
    pub fn set(&self, config: &Config) {
        let mut places = lock(&self.places);
        let mut before = std::mem::take(&mut *places);
        for tenant in config.graph.keys() {
            let Some(wishes) = wishes(config, tenant) else { continue };
            let same = before.remove(tenant).filter(|place| place.wishes == wishes);
            let place = same.unwrap_or_else(|| Arc::new(self.place(tenant, wishes)));
            places.insert(Arc::clone(tenant), place);
        }
        drop(places);
        self.show();
        self.changed.notify_one();
    }

    fn place(&self, tenant: &Arc<str>, wishes: Wishes) -> Place {
        let last = self.store.last(tenant).unwrap_or_else(|error| {
            tracing::warn!(%error, "what came of the last reading of the directory is not known");
            None
        });
        let shown = Mutex::new(Shown { last, ..Shown::default() });
        Place { tenant: Arc::clone(tenant), wishes, turn: tokio::sync::Mutex::default(), shown }
    }

    fn of(&self, tenant: &str) -> Option<Arc<Place>> {
        lock(&self.places).get(tenant).cloned()
    }

    /// Reads a tenant's directory and does what it says.
    async fn run(self: &Arc<Self>, place: &Arc<Place>, how: How) -> Result<DirectoryRun, Failure> {
        let begun = std::time::Instant::now();
        let _turn = place.turn.lock().await;
        let _room = self.room.acquire().await;
        let result = self.read_and_apply(place, how).await;
        let result = result.map(|run| {
            let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            DirectoryRun { took_ms, at: now(), ..run }
        });
        if how != How::Preview {
            self.note(place, &result);
        }
        result
    }

    async fn read_and_apply(self: &Arc<Self>, place: &Arc<Place>, how: How) -> Result<DirectoryRun, Failure> {
        let source = self.source(&place.tenant)?;
        let known = self.aside(place, |this, place| Ok(this.store.mirror(&place.tenant)?)).await?;
        let reading = directory::read(&source, &place.wishes.settings, known).await?;
        let (whole, pages) = (reading.touched.is_none(), reading.pages);
        let run = self.aside(place, move |this, place| {
            if how == How::Preview {
                return this.apply(&place.tenant, &place.wishes, &reading.mirror, how);
            }
            this.store.keep_reading(&place.tenant, &reading)?;
            this.take(place, &reading.mirror, how)
        });
        Ok(DirectoryRun { whole, pages, ..run.await? })
    }

    /// Tells who is who, and does what a directory says that was read to its end.
    fn take(&self, place: &Place, mirror: &Mirror, how: How) -> Result<DirectoryRun, Failure> {
        let matches = Arc::new(directory::matches(mirror));
        {
            let mut shown = lock(&place.shown);
            shown.users = mirror.users.len();
            shown.matches = Arc::clone(&matches);
        }
        (self.listener)(Arc::clone(&place.tenant), matches);
        let run = self.apply(&place.tenant, &place.wishes, mirror, how)?;
        let mut shown = lock(&place.shown);
        (shown.unreadable, shown.provisioned) = (run.unreadable, run.provisioned);
        shown.unread = run.unread.iter().take(NAMES).cloned().collect();
        Ok(run)
    }

    /// Does what the directory said when it was last read, as it stands on disk.
    async fn restore(self: &Arc<Self>, place: &Arc<Place>) {
        let _turn = place.turn.lock().await;
        let restored = self.aside(place, |this, place| {
            let mirror = this.store.mirror(&place.tenant)?;
            // Without a link nothing was ever read to its end.
            if mirror.link.is_none() {
                return Ok(());
            }
            this.take(place, &mirror, How::Do).map(drop)
        });
        if let Err(failure) = restored.await {
            tracing::warn!(tenant = %place.tenant, "the directory on disk: {failure}");
        }
        self.show();
    }

    fn source(&self, tenant: &str) -> Result<Source, Failure> {
        let unusable = || Failure::Failed("Microsoft Graph cannot be asked: `trunkway health` says why".to_owned());
        self.graphs.of(tenant).map(Source).ok_or_else(unusable)
    }

    /// Works where nobody waits.
    async fn aside<T: Send + 'static>(
        self: &Arc<Self>,
        place: &Arc<Place>,
        work: impl FnOnce(&Self, &Place) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let (this, place) = (Arc::clone(self), Arc::clone(place));
        let done = tokio::task::spawn_blocking(move || work(&this, &place)).await;
        done.unwrap_or_else(|_| Err(Failure::Failed("the work came to no end".to_owned())))
    }

    /// Remembers what came of a run.
    fn note(&self, place: &Place, result: &Result<DirectoryRun, Failure>) {
        let good = lock(&place.shown).last.as_ref().and_then(|last| last.good.clone());
        let (word, text, good) = match result {
            Ok(run) => (run.result, sentence(run), Some(now())),
            Err(Failure::Stopped { text }) => ("stopped", text.clone(), good),
            Err(Failure::Failed(text)) => ("failed", text.clone(), good),
        };
        match result {
            Ok(_) => tracing::info!(tenant = %place.tenant, "the directory was read: {text}"),
            Err(_) => tracing::warn!(tenant = %place.tenant, "the directory: {text}"),
        }
        self.meters.ran(word);
        let last = Last { at: now(), result: word.to_owned(), text, good };
        if let Err(error) = self.store.keep_last(&place.tenant, &last) {
            tracing::warn!(%error, "what came of the reading is not kept");
        }
        lock(&place.shown).last = Some(last);
        self.show();
    }

    /// Shows the gauges.
    fn show(&self) {
        let places: Vec<Arc<Place>> = lock(&self.places).values().cloned().collect();
        let (mut users, mut unreadable, mut failing) = (0, 0, 0);
        for place in &places {
            let shown = lock(&place.shown);
            users += shown.provisioned;
            unreadable += shown.unreadable;
            failing += usize::from(shown.last.as_ref().is_some_and(Last::is_bad));
        }
        self.meters.set(users, unreadable, failing);
    }

    /// Why the edge is not well, as far as directories go.
    pub fn causes(&self) -> Vec<Cause> {
        let places: Vec<Arc<Place>> = lock(&self.places).values().cloned().collect();
        let cause = |place: &Arc<Place>| {
            let last = lock(&place.shown).last.clone().filter(Last::is_bad)?;
            let (name, advice) = match &*last.result {
                "stopped" => (
                    "directory-stopped",
                    "see who would go (`trunkway directory preview`), then `trunkway directory sync --force`, or \
                     correct the directory",
                ),
                _ => (
                    "directory-failed",
                    "`trunkway directory test` says what is missing; the users stay as they were meanwhile",
                ),
            };
            Some(Cause {
                severity: Severity::Warning,
                name,
                source: place.tenant.to_string(),
                text: format!("the directory of tenant {} at {}: {}", place.tenant, last.at, last.text),
                advice: advice.to_owned(),
            })
        };
        places.iter().filter_map(cause).collect()
    }

    /// How it stands with a tenant's directory.
    ///
    /// # Errors
    /// [`DirectoryRefusal::None`]: it has none.
    pub fn status(&self, tenant: &str) -> Result<DirectoryStatus, DirectoryRefusal> {
        let place = self.of(tenant).ok_or(DirectoryRefusal::None)?;
        let routing = self.core.edge().routing.clone();
        let own = routing.tenants().find(tenant).and_then(|id| routing.tenants().get(id));
        let shown = lock(&place.shown);
        let known = |id: &str| {
            let id = id.to_lowercase();
            let plain = id.rsplit_once('/').map_or(&*id, |(plain, _)| plain);
            shown.matches.contains_key(&*id) || shown.matches.contains_key(plain)
        };
        let users = own.iter().flat_map(|own| own.users()).map(|user| &user.record.id);
        let unmatched: Vec<&String> = users.filter(|id| !known(id)).collect();
        let Wishes { settings, interval } = &place.wishes;
        Ok(DirectoryStatus {
            tenant: tenant.to_owned(),
            scope: settings.group.as_ref().map_or_else(|| "tenant".to_owned(), |group| format!("group {group}")),
            ids_only: settings.ids_only,
            interval_s: interval.as_secs(),
            users: shown.users,
            provisioned: shown.provisioned,
            last: shown.last.clone().map(|Last { at, result, text, good }| DirectoryLast { at, result, text, good }),
            unreadable: shown.unreadable,
            unread: shown.unread.clone(),
            unmatched: unmatched.len(),
            unmatched_users: unmatched.into_iter().take(NAMES).cloned().collect(),
        })
    }

    /// Tries whether a tenant's directory can be read. It waits for Graph.
    ///
    /// # Errors
    /// [`DirectoryRefusal::None`]: it has none.
    pub fn test(self: &Arc<Self>, tenant: &str) -> Result<DirectoryTest, DirectoryRefusal> {
        let place = self.of(tenant).ok_or(DirectoryRefusal::None)?;
        let source = self.source(tenant).map_err(|failure| DirectoryRefusal::Failed(failure.to_string()))?;
        // Who asks has just repaired something.
        source.0.try_again();
        let tried = self.wait(directory::trial(&source, &place.wishes.settings));
        let step = |(what, fault): (String, Option<Fault>)| {
            let fault = fault.map(|fault| fault.to_string());
            DirectoryTried { what, ok: fault.is_none(), fault }
        };
        let steps: Vec<DirectoryTried> = tried.into_iter().map(step).collect();
        Ok(DirectoryTest { tenant: tenant.to_owned(), ok: steps.iter().all(|step| step.ok), steps })
    }

    /// Says what a run would do. It waits for Graph.
    ///
    /// # Errors
    /// [`DirectoryRefusal`].
    pub fn preview(self: &Arc<Self>, tenant: &str) -> Result<DirectoryRun, DirectoryRefusal> {
        self.run_here(tenant, How::Preview)
    }

    /// Reads a tenant's directory and does what it says. It waits for Graph.
    ///
    /// # Errors
    /// [`DirectoryRefusal`].
    pub fn sync(self: &Arc<Self>, tenant: &str, force: bool) -> Result<DirectoryRun, DirectoryRefusal> {
        self.run_here(tenant, if force { How::Force } else { How::Do })
    }

    fn run_here(self: &Arc<Self>, tenant: &str, how: How) -> Result<DirectoryRun, DirectoryRefusal> {
        let place = self.of(tenant).ok_or(DirectoryRefusal::None)?;
        self.wait(self.run(&place, how)).map_err(|failure| match failure {
            Failure::Stopped { text } => DirectoryRefusal::Stopped(text),
            Failure::Failed(text) => DirectoryRefusal::Failed(text),
        })
    }

    /// Waits on a thread that may, for what is done by the runtime.
    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::runtime::Handle::current().block_on(work)
    }
}

impl Last {
    fn is_bad(&self) -> bool {
        matches!(&*self.result, "stopped" | "failed")
    }
}

/// Reads all directories, again and again, until it is aborted.
pub async fn tend(directories: Arc<Directories>) {
    let mut tasks: BTreeMap<Arc<str>, (Arc<Place>, AbortOnDropHandle<()>)> = BTreeMap::new();
    loop {
        let places = lock(&directories.places).clone();
        tasks.retain(|tenant, (place, _)| places.get(tenant).is_some_and(|now| Arc::ptr_eq(now, place)));
        for (tenant, place) in places {
            tasks.entry(tenant).or_insert_with(|| {
                let task = tokio::spawn(turn(Arc::clone(&directories), Arc::clone(&place)));
                (place, AbortOnDropHandle::new(task))
            });
        }
        directories.changed.notified().await;
    }
}

/// The life of a tenant's directory.
async fn turn(directories: Arc<Directories>, place: Arc<Place>) {
    directories.restore(&place).await;
    let interval = place.wishes.interval;
    let mut failures = 0_u32;
    loop {
        let wait = match directories.run(&place, How::Do).await {
            // Who has to be asked is not asked more often.
            Ok(_) | Err(Failure::Stopped { .. }) => {
                failures = 0;
                interval
            }
            Err(Failure::Failed(_)) => {
                let wait = RETRY.saturating_mul(1 << failures.min(16));
                failures += 1;
                wait.min(interval)
            }
        };
        tokio::time::sleep(jittered(wait)).await;
    }
}

/// A time, somewhat longer or shorter.
fn jittered(time: Duration) -> Duration {
    let part = time / JITTER;
    // Seeded by the system, anew each time.
    let random = RandomState::new().hash_one(0_u8) % 1_000;
    let random = u32::try_from(random).unwrap_or_default();
    (time + part * 2 * random / 1_000).saturating_sub(part)
}

/// What is wanted of a tenant's directory; `None`: nothing.
fn wishes(config: &Config, tenant: &str) -> Option<Wishes> {
    if let Some(directory) = config.directory.get(tenant) {
        return Some(Wishes { settings: settings(directory), interval: directory.interval });
    }
    let bridged = config.presence.tenants.get(tenant)?;
    let own = bridged.users.values().any(|user| user.direction.is_some_and(|way| way != Direction::Off));
    let settings = Settings::ids_only(MAX_IDS);
    (own || bridged.direction != Direction::Off).then_some(Wishes { settings, interval: IDS_INTERVAL })
}

fn settings(config: &config::Directory) -> Settings {
    let number = |(field, suffix): &(Arc<str>, Option<Arc<str>>)| NumberField {
        field: Arc::clone(field),
        suffix: suffix.clone(),
    };
    let rule = |rule: &config::GroupRule| directory::GroupRule {
        group: Arc::clone(&rule.group),
        lives: rule.lives,
        first_extension: rule.first_extension.clone(),
        extension_field: rule.extension_field.clone(),
    };
    Settings {
        group: config.group.clone(),
        name: Arc::clone(&config.name),
        numbers: config.numbers.iter().map(number).collect(),
        teams_numbers: config.teams_numbers,
        new: config.new,
        update: config.update,
        delete: config.delete,
        max_delete_percent: config.max_delete_percent,
        max_users: config.max_users,
        rules: config.rules.iter().map(rule).collect(),
        ids_only: false,
    }
}

fn sentence(run: &DirectoryRun) -> String {
    let DirectoryRun { users, new, update, delete, unreadable, .. } = run;
    format!("{users} users, {new} new, {update} changed, {delete} removed, {unreadable} not read")
}

fn now() -> String {
    let now = i64::try_from(Clock::start().unix()).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    now.unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a thread that panicked left half done is done anew by the next run.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
