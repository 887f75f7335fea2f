//! `cloud` of a trunk of kind teams: what Microsoft publishes of its clouds, in place of keys that are left out.
//!
//! The values are data, `teams_clouds.toml`, with their sources beside them.

use std::sync::{Arc, LazyLock};

use serde::Deserialize;

use super::address::{self, TargetText};
use super::log::{At, Draft};
use super::reader::Table;
use crate::trunk::{Network, TrunkKind};

/// What is published of Teams.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// The usual one first.
    #[serde(rename = "cloud")]
    pub clouds: Vec<Cloud>,
    /// The roots under which Microsoft's certificates are issued.
    #[serde(rename = "root")]
    pub roots: Vec<Root>,
}

/// One of Microsoft's clouds with a Direct Routing of its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cloud {
    /// What `cloud` calls it.
    pub name: String,
    targets: Vec<String>,
    peer_names: Vec<String>,
    allow_from: Vec<String>,
}

/// A root certificate.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Root {
    pub name: String,
    /// SHA-1 fingerprint, in upper-case hexadecimal digits.
    pub sha1: String,
}

/// What is published of Teams, as of the day that the data names.
pub fn published() -> &'static Published {
    static PUBLISHED: LazyLock<Published> = LazyLock::new(|| {
        // The text is a part of the program, and a test reads it.
        toml::from_str(include_str!("teams_clouds.toml")).expect("the data of Teams' clouds can be read")
    });
    &PUBLISHED
}

impl Published {
    /// Whether a host is one that a cloud is dialled by.
    pub fn is_target(&self, host: &str) -> bool {
        self.clouds.iter().flat_map(Cloud::targets).any(|target| *target.at.host == *host)
    }
}

impl Cloud {
    /// Where requests go, in order.
    pub(super) fn targets(&self) -> impl Iterator<Item = TargetText> {
        self.targets.iter().filter_map(|text| address::target(text).ok())
    }

    /// The names of which Microsoft's certificates carry one.
    pub(super) fn peer_names(&self) -> Vec<Arc<str>> {
        self.peer_names.iter().map(|name| Arc::from(&**name)).collect()
    }

    /// Where its requests come from.
    pub(super) fn allow_from(&self) -> impl Iterator<Item = Network> {
        self.allow_from.iter().filter_map(|text| address::network(text).ok())
    }
}

/// The cloud whose values stand in place of keys that a trunk leaves out: where it is named, or where `targets` are not.
pub(super) fn cloud(table: &mut Table<'_>, kind: Option<TrunkKind>) -> Option<&'static Cloud> {
    let clouds = &published().clouds;
    let words: Vec<(&str, &'static Cloud)> = clouds.iter().map(|cloud| (&*cloud.name, cloud)).collect();
    let named = table.choice("cloud", &words);
    if kind != Some(TrunkKind::Teams) {
        // Of a faulty kind it is not known what belongs to it.
        if let (Some(_), Some(At { place, .. })) = (kind, named) {
            let message = format!("{}: `cloud` is for kind teams only", table.title);
            table.log().add(Draft::error(place, message));
        }
        return None;
    }
    let is_left_to_us = table.has("cloud") || !table.has("targets");
    named.map(|cloud| cloud.value).or_else(|| clouds.first().filter(|_| is_left_to_us))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_the_data_can_be_read() {
        let Published { clouds, roots } = published();
        let names: Vec<&str> = clouds.iter().map(|cloud| &*cloud.name).collect();
        assert_eq!(names, ["public", "gcc-high", "dod"]);
        for cloud in clouds {
            let targets: Vec<TargetText> = cloud.targets().collect();
            assert!(!targets.is_empty() && !cloud.allow_from.is_empty(), "{}", cloud.name);
            assert_eq!(targets.len(), cloud.targets.len());
            assert_eq!(cloud.allow_from().count(), cloud.allow_from.len());
            for (text, target) in cloud.targets.iter().zip(&targets) {
                assert!(target.at.port == Some(5061) && target.at.literal.is_none(), "{text}: no SRV, no address");
                assert!(cloud.peer_names().contains(&target.at.host), "{text}: its certificate is looked for by name");
            }
            for name in &cloud.peer_names {
                assert_eq!(address::peer_name(name).as_deref(), Ok(&**name));
            }
        }
        let mut fingerprints: Vec<&str> = roots.iter().map(|root| &*root.sha1).collect();
        assert!(
            fingerprints.iter().all(|sha1| {
                sha1.len() == 40 && sha1.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F'))
            })
        );
        fingerprints.sort_unstable();
        fingerprints.dedup();
        assert_eq!(fingerprints.len(), 7);
    }

    #[test]
    fn targets_of_all_clouds_are_known_as_such() {
        for (host, expected) in [
            ("sip3.pstnhub.microsoft.com", true),
            ("sip.pstnhub.gov.teams.microsoft.us", true),
            ("sip.pstnhub.dod.teams.microsoft.us", true),
            ("sip.pstnhub.example.net", false),
            ("pstnhub.microsoft.com", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(published().is_target(host), expected, "{host}");
        }
    }
}
