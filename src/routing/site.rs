//! Sites: where a tenant's Teams side and trunk side meet, each under one name.

use std::collections::HashMap;
use std::sync::Arc;

use super::tenant::TenantId;
use crate::trunk::{CallLimits, TrunkId};

/// One place of a tenant: a name that Teams knows it by, the Teams side and the trunk side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The tenant's id as text.
    pub tenant: Arc<str>,
    pub owner: TenantId,
    /// In lower case; the edge's own name on the Teams leg of this site's calls.
    pub fqdn: Arc<str>,
    pub teams: TrunkId,
    /// The trunk side: the provider's carrier, a carrier of the customer's own, or an IP PBX.
    pub trunk: TrunkId,
    /// Where the site's PBX users are: `trunk` when that is a PBX, unless another is named.
    pub pbx: Option<TrunkId>,
    /// Whether a call from Teams may go back to Teams.
    pub hairpin: bool,
    /// How many calls it may have.
    pub limits: Option<Arc<CallLimits>>,
}

/// Where a tag of a dial plan leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Index in [`Sites`].
    Site(u32),
    Trunk(TrunkId),
}

/// The sites of all tenants, found by host name.
#[derive(Clone, Debug, Default)]
pub struct Sites {
    list: Arc<[Arc<Site>]>,
    /// By FQDN in lower case.
    by_fqdn: Arc<HashMap<Box<[u8]>, u32, foldhash::fast::RandomState>>,
    by_mark: Arc<HashMap<SiteMark, u32, foldhash::fast::RandomState>>,
    /// Sites of before a reload: calls that are up know them by their marks, and nobody else does.
    former: Arc<HashMap<SiteMark, Arc<Site>, foldhash::fast::RandomState>>,
}

/// Numbers that stand for a site where there is little room; the same in every process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SiteMark {
    pub tenant: u32,
    pub site: u32,
}

impl Site {
    /// The numbers that stand for it.
    pub fn mark(&self) -> SiteMark {
        SiteMark { tenant: mark_of(&self.tenant), site: mark_of(&self.fqdn.to_ascii_lowercase()) }
    }
}

fn mark_of(name: &str) -> u32 {
    use std::hash::Hasher;
    let mut hash = siphasher::sip::SipHasher13::new_with_keys(0x7472_756e_6b77_6179, 2);
    hash.write(name.as_bytes());
    hash.finish() as u32
}

/// The longest name that DNS knows, in text (RFC 1035 section 2.3.4).
const MAX_HOST_BYTES: usize = 255;

/// How many sites of before reloads are kept.
const MAX_FORMER: usize = 65_536;

impl Sites {
    /// Takes the sites; of two with one FQDN the first stays.
    pub fn new(list: Vec<Site>) -> Self {
        let list: Arc<[Arc<Site>]> = list.into_iter().map(Arc::new).collect();
        let mut by_fqdn: HashMap<_, _, foldhash::fast::RandomState> = HashMap::default();
        let mut by_mark: HashMap<_, _, foldhash::fast::RandomState> = HashMap::default();
        for (index, site) in (0_u32..).zip(&*list) {
            by_mark.entry(site.mark()).or_insert(index);
            by_fqdn.entry(site.fqdn.to_ascii_lowercase().into_bytes().into_boxed_slice()).or_insert(index);
        }
        Self { list, by_fqdn: Arc::new(by_fqdn), by_mark: Arc::new(by_mark), former: Arc::default() }
    }

    /// These sites after others: calls that are up still find theirs.
    #[must_use]
    pub fn following(self, old: &Self) -> Self {
        let mut former: HashMap<_, _, foldhash::fast::RandomState> = HashMap::default();
        let gone = old.list.iter().chain(old.former.values());
        for site in gone.filter(|site| !self.by_mark.contains_key(&site.mark())).take(MAX_FORMER) {
            // Tenants have other numbers now.
            let site = Site { owner: TenantId(u32::MAX), ..Site::clone(site) };
            former.entry(site.mark()).or_insert_with(|| Arc::new(site));
        }
        Self { former: Arc::new(former), ..self }
    }

    /// The index of the site with this FQDN, in any case and with or without the root's dot.
    pub fn find(&self, host: &[u8]) -> Option<u32> {
        let host = host.strip_suffix(b".").unwrap_or(host);
        let mut lower = [0; MAX_HOST_BYTES];
        let lower = lower.get_mut(..host.len())?;
        lower.copy_from_slice(host);
        lower.make_ascii_lowercase();
        self.by_fqdn.get(&*lower).copied()
    }

    /// The site that a mark stands for.
    pub fn marked(&self, mark: SiteMark) -> Option<&Arc<Site>> {
        self.by_mark.get(&mark).and_then(|&index| self.get(index)).or_else(|| self.former.get(&mark))
    }

    /// The site of an index.
    pub fn get(&self, index: u32) -> Option<&Arc<Site>> {
        self.list.get(index as usize)
    }

    /// All sites, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Site>> {
        self.list.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(fqdn: &str) -> Site {
        Site {
            tenant: "contoso".into(),
            owner: TenantId(3),
            fqdn: fqdn.into(),
            teams: TrunkId(0),
            trunk: TrunkId(1),
            pbx: None,
            hairpin: false,
            limits: None,
        }
    }

    #[test]
    fn calls_that_are_up_find_a_site_that_has_gone() {
        let old = Sites::new(vec![site("a.example.net"), site("b.example.net")]);
        let (a, b) = (site("a.example.net").mark(), site("b.example.net").mark());
        let now = Sites::new(vec![site("b.example.net")]).following(&old);
        assert_eq!(now.find(b"a.example.net"), None, "no new call is for it");
        let gone = now.marked(a).unwrap();
        assert_eq!((&*gone.fqdn, gone.owner), ("a.example.net", TenantId(u32::MAX)));
        assert_eq!(now.marked(b).unwrap().owner, TenantId(3));
        // It stays known over further reloads, until it is there again.
        let later = Sites::new(Vec::new()).following(&now);
        assert!(later.marked(a).is_some() && later.marked(b).is_some());
        let back = Sites::new(vec![site("a.example.net")]).following(&later);
        assert_eq!(back.marked(a).unwrap().owner, TenantId(3));
    }
}
