//! The parts together: what a source says reaches Graph, what Graph says reaches watchers, and neither comes back.

use std::sync::Arc;
use std::time::Duration;

use smallvec::smallvec;

use super::*;
use crate::presence::agent::Verb;
use crate::presence::{Availability, Direction, Presence, Report, Session};
use crate::presence::{notifier, poller, publications, publisher, subscriber, writer};
use crate::trunk::TrunkId;

const PBX: TrunkId = TrunkId(3);

/// A bridge with one tenant, and a clock.
struct World {
    bridge: Bridge,
    now: Moment,
    tenant: TenantKey,
}

fn settings() -> Settings {
    let minute = Duration::from_secs(60);
    Settings {
        writer: writer::Settings::default(),
        poller: poller::Settings::default(),
        subscriber: subscriber::Settings {
            max_subscriptions: 100,
            per_second: 50,
            expires: minute,
            max_document_bytes: 10_000,
        },
        notifier: notifier::Settings {
            max_watchers: 100,
            max_watchers_per_user: 10,
            min_expires: minute,
            max_expires: minute,
            interval: Duration::ZERO,
            lamp: notifier::Lamp::default(),
        },
        publications: publications::Settings {
            max_publications: 100,
            min_expires: minute,
            max_expires: minute,
            max_document_bytes: 10_000,
        },
        publisher: publisher::Settings { max_publications: 100, per_second: 50, expires: minute },
    }
}

impl World {
    fn new(wishes: TenantSettings) -> Self {
        let now = Moment::from_millis(1_000);
        let mut bridge = Bridge::new(now, &settings(), Seeds { secret: [7; 16], numbers: [1, 2] });
        let tenant = bridge.tenant("contoso").unwrap();
        bridge.set_tenants(now, BTreeMap::from([(tenant, wishes)]));
        Self { bridge, now, tenant }
    }

    fn put(&mut self, id: &str, direction: Direction) -> UserKey {
        let person = Person {
            tenant: self.tenant,
            id: id.into(),
            direction,
            graph_id: Some(format!("object-of-{id}").into()),
            lines: smallvec![Line { trunk: PBX, user: "401".into() }],
            numbers: smallvec!["401".into()],
        };
        self.bridge.put(self.now, person).unwrap()
    }

    fn tell(&mut self, user: UserKey, presence: Presence) {
        let report = Some(Report::Line { presence, conference: false });
        self.bridge.tell(Told { user, source: Source::Feed(0), report, until: None });
    }

    /// Lets time pass; Graph takes all that is written and nothing is asked of it.
    fn pass(&mut self, by: Duration) -> Vec<Act> {
        let mut all = Vec::new();
        let end = self.now + by;
        while self.now < end {
            self.now = (self.now + Duration::from_millis(50)).min(end);
            let mut acts = Vec::new();
            self.bridge.handle_time(self.now, &mut acts);
            for act in &acts {
                if let Act::Write { request, items, .. } = act {
                    let done = Ok(vec![ItemResult::Done; items.len()]);
                    self.bridge.handle_written(self.now, *request, done);
                }
            }
            all.append(&mut acts);
        }
        all
    }

    fn teams(&mut self, user: UserKey, availability: Availability, activity: &str, sequence: &str) {
        let sequence = Some(sequence.into());
        let presence = TeamsPresence { availability, activity: activity.into(), sequence };
        self.bridge.handle_notified(self.now, user, presence);
    }
}

/// The sessions that were written, in order.
fn written(acts: &[Act]) -> Vec<Option<Session>> {
    let of = |act: &Act| match act {
        Act::Write { items, .. } => items.iter().map(|item| item.session).collect(),
        _ => Vec::new(),
    };
    acts.iter().flat_map(of).collect()
}

const SOON: Duration = Duration::from_secs(2);

#[test]
fn a_line_that_is_busy_makes_a_session_and_its_end_clears_it() {
    let mut world = World::new(TenantSettings::default());
    let user = world.put("anna@contoso.example", Direction::ToTeams);
    assert_eq!(written(&world.pass(SOON)), []);
    world.tell(user, Presence::Busy);
    let acts = world.pass(SOON);
    assert_eq!(written(&acts), [Some(Session::InACall)]);
    let kept = acts.iter().position(|act| matches!(act, Act::Keep { written: Some(_), .. })).unwrap();
    let sent = acts.iter().position(|act| matches!(act, Act::Write { .. })).unwrap();
    assert!(kept < sent, "what is sent is kept first: {acts:?}");
    world.tell(user, Presence::Available);
    assert_eq!(written(&world.pass(SOON)), [None]);
    world.tell(user, Presence::Busy);
    assert_eq!(written(&world.pass(SOON)), [Some(Session::InACall)]);
    world.bridge.take(world.now, user);
    assert_eq!(written(&world.pass(SOON)), [None], "who goes leaves nothing behind");
}

