//! Teams' Do not disturb published to the PBX (RFC 3903), for tenants that want it.
//!
//! A user's publication is there while Do not disturb is on: made, refreshed, removed. It is short-lived, so that nothing
//! is stuck on the PBX for long when the edge dies. Requests to a trunk are paced. The document carries
//! [`pidf::OWN_MARK`], by which it is known when it comes back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::agent::{Ask, CONTACT_MARK, Outcome, Reply, Say, Ticket, Verb};
use super::cells::{CellKey, Cells};
use super::pidf::{self, Activity, Basic, Document, OWN_MARK, PersonPart, Tuple};
use super::tokens::Tokens;
use super::view::DO_NOT_DISTURB;
use super::{Line, People, UserKey};
use crate::sip::Message;
use crate::transaction::{Due, Moment, Wheel};
use crate::trunk::TrunkId;

/// How much is published, how fast and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub max_publications: usize,
    /// PUBLISH requests a second to one trunk.
    pub per_second: u32,
    /// What a publication asks for.
    pub expires: Duration,
}

/// What has been counted since the start, and how many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Users whose Do not disturb is published, or is to be.
    pub publications: usize,
    /// PUBLISH requests sent, those that were not taken, and users that there was no room for.
    pub sent: u64,
    pub failed: u64,
    pub full: u64,
}

/// All publications on PBXs.
#[derive(Debug)]
pub struct Publisher {
    settings: Settings,
    tokens: Tokens,
    publications: Cells<Publication>,
    users: HashMap<UserKey, CellKey, foldhash::fast::RandomState>,
    /// When the next request to a trunk may go.
    free_at: HashMap<TrunkId, Moment, foldhash::fast::RandomState>,
    wheel: Wheel,
    /// Emptied after each use.
    due: Vec<Due>,
    counts: Counts,
}

#[derive(Debug)]
struct Publication {
    user: UserKey,
    line: Line,
    wanted: bool,
    etag: Option<Box<str>>,
    cseq: u32,
    step: Step,
    /// Failures in a row.
    failures: u32,
}

/// Where a publication stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A request goes out then: the trunk's pace, a refresh or a failure's wait.
    Due(Moment),
    /// An answer is awaited: to a removal or another.
    UnderWay { removal: bool },
}

