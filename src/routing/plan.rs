//! A dial plan: prefixes, and for each the tag that names where its numbers live.

mod near;

use std::ops::ControlFlow;
use std::sync::Arc;

use smallvec::SmallVec;

pub use self::near::{Near, NearMiss};
use super::Destination;
use super::prefixes::Conflict;
use super::symbols::{DIGITS, Dialled};
use super::table::layer::{At, Dead, Hit, Layer, Rules};
use super::table::overlay::Overlay;
use super::table::sources::Sources;
use super::table::tails;

/// A compiled dial plan: the rules of the configuration, and what was changed at run time. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub(super) name: Arc<str>,
    pub(super) normalize: bool,
    pub(super) base: Arc<Layer>,
    pub(super) sources: Arc<Sources>,
    pub(super) overlay: Option<Arc<Overlay>>,
}

/// What a dial plan says of a number.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// How many symbols of the number the rule's prefix covers.
    pub symbols: usize,
    pub tag: &'a str,
    /// `None`: the tag names neither a site nor a trunk.
    pub destination: Option<Destination>,
    hit: Hit,
    layer: &'a Layer,
    changed: bool,
}

impl<'a> Found<'a> {
    /// Whose rule it is; may be empty.
    pub fn owner(&self) -> &'a str {
        self.layer.owner_text(self.hit.value)
    }

    /// The origin that the rule was added with, see [`Rules::add`]; `None`: it was changed at run time.
    pub fn origin(&self) -> Option<u32> {
        if self.changed { None } else { self.layer.origin(self.hit.at) }
    }
}

/// Whether two are the same rule, found in the same plan for the same number.
impl PartialEq for Found<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.layer, other.layer) && self.hit == other.hit
    }
}

impl Eq for Found<'_> {}

/// Where a rule was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nothing is known of it.
    Unknown,
    /// A file and its line, from one.
    File(Arc<str>, u32),
    /// The id of a change at run time.
    Change(Arc<str>),
}

impl Plan {
    /// Compiles the rules; `resolve` tells where a tag leads.
    ///
    /// Two rules for one prefix that lead to different places come back as conflicts; the first of them stays.
    pub fn new(
        name: Arc<str>,
        mut rules: Rules,
        resolve: impl Fn(&str) -> Option<Destination>,
    ) -> (Self, Vec<Conflict>) {
        let (normalize, sources) = (rules.is_normalized(), Arc::new(rules.take_sources()));
        let (base, conflicts) = rules.pack(resolve);
        (Self { name, normalize, base: Arc::new(base), sources, overlay: None }, conflicts)
    }

    /// The name that trunks refer to it by.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether a leading `+` does not count.
    pub const fn is_normalized(&self) -> bool {
        self.normalize
    }

