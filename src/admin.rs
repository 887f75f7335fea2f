//! The door for operators: HTTP/1.1 and JSON over a Unix domain socket, to see and change the edge while it runs.
//!
//! A driver: it knows requests, replies and who asks. What is asked for is done by the [`Control`] behind it, never on a
//! thread that calls wait for. What comes in is bounded by [`Settings`]: connections, bytes and time.

mod access;
mod bodies;
mod calls;
mod connections;
mod control;
mod directory;
mod fault;
mod guard;
mod health;
mod history;
mod http;
mod listing;
mod logs;
mod openapi;
mod presence;
mod reloading;
mod routes;
mod server;
mod service;
mod tenancy;
mod tokens;
mod trace;

use std::time::Duration;

pub use access::Scope;
pub use calls::{CallDetails, CallFilter, CallShown, CallState, Calls, LegShown, LimitShown, NotEnded};
pub use connections::{CertificateShown, ConnectionShown, Connections, TlsShown, Unknown, Wanted};
pub use control::{
    Control, KeyList, KeyRefusal, KeyStatus, Made, PlanStatus, Refusal, Status, Summary, TargetCounts, TargetStatus,
    TrunkStatus,
};
pub use directory::{
    Directory, DirectoryChange, DirectoryLast, DirectoryRefusal, DirectoryRun, DirectoryStatus, DirectoryTest,
    DirectoryTried, DirectoryUnreadable,
};
pub use guard::{BanStatus, Guard, OverloadStatus};
pub use health::{Alarm, Cause, Health, Level, Report, Severity};
pub use history::{History, HistoryAsk, HistoryPage, HistoryRefusal};
pub use http::{Access, Handshake, HttpServer, HttpSettings, Shaking, Stream};
pub use listing::{MAX_PAGE, RuleShown};
pub use logs::{LogChange, LogRefusal, LogStatus, Logs};
pub use presence::feed::{BodyFault, LineState, MAX_ENTRIES, Said, Whose, read as read_line_states};
pub use presence::{
    Only, Pair, Presence, PresenceAsk, PresencePage, PresenceRefusal, PresenceStatus, PresenceSummary, SourceStatus,
    SubscriptionStatus, TenantSummary,
};
pub use reloading::{
    FileFault, KindOfDifference, LastReload, Moved, MovedPrefix, Named, NeedsRestart, NotReloaded, ReloadReport,
    Reloading,
};
pub use server::{BindError, Server};
pub use service::{Life, LifeState, Service, Stopping};
pub use tokens::{MIN_SECRET, SecretFault, Token, Tokens};
pub use trace::{
    NoTrace, Trace, TraceEnd, TraceLine, TraceLook, TraceMessage, TracePage, TracePeer, TraceQuery, TraceShown,
    TraceSummary,
};

/// How much comes through a door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Connections at once; more are closed as they come.
    pub max_connections: usize,
    /// Bytes of one request's body.
    pub max_body_bytes: usize,
    /// Bytes of all bodies at once; who comes later waits.
    pub max_bytes_of_all_bodies: usize,
    /// How long a connection may be silent before or in the head of a request.
    pub head_timeout: Duration,
    /// How long the body of a request may take.
    pub body_timeout: Duration,
    /// How long a connection may last.
    pub connection_time: Duration,
}

#[cfg(test)]
mod tests;
