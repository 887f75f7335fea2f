//! `[presence]` and `[tenant.ID.presence]`: the bridge between PBX lines and Teams.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::graph::Webhook;
use super::log::{At, Draft, Log};
use super::login::Login;
use super::reader::{Complaint, Table, quoted};
use super::trunks::TrunkSet;
use crate::presence::notifier::Lamp;
use crate::presence::{Direction, Presence as PbxPresence, UserState};
use crate::routing::Tenant;
use crate::trunk::{TrunkId, TrunkKind};

const DAY_S: u64 = 86_400;

/// How long the name of a user state, a line or a list may be.
const MAX_WORD: usize = 256;

/// Aliases of user presence that a tenant may have.
const MAX_ALIASES: usize = 200;

/// The bridge: what it may use, and the tenants that take part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    pub max_users: usize,
    /// The edge's own subscriptions on PBXs.
    pub max_subscriptions: usize,
    /// Subscriptions of others at the edge.
    pub max_watchers: usize,
    pub max_watchers_per_user: usize,
    pub max_publications: usize,
    /// Requests and answers that wait for the bridge's thread.
    pub queue: usize,
    /// Transactions of the bridge that are under way.
    pub max_transactions: usize,
    /// Bytes of a presence or dialog document.
    pub max_document_bytes: usize,
    /// SUBSCRIBE requests a second to one trunk, while subscriptions are set up.
    pub subscribe_per_second: u32,
    /// What a subscription asks for.
    pub subscribe_expires: Duration,
    /// What watchers and publications get at the least and at the most.
    pub min_expires: Duration,
    pub max_expires: Duration,
    /// The shortest time between two NOTIFYs of one subscription.
    pub notify_interval: Duration,
    /// The states that light the lamp keys of watchers.
    pub lamp: Lamp,
    /// What a publication of Teams' Do not disturb asks the PBX for.
    pub publish_expires: Duration,
    /// How long changes of a line that flaps are gathered; the first change waits for nothing.
    pub coalesce: Duration,
    /// What Graph is asked to hold a session for; refreshed at half of it.
    pub session_expires: Duration,
    /// Graph requests a tenant may make in 30 seconds.
    pub graph_requests_per_30s: u32,
    /// How often every user of a tenant is asked for, at the latest, and those that somebody watches.
    pub poll_interval: Duration,
    pub poll_interval_watched: Duration,
    /// Whether sessions are cleared when the edge stops; otherwise they are left to expire.
    pub clear_on_stop: bool,
    /// Where Graph's notifications come in; `None`: nowhere.
    pub webhook: Option<Webhook>,
    /// Who the edge is towards trunks that challenge its requests.
    pub logins: BTreeMap<TrunkId, Login>,
    pub tenants: BTreeMap<Arc<str>, TenantPresence>,
}

/// What a tenant wants of the bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantPresence {
    pub direction: Direction,
    /// The PBX whose lines are subscribed to.
    pub line_trunk: Option<TrunkId>,
    /// Whether the edge subscribes to `dialog` at `line_trunk` for each user's line.
    pub subscribe_lines: bool,
    /// A resource list on the PBX that has all lines (RFC 4662), instead of a subscription for each.
    pub line_list: Option<Arc<str>>,
    /// Whether the edge subscribes to `presence` at `line_trunk` for each user.
    pub subscribe_presence: bool,
    /// Whether the calls that the edge carries count.
    pub own_calls: bool,
    /// Trunks that may watch the tenant's users and publish for them.
    pub watchers: Vec<TrunkId>,
    /// The PBX's own names of user presence, in lower case.
    pub aliases: BTreeMap<String, UserState>,
    /// What `not-available` comes to.
    pub not_available: PbxPresence,
    /// How long what the HTTP feed said holds.
    pub feed_expires: Duration,
    /// Whether Teams' Do not disturb is published to `line_trunk`.
    pub publish_dnd: bool,
    /// By user id, in lower case.
    pub users: BTreeMap<Arc<str>, UserPresence>,
}

