//! A PBX on UDP and TCP (or TLS), as a customer's telephone system behind the edge.

use super::agent::{Agent, AgentError, AgentSettings, Dialling, Names, Persona, Scripts};
use super::direct_routing::{Profile, Tenants};
use super::ladder::Ladder;
use super::wire::{Endpoint, TlsSettings};

/// Most transactions of a PBX at a time.
const TRANSACTION_LIMIT: usize = 20_000;
/// Messages that a PBX keeps by default.
const CAPTURE_LIMIT: usize = 1_000;

/// What a PBX needs to know.
#[derive(Clone, Debug)]
pub struct PbxSettings {
    /// Its column in the ladder.
    pub name: String,
    /// The column of the other side.
    pub far: String,
    pub listen: Vec<Endpoint>,
    pub tls: Option<TlsSettings>,
    pub scripts: Scripts,
    pub names: Names,
    /// A name for Contact in place of the address, as Teams asks of whoever speaks to it directly.
    pub contact_host: Option<String>,
    /// A proxy stands in between: Max-Forwards must have been lowered.
    pub behind_edge: bool,
    /// Messages that the journal keeps whole.
    pub capture_limit: usize,
}

impl PbxSettings {
    /// A PBX behind the edge that answers every call.
    pub fn new(name: &str, listen: Vec<Endpoint>) -> Self {
        Self {
            name: name.into(),
            far: "edge".into(),
            listen,
            tls: None,
            scripts: Scripts::default(),
            names: Names::default(),
            contact_host: None,
            behind_edge: true,
            capture_limit: CAPTURE_LIMIT,
        }
    }
}

/// Starts a PBX.
pub async fn start(settings: PbxSettings, ladder: &Ladder) -> Result<Agent, AgentError> {
    let settings = AgentSettings {
        name: settings.name,
        far: settings.far,
        persona: Persona::Pbx,
        listen: settings.listen,
        tls: settings.tls,
        names: settings.names,
        contact_host: settings.contact_host,
        scripts: settings.scripts,
        behind_edge: settings.behind_edge,
        dialling: Dialling::Shared,
        other_addresses: Vec::new(),
        route_host: None,
        profile: Profile::Lenient,
        tenants: Tenants::default(),
        options: None,
        capture_limit: settings.capture_limit,
        transaction_limit: TRANSACTION_LIMIT,
    };
    Agent::start(settings, ladder.clone()).await
}
