//! Where a call would go and why, without sending anything: a request is made of what is asked, and the code that routes
//! and rewrites requests on their way is asked about it.

mod report;
mod request;

use std::borrow::Cow;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::request::Synthetic;
use super::caller::asserted_lines;
use super::destination::{Asking, Candidate, Destination, Lane, Place, of_choice};
use super::dialog_token::SealKey;
use super::forward::{Branch, Forward};
use super::leg::Leg;
use super::numbers::{number_of, translated_by};
use super::route_set::RouteSet;
use super::seal::{Key, KeyRing};
use super::{Edge, Secrets, Tools};
use crate::routing::translate::Translation;
use crate::routing::{Choice, Decision};
use crate::sip::{Essentials, Message, NameAddr};
use crate::transaction::HashKey;
use crate::trunk::{Hop, Target, Trunk, TrunkId, TrunkKind};

pub use self::report::{Explained, NearRule, Rule, Sent, TargetHealth, Verdict};

/// A call that somebody asks about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// The name of the trunk that the call comes from.
    pub from_trunk: String,
    /// The called number, a user part; it wins over the user part of `request_uri`.
    #[serde(default)]
    pub called: Option<String>,
    /// The caller's number or `user@host`, as in From; `anonymous` is one who hides it.
    #[serde(default)]
    pub caller: Option<String>,
    /// The same, as in P-Asserted-Identity.
    #[serde(default)]
    pub pai: Option<String>,
    /// The Request-URI; without one its host is the only site of a Teams trunk, or else the edge's own name.
    #[serde(default)]
    pub request_uri: Option<String>,
    /// When the call comes, in seconds since 1970 UTC; `None`: when it is asked.
    #[serde(default)]
    pub now: Option<u64>,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AskError {
    #[error("there is no trunk `{name}`; known: {known}")]
    UnknownTrunk { name: String, known: String },
    #[error("neither a called number nor a Request-URI with one is given")]
    NoNumber,
    #[error("the Request-URI cannot be read")]
    RequestUri,
    #[error("a value is longer than {MAX_VALUE} bytes")]
    TooLong,
}

/// Bytes of each value that is asked about.
pub const MAX_VALUE: usize = 512;

/// Tells where a call would go, and why. `now` is for questions that name no time.
///
/// # Errors
/// [`AskError`] for a question that is no call.
pub fn explain(edge: &Edge, ask: &Ask, now: u64) -> Result<Explained, AskError> {
    explain_running(edge, ask, now, &|_, _| None)
}

/// What is known of a trunk's target, by its index there.
pub type Known<'a> = &'a dyn Fn(TrunkId, u16) -> Option<TargetHealth>;

/// The same of an edge that runs, which knows how its targets are doing.
///
/// # Errors
/// Those of [`explain`].
pub fn explain_running(edge: &Edge, ask: &Ask, now: u64, known: Known<'_>) -> Result<Explained, AskError> {
    let trunk = edge.trunks.named(&ask.from_trunk).ok_or_else(|| {
        let names: Vec<&str> = edge.trunks.staying().map(|trunk| &*trunk.name).collect();
        AskError::UnknownTrunk { name: ask.from_trunk.clone(), known: names.join(", ") }
    })?;
    let request = Synthetic::new(ask, || usual_host(edge, trunk))?.message;
    let essentials = Essentials::of_request(&request, &edge.limits).map_err(|_| AskError::RequestUri)?;
    let unix = ask.now.unwrap_or(now);
    let asking = Asking { edge, from: trunk.id, request: &request, unix, draw: 0 };
    let (called, caller) = (asking.called(&essentials.uri), asking.caller());
    let query = asking.query(essentials.uri.host, &called, &caller);
    let mut report = Explained::new(edge.routing.explain(query));
    let mut before = Steps::default();
    if let Some(rules) = edge.translations(trunk.id) {
        let user = essentials.uri.user.unwrap_or_default();
        before.translated("called", "from", trunk, &rules.inbound.called, user);
        for user in calling_users(&request) {
            before.translated("calling", "from", trunk, &rules.inbound.calling, user);
        }
    }
    report.steps.splice(0..0, before.0);
    if let Decision::To(choice) = edge.routing.route(query) {
        match of_choice(edge, &choice) {
            Ok(destination) => {
                let essentials = &essentials;
                let onward = Onward { edge, request: &request, essentials, from: trunk, called: &called, known };
                report.steps.extend(onward.steps(&choice).0);
                report.targets = onward.targets(destination);
            }
            Err(refusal) => report.refuse(refusal.status, refusal.reason),
        }
    }
    Ok(report)
}

/// The host that a call from a trunk most likely has.
fn usual_host(edge: &Edge, trunk: &Trunk) -> String {
    let mut sites = edge.routing.sites().iter().filter(|site| site.teams == trunk.id);
    match (trunk.kind, sites.next(), sites.next()) {
        (TrunkKind::Teams, Some(site), None) => site.fqdn.to_string(),
        _ => {
            let Some(listener) = edge.listener(trunk.listener) else { return "edge.invalid".to_owned() };
            let host = bracketed(trunk.fqdn.as_ref().unwrap_or(&listener.host));
            // Without its port an address of the edge would be somebody else's.
            if listener.port == listener.transport.default_port() { host } else { format!("{host}:{}", listener.port) }
        }
    }
}

/// A host as it stands in a URI.
fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() }
}

/// The user parts of From and P-Asserted-Identity, as they stand in a request.
fn calling_users(request: &Message) -> impl Iterator<Item = &[u8]> {
    from_user(request).into_iter().chain(asserted_user(request))
}