/// What one user has of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserPresence {
    pub direction: Option<Direction>,
    /// The user part of the line on the PBX; `None`: the extension, or else the number.
    pub line: Option<Arc<str>>,
}

impl Default for Presence {
    fn default() -> Self {
        Self {
            max_users: 500_000,
            max_subscriptions: 500_000,
            max_watchers: 100_000,
            max_watchers_per_user: 100,
            max_publications: 100_000,
            queue: 8_192,
            max_transactions: 16_384,
            max_document_bytes: 65_536,
            subscribe_per_second: 50,
            subscribe_expires: Duration::from_secs(3_600),
            min_expires: Duration::from_secs(60),
            max_expires: Duration::from_secs(3_600),
            notify_interval: Duration::from_secs(1),
            lamp: Lamp::default(),
            publish_expires: Duration::from_secs(600),
            coalesce: Duration::from_millis(500),
            session_expires: Duration::from_secs(3_600),
            graph_requests_per_30s: 1_400,
            poll_interval: Duration::from_secs(60),
            poll_interval_watched: Duration::from_secs(5),
            clear_on_stop: true,
            webhook: None,
            logins: BTreeMap::new(),
            tenants: BTreeMap::new(),
        }
    }
}

impl Default for TenantPresence {
    fn default() -> Self {
        Self {
            direction: Direction::ToTeams,
            line_trunk: None,
            subscribe_lines: false,
            line_list: None,
            subscribe_presence: false,
            own_calls: true,
            watchers: Vec::new(),
            aliases: BTreeMap::new(),
            not_available: PbxPresence::DoNotDisturb,
            feed_expires: Duration::from_secs(300),
            publish_dnd: false,
            users: BTreeMap::new(),
        }
    }
}

impl TenantPresence {
    /// The direction of a user, by id in lower case.
    pub fn direction_of(&self, user: &str) -> Direction {
        self.users.get(user).and_then(|own| own.direction).unwrap_or(self.direction)
    }
}

/// Reads `[presence]`; `tenants` are those that take part.
pub(super) fn read(mut table: Table<'_>, tenants: BTreeMap<Arc<str>, TenantPresence>) -> Presence {
    let d = Presence::default();
    let t = &mut table;
    let presence = Presence {
        max_users: t.count("max_users", 1..=10_000_000, d.max_users),
        max_subscriptions: t.count("max_subscriptions", 1..=10_000_000, d.max_subscriptions),
        max_watchers: t.count("max_watchers", 0..=10_000_000, d.max_watchers),
        max_watchers_per_user: t.count("max_watchers_per_user", 1..=100_000, d.max_watchers_per_user),
        max_publications: t.count("max_publications", 0..=10_000_000, d.max_publications),
        queue: t.count("queue", 64..=1_000_000, d.queue),
        max_transactions: t.count("max_transactions", 64..=1_000_000, d.max_transactions),
        max_document_bytes: t.count("max_document_bytes", 1_024..=1 << 24, d.max_document_bytes),
        subscribe_per_second: rate(t, "subscribe_per_second", 1..=10_000, d.subscribe_per_second),
        subscribe_expires: t.seconds("subscribe_expires_s", 60..=DAY_S, d.subscribe_expires),
        min_expires: t.seconds("min_expires_s", 1..=DAY_S, d.min_expires),
        max_expires: t.seconds("max_expires_s", 1..=DAY_S, d.max_expires),
        notify_interval: t.millis("notify_interval_ms", 0..=60_000, d.notify_interval),
        lamp: lamp(t).unwrap_or(d.lamp),
        publish_expires: t.seconds("publish_expires_s", 60..=DAY_S, d.publish_expires),
        coalesce: t.millis("coalesce_ms", 0..=60_000, d.coalesce),
        session_expires: t.seconds("session_expires_s", 300..=14_400, d.session_expires),
        graph_requests_per_30s: rate(t, "graph_requests_per_30s", 10..=1_500, d.graph_requests_per_30s),
        poll_interval: t.seconds("poll_interval_s", 1..=DAY_S, d.poll_interval),
        poll_interval_watched: t.seconds("poll_interval_watched_s", 1..=DAY_S, d.poll_interval_watched),
        clear_on_stop: t.boolean("clear_on_stop").map_or(d.clear_on_stop, |clear| clear.value),
        webhook: t.table("webhook", "presence.webhook").and_then(super::graph::webhook),
        logins: d.logins,
        tenants,
    };
    ordered(t, "min_expires_s", presence.min_expires, "max_expires_s", presence.max_expires);
    ordered(t, "poll_interval_watched_s", presence.poll_interval_watched, "poll_interval_s", presence.poll_interval);
    if presence.tenants.is_empty() {
        let message = format!("{}: no tenant takes part", t.title);
        let help = "give a tenant a table [tenant.ID.presence]";
        t.log().add(Draft::warning(t.place, message).help(help));
    }
    table.finish();
    presence
}

