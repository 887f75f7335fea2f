//! A user agent of the lab: one task that owns sockets, transactions (RFC 3261 section 17) and calls.
//!
//! It retransmits over UDP, follows recorded routes, dials from its own address, and judges every message that comes.

mod callee;
mod caller;
mod calls;
mod clients;
mod core;
mod dialog;
mod handshake;
mod midcall;
mod persona;
mod plan;
mod servers;
mod strict;
mod timers;
mod transfers;

use std::net::IpAddr;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::core::{Command, Core};
use super::direct_routing::{Profile, Tenants};
use super::journal::{CallRecord, Journal, Role};
use super::ladder::Ladder;
use super::wire::{Destination, Endpoint, Tls, TlsError, TlsSettings, Transport, Wire, WireError};

pub use persona::{Persona, TEAMS_HOST};
pub use plan::{CallPlan, Names, Outcome, Refer, ReferTarget, Replaced, Ring, Script, Scripts};

/// Most events and commands that wait for the agent's task.
const QUEUE: usize = 1024;

/// All that makes a stand-in.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// Its column in the ladder.
    pub name: String,
    /// The column of the other side.
    pub far: String,
    pub persona: Persona,
    pub listen: Vec<Endpoint>,
    pub tls: Option<TlsSettings>,
    /// A name for Contact in place of the address.
    pub contact_host: Option<String>,
    pub names: Names,
    pub scripts: Scripts,
    /// A proxy stands in between: Max-Forwards must have been lowered.
    pub behind_edge: bool,
    pub dialling: Dialling,
    /// Local addresses from which connections for later requests are made in turn, where they can be had.
    pub other_addresses: Vec<IpAddr>,
    /// The host of its Record-Route in place of the address; the other side must find it by DNS.
    pub route_host: Option<String>,
    pub profile: Profile,
    pub tenants: Tenants,
    pub options: Option<OptionsPlan>,
    /// Messages that the journal keeps whole.
    pub capture_limit: usize,
    /// Most transactions at a time, each way.
    pub transaction_limit: usize,
}

/// When a stand-in makes connections of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Dialling {
    /// One for each place, as long as it lasts.
    #[default]
    Shared,
    /// A new one for each request inside a dialog, as Microsoft's proxy may (section A10).
    PerDialogRequest,
    /// A new one for each request but CANCEL and the ACK of a refusal, which belong to the INVITE's.
    PerRequest,
}

/// OPTIONS that a stand-in sends by itself.
#[derive(Clone, Debug)]
pub struct OptionsPlan {
    /// `None`: to the Contact of the peer's own OPTIONS, once they came. A judging [`Profile`] does so in any case.
    pub to: Option<(Destination, String)>,
    pub every: Duration,
}

/// Why a stand-in could not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AgentError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// A running stand-in.
#[derive(Debug)]
pub struct Agent {
    bound: Vec<Endpoint>,
    commands: mpsc::Sender<Command>,
    journal: Journal,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Agent {
    /// Binds the sockets and starts the task.
    pub async fn start(settings: AgentSettings, ladder: Ladder) -> Result<Self, AgentError> {
        let (events, incoming) = mpsc::channel(QUEUE);
        let (commands, orders) = mpsc::channel(QUEUE);
        let stop = CancellationToken::new();
        let journal = Journal::new(settings.capture_limit);
        let tls = settings.tls.as_ref().map(Tls::new).transpose()?;
        let wire = Wire::bind(&settings.listen, tls, events, stop.clone()).await?;
        let bound = wire.bound().to_vec();
        let core = Core::new(settings, wire, journal.clone(), ladder);
        let task = tokio::spawn(core.run(incoming, orders, stop.clone()));
        Ok(Self { bound, commands, journal, stop, task })
    }

    /// The address bound for a transport.
    pub fn endpoint(&self, transport: Transport) -> Option<Endpoint> {
        self.bound.iter().copied().find(|endpoint| endpoint.transport == transport)
    }

    /// What it went through so far.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What places calls beside whoever holds the stand-in.
    pub fn caller(&self) -> Caller {
        Caller { commands: self.commands.clone() }
    }

    /// Places a call and waits for its end, at most the plan's limit.
    pub async fn call(&self, plan: CallPlan) -> CallRecord {
        self.caller().call(plan).await
    }

    /// Sends one OPTIONS and waits for its status.
    pub async fn options(&self, to: Destination, host: &str, limit: Duration) -> Result<u16, String> {
        let (reply, answer) = oneshot::channel();
        let ask = async {
            self.commands.send(Command::Options(to, host.to_owned(), reply)).await.ok()?;
            answer.await.ok()
        };
        match tokio::time::timeout(limit, ask).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) => Err("the stand-in has stopped".into()),
            Err(_) => Err(format!("no answer within {} ms", limit.as_millis())),
        }
    }

    /// Closes the sockets and ends the task.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // A task that panicked has nothing left to close.
        let _ = (&mut self.task).await;
    }
}

/// Places calls through a stand-in.
#[derive(Clone, Debug)]
pub struct Caller {
    commands: mpsc::Sender<Command>,
}

impl Caller {
    /// Places a call and waits for its end, at most the plan's limit.
    pub async fn call(&self, plan: CallPlan) -> CallRecord {
        let mut lost = CallRecord::new(Role::Caller, &plan.number, "");
        // The agent ends the call at the limit by itself; the margin is for an agent that does not.
        let limit = plan.limit + Duration::from_secs(2);
        let (reply, answer) = oneshot::channel();
        let ask = async {
            self.commands.send(Command::Call(Box::new(plan), reply)).await.ok()?;
            answer.await.ok()
        };
        match tokio::time::timeout(limit, ask).await {
            Ok(Some(record)) => record,
            _ => {
                lost.error = Some("the stand-in did not report the call's end".into());
                lost
            }
        }
    }
}

impl Drop for Agent {
    /// A stand-in that nobody holds any more ends by itself.
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