    /// The rule for a user part: the identity that it is, or the most specific prefix of the number that it is.
    pub fn find(&self, user: &[u8]) -> Option<Found<'_>> {
        let number = Dialled::read(user, self.normalize);
        let Some(overlay) = &self.overlay else {
            let hit = self.base.find(user, &number, &|_, _| false)?;
            return self.found(hit, &number, false);
        };
        let base = self.base.find(user, &number, &|at, owner| overlay.is_dead(at, owner));
        let over = overlay.layer.find(user, &number, &|_, _| false);
        match (base, over) {
            (Some(base), Some(over)) if self.is_first(overlay, &base, &over, &number) => {
                self.found(base, &number, false)
            }
            (_, Some(over)) => self.found(over, &number, true),
            (Some(base), None) => self.found(base, &number, false),
            (None, None) => None,
        }
    }

    /// All active rules for a user part, the most specific first: what [`Plan::find`] finds, then what it would find
    /// without that, and so on.
    ///
    /// An identity is one of them, before all prefixes. Rules of several owners for one prefix follow each other.
    pub fn matches<'a>(&'a self, user: &[u8]) -> impl Iterator<Item = Found<'a>> + use<'a> {
        let number = Dialled::read(user, self.normalize);
        let hits = self.hits(user, &number, usize::MAX);
        hits.into_iter().filter_map(move |(hit, changed)| self.found(hit, &number, changed))
    }

    /// Whether no rule takes the number, but one would if more digits followed (RFC 3261 section 21.4.22).
    ///
    /// A user part that is no number, or has something else behind it, has nothing to follow.
    pub fn is_incomplete(&self, user: &[u8]) -> bool {
        let number = Dialled::read(user, self.normalize);
        if !number.whole || !(0..number.length).any(|index| DIGITS >> number.symbol(index) & 1 == 1) {
            return false;
        }
        match &self.overlay {
            None => self.base.goes_on(&number, &|_, _| false) && self.find(user).is_none(),
            Some(overlay) => {
                let goes_on = self.base.goes_on(&number, &|at, owner| overlay.is_dead(at, owner))
                    || overlay.layer.goes_on(&number, &|_, _| false);
                goes_on && self.find(user).is_none()
            }
        }
    }

    /// The first rules for a user part, the most specific first, `most` of them; true: by a change.
    fn hits(&self, user: &[u8], number: &Dialled, most: usize) -> SmallVec<[(Hit, bool); 4]> {
        let of_layer = |layer: &Layer, dead: Dead<'_>| {
            let mut hits: SmallVec<[Hit; 4]> = SmallVec::new();
            let _ = layer.each(user, number, &dead, &mut |hit| {
                if hits.len() == most {
                    return ControlFlow::Break(());
                }
                hits.push(hit);
                ControlFlow::Continue(())
            });
            hits
        };
        let Some(overlay) = &self.overlay else {
            return of_layer(&self.base, &|_, _| false).into_iter().map(|hit| (hit, false)).collect();
        };
        let mut base = of_layer(&self.base, &|at, owner| overlay.is_dead(at, owner)).into_iter().peekable();
        let mut over = of_layer(&overlay.layer, &|_, _| false).into_iter().peekable();
        let next = || {
            let is_base = match (base.peek(), over.peek()) {
                (Some(base), Some(over)) => self.is_first(overlay, base, over, number),
                (base, _) => base.is_some(),
            };
            if is_base { base.next().map(|hit| (hit, false)) } else { over.next().map(|hit| (hit, true)) }
        };
        std::iter::from_fn(next).take(most).collect()
    }

    /// The origin of the rule for a user part, in a plan that was never changed.
    pub(super) fn origin(&self, user: &[u8]) -> Option<u32> {
        let number = Dialled::read(user, self.normalize);
        self.base.origin(self.base.find(user, &number, &|_, _| false)?.at)
    }

    /// Whether the base's rule is more specific than the overlay's.
    fn is_first(&self, overlay: &Overlay, base: &Hit, over: &Hit, number: &Dialled) -> bool {
        // Where one leaves a choice and the other none, or is over, the first position that differs decides.
        let ranged = |hit: &Hit| matches!(hit.at, At::Tail(_));
        match base.literal.cmp(&over.literal).then(ranged(base).cmp(&ranged(over))) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Equal => match (self.base.path(base, number), overlay.layer.path(over, number)) {
                (Some(base), Some(over)) => tails::compare(&base, &over).is_lt(),
                _ => false,
            },
        }
    }

    /// The prefix of the rule that was found for a user part, as text, and where the rule was written.
    pub fn rule(&self, user: &[u8], found: &Found<'_>) -> (String, Source) {
        let number = Dialled::read(user, self.normalize);
        let prefix = self.layer(found.changed).prefix_text(found.hit.at, &number, found.hit.literal);
        (prefix, self.source(found.hit.at, found.changed))
    }

    fn layer(&self, changed: bool) -> &Layer {
        match &self.overlay {
            Some(overlay) if changed => &overlay.layer,
            _ => &self.base,
        }
    }

    fn source(&self, at: At, changed: bool) -> Source {
        let origin = self.layer(changed).origin(at);
        match &self.overlay {
            Some(overlay) if changed => overlay.source(origin, &self.sources),
            _ => self.sources.find(origin),
        }
    }

    fn found(&self, hit: Hit, number: &Dialled, changed: bool) -> Option<Found<'_>> {
        let layer = self.layer(changed);
        let value = layer.values.get(hit.value)?;
        Some(Found {
            symbols: hit.symbols + number.stripped,
            tag: layer.values.tags.get(value.tag),
            destination: layer.values.destinations.get(value.tag as usize).copied().flatten(),
            hit,
            layer,
            changed,
        })
    }

    /// How many rules it holds, a range counted once.
    pub fn len(&self) -> usize {
        self.overlay.as_ref().map_or(self.base.len(), |overlay| overlay.rules)
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much memory its rules take, in bytes.
    pub fn bytes(&self) -> usize {
        self.base.bytes() + self.overlay.as_ref().map_or(0, |overlay| overlay.layer.bytes())
    }
}