/// The states that light lamps.
fn lamp(table: &mut Table<'_>) -> Option<Lamp> {
    let states = table.parsed_list("lamp", |text| {
        let state = text.parse::<PbxPresence>().ok();
        state.filter(|state| LAMP.contains(state)).ok_or_else(|| {
            let help = format!("use {}", LAMP.map(|state| quoted(state.word())).join(", "));
            Complaint::new(format!("{} lights no lamp", quoted(text))).help(help)
        })
    })?;
    let has = |wanted| states.iter().any(|state| state.value == wanted);
    let (busy, do_not_disturb) = (has(PbxPresence::Busy), has(PbxPresence::DoNotDisturb));
    Some(Lamp { busy, do_not_disturb, away: has(PbxPresence::Away) })
}

/// What `lamp` may have.
const LAMP: [PbxPresence; 3] = [PbxPresence::Busy, PbxPresence::DoNotDisturb, PbxPresence::Away];

fn rate(table: &mut Table<'_>, key: &'static str, range: std::ops::RangeInclusive<u64>, default: u32) -> u32 {
    table.number(key, range).and_then(|number| u32::try_from(number.value).ok()).unwrap_or(default)
}

/// Complains when what must be the lesser is the greater.
fn ordered(table: &Table<'_>, low: &str, least: Duration, high: &str, most: Duration) {
    if least > most {
        let at = if table.has(low) { low } else { high };
        let message = format!("{}: `{low}` ({}) is above `{high}` ({})", table.title, least.as_secs(), most.as_secs());
        table.log().add(Draft::error(table.place_of(at), message));
    }
}

/// Reads `presence` of a tenant's table, and gives the trunks that it names; `tenant` has its users already.
pub(super) fn of_tenant(
    log: &Log,
    table: &mut Table<'_>,
    tenant: &Tenant,
    trunks: &TrunkSet<'_>,
) -> Option<(TenantPresence, Vec<At<TrunkId>>)> {
    let (has_directory, has_graph) = (table.has("directory"), table.has("graph"));
    let mut table = table.table("presence", "tenant.ID.presence")?;
    let t = &mut table;
    let d = TenantPresence::default();
    let line_trunk = line_trunk(log, t, trunks);
    let watchers = trunks.list(log, t, "watchers");
    let lines = t.boolean("subscribe_lines");
    let named = line_trunk.iter().chain(&watchers).cloned().collect();
    let presence = TenantPresence {
        direction: direction(t).unwrap_or(d.direction),
        line_trunk: line_trunk.as_ref().map(|trunk| trunk.value),
        subscribe_lines: lines.map_or(line_trunk.is_some(), |lines| lines.value),
        line_list: t.parsed("line_list", word).map(|list| list.value),
        subscribe_presence: t.boolean("subscribe_presence").map_or(d.subscribe_presence, |flag| flag.value),
        own_calls: t.boolean("own_calls").map_or(d.own_calls, |flag| flag.value),
        watchers: watchers.into_iter().map(|trunk| trunk.value).collect(),
        aliases: aliases(log, t),
        not_available: t.choice("not_available", &NOT_AVAILABLE).map_or(d.not_available, |state| state.value),
        feed_expires: t.seconds("feed_expires_s", 5..=DAY_S, d.feed_expires),
        publish_dnd: t.boolean("publish_dnd").map_or(d.publish_dnd, |flag| flag.value),
        users: users(log, t, tenant, has_directory),
    };
    if !t.has("line_trunk") {
        without_line_trunk(log, t, &presence);
    }
    without_effect(log, t, &presence, has_graph);
    table.finish();
    Some((presence, named))
}

