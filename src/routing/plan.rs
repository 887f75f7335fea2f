//! A dial plan: prefixes, and for each the tag that names where its numbers live.

use std::sync::Arc;

use super::Destination;
use super::prefixes::Conflict;
use super::symbols::Dialled;
use super::table::layer::{At, Hit, Layer, Rules};
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
}

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
            return found(&self.base, hit, &number, false);
        };
        let base = self.base.find(user, &number, &|at, owner| overlay.is_dead(at, owner));
        let over = overlay.layer.find(user, &number, &|_, _| false);
        match (base, over) {
            (Some(base), Some(over)) if self.is_first(overlay, &base, &over, &number) => {
                found(&self.base, base, &number, false)
            }
            (_, Some(over)) => found(&overlay.layer, over, &number, true),
            (Some(base), None) => found(&self.base, base, &number, false),
            (None, None) => None,
        }
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
        let layer = match &self.overlay {
            Some(overlay) if found.changed => &overlay.layer,
            _ => &self.base,
        };
        let prefix = layer.prefix_text(found.hit.at, &number, found.hit.literal);
        let origin = layer.origin(found.hit.at);
        let source = match &self.overlay {
            Some(overlay) if found.changed => overlay.source(origin, &self.sources),
            _ => self.sources.find(origin),
        };
        (prefix, source)
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

fn found<'a>(layer: &'a Layer, hit: Hit, number: &Dialled, changed: bool) -> Option<Found<'a>> {
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
