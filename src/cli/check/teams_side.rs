//! The Teams side of an edge: each Teams trunk with its names, what it shows and whom it trusts.

use std::path::Path;

use crate::config::{ClientTls, Loaded, ServerTls};
use crate::routing::Site;
use crate::trunk::{Trunk, TrunkKind};

/// A Teams trunk on a TLS listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side<'l> {
    pub trunk: &'l Trunk,
    /// The edge's own name towards Teams.
    pub own: &'l str,
    pub server: &'l ServerTls,
    pub client: &'l ClientTls,
}

impl<'l> Side<'l> {
    /// The Teams trunks; those without TLS are told of elsewhere.
    pub(super) fn all(loaded: &'l Loaded) -> impl Iterator<Item = Self> {
        loaded.trunks.0.iter().filter(|trunk| trunk.kind == TrunkKind::Teams).filter_map(|trunk| {
            let listen = loaded.config.listeners.iter().find(|listen| listen.listener.id == trunk.listener)?;
            Some(Self {
                trunk,
                own: trunk.fqdn.as_deref().unwrap_or(&listen.listener.host),
                server: listen.tls.as_ref()?,
                client: &loaded.config.trunk_tls.get(usize::from(trunk.id.0))?.client,
            })
        })
    }

    /// The files with the certificates that the edge shows, each once.
    pub(super) fn shown(&self) -> impl Iterator<Item = &'l Path> {
        both(Some(self.server.certificate.as_path()), self.client.certificate.as_deref())
    }

    /// The files with the authorities that are trusted, each once.
    pub(super) fn trusted(&self) -> impl Iterator<Item = &'l Path> {
        both(self.server.client_ca.as_deref(), self.client.ca.as_deref())
    }

    /// The sites that Teams reaches by the trunk, with their indices.
    pub(super) fn sites(&self, loaded: &'l Loaded) -> impl Iterator<Item = (u32, &'l Site)> {
        let id = self.trunk.id;
        let all = (0..).zip(loaded.routing.sites().iter().map(AsRef::as_ref));
        all.filter(move |(_, site): &(u32, &Site)| site.teams == id)
    }

    /// The edge's own name, where no site has it.
    pub(super) fn own_alone(&self, loaded: &Loaded) -> Option<&'l str> {
        let is_site = self.sites(loaded).any(|(_, site)| *site.fqdn == *self.own);
        (!is_site).then_some(self.own)
    }
}

fn both<'l>(first: Option<&'l Path>, second: Option<&'l Path>) -> impl Iterator<Item = &'l Path> {
    first.into_iter().chain(second.filter(|second| first != Some(second)))
}
