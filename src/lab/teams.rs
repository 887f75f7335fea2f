//! A peer that behaves like Microsoft's Direct Routing proxy as seen in published traces.
//!
//! Mutual TLS both ways with a certificate for servers only, upper-case header names, names glued to URIs, a Contact that
//! nobody may dial behind a Record-Route of its own, new connections for later requests, 403 for whoever shows an
//! address instead of an FQDN of its certificate, OPTIONS of its own.

use std::time::Duration;

use super::agent::{Agent, AgentError, AgentSettings, Names, OptionsPlan, Persona, Scripts};
use super::ladder::Ladder;
use super::wire::{Destination, Endpoint, TlsSettings};

/// Most transactions at a time.
const TRANSACTION_LIMIT: usize = 20_000;

/// What the stand-in for Teams needs to know.
#[derive(Clone, Debug)]
pub struct TeamsSettings {
    /// Its column in the ladder.
    pub name: String,
    /// The column of the other side.
    pub far: String,
    pub listen: Endpoint,
    pub tls: TlsSettings,
    pub scripts: Scripts,
    /// Where the edge's names lead, in place of DNS.
    pub names: Names,
    pub behind_edge: bool,
    /// Later requests of a call come over connections of their own.
    pub fresh_connections: bool,
    /// How often OPTIONS go to the edge; `None`: never.
    pub options_every: Option<Duration>,
    /// Where they go; `None`: to the Contact of the edge's own OPTIONS.
    pub options_to: Option<(Destination, String)>,
}

impl TeamsSettings {
    /// Teams behind the edge, which answers every call and sends no OPTIONS.
    pub fn new(listen: Endpoint, tls: TlsSettings, names: Names) -> Self {
        Self {
            name: "Teams".into(),
            far: "edge".into(),
            listen,
            tls,
            scripts: Scripts::default(),
            names,
            behind_edge: true,
            fresh_connections: true,
            options_every: None,
            options_to: None,
        }
    }
}

/// Starts the stand-in.
pub async fn start(settings: TeamsSettings, ladder: &Ladder) -> Result<Agent, AgentError> {
    let options = settings.options_every.map(|every| OptionsPlan { to: settings.options_to, every });
    let settings = AgentSettings {
        name: settings.name,
        far: settings.far,
        persona: Persona::Teams,
        listen: vec![settings.listen],
        tls: Some(settings.tls),
        names: settings.names,
        contact_host: None,
        scripts: settings.scripts,
        behind_edge: settings.behind_edge,
        fresh_connections: settings.fresh_connections,
        options,
        transaction_limit: TRANSACTION_LIMIT,
    };
    Agent::start(settings, ladder.clone()).await
}
