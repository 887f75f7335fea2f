//! A peer that behaves like Microsoft's Direct Routing proxy as seen in published traces.
//!
//! Mutual TLS both ways with a certificate for servers only, upper-case header names, names glued to URIs, a Contact that
//! nobody may dial behind a Record-Route of its own, new connections for later requests, 403 for whoever shows an
//! address instead of an FQDN of its certificate, OPTIONS of its own. How much more it asks, its [`Profile`] says.

mod plans;

use std::net::IpAddr;
use std::time::Duration;

use super::agent::{Agent, AgentError, AgentSettings, Dialling, Names, OptionsPlan, Persona, Script, Scripts};
use super::direct_routing::{Profile, Tenants};
use super::ladder::Ladder;
use super::wire::{Destination, Endpoint, TlsSettings};

/// Most transactions at a time.
const TRANSACTION_LIMIT: usize = 20_000;
/// Messages that it keeps by default.
const CAPTURE_LIMIT: usize = 1_000;
/// From the INVITE to the answer in the manner of the traces.
const TRACE_ANSWER: Duration = Duration::from_millis(200);

pub use plans::{LOCATION, emergency, forwarded};

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
    /// Which requests come over connections of their own.
    pub dialling: Dialling,
    /// Local addresses of such connections, in turn; where one cannot be had it is the listener's.
    pub other_addresses: Vec<IpAddr>,
    /// The host of its Record-Route in place of the address; the edge must find it by DNS.
    pub route_host: Option<String>,
    pub profile: Profile,
    /// Who may call whom; of use to the judging profiles.
    pub tenants: Tenants,
    /// How often OPTIONS go to the edge; `None`: never.
    pub options_every: Option<Duration>,
    /// Where they go; `None`: to the Contact of the edge's own OPTIONS.
    pub options_to: Option<(Destination, String)>,
    /// Messages that the journal keeps whole.
    pub capture_limit: usize,
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
            dialling: Dialling::PerDialogRequest,
            other_addresses: Vec::new(),
            route_host: None,
            profile: Profile::Lenient,
            tenants: Tenants::default(),
            options_every: None,
            options_to: None,
            capture_limit: CAPTURE_LIMIT,
        }
    }
}

/// Starts the stand-in.
pub async fn start(settings: TeamsSettings, ladder: &Ladder) -> Result<Agent, AgentError> {
    let options = settings.options_every.map(|every| OptionsPlan { to: settings.options_to, every });
    let scripts = match settings.profile {
        Profile::Trace2020 => settings.scripts.or_other(Script::trace_2020(TRACE_ANSWER)),
        Profile::Lenient | Profile::Strict => settings.scripts,
    };
    let settings = AgentSettings {
        name: settings.name,
        far: settings.far,
        persona: Persona::Teams,
        listen: vec![settings.listen],
        tls: Some(settings.tls),
        names: settings.names,
        contact_host: None,
        scripts,
        behind_edge: settings.behind_edge,
        dialling: settings.dialling,
        other_addresses: settings.other_addresses,
        route_host: settings.route_host,
        profile: settings.profile,
        tenants: settings.tenants,
        options,
        capture_limit: settings.capture_limit,
        transaction_limit: TRANSACTION_LIMIT,
    };
    Agent::start(settings, ladder.clone()).await
}
