//! Names that the edge's certificates do not carry: Teams refuses such an edge.

use std::path::Path;

use super::Side;
use crate::config::{Finding, Loaded, Review, Spot};

/// Warns of sites that a certificate of their Teams side does not cover, and of the edge's own name there.
pub(super) fn look(loaded: &Loaded, review: &Review<'_>, side: &Side<'_>, path: &Path, names: &[String]) {
    let sites = side.sites(loaded).map(|(index, site)| (Spot::Site(index), &*site.fqdn));
    let own = side.own_alone(loaded).map(|name| (Spot::Trunk(side.trunk.id), name));
    for (at, host) in sites.chain(own) {
        let Some(why) = uncovered(host, names) else { continue };
        let message = format!("the certificate {} does not cover {host}", path.display());
        review.warn(Finding { at, message, label: "Teams refuses this name", also: None, help: Some(why) });
    }
}

/// Why none of the names covers a host; `None`: one does (RFC 6125 section 6.4.3).
fn uncovered(host: &str, names: &[String]) -> Option<String> {
    let lower = |name: &String| name.to_ascii_lowercase();
    let wildcards = || names.iter().map(lower).filter_map(|name| Some(name.strip_prefix("*.")?.to_owned()));
    let in_front = |parent: &str| Some(host.strip_suffix(parent)?.strip_suffix('.')?.to_owned());
    let is_exact = names.iter().map(lower).any(|name| name == host);
    let is_wild = wildcards().filter_map(|parent| in_front(&parent)).any(|labels| !labels.contains('.'));
    if is_exact || is_wild {
        return None;
    }
    let deep = wildcards().find_map(|parent| Some((in_front(&parent)?, parent)));
    Some(match deep {
        Some((labels, parent)) => {
            format!("`*.{parent}` stands for one label only, and `{labels}` has {}", labels.split('.').count())
        }
        None if names.is_empty() => "the certificate carries no DNS name".to_owned(),
        None => {
            const SHOWN: usize = 5;
            let mut shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
            if names.len() > SHOWN {
                shown.push("...".to_owned());
            }
            format!("it carries {}", shown.join(", "))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcard_stands_for_one_label() {
        let names = ["sbc.example.net", "*.Customers.example.net"].map(str::to_owned);
        for (host, why) in [
            ("sbc.example.net", None),
            ("contoso.customers.example.net", None),
            ("customers.example.net", Some("it carries `sbc.example.net`, `*.Customers.example.net`")),
            (
                "emea.contoso.customers.example.net",
                Some("`*.customers.example.net` stands for one label only, and `emea.contoso` has 2"),
            ),
            ("xcustomers.example.net", Some("it carries `sbc.example.net`, `*.Customers.example.net`")),
        ] {
            assert_eq!(uncovered(host, &names).as_deref(), why, "{host}");
        }
        assert_eq!(uncovered("a.example", &[]).as_deref(), Some("the certificate carries no DNS name"));
    }
}
