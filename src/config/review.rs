//! A closer look at a configuration that was read, whose findings are drawn like those of the reading itself.

use super::Severity;
use super::log::{Draft, FileId, Log, Place};
use super::rows::line_span;
use super::sites;
use super::tenants;
use super::trunks;
use crate::routing::number::UserId;
use crate::routing::{Source, TenantId};
use crate::trunk::TrunkId;

/// What a finding points to.
#[derive(Clone, Copy, Debug)]
pub enum Spot<'s> {
    /// The first file as a whole.
    Whole,
    /// A trunk, where its name stands.
    Trunk(TrunkId),
    /// A site, by its index.
    Site(u32),
    User(TenantId, UserId),
    /// A rule of a dial plan, by where it was written.
    Rule(&'s Source),
}

/// Something that the operator may not want.
#[derive(Clone, Debug)]
pub struct Finding<'s> {
    pub at: Spot<'s>,
    pub message: String,
    /// What is to be said of the place itself; may be empty.
    pub label: &'static str,
    /// Another place that belongs to it.
    pub also: Option<(Spot<'s>, &'static str)>,
    /// What to do.
    pub help: Option<String>,
}

/// Where the values of a configuration were read from; takes findings.
#[derive(Debug)]
pub struct Review<'a> {
    pub(super) log: &'a Log,
    pub(super) trunks: &'a [trunks::Note<'a>],
    pub(super) sites: &'a [sites::Note<'a>],
    pub(super) tenants: &'a [tenants::Note],
}

impl Review<'_> {
    /// Adds a warning.
    pub fn warn(&self, finding: Finding<'_>) {
        let Finding { at, message, label, also, help } = finding;
        let draft = match self.place(at) {
            Some(place) => Draft::warning(place, message).label(label),
            None => Draft::of_file(Severity::Warning, FileId::default(), message),
        };
        let also = also.and_then(|(spot, label)| Some((self.place(spot)?, label)));
        let draft = match also {
            Some((place, label)) => draft.also(place, label),
            None => draft,
        };
        self.log.add(draft.maybe_help(help));
    }

    fn place(&self, spot: Spot<'_>) -> Option<Place> {
        match spot {
            Spot::Whole | Spot::Rule(Source::Unknown | Source::Change(_)) => None,
            Spot::Trunk(id) => self.trunks.get(usize::from(id.0)).map(|note| note.place),
            Spot::Site(index) => self.sites.get(index as usize).map(|note| note.place),
            Spot::User(tenant, user) => self.tenants.get(tenant.0 as usize)?.users.get(user as usize),
            Spot::Rule(Source::File(name, line)) => {
                let file = self.log.file(name)?;
                let text = self.log.text(file);
                Some(Place::new(file, line_span(&text, (*line as usize).checked_sub(1)?)))
            }
        }
    }
}
