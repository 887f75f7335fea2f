//! Watchers: phones and PBXs that SUBSCRIBE to users at the edge (RFC 6665, RFC 3856, RFC 4235).
//!
//! Each subscription is a dialog with at most one NOTIFY under way, so that what a watcher hears is in order. Every
//! NOTIFY has the full state: what changes while one is under way, or within the interval that the watcher or the
//! configuration asks for (RFC 6446), is sent once, as the newest state. Subscriptions live in memory only: after a restart
//! of the edge a refresh gets 481 and watchers subscribe anew (RFC 6665 section 4.1.2.2).

mod dialog;
pub mod documents;
mod notify;
mod subscription;
pub(super) mod wish;

use std::time::Duration;

pub use wish::Package;

use self::dialog::Dialog;
use self::subscription::{Subscription, Urge};
use self::wish::{Refused, Wish};
use super::access::Access;
use super::agent::{Answer, Arrived, Reply, Say, Ticket};
use super::cells::{CellKey, Cells};
use super::tokens::Tokens;
use super::{People, Presence, UserKey, View};
use crate::transaction::{Due, Moment, Wheel};

/// What watchers get, and how many there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub max_watchers: usize,
    pub max_watchers_per_user: usize,
    /// What a subscription gets at the least and at the most.
    pub min_expires: Duration,
    pub max_expires: Duration,
    /// The shortest time between two NOTIFYs of one subscription.
    pub interval: Duration,
    /// States that light a lamp key.
    pub lamp: Lamp,
}

/// The states that light a lamp key: those that watchers of `dialog` are told of as a confirmed dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lamp {
    pub busy: bool,
    pub do_not_disturb: bool,
    pub away: bool,
}

impl Default for Lamp {
    fn default() -> Self {
        Self { busy: true, do_not_disturb: true, away: false }
    }
}

impl Lamp {
    /// Whether a state lights the lamp.
    pub const fn lit(self, presence: Presence) -> bool {
        match presence {
            Presence::Busy => self.busy,
            Presence::DoNotDisturb => self.do_not_disturb,
            Presence::Away => self.away,
            Presence::Unknown | Presence::Offline | Presence::Available => false,
        }
    }
}

/// What the notifier wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "an order lives for one turn of the bridge, and most are of the large kind"
)]
pub enum Order {
    Say(Say),
    /// A user's first watcher has come (`true`), or the last has gone.
    Watching {
        user: UserKey,
        watched: bool,
    },
}

/// What has been counted since the start, and how many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Subscriptions now, by package.
    pub presence: usize,
    pub dialog: usize,
    /// SUBSCRIBE requests: new subscriptions, refreshes, fetches of the state, ends.
    pub begun: u64,
    pub refreshed: u64,
    pub fetched: u64,
    pub left: u64,
    /// SUBSCRIBE requests that were refused: by trunk or tenant, for a user that nobody knows, for a limit, otherwise.
    pub forbidden: u64,
    pub not_found: u64,
    pub full: u64,
    pub refused: u64,
    /// NOTIFY requests sent, and those that were not taken.
    pub notified: u64,
    pub failed: u64,
    /// Changes that a newer state overtook before they were sent.
    pub coalesced: u64,
    /// Subscriptions that ran out, and those that ended because the watcher was gone.
    pub expired: u64,
    pub gone: u64,
}

/// All subscriptions of watchers.
#[derive(Debug)]
pub struct Notifier {
    settings: Settings,
    tokens: Tokens,
    subscriptions: Cells<Box<Subscription>>,
    /// By [`UserKey`].
    users: Vec<Watched>,
    wheel: Wheel,
    /// Emptied after each use.
    due: Vec<Due>,
    counts: Counts,
}

/// A user as watchers see them.
#[derive(Clone, Debug)]
struct Watched {
    view: View,
    watchers: Vec<CellKey>,
}

