//! Where a target lives: RFC 3263 over DNS, with answers that outlive a dead DNS server.
//!
//! [`order`] decides what to ask and in which order the places are tried; it is pure. [`Resolver`] asks,
//! remembers within bounds, and answers without waiting from what it remembers. `lookup` alone knows the
//! DNS library. The name that a TLS peer must prove is always the target's own, never one that came out
//! of DNS (RFC 5922 section 5).

mod cache;
mod lookup;
pub mod order;
mod resolver;

pub use order::{Resolved, Transports};
pub use resolver::{Counts, Families, ResolveError, Resolver, Settings, SetupError};
