//! Where a list or a delta query goes on: what Graph's opaque links carry.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::clock::At;
use super::text::{percent_encoded, value};

/// How long a delta link lives.
const LINK_LIFE: u64 = 7 * 24 * 60 * 60 * 1000;
/// Ids in the filter of a delta query.
const MAX_FILTER: usize = 50;

/// The state of a walk through a list or through changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// The path that the link belongs to.
    pub(super) path: String,
    pub(super) select: Option<String>,
    /// Ids that are asked for; none: all.
    pub(super) only: Vec<String>,
    /// The number of the first change that was not told.
    pub(super) change: u64,
    /// Whether changes are told, and not the whole.
    pub(super) told: bool,
    /// The place of the next entry.
    pub(super) place: usize,
    /// The place within the entry.
    pub(super) within: usize,
    /// Whether the empty page of an awkward walk was given.
    pub(super) empty_given: bool,
    pub(super) made: At,
}

impl Cursor {
    /// The cursor that a query carries, or a new one at the given change.
    pub(super) fn of(path: &str, query: &[(String, String)], next: u64, now: At) -> Result<Self, Answer> {
        // The link that comes with 410 carries an empty token: everything again.
        let of = |name| value(query, name).filter(|token| !token.is_empty());
        let carried = of("$skiptoken").map(|token| (token, false));
        let carried = carried.or_else(|| of("$deltatoken").map(|token| (token, true)));
        match carried {
            Some(("latest", true)) => {
                let select = value(query, "$select").map(str::to_owned);
                Ok(Self { path: path.to_owned(), select, change: next, told: true, made: now, ..Self::default() })
            }
            Some((token, _)) => {
                let bytes = URL_SAFE_NO_PAD.decode(token).ok();
                let cursor = bytes.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
                cursor.filter(|cursor| cursor.path == path).ok_or_else(|| {
                    Answer::error(400, "BadRequest", "Skip token or delta token is not valid for this resource.")
                })
            }
            None => {
                let only = filtered_ids(value(query, "$filter"))?;
                let select = value(query, "$select").map(str::to_owned);
                Ok(Self { path: path.to_owned(), select, only, change: next, made: now, ..Self::default() })
            }
        }
    }

    /// Whether it is so old that Graph has forgotten.
    pub(super) fn is_too_old(&self, now: At) -> bool {
        self.told && now.saturating_sub(self.made) > LINK_LIFE
    }

    /// The link under which the walk goes on.
    pub(super) fn next_link(&self, host: &str) -> String {
        self.link(host, "$skiptoken")
    }

    /// The link under which later changes are told.
    pub(super) fn delta_link(mut self, host: &str, change: u64, now: At) -> String {
        (self.change, self.told, self.made) = (change, true, now);
        (self.place, self.within, self.empty_given) = (0, 0, false);
        self.link(host, "$deltatoken")
    }

    /// Whether an id is asked for.
    pub(super) fn wants(&self, id: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only.eq_ignore_ascii_case(id))
    }

    /// The selected properties; `None`: the usual ones.
    pub(super) fn selected(&self) -> Option<Vec<&str>> {
        self.select.as_deref().map(|select| select.split(',').map(str::trim).collect())
    }

    fn link(&self, host: &str, name: &str) -> String {
        let state = serde_json::to_vec(self).unwrap_or_default();
        format!("https://{host}/v1.0/{}?{name}={}", self.path, percent_encoded(&URL_SAFE_NO_PAD.encode(state)))
    }
}

/// The ids of a filter `id eq 'a' or id eq 'b'`, the only one that delta queries take.
fn filtered_ids(filter: Option<&str>) -> Result<Vec<String>, Answer> {
    let Some(filter) = filter else { return Ok(Vec::new()) };
    let ids: Option<Vec<String>> = filter
        .split(" or ")
        .map(|part| {
            let value = part.trim().strip_prefix("id eq ")?.trim();
            Some(value.strip_prefix('\'')?.strip_suffix('\'')?.to_owned())
        })
        .collect();
    match ids {
        Some(ids) if ids.len() <= MAX_FILTER => Ok(ids),
        _ => Err(Answer::error(
            400,
            "Request_UnsupportedQuery",
            "The filter is not supported: id eq '…', up to 50 times.",
        )),
    }
}

/// Refuses what delta queries do not take; the option's name comes back.
pub(super) fn unsupported(query: &[(String, String)]) -> Option<&'static str> {
    ["$top", "$expand", "$orderby"].into_iter().find(|name| value(query, name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::graph::text::pairs;

    #[test]
    fn a_link_leads_back_to_its_cursor() {
        let query = pairs("$select=id%2Cmail&$filter=id%20eq%20%27a%27%20or%20id%20eq%20%27b%27");
        let cursor = Cursor::of("users/delta", &query, 7, 100).unwrap();
        assert!(cursor.wants("A") && !cursor.wants("c"));
        let link = Cursor { place: 3, ..cursor.clone() }.next_link("localhost:1");
        let (_, query) = link.split_once('?').unwrap();
        let back = Cursor::of("users/delta", &pairs(query), 9, 200).unwrap();
        assert_eq!((back.place, back.change, back.selected()), (3, 7, Some(vec!["id", "mail"])));
        assert!(Cursor::of("groups/delta", &pairs(query), 9, 200).is_err());
        let delta = cursor.delta_link("localhost:1", 9, 200);
        let back = Cursor::of("users/delta", &pairs(delta.split_once('?').unwrap().1), 9, 300).unwrap();
        assert!(back.told && back.change == 9 && !back.is_too_old(300) && back.is_too_old(201 + LINK_LIFE));
    }

    #[test]
    fn other_filters_are_refused() {
        assert!(Cursor::of("users/delta", &pairs("$filter=mail%20eq%20%27a%27"), 0, 0).is_err());
        assert_eq!(unsupported(&pairs("$top=5")), Some("$top"));
    }
}
