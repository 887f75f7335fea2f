//! The presence endpoints: sessions of applications, users' own choices, and what is shown.

use std::sync::Arc;

use serde_json::{Value, json};

use super::aggregate::{AppSession, Availability, Pair};
use super::answer::Answer;
use super::clock::At;
use super::login::Access;
use super::route::Endpoint;
use super::text::duration_millis;
use super::world::World;

/// Ids in one `getPresencesByUserId`.
const MAX_IDS: usize = 650;
const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;
/// Bounds of a session's life.
const SESSION_LIFE: std::ops::RangeInclusive<u64> = 5 * MINUTE..=240 * MINUTE;

impl World {
    /// A write into one user's presence.
    pub(super) fn write_presence(
        &mut self,
        endpoint: Endpoint,
        access: Access,
        user: Option<usize>,
        body: &Value,
    ) -> Answer {
        let Some(user) = user else {
            return Answer::error(404, "NotFound", "The user is not found in the directory.");
        };
        match endpoint {
            Endpoint::SetPresence => self.set_presence(access, user, body),
            Endpoint::ClearPresence => self.clear_presence(access, user, body),
            Endpoint::SetPreferred => self.set_preferred(access, user, body),
            _ => {
                if let Some(entry) = self.entry_mut(access.tenant, user) {
                    entry.person.prefer(None);
                }
                Answer::empty(200)
            }
        }
    }

    fn set_presence(&mut self, access: Access, user: usize, body: &Value) -> Answer {
        let now = self.clock.now();
        if let Err(answer) = self.judge_session(Endpoint::SetPresence, access, user, body) {
            return answer;
        }
        let word = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let Some(pair) = Pair::find(&Pair::SESSIONS, word("availability"), word("activity")) else {
            let text = format!(
                "sets {}/{}, which is none of the pairs that an application may set",
                word("availability"),
                word("activity")
            );
            self.complain(Endpoint::SetPresence, access, user, text);
            return Answer::error(400, "BadRequest", "The combination of availability and activity is not supported.");
        };
        let life = match body.get("expirationDuration") {
            None | Some(Value::Null) => Some(5 * MINUTE),
            Some(text) => text.as_str().and_then(duration_millis).filter(|life| SESSION_LIFE.contains(life)),
        };
        let Some(life) = life else {
            self.complain(Endpoint::SetPresence, access, user, "sets an expirationDuration beyond PT5M to PT4H".into());
            return Answer::error(400, "BadRequest", "The expirationDuration must be between PT5M and PT4H.");
        };
        if pair.availability == Availability::Available {
            let text = "writes Available into its session: an idle phone must never lift a user".to_owned();
            self.complain(Endpoint::SetPresence, access, user, text);
        }
        let Some(entry) = self.entry_mut(access.tenant, user) else {
            return Answer::error(404, "NotFound", "The user is not found in the directory.");
        };
        let before = entry.person.session(now, access.app).copied();
        let session = AppSession { app: access.app, pair, written: now, expires: now + life, answered: true };
        entry.person.set_session(session);
        let same = before.filter(|before| before.pair == pair && before.answered);
        if same.is_some_and(|before| !before.half_over(now)) {
            let text = format!("writes {pair} again before half of its life is over");
            self.complain(Endpoint::SetPresence, access, user, text);
        }
        Answer::empty(200)
    }

    fn clear_presence(&mut self, access: Access, user: usize, body: &Value) -> Answer {
        let now = self.clock.now();
        if let Err(answer) = self.judge_session(Endpoint::ClearPresence, access, user, body) {
            return answer;
        }
        match self.entry_mut(access.tenant, user).map(|entry| entry.person.clear_session(now, access.app)) {
            Some(true) => Answer::empty(200),
            _ => Answer::error(404, "NotFound", "The presence session is not found."),
        }
    }

    fn set_preferred(&mut self, access: Access, user: usize, body: &Value) -> Answer {
        let now = self.clock.now();
        let word = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let Some(pair) = Pair::find(&Pair::CHOICES, word("availability"), word("activity")) else {
            return Answer::error(400, "BadRequest", "The combination of availability and activity is not supported.");
        };
        let life = match body.get("expirationDuration") {
            None | Some(Value::Null) => Some(choice_life(pair)),
            Some(text) => text.as_str().and_then(duration_millis),
        };
        let Some(life) = life else {
            return Answer::error(400, "BadRequest", "The expirationDuration is not an ISO 8601 duration.");
        };
        if let Some(entry) = self.entry_mut(access.tenant, user) {
            entry.person.prefer(Some((pair, now.saturating_add(life))));
        }
        Answer::empty(200)
    }

