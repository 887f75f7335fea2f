//! The edge's own names: whoever calls the edge by name must find it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::Patient;
use super::report::{Report, Step};
use crate::dns::{Resolver, Transports};
use crate::sip::Transport;
use crate::sip::uri::ip_literal;
use crate::trunk::{Target, TrunkKind};

const AREA: &str = "names";

/// Looks up every name that peers know the edge by.
pub(super) async fn look(patient: &Patient<'_>, resolver: &Resolver, report: &mut Report) {
    let mut known: BTreeSet<Arc<str>> = patient.sites().map(|site| Arc::clone(&site.fqdn)).collect();
    if patient.tenant.is_none() {
        known.extend(patient.loaded.config.node.fqdn.iter().cloned());
        let trunks = patient.loaded.trunks.0.iter().filter(|trunk| patient.looks_at(trunk.id));
        known.extend(trunks.filter_map(|trunk| trunk.fqdn.clone()));
    }
    let of_teams = patient.loaded.trunks.0.iter().any(|trunk| trunk.kind == TrunkKind::Teams);
    for name in known.into_iter().filter(|name| ip_literal(name.as_bytes()).is_none()) {
        report.add(look_at(&name, resolver, of_teams).await);
    }
}

async fn look_at(name: &Arc<str>, resolver: &Resolver, of_teams: bool) -> Step {
    // A port and a transport: only addresses are asked for.
    let target = Target { transport: Some(Transport::Tcp), host: Arc::clone(name), port: Some(5061), literal: None };
    let advice = "make an A (or AAAA) record for it that leads to this edge; Teams finds an SBC by its name alone";
    match resolver.resolve(&target, Transports::NONE.with(Transport::Tcp)).await {
        Err(error) => Step::fail(AREA, name, error.to_string()).advise(advice),
        Ok(places) => {
            let mut all: Vec<IpAddr> = places.iter().map(|place| place.addr.ip()).collect();
            all.sort();
            all.dedup();
            let shown = all.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
            match all.iter().any(|address| is_public(*address)) || !of_teams {
                true => Step::ok(AREA, name, format!("leads to {shown}")),
                false => Step::warn(AREA, name, format!("leads to {shown}: no address that Teams could reach"))
                    .advise("public DNS must have the public address of the edge"),
            }
        }
    }
}

/// Whether an address can be reached over the internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || shared)
        }
        IpAddr::V6(v6) => {
            !(v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        for (address, public) in [
            ("203.0.113.9", true),
            ("10.1.2.3", false),
            ("172.20.0.1", false),
            ("192.168.1.1", false),
            ("100.64.0.1", false),
            ("100.128.0.1", true),
            ("127.0.0.1", false),
            ("169.254.1.1", false),
            ("2001:db8::1", true),
            ("fd00::1", false),
            ("fe80::1", false),
            ("::1", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }
}