impl Publisher {
    /// Nothing is published. `secret`: random bytes, drawn once per process.
    pub fn new(now: Moment, settings: Settings, secret: [u8; 16]) -> Self {
        let wheel = Wheel::new(now, settings.max_publications.saturating_mul(2));
        Self {
            settings,
            tokens: Tokens::new(secret),
            publications: Cells::default(),
            users: HashMap::default(),
            free_at: HashMap::default(),
            wheel,
            due: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Other settings, for what comes from now on.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Whether a user has Do not disturb in Teams; published at the user's first line.
    pub fn set_dnd(&mut self, now: Moment, people: &People, user: UserKey, dnd: bool, out: &mut Vec<Say>) {
        let line = people.get(user).and_then(|person| person.lines.first());
        match (self.users.get(&user).copied(), line) {
            (Some(key), _) => self.want(now, key, dnd, out),
            (None, Some(line)) if dnd => self.begin(now, user, line.clone(), out),
            (None, _) => {}
        }
    }

    /// A user has gone, or is no longer to be published: what is on the PBX is removed.
    pub fn remove_user(&mut self, now: Moment, user: UserKey, out: &mut Vec<Say>) {
        if let Some(&key) = self.users.get(&user) {
            self.want(now, key, false, out);
        }
    }

    /// Takes what came of a PUBLISH.
    pub fn handle_reply(&mut self, now: Moment, reply: &Reply, out: &mut Vec<Say>) {
        let Ticket::Publisher(bits) = reply.ticket else { return };
        let key = CellKey::from_bits(bits);
        let Some(publication) = self.publications.get_mut(key) else { return };
        let Step::UnderWay { removal } = publication.step else { return };
        publication.cseq = publication.cseq.max(reply.cseq);
        let refused = match &reply.outcome {
            Outcome::Answered(answer) if (200..300).contains(&answer.status()) => {
                publication.failures = 0;
                publication.etag = if removal { None } else { etag(answer) };
                if removal || publication.etag.is_none() && !publication.wanted {
                    return self.after_removal(now, key, out);
                }
                let expires = answer.expires().map_or(self.settings.expires, |s| Duration::from_secs(s.into()));
                // A publication that the PBX gave no entity tag cannot be refreshed: it is made anew.
                let wait = if publication.wanted { refresh_after(expires) } else { Duration::ZERO };
                return self.wait(now, key, wait, out);
            }
            // The PBX does not know the publication (any more): there is nothing to remove, and a new one is to be made.
            Outcome::Answered(answer) if matches!(answer.status(), 404 | 412 | 481) => {
                publication.etag = None;
                if removal {
                    return self.after_removal(now, key, out);
                }
                answer.status() != 412
            }
            Outcome::Answered(answer) if answer.status() == 423 => {
                let least =
                    answer.other(b"min-expires").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
                let least = Duration::from_secs(least.unwrap_or(3_600)).min(LONGEST_EXPIRES);
                let known = self.settings.expires >= least;
                self.settings.expires = self.settings.expires.max(least);
                known
            }
            Outcome::Answered(_) | Outcome::Timeout | Outcome::Unreachable | Outcome::Full => true,
        };
        if refused {
            self.counts.failed += 1;
        }
        let Some(publication) = self.publications.get_mut(key) else { return };
        // Nothing was there before, or nobody knows: what the PBX may have runs out.
        if !publication.wanted && publication.etag.is_none() {
            return self.drop_publication(key);
        }
        if !refused {
            publication.failures = 0;
            return self.wait(now, key, Duration::ZERO, out);
        }
        publication.failures = publication.failures.saturating_add(1);
        if !publication.wanted && publication.failures >= REMOVALS {
            return self.drop_publication(key);
        }
        let asked = match &reply.outcome {
            Outcome::Answered(answer) => answer.retry_after().map(|seconds| Duration::from_secs(seconds.into())),
            _ => None,
        };
        let back_off = FIRST_BACK_OFF.saturating_mul(1 << (publication.failures - 1).min(10)).min(LONGEST_BACK_OFF);
        let wait = asked.map_or(back_off, |asked| asked.clamp(FIRST_BACK_OFF, LONGEST_BACK_OFF));
        self.wait(now, key, wait, out);
    }

    /// Does what time has made due; harmless when early.
    pub fn handle_time(&mut self, now: Moment, out: &mut Vec<Say>) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(now, &mut due);
        for Due { id, generation } in due.drain(..) {
            let key = CellKey { index: id, generation };
            if self.publications.get(key).is_some_and(|it| matches!(it.step, Step::Due(at) if at <= now)) {
                self.send(key, out);
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

    fn begin(&mut self, now: Moment, user: UserKey, line: Line, out: &mut Vec<Say>) {
        if self.publications.len() >= self.settings.max_publications {
            self.counts.full += 1;
            return;
        }
        let step = Step::Due(now);
        let publication = Publication { user, line, wanted: true, etag: None, cseq: 0, step, failures: 0 };
        let key = self.publications.insert(publication);
        self.users.insert(user, key);
        self.wait(now, key, Duration::ZERO, out);
    }

    fn want(&mut self, now: Moment, key: CellKey, dnd: bool, out: &mut Vec<Say>) {
        let Some(publication) = self.publications.get_mut(key).filter(|it| it.wanted != dnd) else { return };
        publication.wanted = dnd;
        publication.failures = 0;
        if matches!(publication.step, Step::Due(_)) {
            if !dnd && publication.etag.is_none() {
                return self.drop_publication(key);
            }
            self.wait(now, key, Duration::ZERO, out);
        }
    }

    /// What was published is gone: the end, unless it is wanted again meanwhile.
    fn after_removal(&mut self, now: Moment, key: CellKey, out: &mut Vec<Say>) {
        if self.publications.get(key).is_some_and(|it| it.wanted) {
            self.wait(now, key, Duration::ZERO, out);
        } else {
            self.drop_publication(key);
        }
    }

    /// Lets a publication's next request go after a while, in the pace of its trunk.
    fn wait(&mut self, now: Moment, key: CellKey, wait: Duration, out: &mut Vec<Say>) {
        let Some(publication) = self.publications.get_mut(key) else { return };
        let free_at = self.free_at.entry(publication.line.trunk).or_insert(now);
        // What waits for long takes its place in the trunk's pace when its time has come, by the jitter of refreshes.
        let at = if wait.is_zero() {
            let at = (*free_at).max(now);
            *free_at = at + Duration::from_secs(1) / self.settings.per_second.max(1);
            at
        } else {
            now + wait
        };
        publication.step = Step::Due(at);
        if at <= now {
            self.send(key, out);
        } else {
            self.wheel.arm(key.index, key.generation, at);
        }
    }

    fn send(&mut self, key: CellKey, out: &mut Vec<Say>) {
        let id = self.tokens.tag("p", key.to_bits());
        let Some(publication) = self.publications.get_mut(key) else { return };
        let removal = !publication.wanted;
        publication.step = Step::UnderWay { removal };
        publication.cseq += 1;
        self.counts.sent += 1;
        out.push(Say::Ask(request(key, publication, &id, self.settings.expires)));
    }

    fn drop_publication(&mut self, key: CellKey) {
        if let Some(publication) = self.publications.remove(key) {
            self.users.remove(&publication.user);
        }
    }
}

/// The PUBLISH that a publication stands at.
fn request(key: CellKey, publication: &Publication, id: &str, expires: Duration) -> Ask {
    let user = &publication.line.user;
    let expires = if publication.wanted { expires.as_secs() } else { 0 };
    let mut headers = vec![("Event", "presence".to_owned()), ("Expires", expires.to_string())];
    if let Some(etag) = &publication.etag {
        headers.push(("SIP-If-Match", etag.to_string()));
    }
    // A refresh and a removal have no body (RFC 3903 section 4.1).
    let body = publication.etag.is_none().then(|| ("application/pidf+xml", document(user)));
    Ask {
        ticket: Ticket::Publisher(key.to_bits()),
        trunk: publication.line.trunk,
        verb: Verb::Publish,
        uri: format!("sip:{user}@{{target}}"),
        from: format!("<sip:{user}@{{local}}>;tag={id}"),
        to: format!("<sip:{user}@{{target}}>"),
        call_id: Arc::from(id),
        cseq: publication.cseq,
        contact_user: format!("{CONTACT_MARK}p-{:x}", key.to_bits()),
        route: Vec::new(),
        headers,
        body,
        flow: None,
    }
}

/// Do not disturb, as PBXs are told of it.
fn document(user: &str) -> Bytes {
    let note = vec!["Do not disturb".to_owned()];
    let document = Document {
        // The PBX goes by the Request-URI; its own host is not known before the request has a target.
        entity: format!("pres:{user}@teams.invalid"),
        tuples: vec![Tuple {
            id: format!("{OWN_MARK}teams"),
            basic: Some(Basic::Open),
            notes: note.clone(),
            ..Tuple::default()
        }],
        people: vec![PersonPart {
            id: format!("{OWN_MARK}person"),
            activities: vec![Activity::Busy, Activity::Other(DO_NOT_DISTURB.into())],
            notes: note,
        }],
        notes: Vec::new(),
    };
    pidf::write(&document).into()
}

fn etag(answer: &Message) -> Option<Box<str>> {
    let value = answer.other(b"sip-etag")?;
    std::str::from_utf8(value).ok().filter(|etag| !etag.is_empty() && etag.len() <= MAX_ETAG).map(Into::into)
}

/// A refresh goes well before the end, for what is lost on the way.
fn refresh_after(expires: Duration) -> Duration {
    (expires * 3 / 4).max(FIRST_BACK_OFF)
}

const FIRST_BACK_OFF: Duration = Duration::from_secs(5);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(600);
/// The longest that a PBX may ask for (423).
const LONGEST_EXPIRES: Duration = Duration::from_secs(86_400);
/// How often a removal is tried; then the publication is left to run out.
const REMOVALS: u32 = 3;
/// The longest entity tag that is kept, in bytes.
const MAX_ETAG: usize = 256;

#[cfg(test)]
mod tests;
