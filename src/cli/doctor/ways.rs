//! Names that have to be found, and the way to each target: looked up, connected to, TLS shaken.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Scope, Step};
use crate::call::destination::tls_name;
use crate::daemon::build;
use crate::dns::{Resolved, Resolver, Transports};
use crate::sip::Transport;
use crate::transport::tls::stream;
use crate::trunk::{Target, Trunk};

/// Addresses of one target that are tried.
const PLACES: usize = 4;

/// Names first, then targets.
pub(super) async fn look(scope: &Scope<'_>, patience: Duration) -> Vec<Step> {
    let resolver = match Resolver::new(&build::dns_settings(&scope.loaded.config.dns)) {
        Ok(resolver) => resolver,
        Err(error) => {
            let text = format!("the name resolver cannot be set up: {error}");
            return vec![Step::fail("name", text, "look at [dns], and at /etc/resolv.conf")];
        }
    };
    let mut steps = Vec::new();
    for name in scope.names() {
        steps.push(own_name(&resolver, &name).await);
    }
    for trunk in scope.trunks() {
        for target in &trunk.targets {
            way(scope, &resolver, trunk, target, patience, &mut steps).await;
        }
    }
    steps
}

/// Whether others find the edge by a name of its own.
async fn own_name(resolver: &Resolver, name: &Arc<str>) -> Step {
    if name.parse::<IpAddr>().is_ok() {
        return Step::ok("name", format!("{name} is an address"));
    }
    let port = Transport::Tls.default_port();
    let target = Target { transport: Some(Transport::Tls), host: Arc::clone(name), port: Some(port), literal: None };
    match resolver.resolve(&target, Transports::NONE.with(Transport::Tls)).await {
        Ok(places) if !places.is_empty() => Step::ok("name", format!("{name} is {}", addresses(&places))),
        found => {
            let why = found.err().map(|error| error.to_string()).unwrap_or_else(|| "it has no address".to_owned());
            let advice =
                "others do not find the edge by this name: give it an A or AAAA record with the public address";
            Step::warn("name", format!("{name}: {why}"), advice)
        }
    }
}

/// From the name of a target to a connection with it.
async fn way(
    scope: &Scope<'_>,
    resolver: &Resolver,
    trunk: &Trunk,
    target: &Target,
    patience: Duration,
    steps: &mut Vec<Step>,
) {
    let listen = scope.loaded.config.listeners.iter().find(|listen| listen.listener.id == trunk.listener);
    let own = listen.map_or(Transport::Udp, |listen| listen.listener.transport);
    let allowed = Transports::NONE.with(own).with(target.transport.unwrap_or(own));
    let title = format!("trunk {}: {target}", trunk.name);
    let places = match resolver.resolve(target, allowed).await {
        Ok(places) if !places.is_empty() => places,
        found => {
            let why = found.err().map(|error| error.to_string()).unwrap_or_else(|| "it has no address".to_owned());
            let advice = "look at the name in `targets`, and at the DNS that this machine asks";
            return steps.push(Step::fail("target", format!("{title}: {why}"), advice));
        }
    };
    for place in places.iter().take(PLACES) {
        steps.push(connect(scope, trunk, target, place, &title, patience).await);
    }
}

async fn connect(
    scope: &Scope<'_>,
    trunk: &Trunk,
    target: &Target,
    place: &Resolved,
    title: &str,
    patience: Duration,
) -> Step {
    let Resolved { transport, addr, name } = place;
    if *transport == Transport::Udp {
        return Step::ok("target", format!("{title}: {addr} by UDP; whether it is there, OPTIONS tell"));
    }
    let failed = |why: String| {
        let advice = "look at routes and firewalls between here and there, and whether somebody listens there";
        Step::fail("target", format!("{title}: {addr}: {why}"), advice)
    };
    let socket = match timeout(patience, TcpStream::connect(*addr)).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return failed(format!("no connection: {error}")),
        Err(_) => return failed(format!("no connection within {} s", patience.as_secs())),
    };
    if *transport != Transport::Tls {
        return Step::ok("target", format!("{title}: {addr} takes connections"));
    }
    let tls = match build::client_tls(scope.loaded, trunk.id) {
        Ok(Some(tls)) => tls,
        Ok(None) => return failed("there is nothing to shake hands with: no `ca` and no certificate".to_owned()),
        Err(error) => return failed(error.to_string()),
    };
    let dialled = target.literal.is_none().then_some(&**name);
    let Some(host) = tls_name(*transport, trunk, dialled) else {
        return failed("no name is known that its certificate must have: give `peer_names`".to_owned());
    };
    match timeout(patience, stream::connect(&tls, &host, socket)).await {
        Ok(Ok(_)) => Step::ok("target", format!("{title}: {addr} has shaken hands as {host}")),
        Ok(Err(error)) => {
            let advice = "the peer's certificate has to name it and lead to `ca`; the edge's own one has to please the \
                          peer, which may end the connection without a word";
            Step::fail("target", format!("{title}: {addr}: TLS with {host}: {error}"), advice)
        }
        Err(_) => failed(format!("no TLS handshake within {} s", patience.as_secs())),
    }
}

fn addresses(places: &[Resolved]) -> String {
    let all: Vec<String> = places.iter().map(|place| place.addr.ip().to_string()).collect();
    all.join(", ")
}
