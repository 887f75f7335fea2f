//! All that the stand-in knows, and how a request is judged against it: pure of sockets, behind one lock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::answer::Answer;
use super::clock::Clock;
use super::faults::{Faults, Hit, Trouble};
use super::journal::{Journal, RequestRecord};
use super::login::{Access, Asked, Tokens};
use super::presence;
use super::route::{Endpoint, Route, route};
use super::subscriptions::Subscriptions;
use super::tenant::{Entry, Tenant};
use super::text::{pairs, value};
use super::throttle::{Hold, Limit};

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) arrived: Instant,
    pub(super) method: String,
    /// The path without the query.
    pub(super) path: String,
    pub(super) query: String,
    /// The host that the client dialled, with its port.
    pub(super) host: String,
    pub(super) authorization: Option<String>,
    pub(super) prefer: Option<String>,
    pub(super) body: Vec<u8>,
}

/// One request, alone or an item of a batch, as it is understood.
#[derive(Debug)]
pub(super) struct Part {
    /// The id in a batch.
    pub(super) name: String,
    pub(super) depends_on: Vec<String>,
    pub(super) route: Route,
    pub(super) query: Vec<(String, String)>,
    pub(super) prefer: Option<String>,
    pub(super) body: Value,
    /// What is wrong with it before Graph looks at what it asks.
    pub(super) wrong: Option<Answer>,
    /// The user whom it is about, when there is such a user.
    pub(super) user: Option<usize>,
    pub(super) hit: Hit,
}

/// A request whose answer is on its way.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) arrived: Instant,
    pub(super) at: u64,
    pub(super) host: String,
    pub(super) whole: Part,
    pub(super) items: Vec<Part>,
    pub(super) access: Result<Access, Answer>,
    /// What hits the connection and not one answer in it.
    pub(super) hit: Hit,
    /// Writes that it holds open: tenant and user.
    pub(super) writes: Vec<(usize, usize)>,
}

/// The stand-in's knowledge.
#[derive(Debug)]
pub(super) struct World {
    pub(super) clock: Arc<Clock>,
    pub(super) tenants: Vec<Tenant>,
    pub(super) tokens: Tokens,
    pub(super) token_life: Duration,
    pub(super) journal: Journal,
    pub(super) faults: Faults,
    pub(super) subscriptions: Subscriptions,
    /// The number of the newest presence.
    pub(super) sequence: u64,
    /// Users or numbers on one page of a list.
    pub(super) page: usize,
    /// Whether delta queries put empty pages in between and say some things twice.
    pub(super) awkward: bool,
}

impl World {
    /// Understands a request and marks what it will change as being on its way.
    pub(super) fn begin(&mut self, arrival: &Arrival) -> Begun {
        let at = self.clock.now();
        let route = route(&arrival.method, &arrival.path);
        let login = matches!(route.endpoint, Endpoint::Token | Endpoint::Keys);
        let access = match login {
            true => Err(Answer::empty(401)),
            false => self.tokens.access(at, arrival.authorization.as_deref()),
        };
        let (body, wrong) = match (route.endpoint, arrival.body.is_empty()) {
            (Endpoint::Token, _) | (_, true) => (Value::Null, None),
            _ => match serde_json::from_slice(&arrival.body) {
                Ok(body) => (body, None),
                Err(_) => (Value::Null, Some(Answer::error(400, "BadRequest", "The body is no JSON."))),
            },
        };
        let query = match route.endpoint {
            Endpoint::Token => pairs(&String::from_utf8_lossy(&arrival.body)),
            _ => pairs(&arrival.query),
        };
        let prefer = arrival.prefer.clone();
        let (name, depends_on) = (String::new(), Vec::new());
        let mut whole = Part { name, depends_on, route, query, prefer, body, wrong, user: None, hit: Hit::default() };
        let mut items = match whole.route.endpoint {
            Endpoint::Batch => super::batch::items(&whole.body),
            _ => Vec::new(),
        };
        let place = access.as_ref().ok().map(|access| access.tenant).or_else(|| self.login_tenant(&whole.route));
        let tenant_id = place.and_then(|place| self.tenants.get(place)).map(|tenant| tenant.id.clone());
        let mut writes = Vec::new();
        for part in std::iter::once(&mut whole).chain(&mut items) {
            self.prepare(part, place, tenant_id.as_deref(), &mut writes);
        }
        let hit = whole_hit(&whole, &items);
        Begun { arrived: arrival.arrived, at, host: arrival.host.clone(), whole, items, access, hit, writes }
    }

