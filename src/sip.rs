//! What a SIP message is (RFC 3261 sections 7, 20, 25): index, typed values on demand, edits, building. Pure.

pub mod frame;
pub mod transport;

pub use transport::Transport;