/// What `not_available` may be.
const NOT_AVAILABLE: [(&str, PbxPresence); 5] = [
    (PbxPresence::DoNotDisturb.word(), PbxPresence::DoNotDisturb),
    (PbxPresence::Away.word(), PbxPresence::Away),
    (PbxPresence::Busy.word(), PbxPresence::Busy),
    (PbxPresence::Available.word(), PbxPresence::Available),
    (PbxPresence::Offline.word(), PbxPresence::Offline),
];

fn direction(table: &mut Table<'_>) -> Option<Direction> {
    let all = [Direction::ToTeams, Direction::FromTeams, Direction::Both, Direction::Off];
    table.choice("direction", &all.map(|direction| (direction.word(), direction))).map(|word| word.value)
}

fn line_trunk(log: &Log, table: &mut Table<'_>, trunks: &TrunkSet<'_>) -> Option<At<TrunkId>> {
    let name = table.text("line_trunk")?;
    let id = trunks.names.find(log, &table.title, &name)?;
    if trunks.kind(id) == Some(TrunkKind::Teams) {
        let message = format!("{}: `line_trunk` must not name a trunk of kind teams", table.title);
        log.add(Draft::error(name.place, message).label("is one").help("name the PBX that has the lines"));
    }
    Some(At::new(id, name.place))
}

/// A word that goes into a SIP URI in front of the `@`.
fn word(text: &str) -> Result<Arc<str>, Complaint> {
    let fits = !text.is_empty() && text.len() <= MAX_WORD && !text.chars().any(|sign| sign.is_control() || sign == '@');
    if fits && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"\\^`{}|".contains(&byte)) {
        return Ok(Arc::from(text));
    }
    let message = format!("{} is no user part of a SIP URI", quoted(text));
    Err(Complaint::new(message).help("write what stands before the `@`, such as an extension"))
}

/// The PBX's own names of user presence.
fn aliases(log: &Log, table: &mut Table<'_>) -> BTreeMap<String, UserState> {
    let mut places = BTreeMap::new();
    let mut known = BTreeMap::new();
    for (name, state) in table.texts_by_name("aliases") {
        let lower = name.value.trim().to_lowercase();
        if lower.is_empty() || lower.len() > MAX_WORD || lower.chars().any(char::is_control) {
            let message = format!("{}: `aliases`: {} is no name of a state", table.title, quoted(name.value));
            log.add(Draft::error(name.place, message).help(format!("use 1 to {MAX_WORD} letters")));
            continue;
        }
        if places.len() == MAX_ALIASES {
            let message = format!("{}: `aliases` has more than {MAX_ALIASES} names", table.title);
            log.add(Draft::error(name.place, message).label("the first too many"));
            break;
        }
        match state.value.parse::<UserState>() {
            Ok(state) => {
                if let Some(first) = places.insert(lower.clone(), name.place) {
                    let message = format!("{}: `aliases` has {} twice", table.title, quoted(name.value));
                    let draft = Draft::error(name.place, message).label("again").also(first, "first");
                    log.add(draft.help("upper and lower case make no difference"));
                }
                known.insert(lower, state);
            }
            Err(error) => table.complain("aliases", state.place, Complaint::new(error.to_string())),
        }
    }
    known
}