#[test]
fn who_does_not_write_writes_nothing_and_what_was_written_goes_when_the_direction_changes() {
    let mut world = World::new(TenantSettings::default());
    let user = world.put("anna@contoso.example", Direction::Both);
    world.tell(user, Presence::Busy);
    assert_eq!(written(&world.pass(SOON)), [Some(Session::InACall)]);
    assert_eq!(world.put("anna@contoso.example", Direction::FromTeams), user);
    assert_eq!(written(&world.pass(SOON)), [None]);
    world.tell(user, Presence::Away);
    assert_eq!(written(&world.pass(SOON)), []);
}

#[test]
fn what_teams_says_is_shown_and_never_comes_back_to_teams() {
    let wishes = TenantSettings { line_trunk: Some(PBX), publish_dnd: true, ..TenantSettings::default() };
    let mut world = World::new(wishes);
    let both = world.put("anna@contoso.example", Direction::Both);
    let to_teams = world.put("bert@contoso.example", Direction::ToTeams);
    world.pass(SOON);
    for user in [both, to_teams] {
        world.teams(user, Availability::DoNotDisturb, "DoNotDisturb", "1");
    }
    let acts = world.pass(SOON);
    assert_eq!(written(&acts), [], "no echo");
    let published = acts.iter().filter(|act| matches!(act, Act::Say(Say::Ask(ask)) if ask.verb == Verb::Publish));
    assert_eq!(published.count(), 1, "Do not disturb of the one who sees Teams: {acts:?}");
    let presence = |world: &World, user| world.bridge.notifier.view(user).map(|view| view.presence);
    assert_eq!(presence(&world, both), Some(Presence::DoNotDisturb));
    assert_eq!(presence(&world, to_teams), Some(Presence::Unknown), "rule 4: who does not see Teams sees the PBX");
    world.tell(to_teams, Presence::Busy);
    world.tell(both, Presence::Busy);
    world.pass(SOON);
    assert_eq!(presence(&world, to_teams), Some(Presence::Busy));
    assert_eq!(presence(&world, both), Some(Presence::DoNotDisturb), "watchers see only Teams");
    assert_eq!(world.bridge.board.merged(both).unwrap().presence, Presence::Busy, "Teams never enters rule 1");
}

#[test]
fn lines_are_subscribed_to_where_the_tenant_wants_it_and_let_go_with_it() {
    let wishes = TenantSettings { line_trunk: Some(PBX), subscribe_lines: true, ..TenantSettings::default() };
    let mut world = World::new(wishes.clone());
    world.put("anna@contoso.example", Direction::ToTeams);
    let subscribes = |acts: &[Act]| {
        let of = |act: &&Act| matches!(act, Act::Say(Say::Ask(ask)) if ask.verb == Verb::Subscribe);
        acts.iter().filter(of).count()
    };
    assert_eq!(subscribes(&world.pass(SOON)), 1);
    let unwanted = TenantSettings { subscribe_lines: false, ..wishes };
    world.bridge.set_tenants(world.now, BTreeMap::from([(world.tenant, unwanted)]));
    world.pass(SOON);
    assert_eq!(world.bridge.counts(world.now).subscriber.subscriptions, 0);
}

#[test]
fn a_stop_clears_everybody() {
    let mut world = World::new(TenantSettings::default());
    for name in ["anna", "bert", "carl"] {
        let user = world.put(&format!("{name}@contoso.example"), Direction::ToTeams);
        world.tell(user, Presence::DoNotDisturb);
    }
    assert_eq!(written(&world.pass(SOON)), [Some(Session::Presenting); 3]);
    world.bridge.clear_all(world.now);
    assert_eq!(written(&world.pass(SOON)), [None; 3]);
    assert!(world.bridge.is_idle());
}

#[test]
fn a_session_of_before_a_crash_that_nobody_wants_is_cleared() {
    let mut world = World::new(TenantSettings::default());
    let written_before =
        Written { session: Session::InACall, until: world.now + Duration::from_secs(1_800), sure: true };
    let object: Arc<str> = "object-of-anna@contoso.example".into();
    world.bridge.restore(world.now, world.tenant, object, written_before);
    world.put("anna@contoso.example", Direction::ToTeams);
    assert_eq!(written(&world.pass(Duration::from_secs(60))), [None]);
}

#[test]
fn a_line_that_a_user_has_no_more_is_let_go() {
    let wishes = TenantSettings { line_trunk: Some(PBX), subscribe_lines: true, ..TenantSettings::default() };
    let mut world = World::new(wishes);
    let user = world.put("anna@contoso.example", Direction::ToTeams);
    world.pass(SOON);
    assert_eq!(world.bridge.counts(world.now).subscriber.subscriptions, 1);
    let lineless = Person { lines: smallvec![], ..world.bridge.people.get(user).unwrap().clone() };
    assert_eq!(world.bridge.put(world.now, lineless), Some(user));
    world.pass(SOON);
    assert_eq!(world.bridge.counts(world.now).subscriber.subscriptions, 0);
}
