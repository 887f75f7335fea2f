//! `[control]`: where the daemon takes commands, from whom, and how much.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::address::{network, socket};
use super::log::{At, Draft, Log};
use super::names::Names;
use super::reader::{Table, quoted};
use super::tenants::TenantSet;
use crate::trunk::Network;

const DAY_S: u64 = 86_400;
const MIB: u64 = 1 << 20;

/// How long the path of a Unix domain socket may be, in bytes: the kernel has 108 and ends it with a zero.
const MAX_SOCKET_PATH: usize = 107;

/// Where the daemon takes commands, from whom, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// A Unix domain socket; `None`: nowhere.
    pub socket: Option<PathBuf>,
    /// TCP with TLS and tokens; `None`: nowhere.
    pub http: Option<ControlHttp>,
    /// Who may come in by TCP.
    pub tokens: Vec<ControlToken>,
    /// Connections at once; as many again by TCP.
    pub max_connections: usize,
    /// Bytes of one request's body.
    pub max_body_bytes: usize,
    /// Bytes of all bodies at once; who comes later waits.
    pub max_bytes_of_all_bodies: usize,
    /// How long a connection may be silent before or in the head of a request; a TLS handshake has as long.
    pub head_timeout: Duration,
    /// How long the body of a request may take.
    pub body_timeout: Duration,
    /// How long a connection may last.
    pub connection_time: Duration,
    /// Alarms that are remembered: so many current ones, and so many cleared ones.
    pub max_alarms: usize,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            socket: None,
            http: None,
            tokens: Vec::new(),
            max_connections: 64,
            max_body_bytes: 32 << 20,
            max_bytes_of_all_bodies: 64 << 20,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(60),
            connection_time: Duration::from_secs(900),
            max_alarms: 1_000,
        }
    }
}

/// The door by TCP. There is none without TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlHttp {
    pub bind: SocketAddr,
    /// PEM: the certificate chain, the edge's own first.
    pub certificate: PathBuf,
    /// PEM: the private key.
    pub key: PathBuf,
    /// Networks from which connections are taken; empty: any.
    pub allow_from: Vec<Network>,
    /// Connections at once from one address (IPv6: one /64).
    pub max_connections_per_address: usize,
    /// Addresses whose wrong tokens are remembered, to slow them down.
    pub max_refused_addresses: usize,
}

/// Someone who may come in by TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlToken {
    /// Stands in records of what was changed.
    pub name: Arc<str>,
    /// Holds the secret, and nothing else.
    pub file: PathBuf,
    pub scope: ControlScope,
    /// `None`: all tenants, and the node.
    pub tenants: Option<Vec<Arc<str>>>,
}

/// What a token is good for; `Change` includes both before it, `Admin` all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ControlScope {
    /// To tell what lines do.
    Presence,
    /// To see (the default).
    #[default]
    Read,
    /// To change what carries calls.
    Change,
    /// To change the node.
    Admin,
}

/// What was read, with the tenants that tokens name.
#[derive(Clone, Debug, Default)]
pub(super) struct Read {
    pub control: Control,
    tenants: Vec<At<Arc<str>>>,
}

pub(super) fn read(mut table: Table<'_>) -> Read {
    let d = Control::default();
    let t = &mut table;
    let socket = t.path("socket");
    if let Some(socket) = &socket
        && socket.value.as_os_str().len() > MAX_SOCKET_PATH
    {
        let message = format!("{}: `socket`: the path of a socket has at most {MAX_SOCKET_PATH} bytes", t.title);
        t.log().add(Draft::error(socket.place, message));
    }
    let http = t.table("http", "control.http").and_then(http);
    let mut tenants = Vec::new();
    let tokens = tokens(t, &mut tenants);
    let control = Control {
        socket: socket.map(|path| path.value),
        http,
        tokens,
        max_connections: t.count("max_connections", 1..=10_000, d.max_connections),
        max_body_bytes: t.count("max_body_bytes", 4_096..=1_024 * MIB, d.max_body_bytes),
        max_bytes_of_all_bodies: t.count("max_bytes_of_all_bodies", 4_096..=4_096 * MIB, d.max_bytes_of_all_bodies),
        head_timeout: t.seconds("head_timeout_s", 1..=600, d.head_timeout),
        body_timeout: t.seconds("body_timeout_s", 1..=3_600, d.body_timeout),
        connection_time: t.seconds("connection_time_s", 10..=DAY_S, d.connection_time),
        max_alarms: t.count("max_alarms", 10..=1_000_000, d.max_alarms),
    };
    let Control { http, tokens, .. } = &control;
    if http.is_some() && tokens.is_empty() && !t.has("token") {
        let message = format!("{}: `http` without a token lets nobody in", t.title);
        let help = "add [[control.token]] with `name`, `file` and `scope`";
        t.log().add(Draft::error(t.place_of("http"), message).help(help));
    }
    if !t.has("http") && t.has("token") {
        let message = format!("{}: tokens are of no use without [control.http]", t.title);
        t.log().add(Draft::warning(t.place_of("token"), message).help("the Unix socket asks for none"));
    }
    if control.max_bytes_of_all_bodies < control.max_body_bytes {
        let message = format!("{}: `max_bytes_of_all_bodies` is below `max_body_bytes`", t.title);
        t.log().add(Draft::error(t.place_of("max_bytes_of_all_bodies"), message));
    }
    table.finish();
    Read { control, tenants }
}