/// What single users have of their own.
fn users(log: &Log, table: &mut Table<'_>, tenant: &Tenant, has_directory: bool) -> BTreeMap<Arc<str>, UserPresence> {
    let mut users: BTreeMap<Arc<str>, UserPresence> = BTreeMap::new();
    let title = table.title.clone();
    let known: HashSet<String> = match table.has("users") {
        true => tenant.users().iter().map(|user| user.record.id.to_lowercase()).collect(),
        false => HashSet::new(),
    };
    for (name, mut own) in table.named("users", "tenant.ID.presence.users.NAME", "user") {
        own.title = format!("{title}: user {}", quoted(name.value));
        let id: Arc<str> = name.value.trim().to_lowercase().into();
        let user =
            UserPresence { direction: direction(&mut own), line: own.parsed("line", word).map(|line| line.value) };
        // Users of the directory are not known before it was read.
        if !has_directory && !known.contains(&*id) && log.is_complete() {
            let message = format!("{title}: the tenant has no user {}", quoted(name.value));
            let help =
                "a user is known by `id` in [[tenant.ID.user]] or a users file; one that is added later is taken too";
            log.add(Draft::warning(name.place, message).help(help));
        }
        own.finish();
        if users.insert(Arc::clone(&id), user).is_some() {
            let message = format!("{title}: user {} is there twice", quoted(name.value));
            log.add(Draft::error(name.place, message).help("upper and lower case make no difference"));
        }
    }
    users
}

/// Complains of what needs a trunk that is not there.
fn without_line_trunk(log: &Log, table: &Table<'_>, presence: &TenantPresence) {
    let wanted = [
        ("subscribe_lines", presence.subscribe_lines),
        ("line_list", presence.line_list.is_some()),
        ("subscribe_presence", presence.subscribe_presence),
        ("publish_dnd", presence.publish_dnd),
    ];
    for (key, _) in wanted.into_iter().filter(|(_, on)| *on) {
        let message = format!("{}: `{key}` without `line_trunk`", table.title);
        log.add(Draft::error(table.place_of(key), message).help("name the PBX's trunk in `line_trunk`"));
    }
}

