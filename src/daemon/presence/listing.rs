//! How users of the bridge stand, for operators.

use std::sync::Arc;

use super::side::Side;
use crate::admin::{
    Only, Pair, PresenceAsk, PresencePage, PresenceRefusal, PresenceStatus, PresenceSummary, SourceStatus,
    SubscriptionStatus,
};
use crate::presence::board::Known;
use crate::presence::bridge::Standing;
use crate::presence::{Person, Report, Session, Source, TeamsPresence, UserKey, feed, subscriber};
use crate::transaction::Moment;

/// Users that are looked at for one page, so that the bridge's thread does not stand still; the page may be short then.
const LOOKS: usize = 20_000;

impl Side {
    /// A page of users.
    ///
    /// # Errors
    /// [`PresenceRefusal::BadAsk`].
    pub fn page(&self, ask: &PresenceAsk) -> Result<PresencePage, PresenceRefusal> {
        let bad = |_| PresenceRefusal::BadAsk("`after` is not the `next` of a page".to_owned());
        let from =
            ask.after.as_ref().map_or(Ok(0), |after| after.parse::<usize>().map(|after| after + 1).map_err(bad))?;
        if let Some(id) = &ask.user {
            return Ok(PresencePage { users: self.named(ask, id, from), next: None });
        }
        let (mut users, mut next) = (Vec::new(), None);
        let (limit, now) = (ask.limit.max(1), self.now());
        for (looked, (key, person)) in
            self.people().iter_from(UserKey(u32::try_from(from).unwrap_or(u32::MAX))).enumerate()
        {
            if users.len() == limit || looked == LOOKS {
                // What comes next is not looked at yet.
                next = Some((key.0.saturating_sub(1)).to_string());
                break;
            }
            if self.fits(ask, key, person) {
                users.extend(self.status(now, key));
            }
        }
        Ok(PresencePage { users, next })
    }

    /// How many users there are of tenants; `tenants`: of these only.
    pub fn summary(&self, tenants: Option<&[Arc<str>]>) -> PresenceSummary {
        let mut summary = PresenceSummary::default();
        for (key, person) in self.people().iter() {
            let Some(name) = self.people().tenant_name(person.tenant).filter(|name| asked(tenants, name)) else {
                continue;
            };
            if !summary.tenants.contains_key(&**name) {
                summary.tenants.insert(name.to_string(), Default::default());
            }
            let Some(of) = summary.tenants.get_mut(&**name) else { continue };
            of.users += 1;
            of.unmatched += usize::from(person.graph_id.is_none());
            of.overruled += usize::from(self.bridge().poller().choice_wins(key));
            of.watched += usize::from(self.bridge().watchers(key) > 0);
        }
        summary
    }

    fn fits(&self, ask: &PresenceAsk, key: UserKey, person: &Person) -> bool {
        let wanted = match ask.only {
            None => true,
            Some(Only::Unmatched) => person.graph_id.is_none(),
            Some(Only::Overruled) => self.bridge().poller().choice_wins(key),
        };
        let name = self.people().tenant_name(person.tenant);
        wanted && name.is_some_and(|name| asked(ask.tenants.as_deref(), name))
    }

    /// The users of an id, one of a tenant at most.
    fn named(&self, ask: &PresenceAsk, id: &str, from: usize) -> Vec<PresenceStatus> {
        let (people, now) = (self.people(), self.now());
        let keys = people.tenants().filter_map(|(tenant, _)| people.by_id(tenant, id));
        let fitting = keys.filter(|key| {
            key.0 as usize >= from && people.get(*key).is_some_and(|person| self.fits(ask, *key, person))
        });
        fitting.filter_map(|key| self.status(now, key)).take(ask.limit).collect()
    }

    fn status(&self, now: Moment, key: UserKey) -> Option<PresenceStatus> {
        let Standing { person, merged, sources, written, teams, choice_wins, watchers, lines } =
            self.bridge().standing(key)?;
        Some(PresenceStatus {
            tenant: self.people().tenant_name(person.tenant)?.to_string(),
            user: person.id.to_string(),
            direction: person.direction.word(),
            matched: person.graph_id.is_some(),
            pbx: merged.presence.word(),
            conference: merged.conference,
            sources: sources.iter().map(|known| self.source(now, key, known)).collect(),
            wanted: written.and_then(|standing| standing.wanted).map(of_session),
            written: written.and_then(|standing| standing.written).map(of_session),
            waits_s: written.and_then(|standing| standing.waits_since).map(|since| now.since(since).as_secs()),
            teams: teams.map(of_teams),
            overruled: choice_wins,
            watchers,
            subscriptions: lines.iter().map(|line| subscription(now, line)).collect(),
        })
    }

    fn source(&self, now: Moment, user: UserKey, known: &Known) -> SourceStatus {
        let (of, says, conference) = match known.report {
            None => (None, None, false),
            Some(Report::Line { presence, conference }) => (Some("line"), Some(presence.word()), conference),
            Some(Report::User(state)) => (Some("user"), Some(state.word()), false),
        };
        SourceStatus {
            source: self.source_name(user, known.source),
            of,
            says,
            conference,
            age_s: now.since(known.since).as_secs(),
            left_s: known.until.map(|until| until.since(now).as_secs()),
        }
    }

    fn source_name(&self, user: UserKey, source: Source) -> String {
        match source {
            Source::Calls => "calls".to_owned(),
            Source::Line(index) => format!("line {}", u32::from(index) + 1),
            Source::PbxPresence => "pbx-presence".to_owned(),
            Source::Published(number) => format!("published {number}"),
            feed::USER_STATE => "feed".to_owned(),
            Source::Feed(number) => match self.feed().name(user, source) {
                Some(name) => format!("feed {name}"),
                None => format!("feed {number}"),
            },
        }
    }
}

fn asked(tenants: Option<&[Arc<str>]>, name: &str) -> bool {
    tenants.is_none_or(|tenants| tenants.iter().any(|tenant| **tenant == *name))
}

fn of_session(session: Session) -> Pair {
    Pair { availability: session.availability().to_owned(), activity: session.activity().to_owned() }
}

fn of_teams(teams: &TeamsPresence) -> Pair {
    Pair { availability: teams.availability.word().to_owned(), activity: teams.activity.to_string() }
}

fn subscription(now: Moment, line: &subscriber::Standing) -> SubscriptionStatus {
    SubscriptionStatus {
        state: line.word,
        status: line.status,
        again_s: line.again.map(|again| again.since(now).as_secs()),
    }
}
