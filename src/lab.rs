//! Stand-ins for a PBX and for Microsoft Teams on loopback: for the demo, the tests, and operators who rehearse a configuration.
//!
//! They speak SIP through code of their own, down to the parser: a fault of the edge must not be mirrored by the side
//! that judges it. Whatever the edge does against RFC 3261 becomes a [`Complaint`]; nothing here panics on it.

pub mod agent;
pub mod certificates;
pub mod check;
pub mod direct_routing;
pub mod graph;
pub mod journal;
pub mod ladder;
pub mod message;
pub mod pbx;
pub mod teams;
pub mod wire;

pub use agent::{
    Agent, AgentError, CallPlan, Dialling, Names, Outcome, Refer, ReferTarget, Replaced, Ring, Script, Scripts,
};
pub use direct_routing::{Profile, Rule, Tenant, Tenants};
pub use journal::{CallRecord, Captured, Complaint, Ending, Journal, Role, TransferRecord, TrunkHealth, TrunkStatus};
pub use ladder::{Drawing, Ladder};
pub use wire::{Destination, Endpoint, TlsSettings, Transport};
