//! PUBLISH to the edge (RFC 3903): soft state of users that PBXs and phones publish, by presence documents and by
//! dialog-info documents. Each publication is a source of its own, for as long as it is refreshed.
//!
//! Publications live in memory only: after a restart of the edge a refresh gets 412 and is published anew (RFC 3903
//! section 4.4).

use std::collections::HashMap;
use std::time::Duration;

use smallvec::SmallVec;

use super::access::Access;
use super::agent::{Answer, Arrived, Say};
use super::cells::{CellKey, Cells};
use super::notifier::wish::{Event, Package, Refused, granted};
use super::pidf::Aliases;
use super::tokens::Tokens;
use super::{People, Report, Source, TenantKey, Told, UserKey, dialog_info, pidf};
use crate::sip::body::media_type;
use crate::sip::{HeaderName, Message};
use crate::transaction::{Due, Moment, Wheel};
use crate::trunk::TrunkId;

/// What publications get, and how many there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub max_publications: usize,
    /// What a publication gets at the least and at the most.
    pub min_expires: Duration,
    pub max_expires: Duration,
    pub max_document_bytes: usize,
}

/// What publications want done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "an order lives for one turn of the bridge, and most are of the large kind"
)]
pub enum Order {
    Say(Say),
    Told(Told),
    /// The publication is over, and with it the source.
    Forget {
        user: UserKey,
        source: Source,
    },
}

/// What has been counted since the start, and how many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Publications now.
    pub publications: usize,
    /// PUBLISH requests: new ones, changes, refreshes, removals.
    pub begun: u64,
    pub changed: u64,
    pub refreshed: u64,
    pub removed: u64,
    /// PUBLISH requests that were refused: by trunk or tenant, for a user that nobody knows, for an entity tag that is not
    /// known, for a limit, otherwise.
    pub forbidden: u64,
    pub not_found: u64,
    pub unmatched: u64,
    pub full: u64,
    pub refused: u64,
    /// Publications that ran out.
    pub expired: u64,
    /// Documents that had nothing but what the edge itself had told, so that they were no news.
    pub echoes: u64,
}

/// All publications.
#[derive(Debug)]
pub struct Publications {
    settings: Settings,
    tokens: Tokens,
    aliases: HashMap<TenantKey, Aliases, foldhash::fast::RandomState>,
    publications: Cells<Publication>,
    users: HashMap<UserKey, SmallVec<[CellKey; 1]>, foldhash::fast::RandomState>,
    wheel: Wheel,
    /// Emptied after each use.
    due: Vec<Due>,
    counts: Counts,
}

#[derive(Debug)]
struct Publication {
    user: UserKey,
    trunk: TrunkId,
    package: Package,
    /// Counts up with each entity tag.
    serial: u32,
    expires_at: Moment,
    /// What was told last.
    report: Option<Report>,
}

/// What a PUBLISH does to a publication (RFC 3903 section 4.1).
enum Kind {
    Initial,
    Refresh(CellKey),
    Modify(CellKey),
    Remove(CellKey),
}