    /// Gives the answer, and writes down what was asked.
    pub(super) fn answer(&mut self, begun: &Begun) -> Answer {
        let endpoint = begun.whole.route.endpoint;
        let answer = match (endpoint, &begun.access) {
            (Endpoint::Token, _) => match begun.whole.hit.trouble {
                Some(Trouble::Status { code, retry_after }) => Answer::trouble(code, retry_after),
                _ => self.grant(begun),
            },
            (Endpoint::Keys, _) => self.keys(&begun.whole.route, &begun.host),
            (_, Err(refused)) => refused.clone(),
            (Endpoint::Batch, Ok(access)) => self.answer_batch(begun, *access),
            (_, Ok(access)) => self.answer_part(begun, &begun.whole, *access),
        };
        self.write_down(begun, &begun.whole, answer.status, false);
        answer
    }

    /// Writes down a request that gets no answer, or none that the client understands.
    pub(super) fn lost(&mut self, begun: &Begun) {
        self.write_down(begun, &begun.whole, 0, false);
        for item in &begun.items {
            self.write_down(begun, item, 0, true);
        }
    }

    /// Marks what a request wrote as something that its client cannot know of.
    pub(super) fn unheard(&mut self, begun: &Begun) {
        let Ok(access) = &begun.access else { return };
        for (tenant, user) in &begun.writes {
            if let Some(entry) = self.entry_mut(*tenant, *user)
                && let Some(session) = entry.person.session_mut(access.app)
            {
                session.answered = false;
            }
        }
    }

    /// The writes of a request are no longer on their way.
    pub(super) fn end(&mut self, writes: &[(usize, usize)]) {
        for (tenant, user) in writes {
            if let Some(tenant) = self.tenants.get_mut(*tenant) {
                tenant.end_write(*user);
            }
        }
    }

    /// Answers one request, or one item of a batch.
    pub(super) fn answer_part(&mut self, begun: &Begun, part: &Part, access: Access) -> Answer {
        let endpoint = part.route.endpoint;
        if let Some(wrong) = &part.wrong {
            return wrong.clone();
        }
        if let Some(Trouble::Status { code, retry_after }) = part.hit.trouble {
            self.tell_to_wait(part, access, code, retry_after);
            return Answer::trouble(code, retry_after);
        }
        if let Some(throttled) = self.throttle(part, access) {
            return throttled;
        }
        if !self.permits(endpoint, access) {
            let code = if endpoint.is_presence() { "Forbidden" } else { "Authorization_RequestDenied" };
            return Answer::error(403, code, "Insufficient privileges to complete the operation.");
        }
        match endpoint {
            Endpoint::Presence => self.read_presence(access, part.user),
            Endpoint::Presences => self.read_presences(access, &part.body),
            _ if endpoint.writes() => self.write_presence(endpoint, access, part.user, &part.body),
            Endpoint::Users => self.read_users(begun, part, access),
            Endpoint::UsersDelta => self.users_delta(begun, part, access),
            Endpoint::Groups => self.read_groups(begun, part, access),
            Endpoint::GroupsDelta => self.groups_delta(begun, part, access),
            Endpoint::GroupMembers => self.read_members(begun, part, access),
            Endpoint::UserConfigurations => self.user_configurations(begun, part, access),
            Endpoint::NumberAssignments => self.number_assignments(begun, part, access),
            Endpoint::Subscriptions => self.answer_subscription(part, access),
            _ => {
                let text = "asks for something that the stand-in does not know".to_owned();
                self.complain_of(endpoint, Some(access.tenant), None, text);
                Answer::error(400, "BadRequest", "Resource not found for the segment.")
            }
        }
    }

