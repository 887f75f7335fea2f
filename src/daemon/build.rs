//! From a checked configuration to what each driver and the core are told.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::seal_key::{self, SealKeyError, SealKeys};
use crate::call::{Edge, Secrets};
use crate::config::{self, Loaded};
use crate::sip::{self, Transport};
use crate::transaction::{HashKey, Timing};
use crate::transport::settings::{Limits, ListenerSettings, Settings};
use crate::transport::tls::{self, ClientTls, KeyLog, PeerRule, ServerTls, TlsError};
use crate::trunk::guard::Pace;
use crate::trunk::health;
use crate::trunk::{Listener, ListenerId, Trunk, TrunkId, TrunkKind};
use crate::{dns, transport};

/// Why a checked configuration does not become a running edge.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    #[error("listener \"{listener}\": {error}")]
    ServerTls { listener: Arc<str>, error: TlsError },
    #[error("trunk \"{trunk}\": {error}")]
    ClientTls { trunk: Arc<str>, error: TlsError },
    #[error("trace.key_log: {path}: {error}", path = path.display())]
    KeyLog { path: PathBuf, error: std::io::Error },
}

/// Draws the process's keys and reads the shared one.
pub fn secrets(seal_key_file: Option<&Path>) -> Result<Secrets, SealKeyError> {
    let SealKeys { seal, ring } = match seal_key_file {
        Some(path) => seal_key::load_or_make(path)?,
        None => seal_key::of_this_process()?,
    };
    Ok(Secrets { hash: HashKey::new(seal_key::random()?), tags: seal_key::random()?, seal, ring })
}

/// What the resolver is told.
pub fn dns_settings(dns: &config::Dns) -> dns::Settings {
    dns::Settings {
        servers: dns.servers.clone(),
        timeout: dns.timeout,
        stale: dns.stale,
        max_entries: dns.max_entries,
        negative_ttl: dns.negative,
        ..dns::Settings::default()
    }
}

/// What the transports are told.
pub fn transport_settings(loaded: &Loaded) -> Result<Settings, BuildError> {
    let workers = workers(&loaded.config);
    let key_log = key_log(loaded)?;
    let key_log = key_log.as_ref();
    let listeners = loaded
        .config
        .listeners
        .iter()
        .filter(|listen| !listen.listener.leaving)
        .map(|listen| listener_settings(loaded, listen, workers, key_log))
        .collect::<Result<_, _>>()?;
    let mut trunk_tls = HashMap::new();
    for trunk in loaded.trunks.0.iter().filter(|trunk| !shares_identity(loaded, trunk)) {
        match client_tls(loaded, trunk.id, key_log) {
            Ok(tls) => trunk_tls.extend(tls.map(|tls| (trunk.id, tls))),
            // Its files may have gone with it.
            Err(error) if trunk.leaving => tracing::debug!(%error, "a trunk that leaves is dialled no more"),
            Err(error) => return Err(error),
        }
    }
    Ok(Settings { listeners, trunk_tls, limits: transport_limits(&loaded.config), inherited: Vec::new() })
}

/// Worker threads of the runtime.
pub fn workers(config: &config::Config) -> usize {
    config.node.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
}

fn listener_settings(
    loaded: &Loaded,
    listen: &config::Listen,
    workers: usize,
    key_log: Option<&KeyLog>,
) -> Result<ListenerSettings, BuildError> {
    let Listener { id, transport, bind, .. } = listen.listener;
    let mut settings = ListenerSettings::new(id, transport, bind);
    let teams = loaded.trunks.staying().filter(|trunk| trunk.listener == id && trunk.kind == TrunkKind::Teams);
    settings.welcome = teams.flat_map(|trunk| trunk.allow_from.iter().copied()).collect();
    settings.sockets = listen.sockets.unwrap_or(workers).max(1);
    if let Some(server) = &listen.tls {
        let fault = |error| BuildError::ServerTls { listener: Arc::clone(&listen.listener.name), error };
        let tls = ServerTls::load_logged(&server_tls(loaded, id, server), key_log).map_err(fault)?;
        settings.server_tls = Some(Arc::new(tls));
    }
    if let Some(first) = first_trunk(loaded, id) {
        settings.client_tls = client_tls(loaded, first, key_log)?;
    }
    Ok(settings)
}

/// The trunk whose identity and trust stand for those of its listener.
fn first_trunk(loaded: &Loaded, listener: ListenerId) -> Option<TrunkId> {
    loaded.trunks.staying().find(|trunk| trunk.listener == listener).map(|trunk| trunk.id)
}

/// Whether a trunk dials as its listener does: then both may use one connection to the same peer.
fn shares_identity(loaded: &Loaded, trunk: &Trunk) -> bool {
    let client = |id: TrunkId| {
        let tls = loaded.config.trunk_tls.get(usize::from(id.0))?;
        Some((&tls.client, loaded.trunks.get(id).map(known_as)?))
    };
    first_trunk(loaded, trunk.listener).is_some_and(|first| client(first) == client(trunk.id))
}

/// Names by which a dialled peer of the trunk is known besides the one that is dialled: Teams records routes to machines
/// whose certificate has the name of the service.
fn known_as(trunk: &Trunk) -> &[Arc<str>] {
    if trunk.kind == TrunkKind::Teams { &trunk.peer_names } else { &[] }
}