/// Warns of wishes that nothing comes of.
fn without_effect(log: &Log, table: &Table<'_>, presence: &TenantPresence, has_graph: bool) {
    let own = presence.users.values().filter_map(|user| user.direction);
    let all: Vec<Direction> = std::iter::once(presence.direction).chain(own).collect();
    if !has_graph && all.iter().any(|direction| *direction != Direction::Off) {
        let message = format!("{}: Teams is neither told nor asked: there is no [tenant.ID.graph]", table.title);
        let at = if table.has("direction") { table.place_of("direction") } else { table.place };
        let help = "add [tenant.ID.graph] with `directory`, `client` and `secret_file`, or say `direction = \"off\"`";
        log.add(Draft::warning(at, message).help(help));
    }
    if presence.publish_dnd && !all.iter().any(|direction| direction.shows_teams()) {
        let message = format!("{}: `publish_dnd` has no effect: no user's direction is from Teams", table.title);
        let help = "say `direction = \"from-teams\"` or `\"both\"`";
        log.add(Draft::warning(table.place_of("publish_dnd"), message).help(help));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Faults, Loaded, load_str};
    use super::*;

    const BASE: &str = r#"
        [node]
        name = "edge-1"
        fqdn = "sbc.example.net"
        [[listen]]
        name = "lan"
        bind = "udp:192.0.2.1:5060"
        [trunk.pbx1]
        kind = "pbx"
        listen = "lan"
        targets = ["udp:192.0.2.10:5060"]
        [trunk.pbx2]
        kind = "pbx"
        listen = "lan"
        tenant = "fabrikam"
        targets = ["udp:192.0.2.11:5060"]
        [tenant.fabrikam]
        [tenant.contoso]
        [[tenant.contoso.user]]
        id = "Anna@contoso.example"
        number = "+441632768402"
    "#;

    fn with(text: &str) -> Result<Loaded, Faults> {
        load_str("edge.toml", &format!("{BASE}\n{text}"), Path::new(""))
    }

    #[test]
    fn keys_are_read_and_defaults_stand() {
        let loaded = with("").unwrap();
        assert_eq!(loaded.config.presence, Presence::default());
        let loaded = with("[tenant.contoso.presence]\n").unwrap();
        let tenants = BTreeMap::from([(Arc::from("contoso"), TenantPresence::default())]);
        assert_eq!(loaded.config.presence, Presence { tenants, ..Presence::default() });

        let text = r#"
            [presence]
            max_users = 10
            max_subscriptions = 11
            max_watchers = 0
            max_watchers_per_user = 12
            max_publications = 0
            queue = 64
            max_transactions = 65
            max_document_bytes = 1024
            subscribe_per_second = 1
            subscribe_expires_s = 60
            min_expires_s = 1
            max_expires_s = 2
            notify_interval_ms = 0
            lamp = ["away"]
            publish_expires_s = 60
            coalesce_ms = 3
            session_expires_s = 300
            graph_requests_per_30s = 10
            poll_interval_s = 9
            poll_interval_watched_s = 8
            clear_on_stop = false
            [tenant.contoso.presence]
            direction = "both"
            line_trunk = "pbx1"
            line_list = "lines"
            subscribe_presence = true
            own_calls = false
            watchers = ["pbx1"]
            aliases = { "At Lunch" = "absent", "DND" = "not-available" }
            not_available = "away"
            feed_expires_s = 5
            publish_dnd = true
            users."ANNA@contoso.example" = { direction = "off", line = "402" }
        "#;
        let loaded = with(text).unwrap();
        let pbx1 = loaded.trunks.0.iter().find(|trunk| &*trunk.name == "pbx1").unwrap().id;
        let anna = UserPresence { direction: Some(Direction::Off), line: Some("402".into()) };
        let contoso = TenantPresence {
            direction: Direction::Both,
            line_trunk: Some(pbx1),
            subscribe_lines: true,
            line_list: Some("lines".into()),
            subscribe_presence: true,
            own_calls: false,
            watchers: vec![pbx1],
            aliases: BTreeMap::from([
                ("at lunch".to_owned(), UserState::Absent),
                ("dnd".to_owned(), UserState::NotAvailable),
            ]),
            not_available: PbxPresence::Away,
            feed_expires: Duration::from_secs(5),
            publish_dnd: true,
            users: BTreeMap::from([(Arc::from("anna@contoso.example"), anna)]),
        };
        assert_eq!(contoso.direction_of("anna@contoso.example"), Direction::Off);
        assert_eq!(contoso.direction_of("bert@contoso.example"), Direction::Both);
        let wanted = Presence {
            max_users: 10,
            max_subscriptions: 11,
            max_watchers: 0,
            max_watchers_per_user: 12,
            max_publications: 0,
            queue: 64,
            max_transactions: 65,
            max_document_bytes: 1_024,
            subscribe_per_second: 1,
            subscribe_expires: Duration::from_secs(60),
            min_expires: Duration::from_secs(1),
            max_expires: Duration::from_secs(2),
            notify_interval: Duration::ZERO,
            lamp: Lamp { busy: false, do_not_disturb: false, away: true },
            publish_expires: Duration::from_secs(60),
            coalesce: Duration::from_millis(3),
            session_expires: Duration::from_secs(300),
            graph_requests_per_30s: 10,
            poll_interval: Duration::from_secs(9),
            poll_interval_watched: Duration::from_secs(8),
            clear_on_stop: false,
            webhook: None,
            logins: BTreeMap::new(),
            tenants: BTreeMap::from([(Arc::from("contoso"), contoso)]),
        };
        assert_eq!(loaded.config.presence, wanted);
    }

    #[test]
    fn faults_are_told() {
        for (text, told) in [
            ("[presence]\nmax_users = 0", "`max_users` must be from 1 to 10000000"),
            ("[presence]\nsession_expires_s = 60", "`session_expires_s` must be from 300 to 14400"),
            ("[presence]\ngraph_requests_per_30s = 1501", "must be from 10 to 1500"),
            (
                "[presence]\nmin_expires_s = 100\nmax_expires_s = 99",
                "`min_expires_s` (100) is above `max_expires_s` (99)",
            ),
            ("[presence]\npoll_interval_s = 1", "`poll_interval_watched_s` (5) is above `poll_interval_s` (1)"),
            ("[presence]\npoll = 1", "no key `poll`"),
            ("[presence]\nlamp = [\"busy\", \"offline\"]", "`offline` lights no lamp"),
            ("[presence]\nlamp = \"busy\"", "`lamp` must be a list"),
            ("[presence]\npublish_expires_s = 59", "`publish_expires_s` must be from 60 to 86400"),
            (
                "[tenant.contoso.presence]\ndirection = \"up\"",
                "`up` is none of `to-teams`, `from-teams`, `both`, `off`",
            ),
            ("[tenant.contoso.presence]\nline_trunk = \"pbx\"", "there is no trunk `pbx`"),
            ("[tenant.contoso.presence]\nline_trunk = \"pbx2\"", "trunk `pbx2` is that of tenant `fabrikam`"),
            ("[tenant.contoso.presence]\nwatchers = [\"pbx3\"]", "there is no trunk `pbx3`"),
            ("[tenant.contoso.presence]\nwatchers = [\"pbx1\", \"pbx1\"]", "`watchers` names `pbx1` twice"),
            ("[tenant.contoso.presence]\nsubscribe_lines = true", "`subscribe_lines` without `line_trunk`"),
            ("[tenant.contoso.presence]\npublish_dnd = true", "`publish_dnd` without `line_trunk`"),
            (
                "[tenant.contoso.presence]\nline_trunk = \"pbx1\"\nline_list = \"a@b\"",
                "`a@b` is no user part of a SIP URI",
            ),
            (
                "[tenant.contoso.presence]\naliases = { lunch = \"gone\" }",
                "`gone` is no such state: write one of available",
            ),
            (
                "[tenant.contoso.presence]\naliases = { Lunch = \"busy\", lunch = \"busy\" }",
                "`aliases` has `lunch` twice",
            ),
            ("[tenant.contoso.presence]\naliases = { \" \" = \"busy\" }", "is no name of a state"),
            ("[tenant.contoso.presence]\nnot_available = \"unknown\"", "`unknown` is none of `do-not-disturb`"),
            ("[tenant.contoso.presence]\nfeed_expires_s = 4", "`feed_expires_s` must be from 5 to 86400"),
            ("[tenant.contoso.presence.users.\"anna@contoso.example\"]\nlines = \"1\"", "no key `lines`"),
        ] {
            let faults = with(text).unwrap_err();
            assert!(faults.to_string().contains(told), "{text}: {faults}");
        }
    }

    #[test]
    fn what_has_no_effect_is_a_warning() {
        for (text, told) in [
            ("[presence]\n", "no tenant takes part"),
            ("[tenant.contoso.presence]\n", "there is no [tenant.ID.graph]"),
            ("[tenant.contoso.presence]\nline_trunk = \"pbx1\"\npublish_dnd = true\n", "`publish_dnd` has no effect"),
            ("[tenant.contoso.presence.users.\"bert@contoso.example\"]\n", "has no user `bert@contoso.example`"),
        ] {
            let loaded = with(text).unwrap();
            assert!(loaded.warnings.to_string().contains(told), "{text}: {}", loaded.warnings);
        }
        let loaded = with("[tenant.contoso.presence]\ndirection = \"off\"\n").unwrap();
        assert!(!loaded.warnings.to_string().contains("graph"), "{}", loaded.warnings);
        let loaded = with("[tenant.contoso.presence.users.\"ANNA@contoso.example\"]\n").unwrap();
        assert!(!loaded.warnings.to_string().contains("no user"), "{}", loaded.warnings);
    }
}