    /// A user's entry.
    pub(super) fn entry_mut(&mut self, tenant: usize, user: usize) -> Option<&mut Entry> {
        self.tenants.get_mut(tenant)?.users.get_mut(user)
    }

    /// Holds something against a client.
    pub(super) fn complain(&mut self, endpoint: Endpoint, access: Access, user: usize, text: String) {
        self.complain_of(endpoint, Some(access.tenant), Some(user), text);
    }

    pub(super) fn complain_of(&mut self, endpoint: Endpoint, tenant: Option<usize>, user: Option<usize>, text: String) {
        let tenant = tenant.and_then(|place| self.tenants.get(place));
        let id = tenant.zip(user).and_then(|(tenant, user)| tenant.users.get(user)).map(|entry| entry.id.clone());
        let about = (tenant.map(|tenant| tenant.id.clone()), id);
        self.journal.complain(self.clock.now(), endpoint, about, text);
    }

    /// Writes down one request or item.
    pub(super) fn write_down(&mut self, begun: &Begun, part: &Part, status: u16, batched: bool) {
        let place = begun.access.as_ref().ok().map(|access| access.tenant).or_else(|| self.login_tenant(&part.route));
        let tenant = place.and_then(|place| self.tenants.get(place));
        let user =
            tenant.zip(part.user).and_then(|(tenant, user)| tenant.users.get(user)).map(|entry| entry.id.clone());
        self.journal.record(RequestRecord {
            arrived: begun.arrived,
            at_ms: begun.at,
            endpoint: part.route.endpoint,
            tenant: tenant.map(|tenant| tenant.id.clone()),
            user,
            detail: presence::detail(part.route.endpoint, &part.body),
            status,
            batched,
        });
    }

    /// Finds the user of a request, what goes wrong with it, and marks a write.
    fn prepare(&mut self, part: &mut Part, place: Option<usize>, id: Option<&str>, writes: &mut Vec<(usize, usize)>) {
        let endpoint = part.route.endpoint;
        let about_user = endpoint.writes() || matches!(endpoint, Endpoint::Presence | Endpoint::Users);
        if let Some(tenant) = place.and_then(|place| self.tenants.get(place))
            && about_user
        {
            part.user = part.route.subject.as_deref().and_then(|subject| tenant.find(subject));
        }
        let user = place.zip(part.user);
        let user_id =
            user.and_then(|(place, user)| self.tenants.get(place)?.users.get(user)).map(|entry| entry.id.clone());
        part.hit = self.faults.hit(endpoint, id, user_id.as_deref());
        let Some((place, user)) = user.filter(|_| endpoint.writes()) else { return };
        let on_their_way = self.tenants.get_mut(place).map_or(0, |tenant| tenant.begin_write(user));
        writes.push((place, user));
        if on_their_way > 1 {
            let text = format!("sends a write while {} for the same user is not answered", on_their_way - 1);
            self.complain_of(endpoint, Some(place), Some(user), text);
        }
    }

    fn login_tenant(&self, route: &Route) -> Option<usize> {
        let word = route.subject.as_deref().filter(|_| route.endpoint == Endpoint::Token)?;
        self.tenants.iter().position(|tenant| tenant.is_named(word))
    }

    fn grant(&mut self, begun: &Begun) -> Answer {
        let word = begun.whole.route.subject.as_deref().unwrap_or_default();
        let asked = Asked { form: &begun.whole.query, word, host: &begun.host, life: self.token_life };
        self.tokens.grant(&mut self.tenants, &self.clock, &mut self.journal, &asked)
    }

