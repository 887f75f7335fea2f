//! The bridge's agent with the sockets and names of the edge: what it wants sent is sent, and what comes for it is
//! brought to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use super::inbox::Inbox;
use super::side::Side;
use crate::call::context::{answer_flow, fallback_hop};
use crate::call::destination::{self, of_uri};
use crate::call::forward::write_via;
use crate::call::{Edge, Names};
use crate::config::{self, Login};
use crate::daemon::core::Core;
use crate::daemon::names;
use crate::presence::agent::{AskId, Path, Place, Way, Ways};
use crate::presence::digest::Credentials;
use crate::sip::{Message, Uri};
use crate::transport::Token;
use crate::trunk::health::State;
use crate::trunk::{Flow, Hop, ListenerId, Target, TrunkId};

/// What carries the bridge's messages; only the bridge's thread has it.
pub struct Carrier {
    core: Arc<Core>,
    inbox: Arc<Inbox>,
    credentials: BTreeMap<TrunkId, Credentials>,
}

impl Carrier {
    /// A carrier over the sockets of an edge.
    pub fn new(core: Arc<Core>, inbox: Arc<Inbox>, settings: &config::Presence) -> Self {
        let mut carrier = Self { core, inbox, credentials: BTreeMap::new() };
        carrier.set(settings);
        carrier
    }

    /// Takes other settings, and reads the files with passwords again.
    pub fn set(&mut self, settings: &config::Presence) {
        let login = |(&trunk, login): (&TrunkId, &Login)| Some((trunk, read(login)?));
        self.credentials = settings.logins.iter().filter_map(login).collect();
    }

    /// Random bytes of this process, other ones for each use.
    pub fn secret(&self, use_of: u8) -> [u8; 16] {
        self.core.secret_for(DRAWS, use_of)
    }

    /// The edge and its trunks as the agent sees them; `edge` is the one in force.
    pub fn ways<'a>(&'a self, edge: &'a Arc<Edge>) -> EdgeWays<'a> {
        EdgeWays { edge, names: self.core.resolver(), credentials: &self.credentials }
    }

    /// Sends a request; [`Event::NotSent`](super::inbox::Event) tells when it does not leave.
    pub fn send(&self, path: Path, bytes: Bytes, id: AskId) {
        let token = token_of(id);
        match path {
            Path::Hop(hop) => {
                self.core.taps().requested(&hop, &bytes);
                self.core.transports().request(&hop, bytes, token);
            }
            Path::Connection(flow, trunk) => {
                let Flow { listener, transport, remote: addr, .. } = flow;
                self.core.taps().requested(&Hop { listener, transport, addr, name: None, trunk }, &bytes);
                self.core.transports().answer(&flow, None, bytes, token);
            }
        }
    }

    /// Sends an answer; where its connection has gone, to `fallback`.
    pub fn answer(&self, flow: &Flow, fallback: Option<&Hop>, bytes: Bytes) {
        self.core.taps().answered(flow, &bytes);
        self.core.transports().answer(flow, fallback, bytes, Token::NONE);
    }

    /// Looks a name up beside the bridge's other work; what comes of it is brought to [`Side::handle_resolved`].
    pub fn resolve(&self, edge: Arc<Edge>, id: AskId, trunk: TrunkId, target: Target) {
        let (resolver, inbox) = (self.core.resolver().clone(), Arc::clone(&self.inbox));
        tokio::spawn(async move {
            let hops = names::look_up(&resolver, &edge, trunk, &target).await;
            inbox.order_in_turn(move |side: &mut Side| side.handle_resolved(id, hops)).await;
        });
    }
}

/// The password of a login; a line break at its end does not belong to it.
fn read(login: &Login) -> Option<Credentials> {
    let file = login.password_file.display();
    match std::fs::read_to_string(&login.password_file) {
        Ok(text) => {
            let password = text.trim_end_matches(['\r', '\n']);
            if password.is_empty() {
                tracing::warn!(%file, "the password file of a trunk is empty: its peer's challenges will not be met");
                return None;
            }
            Some(Credentials::new(Arc::clone(&login.username), password))
        }
        Err(error) => {
            tracing::warn!(%file, %error, "cannot read the password of a trunk: its peer's challenges will not be met");
            None
        }
    }
}

/// What random numbers are drawn for (`Secrets::number`).
const DRAWS: u8 = b'b';

/// Marks the tokens of the bridge: those of OPTIONS have the highest bit, those of calls neither.
const TOKEN_MARK: u32 = 1 << 30;

/// A try as the transports' token.
fn token_of(id: AskId) -> Token {
    Token(id.number, TOKEN_MARK | id.slot)
}

/// The try that a token stands for; `None`: it is none of the bridge's.
pub fn ask_of(token: Token) -> Option<AskId> {
    let Token(number, slot) = token;
    (slot >> 30 == 1).then_some(AskId { slot: slot & !TOKEN_MARK, number })
}