fn server_tls(loaded: &Loaded, listener: ListenerId, server: &config::ServerTls) -> tls::ServerSettings {
    let trunks = loaded.trunks.0.iter().filter(|trunk| trunk.listener == listener && !trunk.peer_names.is_empty());
    let peers = trunks.map(|trunk| PeerRule {
        trunk: trunk.id,
        names: trunk.peer_names.clone(),
        accept_server_auth_only: loaded
            .config
            .trunk_tls
            .get(usize::from(trunk.id.0))
            .is_some_and(|tls| tls.accept_server_auth_only),
    });
    let peers: Vec<_> = peers.collect();
    tls::ServerSettings {
        certificate: server.certificate.clone(),
        key: server.key.clone(),
        client_ca: server.client_ca.clone(),
        client_certificate: match server.client_certificate {
            config::ClientCertificate::Require => tls::ClientCertificate::Require,
            config::ClientCertificate::Optional => tls::ClientCertificate::Optional,
            config::ClientCertificate::None => tls::ClientCertificate::None,
        },
        peers: if server.client_certificate == config::ClientCertificate::None { Vec::new() } else { peers },
    }
}

/// The identity and trust with which the edge dials for a trunk; `None` where nothing is dialled over TLS.
///
/// # Errors
/// [`BuildError::ClientTls`]: a file that cannot be read, a key that does not fit.
pub fn client_tls(
    loaded: &Loaded,
    trunk: TrunkId,
    key_log: Option<&KeyLog>,
) -> Result<Option<Arc<ClientTls>>, BuildError> {
    let Some(tls) = loaded.config.trunk_tls.get(usize::from(trunk.0)).map(|tls| &tls.client) else { return Ok(None) };
    if tls.ca.is_none() && tls.certificate.is_none() {
        return Ok(None);
    }
    let identity = tls.certificate.clone().zip(tls.key.clone());
    let name = loaded.trunks.get(trunk).map(|trunk| Arc::clone(&trunk.name)).unwrap_or_default();
    let peer_names = loaded.trunks.get(trunk).map(|trunk| known_as(trunk).to_vec()).unwrap_or_default();
    let settings = tls::ClientSettings { ca: tls.ca.clone(), identity, peer_names };
    let loaded =
        ClientTls::load_logged(&settings, key_log).map_err(|error| BuildError::ClientTls { trunk: name, error })?;
    Ok(Some(Arc::new(loaded)))
}

/// The file for the secrets of TLS sessions, where there shall be one.
fn key_log(loaded: &Loaded) -> Result<Option<KeyLog>, BuildError> {
    let Some(path) = &loaded.config.trace.key_log else { return Ok(None) };
    KeyLog::open(path).map(Some).map_err(|error| BuildError::KeyLog { path: path.clone(), error })
}

fn transport_limits(config: &config::Config) -> transport::settings::Limits {
    let limits = &config.limits;
    Limits {
        connection_drain: config.service.connection_drain,
        max_message_bytes: limits.max_message_bytes,
        max_connections: limits.max_connections,
        max_connections_per_address: limits.max_connections_per_address,
        connection_queue_bytes: limits.connection_queue_bytes,
        connect_timeout: limits.connect_timeout,
        tls_handshake_timeout: limits.tls_handshake_timeout,
        stream_idle_timeout: limits.stream_idle_timeout,
        partial_message_timeout: limits.partial_message_timeout,
        pending_per_connect: limits.pending_per_connect,
        udp_receive_buffer_bytes: limits.udp_receive_buffer_bytes,
        udp_send_buffer_bytes: limits.udp_send_buffer_bytes,
        ..Limits::default()
    }
}

/// What the core is told, with the ports that were bound.
pub fn edge(limits: config::Limits, loaded: &Loaded, bound: impl Fn(ListenerId) -> Option<SocketAddr>) -> Edge {
    let with_port = |listen: &config::Listen| {
        let mut listener = listen.listener.clone();
        if let Some(addr) = bound(listener.id) {
            listener.bind = addr;
            if listener.port == 0 {
                listener.port = addr.port();
            }
        }
        listener
    };
    let timers = &loaded.config.timers;
    let timing = Timing { t1: timers.t1, t2: timers.t2, t4: timers.t4, timer_c: timers.timer_c };
    let message_limits = sip::Limits {
        max_message_bytes: limits.max_message_bytes,
        max_headers: limits.max_headers,
        max_header_line_bytes: limits.max_header_line_bytes,
        max_values_per_header: limits.max_values_per_header,
    };
    let listeners = loaded.config.listeners.iter().map(with_port).collect();
    let mut edge = Edge::new(listeners, loaded.trunks.clone(), loaded.routing.clone(), timing, message_limits);
    edge.max_branches = limits.max_branches;
    edge.transparent_call_age = limits.transparent_call_age;
    edge.seal_max_age = loaded.config.node.seal_max_age;
    edge.translations = loaded.translations.as_slice().into();
    edge.paces = loaded.config.trunk_requests_per_second.iter().map(|&rate| Pace::new(rate)).collect();
    edge.health = Arc::new(health::Table::new(&edge.trunks, &loaded.config.trunk_health));
    edge
}

/// Whether a message on this transport was cut from a stream.
pub fn framing(transport: Transport) -> sip::Framing {
    if transport.is_reliable() { sip::Framing::Stream } else { sip::Framing::Datagram }
}