fn http(mut table: Table<'_>) -> Option<ControlHttp> {
    let t = &mut table;
    for key in ["bind", "certificate", "key"] {
        t.must_have(key);
    }
    let bind = t.parsed("bind", |text| socket(text, Some(8443)));
    let (certificate, key) = (t.existing("certificate"), t.existing("key"));
    let allow_from = t.parsed_list("allow_from", network);
    if t.is_empty_list("allow_from") {
        let message = format!("{}: `allow_from` is empty", t.title);
        let help = "leave it out to take connections from everywhere, or write the networks of your operators";
        t.log().add(Draft::error(t.place_of("allow_from"), message).help(help));
    }
    let http = ControlHttp {
        bind: bind?.value,
        certificate: certificate?.value,
        key: key?.value,
        allow_from: allow_from.unwrap_or_default().into_iter().map(|network| network.value).collect(),
        max_connections_per_address: t.count("max_connections_per_address", 1..=10_000, 16),
        max_refused_addresses: t.count("max_refused_addresses", 16..=1_000_000, 1_024),
    };
    table.finish();
    Some(http)
}

fn tokens(table: &mut Table<'_>, tenants: &mut Vec<At<Arc<str>>>) -> Vec<ControlToken> {
    let mut tokens = Vec::new();
    let mut names = Names::new("control token");
    for mut t in table.tables("token", "control.token", |index| format!("control token {}", index + 1)) {
        let name = t.required("name");
        t.must_have("file");
        t.must_have("scope");
        let file = t.existing("file");
        let words = [
            ("presence", ControlScope::Presence),
            ("read", ControlScope::Read),
            ("change", ControlScope::Change),
            ("admin", ControlScope::Admin),
        ];
        let scope = t.choice("scope", &words).map(|scope| scope.value).unwrap_or_default();
        let named = t.texts("tenants");
        if t.is_empty_list("tenants") {
            let message = format!("{}: `tenants` is empty", t.title);
            let help = "leave it out for all tenants and the node";
            t.log().add(Draft::error(t.place_of("tenants"), message).help(help));
        }
        let named: Option<Vec<At<Arc<str>>>> =
            named.map(|all| all.into_iter().map(|one| At::new(one.value.into(), one.place)).collect());
        let ids = named.as_ref().map(|all| all.iter().map(|one| Arc::clone(&one.value)).collect());
        tenants.extend(named.into_iter().flatten());
        let log = t.log();
        t.finish();
        let (Some(name), Some(file)) = (name, file) else { continue };
        tokens.push(ControlToken { name: name.value.into(), file: file.value, scope, tenants: ids });
        names.add(log, name, ());
    }
    tokens
}

/// Complains of tokens for tenants that are not there.
pub(super) fn check_tenants(log: &Log, read: &Read, tenants: &TenantSet) {
    for named in &read.tenants {
        if !tenants.list.iter().any(|tenant| *tenant.id == *named.value) {
            let message = format!("[control]: a token is for {}, which is no tenant", quoted(&named.value));
            log.add(Draft::error(named.place, message));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::load_str;
    use super::*;

    const BASE: &str = "[node]\nname = 'edge'\n";

    fn place() -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        for name in ["c.pem", "c.key", "token"] {
            std::fs::write(place.path().join(name), "").unwrap();
        }
        place
    }

    fn faults(base: &Path, text: &str) -> String {
        load_str("edge.toml", &format!("{BASE}{text}"), base).map(|_| String::new()).unwrap_or_else(|it| it.to_string())
    }

    #[test]
    fn door_by_tcp_has_tls_and_tokens() {
        let place = place();
        let text = "[control]\nmax_connections = 5\n[control.http]\nbind = '127.0.0.1'\ncertificate = 'c.pem'\nkey = 'c.key'\n\
                    allow_from = ['192.0.2.0/24']\n[[control.token]]\nname = 'ops'\nfile = 'token'\nscope = 'admin'\n";
        let loaded = load_str("edge.toml", &format!("{BASE}{text}"), place.path()).unwrap();
        let Control { http, tokens, max_connections, .. } = loaded.config.control;
        let http = http.unwrap();
        assert_eq!((max_connections, http.bind), (5, "127.0.0.1:8443".parse().unwrap()));
        assert_eq!(http.allow_from.len(), 1);
        assert_eq!((&*tokens[0].name, tokens[0].scope, &tokens[0].tenants), ("ops", ControlScope::Admin, &None));
    }

    #[test]
    fn what_would_let_in_everybody_or_nobody_is_a_fault() {
        let place = place();
        let http = "[control.http]\nbind = '127.0.0.1'\ncertificate = 'c.pem'\nkey = 'c.key'\n";
        let token = "[[control.token]]\nname = 'ops'\nfile = 'token'\nscope = 'read'\n";
        for (text, fault) in [
            ("[control.http]\nbind = '127.0.0.1'\n".to_owned(), "has no `certificate`"),
            (http.to_owned(), "lets nobody in"),
            (format!("{http}allow_from = []\n{token}"), "`allow_from` is empty"),
            (format!("{http}{token}tenants = []\n"), "`tenants` is empty"),
            (format!("{http}{token}tenants = ['nobody']\n"), "is for `nobody`, which is no tenant"),
            (format!("{http}{token}{token}"), "control token `ops` is there twice"),
            (format!("{http}[[control.token]]\nname = 'ops'\nfile = 'token'\n"), "has no `scope`"),
            (format!("{http}[[control.token]]\nname = 'ops'\nfile = 'gone'\nscope = 'read'\n"), "cannot read"),
            (format!("{http}[[control.token]]\nname = 'o p'\nfile = 'token'\nscope = 'read'\n"), "is no name"),
            ("[control]\nmax_body_bytes = 100000\nmax_bytes_of_all_bodies = 5000\n".to_owned(), "is below"),
            ("[control]\nhead_timeout_s = 0\n".to_owned(), "must be from 1 to 600"),
        ] {
            let found = faults(place.path(), &text);
            assert!(found.contains(fault), "{text}: {found}");
        }
    }
}
