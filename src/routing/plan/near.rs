//! Rules that did not decide but nearly did, for people who ask why a number went where it went.

use std::cmp::Reverse;
use std::fmt;

use serde::Serialize;

use super::super::symbols::Dialled;
use super::super::table::layer::{Dead, Layer, Miss};
use super::{Found, Plan, Source};

/// A rule that nearly matched a number, or would have, had no other been more specific.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    pub prefix: String,
    pub tag: String,
    /// Whose it is; may be empty.
    pub owner: String,
    pub active: bool,
    pub source: Source,
    pub why: NearMiss,
}

/// Why a rule did not decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NearMiss {
    /// It matches, but another is more specific, or came first for the same numbers.
    LessSpecific,
    /// It would match, were it active.
    Inactive,
    /// The prefix goes on where the number ends.
    TooShort,
    /// A digit of the number lies outside the prefix's range or set.
    Range,
    /// A digit of the number is another than the prefix's.
    Digit,
    /// The number goes on where the prefix lets nothing follow.
    End,
}

impl fmt::Display for NearMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LessSpecific => "another rule is more specific",
            Self::Inactive => "the rule is inactive",
            Self::TooShort => "the number is too short",
            Self::Range => "a digit is outside the range",
            Self::Digit => "a digit differs",
            Self::End => "the number is too long",
        })
    }
}

impl Plan {
    /// Rules that nearly decided for a user part, `limit` at most.
    ///
    /// First come those that match but are less specific than the one that [`Plan::find`] finds, then inactive ones that
    /// would match, then those that go together with the number for longest, as far at least as the found rule leaves
    /// no choice. However large the plan, no more than some thousand rules are looked at.
    pub fn near(&self, user: &[u8], limit: usize) -> Vec<Near> {
        let number = Dialled::read(user, self.normalize);
        let hits = self.hits(user, &number, limit.saturating_add(1));
        let least = hits.first().map_or(1, |(hit, _)| hit.literal.max(1));
        let mut list: Vec<Near> = hits
            .iter()
            .skip(1)
            .filter_map(|(hit, changed)| self.found(*hit, &number, *changed))
            .map(|found| self.less_specific(user, &found))
            .collect();
        let mut inactive = Vec::new();
        let mut misses = Vec::new();
        let left = limit.saturating_sub(list.len());
        self.for_layers(|layer, changed, dead| {
            let of_layer = |miss: Miss| (miss, changed);
            inactive.extend(layer.inactive(user, &number, left, dead).into_iter().map(of_layer));
            misses.extend(layer.misses(&number, least, left, dead).into_iter().map(of_layer));
        });
        for list in [&mut inactive, &mut misses] {
            list.sort_by(|(a, _), (b, _)| {
                Reverse(a.shared).cmp(&Reverse(b.shared)).then_with(|| a.prefix.cmp(&b.prefix))
            });
        }
        list.extend(inactive.into_iter().chain(misses).take(left).map(|(miss, changed)| self.missed(miss, changed)));
        list
    }

    fn less_specific(&self, user: &[u8], found: &Found<'_>) -> Near {
        let (prefix, source) = self.rule(user, found);
        let (tag, owner) = (found.tag.to_owned(), found.owner().to_owned());
        Near { prefix, tag, owner, active: true, source, why: NearMiss::LessSpecific }
    }

    fn missed(&self, miss: Miss, changed: bool) -> Near {
        let layer = self.layer(changed);
        let Miss { at, value, prefix, why, .. } = miss;
        Near {
            prefix,
            tag: layer.tag_text(value).to_owned(),
            owner: layer.owner_text(value).to_owned(),
            active: why != NearMiss::Inactive,
            source: self.source(at, changed),
            why,
        }
    }

    /// Calls back with the layer of the configuration, then with that of the changes, and which of their rules are dead.
    fn for_layers(&self, mut call: impl FnMut(&Layer, bool, Dead<'_>)) {
        match &self.overlay {
            None => call(&self.base, false, &|_, _| false),
            Some(overlay) => {
                call(&self.base, false, &|at, owner| overlay.is_dead(at, owner));
                call(&overlay.layer, true, &|_, _| false);
            }
        }
    }
}
