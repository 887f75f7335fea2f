//! Names that Teams takes from nobody, whatever certificate carries them.

use super::teams_side::Side;
use crate::config::{Finding, Loaded, Review, Spot};

/// How long the name of an edge may be in Teams, in characters.
const MAX_NAME: usize = 63;

/// Warns of names of sites and of the edge itself that Teams does not take.
pub(super) fn look(loaded: &Loaded, review: &Review<'_>) {
    for side in Side::all(loaded) {
        let sites = side.sites(loaded).map(|(index, site)| (Spot::Site(index), &*site.fqdn));
        let own = side.own_alone(loaded).map(|name| (Spot::Trunk(side.trunk.id), name));
        for (at, name) in sites.chain(own) {
            let Some((why, help)) = refused(name) else { continue };
            let message = format!("trunk `{}`: {name} {why}", side.trunk.name);
            review.warn(Finding { at, message, label: "Teams refuses this name", also: None, help: Some(help) });
        }
    }
}

/// Why Teams does not take a name, and what to do.
fn refused(name: &str) -> Option<(String, String)> {
    if name == "onmicrosoft.com" || name.ends_with(".onmicrosoft.com") {
        let help = "take a name under a domain of the tenant's own, verified there and with a licensed user in it";
        return Some(("is under onmicrosoft.com".to_owned(), help.to_owned()));
    }
    let length = name.chars().count();
    (length > MAX_NAME).then(|| {
        let help = "shorten it, or have the customer's domain registered under a shorter one".to_owned();
        (format!("has {length} characters, and Teams takes {MAX_NAME}"), help)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_up_to_63_characters_in_domains_of_ones_own_are_taken() {
        let of = |length: usize| format!("{}.example.net", "a".repeat(length - ".example.net".len()));
        for (name, why) in [
            ("sbc.example.net", None),
            (&of(63), None),
            (&of(64), Some("has 64 characters, and Teams takes 63")),
            ("contoso.onmicrosoft.com", Some("is under onmicrosoft.com")),
            ("sbc.contoso.onmicrosoft.com", Some("is under onmicrosoft.com")),
            ("notonmicrosoft.com", None),
            ("onmicrosoft.com.example.net", None),
        ] {
            assert_eq!(refused(name).map(|(why, _)| why).as_deref(), why, "{name}");
        }
    }
}
