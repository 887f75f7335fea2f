//! Configuration: TOML in, checked and immutable values out, or everything that is wrong with it at once.

pub mod model;

pub use model::{
    ClientCertificate, ClientTls, Config, Dns, Limits, Listen, Metrics, Node, ServerTls, Timers,
    TrunkTls,
};

use crate::routing::Routing;
use crate::trunk::{Identify, Trunks};

/// A configuration that passed every check.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the drivers need.
    pub config: Config,
    pub trunks: Trunks,
    pub identify: Identify,
    pub routing: Routing,
}
