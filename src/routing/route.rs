//! Routes: for what leaves the edge, by number prefix, through groups of trunks.

use std::sync::Arc;

use super::number::Form;
use super::plan::Plan;
use super::tenant::TenantId;
use super::window::Window;
use crate::trunk::TrunkId;

/// A rule by number prefix; an empty prefix matches every user part.
///
/// Routes of one prefix, `from` and tenant are asked in the order of the configuration; the first that is open wins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Route {
    /// `None`: for requests from any trunk.
    pub from: Option<TrunkId>,
    /// `None`: for calls of any tenant and of none.
    pub tenant: Option<TenantId>,
    pub prefix: Arc<str>,
    /// In order of preference, never empty.
    pub groups: Vec<Group>,
    /// When it is open; empty: always.
    pub windows: Vec<Window>,
    /// Final codes that make the edge try the next trunk, instead of those of the trunk.
    pub failover_codes: Option<Arc<[u16]>>,
    /// How the called number is written, instead of as the trunk says.
    pub called: Option<Form>,
    /// How the caller's number is written, instead of as the trunk says.
    pub calling: Option<Form>,
    /// Whether a call may go back to the trunk that it came from.
    pub hairpin: bool,
}

/// Trunks of a route that stand for each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    pub order: Order,
    pub members: Vec<Member>,
}

/// In which order the members of a group are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By priority, the lowest first; within one priority by chance, as the weights say (as RFC 2782 does).
    #[default]
    Priority,
    /// By the rate for the called number, the lowest first; ties, and trunks without a rate at the end, by priority.
    Cost,
}

/// A trunk in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    pub trunk: TrunkId,
    pub priority: u16,
    pub weight: u16,
}

impl Route {
    /// A route that tries trunks one after the other.
    pub fn serial(from: Option<TrunkId>, prefix: impl Into<Arc<str>>, to: &[TrunkId]) -> Self {
        let members = (0..).zip(to).map(|(priority, &trunk)| Member { trunk, priority, weight: 1 }).collect();
        Self { from, prefix: prefix.into(), groups: vec![Group { order: Order::Priority, members }], ..Self::default() }
    }

    /// All trunks that it names, in the order of the configuration.
    pub fn trunks(&self) -> impl Iterator<Item = TrunkId> {
        self.groups.iter().flat_map(|group| &group.members).map(|member| member.trunk)
    }
}

/// What a trunk asks for calls, by number prefix.
#[derive(Clone, Debug, Default)]
pub struct Rates(
    /// A tag is a price: a decimal with at most six places.
    pub Plan,
);

impl Rates {
    /// The price of a call to a number, in millionths; `None`: the trunk does not say.
    pub fn price(&self, number: &[u8]) -> Option<u64> {
        price(self.0.find(number)?.tag)
    }
}

/// Reads a price, in millionths: `0.0125` is 12500.
pub fn price(text: &str) -> Option<u64> {
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || places.len() > 6 || !digits(whole) || !digits(places) {
        return None;
    }
    let millionths: u64 = format!("{places:0<6}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(millionths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_decimals_with_six_places_at_most() {
        for (text, wanted) in [
            ("0.0125", Some(12_500)),
            ("3", Some(3_000_000)),
            ("0", Some(0)),
            ("0.000001", Some(1)),
            ("0.0000001", None),
            ("-1", None),
            (".5", None),
            ("1.", Some(1_000_000)),
            ("1,5", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(price(text), wanted, "{text}");
        }
    }
}