    /// The session must be the application's own.
    fn judge_session(&mut self, endpoint: Endpoint, access: Access, user: usize, body: &Value) -> Result<(), Answer> {
        let session = body.get("sessionId").and_then(Value::as_str).unwrap_or_default();
        let app = self.tenants.get(access.tenant).and_then(|tenant| tenant.apps.get(access.app));
        if app.is_some_and(|app| app.client.eq_ignore_ascii_case(session)) {
            return Ok(());
        }
        let text = format!("sessionId {session:?} is not the application's client id");
        self.complain(endpoint, access, user, text);
        Err(Answer::error(400, "BadRequest", "The sessionId must be the client id of the application."))
    }

    /// One user's presence.
    pub(super) fn read_presence(&mut self, access: Access, user: Option<usize>) -> Answer {
        let now = self.clock.now();
        match user.and_then(|user| self.shown(access.tenant, user, now)) {
            Some(body) => Answer::json(200, body),
            None => Answer::error(404, "NotFound", "The user is not found in the directory."),
        }
    }

    /// The presences of up to 650 users; ids that are unknown are left out.
    pub(super) fn read_presences(&mut self, access: Access, body: &Value) -> Answer {
        let now = self.clock.now();
        let Some(ids) = body.get("ids").and_then(Value::as_array).filter(|ids| !ids.is_empty()) else {
            return Answer::error(400, "BadRequest", "The ids must be a list of users' ids that is not empty.");
        };
        if ids.len() > MAX_IDS {
            let text = format!("asks for {} users at once; Graph takes {MAX_IDS}", ids.len());
            self.complain_of(Endpoint::Presences, Some(access.tenant), None, text);
            return Answer::error(400, "BadRequest", "There are more than 650 ids.");
        }
        let ids: Vec<&str> = ids.iter().filter_map(Value::as_str).collect();
        let users: Vec<usize> = match self.tenants.get(access.tenant) {
            Some(tenant) => ids.iter().filter_map(|id| tenant.find(id)).collect(),
            None => Vec::new(),
        };
        let value: Vec<Value> = users.into_iter().filter_map(|user| self.shown(access.tenant, user, now)).collect();
        Answer::json(
            200,
            json!({ "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#presences", "value": value }),
        )
    }

    /// A user's presence as Graph writes it.
    pub(super) fn shown(&mut self, tenant: usize, user: usize, now: At) -> Option<Value> {
        let (id, pair, sequence) = self.look(tenant, user, now)?;
        Some(json!({
            "id": &*id,
            "availability": pair.availability.word(),
            "activity": pair.activity,
            "statusMessage": null,
            "sequenceNumber": format!("A{sequence:019}"),
        }))
    }

    /// What Teams shows of a user, with the number of that state.
    pub(super) fn look(&mut self, tenant: usize, user: usize, now: At) -> Option<(Arc<str>, Pair, u64)> {
        let mut next = self.sequence;
        let entry = self.entry_mut(tenant, user)?;
        let (pair, sequence) = entry.person.look(now, &mut next);
        let id = entry.id.clone();
        self.sequence = next;
        Some((id, pair, sequence))
    }
}

/// How long a user's own choice holds when nothing else was asked for.
pub(super) fn choice_life(choice: Pair) -> u64 {
    match choice.availability {
        Availability::Busy | Availability::DoNotDisturb => DAY,
        _ => 7 * DAY,
    }
}

/// What a write says, for the journal.
pub(super) fn detail(endpoint: Endpoint, body: &Value) -> Option<String> {
    let word = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    match endpoint {
        Endpoint::SetPresence | Endpoint::SetPreferred => {
            let text = format!("{}/{} {}", word("availability"), word("activity"), word("expirationDuration"));
            Some(text.trim_end().to_owned())
        }
        Endpoint::Presences => Some(body.get("ids").and_then(Value::as_array).map_or(0, Vec::len).to_string()),
        Endpoint::Batch => Some(body.get("requests").and_then(Value::as_array).map_or(0, Vec::len).to_string()),
        _ => None,
    }
}
