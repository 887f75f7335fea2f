//! Extensions that are dealt out: the next one that nobody has.

use std::collections::{BTreeMap, HashSet};

use crate::routing::number::{Digits, NumberingPlan};

/// The extensions that somebody has, and how far each row of them has been dealt out.
#[derive(Debug, Default)]
pub struct Deal {
    used: HashSet<Digits>,
    /// By the first extension of a row: the number to try next.
    next: BTreeMap<Box<str>, u64>,
}

impl Deal {
    /// Somebody has this extension.
    pub fn note(&mut self, extension: Digits) {
        self.used.insert(extension);
    }

    /// The next extension of the row that begins with `first`, of as many digits; `None`: it has come to its end.
    pub fn next(&mut self, first: &str, plan: &NumberingPlan) -> Option<Box<str>> {
        let width = first.len();
        let end = u32::try_from(width).ok().and_then(|width| 10_u64.checked_pow(width))?;
        let next = match self.next.get_mut(first) {
            Some(next) => next,
            None => self.next.entry(first.into()).or_insert(first.parse().ok()?),
        };
        while *next < end {
            let text = format!("{next:0width$}");
            *next += 1;
            let digits = Digits::new(text.as_bytes())?;
            if !plan.is_service(digits) && self.used.insert(digits) {
                return Some(text.into());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::countries::Country;

    #[test]
    fn row_leaves_out_what_is_used_and_ends_with_its_digits() {
        let plan = NumberingPlan::new(Country::find("GB"));
        let mut deal = Deal::default();
        deal.note(Digits::new(b"997").unwrap());
        let dealt: Vec<_> = std::iter::from_fn(|| deal.next("996", &plan)).collect();
        // 999 calls for help in Great Britain.
        assert_eq!(dealt, ["996".into(), "998".into()] as [Box<str>; 2]);
        assert_eq!(deal.next("0097", &plan).as_deref(), Some("0097"), "leading zeros count");
        assert_eq!(deal.next("0097", &plan).as_deref(), Some("0098"));
        assert_eq!(deal.next("", &plan), None);
    }
}