impl Notifier {
    /// Nobody watches. `secret`: random bytes, drawn once per process.
    pub fn new(now: Moment, settings: Settings, secret: [u8; 16]) -> Self {
        let wheel = Wheel::new(now, settings.max_watchers.saturating_mul(2));
        Self {
            settings,
            tokens: Tokens::new(secret),
            subscriptions: Cells::default(),
            users: Vec::new(),
            wheel,
            due: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Other settings, for what comes from now on.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// What watchers shall see of a user from now on.
    pub fn set_presence(&mut self, now: Moment, user: UserKey, view: View, out: &mut Vec<Order>) {
        let lamp = self.settings.lamp;
        let watched = self.watched(user);
        if watched.view == view {
            return;
        }
        let lamp_changed = lamp.lit(watched.view.presence) != lamp.lit(view.presence);
        watched.view = view;
        for key in watched.watchers.clone() {
            let Some(subscription) = self.subscriptions.get_mut(key) else { continue };
            if subscription.package == Package::Dialog && !lamp_changed {
                continue;
            }
            self.counts.coalesced += u64::from(subscription.urge(Urge::Changed));
            self.go_on(now, key, out);
        }
    }

    /// A user has gone, or is bridged no longer: whoever watches is told so.
    pub fn remove_user(&mut self, now: Moment, user: UserKey, out: &mut Vec<Order>) {
        let watched = self.watched(user);
        watched.view = View::UNKNOWN;
        for key in watched.watchers.clone() {
            self.end(now, key, "noresource", out);
        }
    }

    /// Ends what is no longer allowed after the users or the rights of trunks have changed.
    pub fn review(&mut self, now: Moment, people: &People, access: &Access, out: &mut Vec<Order>) {
        for key in self.subscriptions.keys().collect::<Vec<_>>() {
            let Some(subscription) = self.subscriptions.get(key) else { continue };
            let reason = match people.get(subscription.user) {
                Some(person) if access.allows(subscription.dialog.trunk, person.tenant) => continue,
                Some(_) => "rejected",
                None => "noresource",
            };
            self.end(now, key, reason, out);
        }
    }

    /// Takes a request for the notifier: a SUBSCRIBE, or something else inside one of its dialogs.
    pub fn handle_request(
        &mut self,
        now: Moment,
        arrived: &Arrived,
        people: &People,
        access: &Access,
        out: &mut Vec<Order>,
    ) {
        let taken = if arrived.message.method() != b"SUBSCRIBE" {
            Err(Refused::method())
        } else if arrived.message.to_tag().is_some() {
            self.refresh(now, arrived, out)
        } else {
            self.begin(now, arrived, people, access, out)
        };
        if let Err(refused) = taken {
            self.count_refusal(refused.status);
            out.push(Order::Say(Say::Answer(refused.into_answer(arrived))));
        }
    }

    /// Takes what came of a NOTIFY.
    pub fn handle_reply(&mut self, now: Moment, reply: &Reply, out: &mut Vec<Order>) {
        let Ticket::Notifier(bits) = reply.ticket else { return };
        let key = CellKey::from_bits(bits);
        let Some(subscription) = self.subscriptions.get_mut(key) else { return };
        match subscription.handle_reply(now, reply) {
            subscription::Next::GoOn => {}
            subscription::Next::Again => self.counts.failed += 1,
            subscription::Next::Gone => {
                self.counts.failed += 1;
                self.counts.gone += 1;
                self.drop_subscription(key, out);
                return;
            }
        }
        self.go_on(now, key, out);
    }

    /// Does what time has made due; harmless when early.
    pub fn handle_time(&mut self, now: Moment, out: &mut Vec<Order>) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(now, &mut due);
        for Due { id, generation } in due.drain(..) {
            let key = CellKey { index: id >> 1, generation };
            let Some(subscription) = self.subscriptions.get_mut(key) else { continue };
            if id & 1 == EXPIRY {
                if subscription.expires_at <= now {
                    self.counts.expired += 1;
                    self.end(now, key, "timeout", out);
                } else {
                    let at = subscription.expires_at;
                    self.wheel.arm(key.index << 1 | EXPIRY, key.generation, at);
                }
            } else {
                subscription.handle_alarm(now);
                self.go_on(now, key, out);
            }
        }
        self.due = due;
    }

    /// When [`Self::handle_time`] is wanted next.
    pub fn next_wake(&self) -> Option<Moment> {
        self.wheel.next_wake()
    }

    /// How many watchers a user has.
    pub fn watchers(&self, user: UserKey) -> usize {
        self.users.get(user.0 as usize).map_or(0, |watched| watched.watchers.len())
    }

    /// What watchers see of a user.
    pub fn view(&self, user: UserKey) -> Option<&View> {
        self.users.get(user.0 as usize).map(|watched| &watched.view)
    }

    /// What has been counted.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// A SUBSCRIBE outside a dialog.
    fn begin(
        &mut self,
        now: Moment,
        arrived: &Arrived,
        people: &People,
        access: &Access,
        out: &mut Vec<Order>,
    ) -> Result<(), Refused> {
        let message = &arrived.message;
        let wish = Wish::read(message, &self.settings)?;
        let uri = message.uri().map_err(|_| Refused::bad("Malformed Request-URI"))?;
        let user = access.find(people, arrived.trunk, &uri).map_err(Refused::of_access)?;
        if self.subscriptions.len() >= self.settings.max_watchers
            || self.watchers(user) >= self.settings.max_watchers_per_user
        {
            return Err(Refused::new(503, "Too Many Subscriptions").with("Retry-After", FULL_RETRY_S.to_string()));
        }
        let dialog = Dialog::of(arrived)?;
        let entity = documents::entity(&uri);
        let expires = wish.expires;
        let fetch = expires.is_zero();
        let key = self.subscriptions.insert(Box::new(Subscription::new(now, user, entity, dialog, wish)));
        let answer = Answer {
            handle: arrived.handle,
            status: 200,
            reason: "OK",
            to_tag: Some(self.tokens.tag(TAG_MARK, key.to_bits())),
            contact_user: Some(notify::contact_user(key)),
            headers: vec![("Expires", expires.as_secs().to_string())],
            body: None,
        };
        out.push(Order::Say(Say::Answer(answer)));
        if fetch {
            self.counts.fetched += 1;
            self.tell(now, key, Some("timeout"), out);
            self.subscriptions.remove(key);
            return Ok(());
        }
        self.counts.begun += 1;
        self.wheel.arm(key.index << 1 | EXPIRY, key.generation, now + expires);
        let watched = self.watched(user);
        watched.watchers.push(key);
        if watched.watchers.len() == 1 {
            out.push(Order::Watching { user, watched: true });
        }
        self.count_package(key, true);
        self.go_on(now, key, out);
        Ok(())
    }

    /// A SUBSCRIBE inside a dialog: longer, or the end.
    fn refresh(&mut self, now: Moment, arrived: &Arrived, out: &mut Vec<Order>) -> Result<(), Refused> {
        let message = &arrived.message;
        let unknown = || Refused::new(481, "Subscription Does Not Exist");
        let tag = message.to_tag().unwrap_or_default();
        let key = self.tokens.open(TAG_MARK, tag).map(CellKey::from_bits).ok_or_else(unknown)?;
        let subscription = self.subscriptions.get_mut(key).ok_or_else(unknown)?;
        if !subscription.dialog.owns(arrived) {
            return Err(unknown());
        }
        let wish = Wish::read(message, &self.settings)?;
        if !subscription.is_about(&wish) {
            return Err(unknown());
        }
        subscription.dialog.refresh(arrived)?;
        let expires = wish.expires;
        let answer = Answer {
            handle: arrived.handle,
            status: 200,
            reason: "OK",
            to_tag: None,
            contact_user: Some(notify::contact_user(key)),
            headers: vec![("Expires", expires.as_secs().to_string())],
            body: None,
        };
        out.push(Order::Say(Say::Answer(answer)));
        if expires.is_zero() {
            self.counts.left += 1;
            self.end(now, key, "timeout", out);
            return Ok(());
        }
        self.counts.refreshed += 1;
        let sooner = now + expires < subscription.expires_at;
        subscription.refresh(now, &wish);
        if sooner {
            self.wheel.arm(key.index << 1 | EXPIRY, key.generation, now + expires);
        }
        self.go_on(now, key, out);
        Ok(())
    }

    /// Sends what is waiting, or sees to it that time does.
    fn go_on(&mut self, now: Moment, key: CellKey, out: &mut Vec<Order>) {
        let Some(subscription) = self.subscriptions.get_mut(key) else { return };
        match subscription.ready_at() {
            Some(at) if at <= now => self.tell(now, key, None, out),
            Some(at) => {
                if let Some(at) = subscription.cover(at) {
                    self.wheel.arm(key.index << 1, key.generation, at);
                }
            }
            None => {}
        }
    }

    /// Sends a NOTIFY; `ended` has the reason when it is the last.
    fn tell(&mut self, now: Moment, key: CellKey, ended: Option<&'static str>, out: &mut Vec<Order>) {
        let lamp = self.settings.lamp;
        let Some(subscription) = self.subscriptions.get_mut(key) else { return };
        let view = self.users.get(subscription.user.0 as usize).map_or(&View::UNKNOWN, |watched| &watched.view);
        let tag = self.tokens.tag(TAG_MARK, key.to_bits());
        let ask = notify::request(now, subscription, key, &tag, view, lamp.lit(view.presence), ended);
        subscription.sent(now, self.settings.interval);
        self.counts.notified += 1;
        out.push(Order::Say(Say::Ask(ask)));
    }

    /// Ends a subscription with a last NOTIFY.
    fn end(&mut self, now: Moment, key: CellKey, reason: &'static str, out: &mut Vec<Order>) {
        self.tell(now, key, Some(reason), out);
        self.drop_subscription(key, out);
    }

    fn drop_subscription(&mut self, key: CellKey, out: &mut Vec<Order>) {
        self.count_package(key, false);
        let Some(subscription) = self.subscriptions.remove(key) else { return };
        let user = subscription.user;
        let watched = self.watched(user);
        watched.watchers.retain(|&other| other != key);
        if watched.watchers.is_empty() {
            watched.watchers = Vec::new();
            out.push(Order::Watching { user, watched: false });
        }
    }

    fn watched(&mut self, user: UserKey) -> &mut Watched {
        let index = user.0 as usize;
        if self.users.len() <= index {
            self.users.resize(index + 1, Watched { view: View::UNKNOWN, watchers: Vec::new() });
        }
        // The line above has made the place.
        &mut self.users[index]
    }

    fn count_package(&mut self, key: CellKey, come: bool) {
        let Some(subscription) = self.subscriptions.get(key) else { return };
        let gauge = match subscription.package {
            Package::Presence => &mut self.counts.presence,
            Package::Dialog => &mut self.counts.dialog,
        };
        *gauge = if come { *gauge + 1 } else { gauge.saturating_sub(1) };
    }

    const fn count_refusal(&mut self, status: u16) {
        let counter = match status {
            403 => &mut self.counts.forbidden,
            404 | 485 => &mut self.counts.not_found,
            503 => &mut self.counts.full,
            _ => &mut self.counts.refused,
        };
        *counter += 1;
    }
}

/// Wheel entries are `index << 1 | kind`: the end of a subscription, or (0) a NOTIFY that waits.
const EXPIRY: u32 = 1;
/// How the tags of the notifier's dialogs begin.
const TAG_MARK: &str = "w";
/// What a watcher that finds no room shall wait, in seconds.
const FULL_RETRY_S: u32 = 60;

#[cfg(test)]
mod tests;
