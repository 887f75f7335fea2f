//! Sites whose name the certificate of their Teams side does not carry: Teams refuses such an edge.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::{Finding, Loaded, Review, Spot};
use crate::transport::tls::pem;

/// Warns of sites that no certificate of their Teams trunk's listener covers.
pub(super) fn look(loaded: &Loaded, review: &Review<'_>) {
    let mut known: BTreeMap<&Path, Option<Vec<String>>> = BTreeMap::new();
    for (index, site) in (0..).zip(loaded.routing.sites().iter()) {
        let listener = loaded.trunks.get(site.teams).map(|trunk| trunk.listener);
        let listen = loaded.config.listeners.iter().find(|listen| Some(listen.listener.id) == listener);
        let Some(tls) = listen.and_then(|listen| listen.tls.as_ref()) else { continue };
        let names = known.entry(&tls.certificate).or_insert_with(|| match pem::names(&tls.certificate) {
            Ok(names) => Some(names),
            Err(error) => {
                let message = format!("it cannot be told which names the edge may use: {error}");
                review.warn(Finding { at: Spot::Whole, message, label: "", also: None, help: None });
                None
            }
        });
        let Some(why) = names.as_deref().and_then(|names| uncovered(&site.fqdn, names)) else { continue };
        let message = format!("the certificate {} does not cover {}", tls.certificate.display(), site.fqdn);
        let at = Spot::Site(index);
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
