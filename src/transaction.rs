//! Transactions (RFC 3261 section 17 with RFC 6026) as pure state machines. Pure: no I/O, no clock.
//!
//! A machine holds a state and its timers, nothing else: no message bytes, no addresses. Events go in
//! with the time, a `Copy` value comes out that says what the owner is to do, in this order: `send`,
//! then `report` to the transaction user, then drop the machine when `ended`. Because a machine never
//! owns a buffer, it never allocates, and one buffer can serve both legs of a forwarded call.
//!
//! ```text
//! request  -> Key -> server machine -> report / forward -> client machine -> wire
//! response <- wire <- server machine <- report / forward <- client machine <- branch
//! time     -> Wheel::advance -> Due -> handle_timeout -> Alarm::cover -> Wheel::arm
//! ```
//!
//! What one transaction costs: a machine of at most 24 bytes, an [`Alarm`] of 8, a [`Key`] of 16 on
//! the server side, and usually one wheel entry of 24; the tests hold these figures. The buffers are
//! the owner's: `needs_buffer` of a machine says when they may go.
//!
//! What is left to the owner: sending the 100 (RFC 3261 section 17.2.1 lets a server wait 200 ms for
//! the user's answer; an edge answers at once, so there is no such timer), retransmission of 2xx to
//! INVITE (done by the user agent, section 13.3.1.4; a proxy just passes copies on), matching responses
//! to client machines (by the branch that the owner made, and the CSeq method, section 17.1.3).

mod action;
mod invite_client;
mod invite_server;
mod key;
mod non_invite_client;
mod non_invite_server;
mod reliable;
mod time;
mod timer_c;
mod timing;
mod wheel;

#[cfg(test)]
mod operations;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tables;

pub use action::{ClientActions, ClientReport, ClientSend, ServerActions, ServerReport, ServerSend};
pub use invite_client::{InviteClient, InviteClientState};
pub use invite_server::{InviteServer, InviteServerState};
pub use key::{HashKey, Key, KeyParts};
pub use non_invite_client::{NonInviteClient, NonInviteClientState};
pub use non_invite_server::{NonInviteServer, NonInviteServerState};
pub use reliable::{Prack, Provisional, ReliableClient, ReliableDue, ReliableServer};
pub use time::Moment;
pub use timer_c::{ProxyTimerC, TimerCExpiry};
pub use timing::Timing;
pub use wheel::{Alarm, Due, Wheel};