impl Publications {
    /// Nothing is published. `secret`: random bytes, drawn once per process.
    pub fn new(now: Moment, settings: Settings, secret: [u8; 16]) -> Self {
        let wheel = Wheel::new(now, settings.max_publications);
        Self {
            settings,
            tokens: Tokens::new(secret),
            aliases: HashMap::default(),
            publications: Cells::default(),
            users: HashMap::default(),
            wheel,
            due: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Other settings, for what comes from now on.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// A tenant's own names of user presence.
    pub fn set_aliases(&mut self, tenant: TenantKey, aliases: Aliases) {
        self.aliases.insert(tenant, aliases);
    }

    /// A user has gone: what was published for them is forgotten.
    pub fn remove_user(&mut self, user: UserKey, out: &mut Vec<Order>) {
        for key in self.users.get(&user).cloned().unwrap_or_default() {
            self.forget(key, out);
        }
    }

    /// Forgets what is no longer allowed after the users or the rights of trunks have changed.
    pub fn review(&mut self, people: &People, access: &Access, out: &mut Vec<Order>) {
        for key in self.publications.keys().collect::<Vec<_>>() {
            let Some(publication) = self.publications.get(key) else { continue };
            let tenant = people.get(publication.user).map(|person| person.tenant);
            if !tenant.is_some_and(|tenant| access.allows(publication.trunk, tenant)) {
                self.forget(key, out);
            }
        }
    }

    /// Takes a PUBLISH.
    pub fn handle_request(
        &mut self,
        now: Moment,
        arrived: &Arrived,
        people: &People,
        access: &Access,
        out: &mut Vec<Order>,
    ) {
        if let Err(refused) = self.take(now, arrived, people, access, out) {
            self.count_refusal(refused.status);
            out.push(Order::Say(Say::Answer(refused.into_answer(arrived))));
        }
    }

    /// Does what time has made due; harmless when early.
    pub fn handle_time(&mut self, now: Moment, out: &mut Vec<Order>) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(now, &mut due);
        for Due { id, generation } in due.drain(..) {
            let key = CellKey { index: id, generation };
            let Some(publication) = self.publications.get(key) else { continue };
            if publication.expires_at <= now {
                self.counts.expired += 1;
                self.forget(key, out);
            } else {
                self.wheel.arm(id, generation, publication.expires_at);
            }
        }
        self.due = due;
    }

    /// When [`Self::handle_time`] is wanted next.
    pub fn next_wake(&self) -> Option<Moment> {
        self.wheel.next_wake()
    }

    /// What has been counted.
    pub const fn counts(&self) -> Counts {
        Counts { publications: self.publications.len(), ..self.counts }
    }

    fn take(
        &mut self,
        now: Moment,
        arrived: &Arrived,
        people: &People,
        access: &Access,
        out: &mut Vec<Order>,
    ) -> Result<(), Refused> {
        let message = &arrived.message;
        let uri = message.uri().map_err(|_| Refused::bad("Malformed Request-URI"))?;
        let user = access.find(people, arrived.trunk, &uri).map_err(Refused::of_access)?;
        let event = Event::of(message).ok_or_else(Refused::bad_event)?;
        let kind = self.kind(arrived, user, event.package)?;
        let expires = granted(message, self.settings.min_expires, self.settings.max_expires)?;
        let read = match kind {
            Kind::Initial | Kind::Modify(_) => {
                let tenant = people.get(user).map(|person| person.tenant);
                Some(self.read(message, event.package, tenant)?)
            }
            Kind::Refresh(_) | Kind::Remove(_) => None,
        };
        let key = match kind {
            Kind::Initial => self.begin(now, arrived.trunk, user, event.package, expires)?,
            Kind::Refresh(key) | Kind::Modify(key) | Kind::Remove(key) => key,
        };
        let etag = self.renew(key, now + expires);
        out.push(Order::Say(Say::Answer(Answer {
            handle: arrived.handle,
            status: 200,
            reason: "OK",
            to_tag: None,
            contact_user: None,
            headers: vec![("SIP-ETag", etag), ("Expires", expires.as_secs().to_string())],
            body: None,
        })));
        match kind {
            Kind::Initial => self.counts.begun += 1,
            Kind::Refresh(_) => self.counts.refreshed += 1,
            Kind::Modify(_) => self.counts.changed += 1,
            Kind::Remove(_) => self.counts.removed += 1,
        }
        if expires.is_zero() {
            self.forget(key, out);
            return Ok(());
        }
        if !matches!(kind, Kind::Remove(_)) {
            self.tell(key, read, out);
        }
        Ok(())
    }

    /// What the request does, by its entity tag and body.
    fn kind(&self, arrived: &Arrived, user: UserKey, package: Package) -> Result<Kind, Refused> {
        let message = &arrived.message;
        let empty = message.body().is_empty();
        let Some(etag) = message.other(b"sip-if-match") else {
            return if empty { Err(Refused::bad("Missing Body")) } else { Ok(Kind::Initial) };
        };
        let known = self.find(etag).filter(|(_, publication)| {
            publication.user == user && publication.trunk == arrived.trunk && publication.package == package
        });
        let (key, _) = known.ok_or(Refused::new(412, "Conditional Request Failed"))?;
        Ok(match message.expires() {
            Some(0) => Kind::Remove(key),
            _ if empty => Kind::Refresh(key),
            _ => Kind::Modify(key),
        })
    }

    /// The publication of an entity tag, if it is the newest one.
    fn find(&self, etag: &[u8]) -> Option<(CellKey, &Publication)> {
        let text = std::str::from_utf8(etag).ok()?;
        let (token, serial) = text.rsplit_once('.')?;
        let key = CellKey::from_bits(self.tokens.open(ETAG_MARK, token.as_bytes())?);
        let publication = self.publications.get(key)?;
        (u32::from_str_radix(serial, 16).ok()? == publication.serial).then_some((key, publication))
    }

    /// What a document says; `None`: nothing that is known, or nothing but what the edge itself has told.
    fn read(
        &mut self,
        message: &Message,
        package: Package,
        tenant: Option<TenantKey>,
    ) -> Result<Option<Report>, Refused> {
        let kind = message.value(HeaderName::ContentType).map(media_type).unwrap_or_default();
        if !kind.eq_ignore_ascii_case(package.content_type().as_bytes()) {
            let types = package.content_type().to_owned();
            return Err(Refused::new(415, "Unsupported Media Type").with("Accept", types));
        }
        let most = self.settings.max_document_bytes;
        let unreadable = |_| Refused::bad("Malformed Document");
        match package {
            Package::Presence => {
                let mut document = pidf::read(message.body(), most).map_err(unreadable)?;
                if !document.drop_own() {
                    self.counts.echoes += 1;
                    return Ok(None);
                }
                let none = Aliases::default();
                let aliases = tenant.and_then(|tenant| self.aliases.get(&tenant)).unwrap_or(&none);
                Ok(document.report(aliases))
            }
            Package::Dialog => {
                let mut document = dialog_info::read(message.body(), most).map_err(unreadable)?;
                if !document.drop_own() {
                    self.counts.echoes += 1;
                    return Ok(None);
                }
                Ok(Some(document.report()))
            }
        }
    }

    fn begin(
        &mut self,
        now: Moment,
        trunk: TrunkId,
        user: UserKey,
        package: Package,
        expires: Duration,
    ) -> Result<CellKey, Refused> {
        let of_user = self.users.get(&user).map_or(0, |keys| keys.len());
        if self.publications.len() >= self.settings.max_publications || of_user >= MAX_PER_USER {
            return Err(Refused::new(503, "Too Many Publications").with("Retry-After", FULL_RETRY_S.to_string()));
        }
        let expires_at = now + expires;
        let publication = Publication { user, trunk, package, serial: 0, expires_at, report: None };
        let key = self.publications.insert(publication);
        self.users.entry(user).or_default().push(key);
        self.wheel.arm(key.index, key.generation, expires_at);
        Ok(key)
    }

    /// A new entity tag and end for a publication.
    fn renew(&mut self, key: CellKey, expires_at: Moment) -> String {
        let token = self.tokens.tag(ETAG_MARK, key.to_bits());
        let Some(publication) = self.publications.get_mut(key) else { return token };
        publication.serial = publication.serial.wrapping_add(1);
        if expires_at < publication.expires_at {
            self.wheel.arm(key.index, key.generation, expires_at);
        }
        publication.expires_at = expires_at;
        format!("{token}.{:x}", publication.serial)
    }

    /// Tells what a publication says: what was `read` now, or what was told before, for longer.
    fn tell(&mut self, key: CellKey, read: Option<Option<Report>>, out: &mut Vec<Order>) {
        let Some(publication) = self.publications.get_mut(key) else { return };
        let (user, source) = (publication.user, Source::Published(key.index));
        let before = publication.report;
        publication.report = read.unwrap_or(before);
        match publication.report {
            Some(report) => {
                let until = Some(publication.expires_at);
                out.push(Order::Told(Told { user, source, report: Some(report), until }));
            }
            None if before.is_some() => out.push(Order::Forget { user, source }),
            None => {}
        }
    }

    fn forget(&mut self, key: CellKey, out: &mut Vec<Order>) {
        let Some(publication) = self.publications.remove(key) else { return };
        let user = publication.user;
        if let Some(keys) = self.users.get_mut(&user) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.users.remove(&user);
            }
        }
        if publication.report.is_some() {
            out.push(Order::Forget { user, source: Source::Published(key.index) });
        }
    }

    const fn count_refusal(&mut self, status: u16) {
        let counter = match status {
            403 => &mut self.counts.forbidden,
            404 | 485 => &mut self.counts.not_found,
            412 => &mut self.counts.unmatched,
            503 => &mut self.counts.full,
            _ => &mut self.counts.refused,
        };
        *counter += 1;
    }
}

/// How entity tags begin.
const ETAG_MARK: &str = "e";
/// Publications for one user, so that no PBX that forgets its entity tags fills the table with one user's.
const MAX_PER_USER: usize = 32;
/// What a publisher that finds no room shall wait, in seconds.
const FULL_RETRY_S: u32 = 60;

#[cfg(test)]
mod tests;