    fn permits(&self, endpoint: Endpoint, access: Access) -> bool {
        let app = self.tenants.get(access.tenant).and_then(|tenant| tenant.apps.get(access.app));
        match endpoint {
            // The handling of subscriptions says itself what it needs; what is unknown is refused anyway.
            Endpoint::Subscriptions | Endpoint::Unknown => true,
            // A user who signed in for change notifications may read presences, and nothing else.
            _ if access.delegated => matches!(endpoint, Endpoint::Presence | Endpoint::Presences),
            _ => app
                .is_some_and(|app| endpoint.permissions().iter().any(|need| app.roles.iter().any(|role| role == need))),
        }
    }

    /// Counts a request against the limits; an answer when there is no room.
    fn throttle(&mut self, part: &Part, access: Access) -> Option<Answer> {
        let (endpoint, now) = (part.route.endpoint, self.clock.now());
        let tenant = self.tenants.get_mut(access.tenant)?;
        let user_hold = part.user.filter(|_| endpoint.is_presence()).and_then(|user| tenant.user_holds.remove(&user));
        if tenant.user_holds.len() > 10_000 {
            tenant.user_holds.retain(|_, hold| !hold.is_over(now));
        }
        let (window, hold, units) = match (endpoint.is_presence(), endpoint.directory_units()) {
            (true, _) => (&mut tenant.presence, &mut tenant.presence_hold, 1),
            (false, 0) => return None,
            (false, units) => {
                let selected = value(&part.query, "$select").is_some();
                let units = if selected { units.saturating_sub(1).max(1) } else { units };
                (&mut tenant.directory, &mut tenant.directory_hold, units)
            }
        };
        let early = hold.is_some_and(|hold| hold.is_broken(now)) || user_hold.is_some_and(|hold| hold.is_broken(now));
        let taken = window.take(now, units);
        let first = hold.is_none_or(|hold| hold.is_over(now));
        match taken {
            Ok(()) => *hold = hold.filter(|hold| !hold.is_over(now)),
            Err(wait) if first => *hold = Some(Hold::new(now, wait)),
            Err(_) => {}
        }
        if early {
            let text = "comes again before Retry-After is over".to_owned();
            self.complain_of(endpoint, Some(access.tenant), part.user, text);
        }
        let wait = taken.err()?;
        if first {
            self.complain_of(endpoint, Some(access.tenant), part.user, "exceeds the limit of requests".to_owned());
        }
        let seconds = Duration::from_millis(wait).as_secs_f64();
        Some(Answer::throttled(Some(seconds)))
    }

    /// Remembers that a client was told to wait by a switched-on fault.
    fn tell_to_wait(&mut self, part: &Part, access: Access, code: u16, retry_after: Option<f64>) {
        let (429 | 503, Some(seconds)) = (code, retry_after) else { return };
        let wait = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let hold = Hold::new(self.clock.now(), super::clock::millis(wait));
        let Some(tenant) = self.tenants.get_mut(access.tenant) else { return };
        match (part.user, part.route.endpoint.is_presence()) {
            (Some(user), true) => {
                tenant.user_holds.insert(user, hold);
            }
            (None, true) => tenant.presence_hold = Some(hold),
            (_, false) => tenant.directory_hold = Some(hold),
        }
    }

    /// Sets both limits of each tenant.
    pub(super) fn set_limits(&mut self, presence: Option<Limit>, directory: Option<Limit>) {
        for tenant in &mut self.tenants {
            if let Some(limit) = presence {
                tenant.presence.set_limit(limit);
            }
            if let Some(limit) = directory {
                tenant.directory.set_limit(limit);
            }
        }
    }
}

/// What hits the whole answer: of the request itself, or the worst of a batch's items.
fn whole_hit(whole: &Part, items: &[Part]) -> Hit {
    let breaks = |trouble: Option<Trouble>| {
        trouble.filter(|trouble| !matches!(trouble, Trouble::Status { .. } | Trouble::Delay(_)))
    };
    let delay = items.iter().map(|item| item.hit.delay).fold(whole.hit.delay, Duration::max);
    let trouble = breaks(whole.hit.trouble).or_else(|| items.iter().find_map(|item| breaks(item.hit.trouble)));
    Hit { delay, trouble }
}
