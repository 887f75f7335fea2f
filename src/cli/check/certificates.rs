//! What Teams and the edge show each other: certificates that Teams would refuse, and roots that the edge lacks.

mod coverage;
mod fitness;
mod roots;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

use time::OffsetDateTime;

use super::teams_side::Side;
use crate::config::teams::published;
use crate::config::{Finding, Loaded, Review, Spot};
use crate::transport::tls::certificate::{self, Certificate};
use crate::transport::tls::pem;

/// Warns of the certificates that Teams trunks show, and of the roots that they trust.
pub(super) fn look(loaded: &Loaded, review: &Review<'_>) {
    let now = OffsetDateTime::now_utc();
    let mut shelf = Shelf { review, read: BTreeMap::new() };
    let mut judged = BTreeSet::new();
    for side in Side::all(loaded) {
        let at = Spot::Trunk(side.trunk.id);
        let warn = |message: String, label: &'static str, help: String| {
            let message = format!("trunk `{}`: {message}", side.trunk.name);
            review.warn(Finding { at, message, label, also: None, help: Some(help) });
        };
        if side.client.certificate.is_none() {
            let help = "give `certificate` and `key` in [tls_client], or in a `tls_client` table of the trunk";
            let message = "the edge has no certificate to show when it dials";
            warn(message.to_owned(), "Teams ends such connections", help.to_owned());
        }
        let trusted: Vec<_> = side.trusted().filter_map(|path| Some((path, shelf.certificates(path)?))).collect();
        for path in side.shown() {
            let Some(chain) = shelf.certificates(path) else { continue };
            // A certificate that several trunks show is told of once.
            if judged.insert(path) {
                let is_trusted = |name: &_| trusted.iter().any(|(_, all)| all.iter().any(|one| one.subject == *name));
                for complaint in fitness::complaints(&chain, is_trusted, now) {
                    let message = format!("the certificate {} {}", path.display(), complaint.what);
                    warn(message, "shows it to Teams", complaint.help);
                }
            }
            match pem::names(path) {
                Ok(names) => coverage::look(loaded, review, &side, path, &names),
                Err(error) => shelf.unreadable(&error.to_string()),
            }
        }
        if side.trunk.targets.iter().any(|target| published().is_target(&target.host)) {
            for (path, trusted) in &trusted {
                if let Some((what, help)) = roots::missing(&published().roots, trusted) {
                    warn(format!("{} {what}", path.display()), "Microsoft's certificates are issued under them", help);
                }
            }
        }
    }
}

/// The certificate files, each read once.
struct Shelf<'l> {
    review: &'l Review<'l>,
    read: BTreeMap<&'l Path, Option<Rc<[Certificate]>>>,
}

impl<'l> Shelf<'l> {
    /// The certificates of a file; one that cannot be read is told of once.
    fn certificates(&mut self, path: &'l Path) -> Option<Rc<[Certificate]>> {
        if let Some(known) = self.read.get(path) {
            return known.clone();
        }
        let read = match certificate::read(path) {
            Ok(certificates) => Some(Rc::from(certificates)),
            Err(error) => {
                self.unreadable(&error.to_string());
                None
            }
        };
        self.read.insert(path, read.clone());
        read
    }

    fn unreadable(&self, why: &str) {
        let message = format!("certificates cannot be looked at: {why}");
        self.review.warn(Finding { at: Spot::Whole, message, label: "", also: None, help: None });
    }
}

#[cfg(test)]
mod tests;
