//! Who may watch whom, and whom a Request-URI means: by trunk and tenant, never across tenants.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::{Direction, People, TenantKey, UserKey};
use crate::sip::{Scheme, Uri};
use crate::trunk::TrunkId;

/// Which trunks may watch and publish for the users of which tenants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    tenants: HashMap<TrunkId, SmallVec<[TenantKey; 1]>, foldhash::fast::RandomState>,
}

/// Why a trunk is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No tenant has named the trunk.
    Forbidden,
    /// No user of the trunk's tenants is called that.
    NotFound,
    /// Two tenants that share the trunk each have such a user.
    Ambiguous,
}

impl Access {
    /// Lets a trunk watch and publish for a tenant's users.
    pub fn allow(&mut self, trunk: TrunkId, tenant: TenantKey) {
        let tenants = self.tenants.entry(trunk).or_default();
        if !tenants.contains(&tenant) {
            tenants.push(tenant);
        }
    }

    /// Whether a trunk may.
    pub fn allows(&self, trunk: TrunkId, tenant: TenantKey) -> bool {
        self.tenants.get(&trunk).is_some_and(|tenants| tenants.contains(&tenant))
    }

    /// The user of a Request-URI, as a trunk may name them: `sip:401@...` by number or extension, `tel:+44...`,
    /// `sip:alice@contoso.example` and `sip:alice%40contoso.example@...` by id.
    ///
    /// # Errors
    /// [`Refusal`]; users whose presence is off are not found.
    pub fn find(&self, people: &People, trunk: TrunkId, uri: &Uri<'_>) -> Result<UserKey, Refusal> {
        let tenants = self.tenants.get(&trunk).filter(|tenants| !tenants.is_empty()).ok_or(Refusal::Forbidden)?;
        let names = Names::of(uri).ok_or(Refusal::NotFound)?;
        let mut found = tenants.iter().filter_map(|&tenant| names.find(people, tenant));
        let first = found.next().ok_or(Refusal::NotFound)?;
        if found.next().is_some() { Err(Refusal::Ambiguous) } else { Ok(first) }
    }
}

/// What a URI may call a user.
struct Names {
    /// The user part without escapes and parameters.
    user: String,
    /// `user@host` of a sip URI.
    address: Option<String>,
}

impl Names {
    fn of(uri: &Uri<'_>) -> Option<Self> {
        let user = uri.user?;
        let bare = user.split(|&byte| byte == b';').next().unwrap_or_default();
        let user = unescaped(bare)?;
        let host = std::str::from_utf8(uri.host).ok().filter(|host| !host.is_empty());
        let address = host.filter(|_| uri.scheme != Scheme::Tel).map(|host| format!("{user}@{host}"));
        Some(Self { user, address })
    }

    fn find(&self, people: &People, tenant: TenantKey) -> Option<UserKey> {
        let number = people.by_number(tenant, &self.user).or_else(|| {
            // Visual separators (RFC 3966 section 3) are for people.
            let digits: String = self.user.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')')).collect();
            if digits == self.user { None } else { people.by_number(tenant, &digits) }
        });
        let user = number
            .or_else(|| self.user.contains('@').then(|| people.by_id(tenant, &self.user)).flatten())
            .or_else(|| people.by_id(tenant, self.address.as_deref()?));
        user.filter(|&user| people.get(user).is_some_and(|person| person.direction != Direction::Off))
    }
}

/// Text without `%` escapes (RFC 3261 section 19.1.2); `None` where an escape is malformed or the result is no UTF-8.
fn unescaped(text: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2)?;
        out.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = tail;
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;
    use crate::presence::Person;

    const SHARED: TrunkId = TrunkId(1);
    const OWN: TrunkId = TrunkId(2);
    const STRANGER: TrunkId = TrunkId(3);

    fn person(tenant: TenantKey, id: &str, direction: Direction, numbers: &[&str]) -> Person {
        let numbers = numbers.iter().map(|&number| number.into()).collect();
        Person { tenant, id: id.into(), direction, graph_id: None, lines: smallvec![], numbers }
    }

    #[test]
    fn users_are_found_within_the_tenants_of_the_trunk_only() {
        let mut people = People::default();
        let contoso = people.tenant("contoso").unwrap();
        let fabrikam = people.tenant("fabrikam").unwrap();
        let alice =
            people.put(person(contoso, "alice@contoso.example", Direction::Both, &["+441632960401", "401"])).unwrap();
        let bob = people.put(person(fabrikam, "bob@fabrikam.example", Direction::FromTeams, &["401"])).unwrap();
        let dave = people.put(person(fabrikam, "dave@fabrikam.example", Direction::ToTeams, &["402"])).unwrap();
        people.put(person(contoso, "carol@contoso.example", Direction::Off, &["403"])).unwrap();
        let mut access = Access::default();
        for (trunk, tenant) in [(SHARED, contoso), (SHARED, fabrikam), (OWN, contoso), (OWN, contoso)] {
            access.allow(trunk, tenant);
        }
        let rows = [
            (OWN, "sip:401@edge.example", Ok(alice)),
            (OWN, "sip:+441632960401;phone-context=x@edge.example;user=phone", Ok(alice)),
            (OWN, "tel:+44-1632-960401", Ok(alice)),
            (OWN, "sips:Alice@Contoso.example", Ok(alice)),
            (OWN, "sip:alice%40contoso.example@192.0.2.1:5060", Ok(alice)),
            (OWN, "sip:402@edge.example", Err(Refusal::NotFound)),
            (OWN, "sip:bob@fabrikam.example", Err(Refusal::NotFound)),
            (OWN, "sip:403@edge.example", Err(Refusal::NotFound)),
            (OWN, "sip:edge.example", Err(Refusal::NotFound)),
            (OWN, "sip:a%4@edge.example", Err(Refusal::NotFound)),
            (OWN, "sip:a%ff@edge.example", Err(Refusal::NotFound)),
            (SHARED, "sip:401@edge.example", Err(Refusal::Ambiguous)),
            (SHARED, "sip:402@edge.example", Ok(dave)),
            (SHARED, "sip:bob@fabrikam.example", Ok(bob)),
            (STRANGER, "sip:401@edge.example", Err(Refusal::Forbidden)),
        ];
        for (trunk, uri, expected) in rows {
            let uri = Uri::parse(uri.as_bytes()).unwrap();
            assert_eq!(access.find(&people, trunk, &uri), expected, "{trunk:?} {}", String::from_utf8_lossy(uri.raw));
        }
        assert!(access.allows(OWN, contoso) && !access.allows(OWN, fabrikam));
    }
}
