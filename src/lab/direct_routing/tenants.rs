//! Who belongs to which name: the table by which Teams finds tenant and user of a call.

use std::str::FromStr;

use thiserror::Error;

/// A customer of Microsoft with its registered names and the numbers of its users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    pub name: String,
    /// Registered domains: names of SBCs, or domains above them.
    pub domains: Vec<String>,
    /// Numbers of users, `;ext=` included where users share one; `None`: every number is one of its users.
    pub numbers: Option<Vec<String>>,
}

impl Tenant {
    /// A tenant with one domain.
    pub fn new(domain: &str, numbers: Option<&[&str]>) -> Self {
        Self {
            name: domain.to_ascii_lowercase(),
            domains: vec![domain.to_ascii_lowercase()],
            numbers: numbers.map(|numbers| numbers.iter().map(|number| (*number).to_owned()).collect()),
        }
    }

    /// Whether the user part of a Request-URI is a user of this tenant.
    pub fn has(&self, user: &str) -> bool {
        self.numbers.as_ref().is_none_or(|numbers| numbers.iter().any(|number| number == user))
    }
}

/// Text that is no [`Tenant`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not of the form NAME or NAME=NUMBER,NUMBER")]
pub struct TenantError(String);

impl FromStr for Tenant {
    type Err = TenantError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (domain, numbers) = match text.split_once('=') {
            Some((domain, numbers)) => (domain, Some(numbers.split(',').collect::<Vec<_>>())),
            None => (text, None),
        };
        let bad = domain.is_empty() || numbers.as_ref().is_some_and(|numbers| numbers.iter().any(|n| n.is_empty()));
        if bad {
            return Err(TenantError(text.into()));
        }
        Ok(Self::new(domain, numbers.as_deref()))
    }
}

/// All tenants that a stand-in knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tenants(Vec<Tenant>);

impl Tenants {
    /// One more tenant.
    #[must_use]
    pub fn with(mut self, tenant: Tenant) -> Self {
        self.0.push(tenant);
        self
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tenant of a name: the whole name first, then without its host label (section A4).
    pub fn find(&self, host: &str) -> Option<&Tenant> {
        let host = host.to_ascii_lowercase();
        let above = host.split_once('.').map(|(_, above)| above);
        let of = |wanted: &str| self.0.iter().find(|tenant| tenant.domains.iter().any(|domain| domain == wanted));
        of(&host).or_else(|| above.and_then(of))
    }
}

impl FromIterator<Tenant> for Tenants {
    fn from_iter<I: IntoIterator<Item = Tenant>>(tenants: I) -> Self {
        Self(tenants.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_name_goes_before_the_domain_above_and_nothing_further_up_counts() {
        let tenants = Tenants::default()
            .with(Tenant::new("adatum.biz", Some(&["+1001"])))
            .with(Tenant::new("sbc1.adatum.biz", Some(&["+1002"])));
        assert_eq!(tenants.find("SBC1.adatum.biz").unwrap().name, "sbc1.adatum.biz");
        assert_eq!(tenants.find("sbc2.adatum.biz").unwrap().name, "adatum.biz");
        assert_eq!(tenants.find("adatum.biz").unwrap().name, "adatum.biz");
        assert_eq!(tenants.find("sbc.sip.adatum.biz"), None);
        assert_eq!(tenants.find("sbc1.other.biz"), None);
    }

    #[test]
    fn numbers_are_looked_up_as_they_are_written() {
        let tenant: Tenant = "sbc.adatum.biz=+14255388701;ext=1001,+14255550100".parse().unwrap();
        assert!(tenant.has("+14255388701;ext=1001") && tenant.has("+14255550100"));
        assert!(!tenant.has("+14255388701") && !tenant.has("14255550100"));
        assert!("sbc.adatum.biz".parse::<Tenant>().unwrap().has("+1"));
        assert!("=+1".parse::<Tenant>().is_err() && "a=".parse::<Tenant>().is_err());
    }
}
