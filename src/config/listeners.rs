//! `[[listen]]`: where the edge listens and what it is called there.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::address::{HostPort, bind, host_port};
use super::log::{At, Draft, Log, Place};
use super::model::{ClientCertificate, Listen, Node, ServerTls};
use super::names::Names;
use super::reader::Table;
use super::slots::{self, Slots};
use crate::sip::Transport;
use crate::trunk::{Listener, ListenerId};

/// The listeners and what the other tables ask of them.
#[derive(Debug)]
pub(super) struct Listeners {
    pub names: Names<ListenerId>,
    /// By [`ListenerId`].
    pub list: Vec<Listen>,
    /// By [`ListenerId`]: where each stands.
    pub places: Vec<Place>,
}

impl Listeners {
    pub(super) fn get(&self, id: ListenerId) -> Option<&Listen> {
        self.list.get(usize::from(id.0))
    }
}

const KEYS_OF_TLS: [&str; 4] = ["certificate", "key", "client_ca", "client_certificate"];

pub(super) fn read(log: &Log, tables: Vec<Table<'_>>, node: &Node, slots: &Slots) -> Listeners {
    let mut found: Vec<Listen> = Vec::new();
    let mut places = Vec::new();
    let mut binds = BTreeMap::new();
    for mut table in tables {
        let name = table.required("name");
        if let Some(name) = &name {
            table.title = format!("listener `{}`", name.value);
        }
        table.must_have("bind");
        let bound = table.parsed("bind", bind);
        let advertise = table.parsed("advertise", host_port);
        let sockets = table.number("sockets", 0..=1_024);
        let (transport, addr) = bound.as_ref().map_or((None, None), |at| (Some(at.value.0), Some(at.value.1)));
        if let Some(at) = &bound {
            once(log, &mut binds, at);
        }
        let tls = match transport {
            Some(Transport::Tls) => Some(server_tls(&mut table)),
            _ => None,
        };
        misplaced(&mut table, transport);
        // A faulty address is told; the stand-in never leaves this module, since faults keep the configuration back.
        let addr = addr.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        let own = own_name(&table, addr, advertise, node);
        places.push((table.place, name.as_ref().map(|name| name.place)));
        found.push(Listen {
            listener: Listener {
                id: ListenerId(0),
                name: name.map_or("", |name| name.value).into(),
                transport: transport.unwrap_or(Transport::Udp),
                bind: addr,
                port: own.port.unwrap_or_else(|| addr.port()),
                host: own.bracketed(),
                leaving: false,
            },
            tls,
            sockets: sockets.and_then(|number| usize::try_from(number.value).ok()).filter(|number| *number > 0),
        });
        table.finish();
    }
    numbered(log, found, &places, slots)
}

/// The listeners by their ids, with those that leave.
fn numbered(log: &Log, found: Vec<Listen>, places: &[(Place, Option<Place>)], slots: &Slots) -> Listeners {
    let mut all = Listeners { names: Names::new("listener"), list: Vec::new(), places: Vec::new() };
    let ids = slots.of_listeners(&found);
    let found: Vec<_> = found.into_iter().zip(places).collect();
    // Names are taken in the order of the file, so that the second of two is the one too many.
    for ((listen, (table, name)), id) in found.iter().zip(&ids) {
        let Ok(id) = u16::try_from(*id) else {
            let draft = Draft::error(*table, "there are more than 65535 listeners, those before reloads counted");
            log.add(draft.help("restart the edge: what has left is forgotten then"));
            return all;
        };
        if let Some(place) = name {
            all.names.add(log, At::new(&listen.listener.name, *place), ListenerId(id));
        }
    }
    for (at, placed) in (0..).zip(slots::placed(found, &ids, slots.listeners.len())) {
        let (mut listen, place) = match placed {
            Some((listen, (table, name))) => (listen, name.unwrap_or(*table)),
            None => match slots.leaving_listener(usize::from(at)) {
                Some(listen) => (listen, Place::default()),
                None => break,
            },
        };
        listen.listener.id = ListenerId(at);
        all.places.push(place);
        all.list.push(listen);
    }
    all
}

/// Complains of an address that is listened on already; TCP and TLS share their ports.
fn once(log: &Log, binds: &mut BTreeMap<(bool, SocketAddr), Place>, at: &At<(Transport, SocketAddr)>) {
    let (transport, addr) = at.value;
    if addr.port() == 0 {
        return;
    }
    match binds.get(&(transport.is_reliable(), addr)) {
        Some(first) => {
            let message = format!("{addr} is listened on twice");
            log.add(Draft::error(at.place, message).label("again").also(*first, "first"));
        }
        None => {
            binds.insert((transport.is_reliable(), addr), at.place);
        }
    }
}

fn server_tls(table: &mut Table<'_>) -> ServerTls {
    table.must_have("certificate");
    table.must_have("key");
    let policy = table.choice(
        "client_certificate",
        &[
            ("require", ClientCertificate::Require),
            ("optional", ClientCertificate::Optional),
            ("none", ClientCertificate::None),
        ],
    );
    let client_certificate = policy.map_or_else(ClientCertificate::default, |policy| policy.value);
    if client_certificate != ClientCertificate::None && !table.has("client_ca") {
        let message = format!("{} has no `client_ca`", table.title);
        table.log().add(
            Draft::error(table.place, message)
                .label("in this table")
                .help("name the roots that client certificates must lead to, or say `client_certificate = \"none\"`"),
        );
    }
    ServerTls {
        certificate: table.existing("certificate").map_or_else(Default::default, |path| path.value),
        key: table.existing("key").map_or_else(Default::default, |path| path.value),
        client_ca: table.existing("client_ca").map(|path| path.value),
        client_certificate,
    }
}

/// Complains of keys that mean nothing for the transport.
fn misplaced(table: &mut Table<'_>, transport: Option<Transport>) {
    let complain = |table: &Table<'_>, key: &str, wanted: Transport| {
        // A faulty `bind` says nothing of the transport.
        if let Some(transport) = transport
            && table.has(key)
        {
            let message = format!("{}: `{key}` is for `{wanted}:` only, this is `{transport}:`", table.title);
            table.log().add(Draft::error(table.place_of(key), message));
        }
    };
    if transport != Some(Transport::Tls) {
        for key in KEYS_OF_TLS {
            // Known, only not here.
            table.know(key);
            complain(table, key, Transport::Tls);
        }
    }
    if transport != Some(Transport::Udp) {
        complain(table, "sockets", Transport::Udp);
    }
}

/// What stands in Via: what is advertised, else the address, else the node's name where the address says nothing.
fn own_name(table: &Table<'_>, addr: SocketAddr, advertise: Option<At<HostPort>>, node: &Node) -> HostPort {
    if let Some(advertise) = advertise {
        return advertise.value;
    }
    let bound = HostPort { host: addr.ip().to_string().into(), literal: Some(addr.ip()), port: None };
    if !addr.ip().is_unspecified() {
        return bound;
    }
    match &node.fqdn {
        Some(fqdn) => HostPort { host: fqdn.clone(), literal: None, port: None },
        None => {
            if !table.has("advertise") {
                let message = format!("{}: {} is no address that others can send to", table.title, addr.ip());
                table.log().add(
                    Draft::error(table.place_of("bind"), message)
                        .help("give `advertise` here or `fqdn` in [node]: it stands in Via and Record-Route"),
                );
            }
            bound
        }
    }
}