fn from_user(request: &Message) -> Option<&[u8]> {
    request.from().ok()?.uri().ok()?.user
}

fn asserted_user(request: &Message) -> Option<&[u8]> {
    let line = asserted_lines(request).next()?;
    NameAddr::parse(request.value_at(line)).ok()?.uri().ok()?.user
}

/// The steps of an explanation, in words.
#[derive(Debug, Default)]
struct Steps(Vec<String>);

impl Steps {
    /// What translation rules make of a number, where one takes it.
    fn translated(&mut self, which: &str, way: &str, trunk: &Trunk, rules: &Translation, user: &[u8]) {
        let (after, rule) = translated_by(rules, user);
        if let Some(rule) = rule {
            let text = format!("translation rule `{rule}` for {which} numbers {way} `{}`", trunk.name);
            self.changed(&text, user, &after);
        }
    }

    fn changed(&mut self, what: &str, before: &[u8], after: &[u8]) {
        self.0.push(format!("{what}: `{}` becomes `{}`", shown(before), shown(after)));
    }
}

/// Bytes of a message, fit to be shown.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_debug().collect()
}

/// A request that would be sent on.
struct Onward<'a> {
    edge: &'a Edge,
    request: &'a Message,
    essentials: &'a Essentials<'a>,
    from: &'a Trunk,
    /// The called number as routing saw it.
    called: &'a [u8],
    known: Known<'a>,
}

impl Onward<'_> {
    /// What becomes of the numbers on each way.
    fn steps(&self, choice: &Choice<'_>) -> Steps {
        let mut steps = Steps::default();
        for way in &choice.ways {
            if let Some(trunk) = self.edge.trunk(way.trunk) {
                self.numbers(trunk, Leg::new(choice, way, false).as_deref(), &mut steps);
            }
        }
        steps
    }

    /// The targets in the order in which they are tried, those of a lane beside the first behind those of the first.
    fn targets(&self, destination: Destination) -> Vec<Sent> {
        let in_order = |lane: Lane| lane.candidates.into_iter().rev().map(move |candidate| (candidate, lane.beside));
        let all = destination.lanes.into_iter().flat_map(in_order);
        all.filter_map(|(candidate, beside)| self.target(&candidate, beside)).collect()
    }

    /// What becomes of the numbers on the way to a trunk.
    fn numbers(&self, trunk: &Trunk, leg: Option<&Leg>, steps: &mut Steps) {
        let none = Translation::default();
        let rules = self.edge.translations(trunk.id);
        let (called, calling) = rules.map_or((&none, &none), |it| (&it.outbound.called, &it.outbound.calling));
        let formed = leg.and_then(|leg| leg.called.as_deref()).unwrap_or(self.called);
        steps.translated("called", "to", trunk, called, formed);
        let inbound = self.edge.translations(self.from.id).map_or(&none, |it| &it.inbound.calling);
        for user in calling_users(self.request) {
            let inside = translated_by(inbound, user).0;
            let formed = leg.map_or(Cow::Borrowed(&*inside), |leg| leg.calling(&inside));
            if formed != inside {
                steps.changed(&format!("calling number written for `{}`", trunk.name), &inside, &formed);
            }
            steps.translated("calling", "to", trunk, calling, &formed);
        }
    }

    /// The request as it would leave for one place, as far as it is of interest.
    fn target(&self, candidate: &Candidate, beside: Option<u16>) -> Option<Sent> {
        let trunk = self.edge.trunk(candidate.trunk)?;
        let target = candidate.target.and_then(|index| trunk.targets.get(usize::from(index)));
        let hop = self.hop(candidate, trunk, target)?;
        let ring = KeyRing::new(Key::derive(&[0; 16]).ok()?, None).ok()?;
        // Nothing of these leaves: they stand in branches and tokens, which nobody sees.
        let secrets = Secrets { hash: HashKey::new([0; 16]), tags: [0; 16], seal: SealKey::new([0; 16]), ring };
        let forward = Forward {
            edge: self.edge,
            secrets: &secrets,
            request: self.request,
            essentials: self.essentials,
            routes: &RouteSet::read(self.edge, &secrets, self.request, self.essentials).ok()?,
            remote: SocketAddr::from(([0, 0, 0, 0], 5060)),
            from: self.from.id,
            hop: &hop,
            target,
            leg: candidate.leg.as_deref(),
            branch: Branch::Stateless(0),
            loop_hash: 0,
        };
        let sent = Message::reread(&forward.write(&mut Tools::default()))?;
        let text = |user: &[u8]| String::from_utf8_lossy(&number_of(user)).into_owned();
        Some(Sent {
            trunk: trunk.name.to_string(),
            target: target.map(ToString::to_string),
            uri: String::from_utf8_lossy(sent.request_uri()).into_owned(),
            caller: from_user(&sent).map(text),
            pai: asserted_user(&sent).map(text),
            beside,
            health: candidate.target.and_then(|index| (self.known)(trunk.id, index)),
        })
    }

    /// The place of a candidate; for a name that has yet to be looked up, one of the transport that it would have.
    fn hop(&self, candidate: &Candidate, trunk: &Trunk, target: Option<&Target>) -> Option<Hop> {
        match &candidate.place {
            Place::Hop(hop) => Some(hop.clone()),
            Place::Name(_) => {
                let own = self.edge.listener(trunk.listener)?.transport;
                let transport = target.and_then(|target| target.transport).unwrap_or(own);
                let addr = SocketAddr::from(([0, 0, 0, 0], transport.default_port()));
                Some(Hop { listener: trunk.listener, transport, addr, name: None, trunk: trunk.id })
            }
        }
    }
}
