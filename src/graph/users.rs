//! Users and groups of the directory, as a whole and as what has changed since (B7).
//!
//! Links to what follows come from Graph and are kept as they are; one that leads to another host or scheme is not
//! followed, since the token would go there.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Graph;
use super::fault::{Fault, Permission};
use super::presences::segment;
use super::settings::Call;

/// Bytes of a link.
const MAX_LINK_BYTES: usize = 64 << 10;

/// Values of one field, and bytes of one value, that are kept.
const MAX_VALUES: usize = 100;
const MAX_VALUE_BYTES: usize = 1_024;

/// What a user has, told as a whole or as what has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// The object id, in lower case.
    pub id: Box<str>,
    /// Whether the user has gone, and can be restored or not.
    pub removed: Option<Removed>,
    /// By name, as `displayName` or `onPremisesExtensionAttributes.extensionAttribute1`: what is not there has not changed,
    /// what is empty has been taken away.
    pub fields: BTreeMap<String, Vec<String>>,
}

/// How a user has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// Soft deleted, or out of sight.
    Changed,
    Deleted,
}

/// Somebody who is in a group, or has left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The object id, in lower case.
    pub id: Box<str>,
    pub left: bool,
}

/// What follows a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another page.
    Page(String),
    /// Nothing now; this link gives what changes from now on.
    Delta(String),
    /// Nothing.
    End,
}

/// A part of a list; it may be empty and yet have another one behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Next,
}

#[derive(Deserialize)]
pub(super) struct List<T> {
    value: Vec<T>,
    #[serde(default, rename = "@odata.nextLink")]
    next: Option<String>,
    #[serde(default, rename = "@odata.deltaLink")]
    delta: Option<String>,
}

impl Graph {
    /// Users with these fields, from the beginning, or from a link of an earlier page on.
    ///
    /// # Errors
    /// [`Fault::Gone`]: the link is too old, begin anew. Others as they are.
    pub async fn users_delta(&self, fields: &[&str], link: Option<&str>) -> Result<Page<User>, Fault> {
        let url = match link {
            Some(link) => self.own(link)?,
            None => {
                let mut select = vec!["id"];
                for field in fields {
                    // Of what is inside of something, the whole is asked for.
                    let (top, _) = field.split_once('.').unwrap_or((field, ""));
                    if !select.contains(&segment(top)?) {
                        select.push(top);
                    }
                }
                format!("{}/v1.0/users/delta?$select={}", self.settings.base, select.join(","))
            }
        };
        let page = self.page::<Map<String, Value>>(Call::Users, Permission::ReadUsers, &url, true).await?;
        Ok(page.map(|entry| user(&entry)))
    }

    /// Members of a group, from the beginning, or from a link of an earlier page on. Members of groups inside of it are
    /// not among them.
    ///
    /// # Errors
    /// [`Fault::Gone`]: the link is too old, begin anew. Others as they are.
    pub async fn group_delta(&self, group: &str, link: Option<&str>) -> Result<Page<Member>, Fault> {
        #[derive(Deserialize)]
        struct Group {
            #[serde(default, rename = "members@delta")]
            members: Vec<Entry>,
        }
        let url = match link {
            Some(link) => self.own(link)?,
            None => {
                let group = segment(group)?;
                format!("{}/v1.0/groups/delta?$select=members&$filter=id%20eq%20'{group}'", self.settings.base)
            }
        };
        let page = self.page::<Group>(Call::Groups, Permission::ReadGroups, &url, false).await?;
        let items = page.items.iter().flat_map(|group| &group.members).map(Entry::member).collect();
        Ok(Page { items, next: page.next })
    }

    /// Users who are members of a group, those of groups inside of it too, from the beginning or from a link on.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn group_members(&self, group: &str, link: Option<&str>) -> Result<Page<Member>, Fault> {
        let url = match link {
            Some(link) => self.own(link)?,
            None => {
                let group = segment(group)?;
                let base = &self.settings.base;
                format!("{base}/v1.0/groups/{group}/transitiveMembers/microsoft.graph.user?$select=id&$top=999")
            }
        };
        let page = self.page::<Entry>(Call::Groups, Permission::ReadGroups, &url, false).await?;
        Ok(page.map(|entry| entry.member()))
    }

    /// Asks for a part of a list.
    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        call: Call,
        permission: Permission,
        url: &str,
        minimal: bool,
    ) -> Result<Page<T>, Fault> {
        let request = || {
            let request = self.client.request(Method::GET, url);
            if minimal { request.header("Prefer", "return=minimal") } else { request }
        };
        let answer = self.ask(call, permission, request).await?;
        let list: List<T> =
            serde_json::from_slice(&answer.body).map_err(|error| Fault::Malformed(error.to_string()))?;
        let next = match (list.next, list.delta) {
            (Some(next), _) => Next::Page(self.own(&next)?),
            (None, Some(delta)) => Next::Delta(self.own(&delta)?),
            (None, None) => Next::End,
        };
        Ok(Page { items: list.value, next })
    }

    /// The URL of a list's beginning, or of a link.
    pub(super) fn list(&self, path: &str, link: Option<&str>) -> Result<String, Fault> {
        match link {
            Some(link) => self.own(link),
            None => Ok(format!("{}{path}", self.settings.base)),
        }
    }

    /// A link that leads to the configured host, by the configured scheme and port.
    fn own(&self, link: &str) -> Result<String, Fault> {
        let origin = |text: &str| Some(text.parse::<reqwest::Url>().ok()?.origin()).filter(|origin| origin.is_tuple());
        let (own, there) = (origin(&self.settings.base), origin(link));
        if own.is_some() && own == there && link.len() <= MAX_LINK_BYTES {
            return Ok(link.to_owned());
        }
        let host = link.parse::<reqwest::Url>().ok().and_then(|url| url.host_str().map(str::to_owned));
        let host = host.unwrap_or_else(|| "somewhere that is no URL".to_owned());
        Err(Fault::Malformed(format!("its link leads to {host}, and not to {}", self.settings.base)))
    }
}

impl<T> Page<T> {
    fn map<U>(self, change: impl Fn(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next }
    }
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    id: String,
    #[serde(default, rename = "@removed")]
    removed: Option<Value>,
}

impl Entry {
    fn member(&self) -> Member {
        Member { id: self.id.to_ascii_lowercase().into(), left: self.removed.is_some() }
    }
}

fn user(entry: &Map<String, Value>) -> User {
    let mut user = User::default();
    for (name, value) in entry {
        match (&**name, value) {
            ("id", Value::String(id)) => user.id = id.to_ascii_lowercase().into(),
            ("@removed", value) => {
                let deleted = value.get("reason").and_then(Value::as_str) == Some("deleted");
                user.removed = Some(if deleted { Removed::Deleted } else { Removed::Changed });
            }
            (name, Value::Object(inside)) if !name.starts_with('@') => {
                for (inner, value) in inside {
                    user.fields.insert(format!("{name}.{inner}"), texts(value));
                }
            }
            (name, value) if !name.contains('@') => {
                user.fields.insert(name.to_owned(), texts(value));
            }
            _ => {}
        }
    }
    user
}

/// The values of a field as texts; those that are too long are left out.
fn texts(value: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let list = match value {
        Value::Array(list) => list.iter().take(MAX_VALUES).filter_map(text).collect(),
        one => text(one).into_iter().collect::<Vec<_>>(),
    };
    list.into_iter().filter(|text| !text.is_empty() && text.len() <= MAX_VALUE_BYTES).collect()
}
