//! The presence bridge's pure part: what PBX lines, users and Teams say of a user, and what each is told of the others.
//!
//! Sources -> [`board`] (rule 1) -> [`teams`] (rule 3) -> [`writer`] towards Graph; [`poller`] from Graph -> [`notifier`]
//! and [`publisher`] towards the PBX. SIP goes through [`agent`]. Everything is `(now, event) -> actions`: the sidecar in
//! `daemon/presence.rs` owns the sockets, the clock and the thread. The rules are numbered as in the reference page
//! `presence.md`.

pub mod access;
pub mod agent;
pub mod board;
pub mod bridge;
mod cells;
pub mod dialog_info;
pub mod digest;
pub mod explain;
pub mod feed;
pub mod merge;
pub mod notifier;
pub mod people;
pub mod pidf;
pub mod poller;
pub mod publications;
pub mod publisher;
pub mod state;
pub mod subscriber;
pub mod teams;
mod tokens;
pub mod view;
pub mod writer;
pub mod xml;

pub use access::Access;
pub use people::{Direction, Line, People, Person, TenantKey, UserKey};
pub use state::{Availability, ClientState, Presence, Report, Session, Source, TeamsPresence, Told, UserState};
pub use view::View;