/// The edge and its trunks as the agent sees them.
pub struct EdgeWays<'a> {
    edge: &'a Arc<Edge>,
    names: &'a dyn Names,
    credentials: &'a BTreeMap<TrunkId, Credentials>,
}

impl EdgeWays<'_> {
    /// The places of a name that are known already.
    fn known(&self, trunk: TrunkId, place: destination::Place) -> SmallVec<[Place; 1]> {
        let target = match place {
            destination::Place::Hop(hop) => return SmallVec::from_iter([Place::Hop(hop)]),
            destination::Place::Name(target) => *target,
        };
        match self.names.cached(self.edge, trunk, &target) {
            Some(hops) if !hops.is_empty() => hops.into_iter().map(Place::Hop).collect(),
            _ => SmallVec::from_iter([Place::Name(target)]),
        }
    }
}

impl Ways for EdgeWays<'_> {
    fn targets(&self, trunk: TrunkId) -> SmallVec<[Way; 2]> {
        let Some(of) = self.edge.trunk(trunk) else { return SmallVec::new() };
        let mut targets: SmallVec<[(u16, &Target); 4]> = (0..).zip(&of.targets).collect();
        // What is known may be wrong or old: none is left out.
        targets.sort_by_key(|&(index, _)| self.edge.health.state(trunk, index) == State::Down);
        let ways = targets.into_iter().flat_map(|(_, target)| {
            let authority = authority(target);
            let places = self.known(trunk, destination::place_of(of, target));
            places.into_iter().map(move |place| Way { place, authority: authority.clone() })
        });
        ways.collect()
    }

    fn place(&self, trunk: TrunkId, uri: &str) -> Option<Place> {
        let of = self.edge.trunk(trunk)?;
        let uri = Uri::parse(uri.as_bytes()).ok().filter(|uri| !uri.host.is_empty())?;
        self.known(trunk, of_uri(self.edge, of, &uri)?.place).into_iter().next()
    }

    fn no_answer(&self, trunk: TrunkId) -> Duration {
        self.edge.no_answer(trunk)
    }

    fn write_via(&self, hop: &Hop, branch: &str, out: &mut Vec<u8>) {
        write_via(self.edge, hop, out, |out| out.extend_from_slice(branch.as_bytes()));
    }

    fn write_host(&self, trunk: TrunkId, out: &mut Vec<u8>) {
        let Some(of) = self.edge.trunk(trunk) else { return };
        let mut place = Vec::with_capacity(64);
        let host = self.edge.write_own(trunk, of.listener, None, &mut place);
        out.extend_from_slice(place.get(..host).unwrap_or_default());
    }

    fn write_place(&self, trunk: TrunkId, listener: ListenerId, out: &mut Vec<u8>) {
        self.edge.write_own(trunk, listener, None, out);
    }

    fn credentials(&self, trunk: TrunkId) -> Option<Credentials> {
        self.credentials.get(&trunk).cloned()
    }

    fn way_back(&self, trunk: TrunkId, flow: &Flow, request: &Message) -> (Flow, Option<Hop>) {
        match request.top_via() {
            Ok(via) => {
                let port = via.port.unwrap_or(flow.transport.default_port());
                (answer_flow(*flow, &via), fallback_hop(self.edge, flow, port, trunk))
            }
            Err(_) => (*flow, None),
        }
    }
}

/// What stands for a target in URIs: its host, and its port where one is written.
fn authority(target: &Target) -> Box<str> {
    let host = match target.host.contains(':') {
        true => format!("[{}]", target.host),
        false => target.host.to_string(),
    };
    match target.port {
        Some(port) => format!("{host}:{port}").into(),
        None => host.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_the_bridge_are_nobody_elses() {
        let id = AskId { slot: 77, number: u64::MAX };
        assert_eq!(ask_of(token_of(id)), Some(id));
        for other in [Token::NONE, Token(7, 63 << 16 | 5), Token(7, 1 << 31 | 5)] {
            assert_eq!(ask_of(other), None);
        }
    }

    #[test]
    fn a_target_stands_in_a_uri_as_it_is_written() {
        for (host, port, wanted) in [
            ("pbx.example", None, "pbx.example"),
            ("pbx.example", Some(5070), "pbx.example:5070"),
            ("::1", Some(1), "[::1]:1"),
        ] {
            let target = Target { transport: None, host: host.into(), port, literal: None };
            assert_eq!(&*authority(&target), wanted);
        }
    }

    #[test]
    fn the_line_break_behind_a_password_is_no_part_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let login = |text: &str| {
            let password_file = directory.path().join("password");
            std::fs::write(&password_file, text).unwrap();
            read(&Login { username: "edge".into(), password_file })
        };
        assert_eq!(login("hunter 2\r\n"), Some(Credentials::new("edge", "hunter 2")));
        assert_eq!(login("\n"), None);
        assert_eq!(read(&Login { username: "edge".into(), password_file: directory.path().join("gone") }), None);
    }
}
