//! Which of Graph's endpoints a path names.

use serde::{Deserialize, Serialize};

use super::text::percent_decoded;

/// An endpoint of the login service or of Graph, as the journal and the fault switches name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    Token,
    Keys,
    SetPresence,
    ClearPresence,
    SetPreferred,
    ClearPreferred,
    Presence,
    Presences,
    Batch,
    Users,
    UsersDelta,
    Groups,
    GroupsDelta,
    GroupMembers,
    UserConfigurations,
    NumberAssignments,
    Subscriptions,
    Unknown,
}

impl Endpoint {
    /// Whether it writes into a user's presence.
    pub fn writes(self) -> bool {
        matches!(self, Self::SetPresence | Self::ClearPresence | Self::SetPreferred | Self::ClearPreferred)
    }

    /// Whether it counts to the limit of presence.
    pub(super) fn is_presence(self) -> bool {
        self.writes() || matches!(self, Self::Presence | Self::Presences)
    }

    /// Resource units of the directory's limit.
    pub(super) fn directory_units(self) -> u32 {
        match self {
            Self::Users | Self::UsersDelta | Self::Groups | Self::GroupsDelta => 2,
            Self::GroupMembers => 3,
            _ => 0,
        }
    }

    /// Permissions of which an application needs one.
    pub(super) fn permissions(self) -> &'static [&'static str] {
        match self {
            Self::SetPresence | Self::ClearPresence | Self::SetPreferred | Self::ClearPreferred => {
                &["Presence.ReadWrite.All"]
            }
            Self::Presence | Self::Presences => &["Presence.Read.All", "Presence.ReadWrite.All"],
            Self::Users | Self::UsersDelta => &["User.Read.All", "Directory.Read.All"],
            Self::Groups | Self::GroupsDelta | Self::GroupMembers => {
                &["GroupMember.Read.All", "Group.Read.All", "Directory.Read.All"]
            }
            Self::UserConfigurations => &["TeamsUserConfiguration.Read.All"],
            Self::NumberAssignments => &["TeamsTelephoneNumber.Read.All"],
            Self::Token | Self::Keys | Self::Batch | Self::Subscriptions | Self::Unknown => &[],
        }
    }
}

/// An endpoint with what its path names: a user, a group, a subscription or a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) endpoint: Endpoint,
    pub(super) subject: Option<String>,
    /// The path and method exist, with another use of the same endpoint: renewal and the like.
    pub(super) verb: Verb,
}

/// What is done at an endpoint that has more than one use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    List,
    Read,
    Create,
    Renew,
    Remove,
    Act,
}

/// Finds the endpoint of a method and a path such as `/v1.0/users/{id}/presence/setPresence`.
pub(super) fn route(method: &str, path: &str) -> Route {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let versioned = matches!(segments.first(), Some(&("v1.0" | "beta")));
    let found = if versioned { graph(method, segments.get(1..).unwrap_or_default()) } else { login(method, &segments) };
    let (endpoint, subject, verb) = found.unwrap_or((Endpoint::Unknown, None, Verb::Act));
    Route { endpoint, subject: subject.map(percent_decoded), verb }
}

type Found<'a> = Option<(Endpoint, Option<&'a str>, Verb)>;

fn login<'a>(method: &str, segments: &[&'a str]) -> Found<'a> {
    Some(match (method, segments) {
        ("POST", [tenant, "oauth2", "v2.0", "token"]) => (Endpoint::Token, Some(*tenant), Verb::Act),
        ("GET", [tenant, "discovery", "v2.0", "keys"]) => (Endpoint::Keys, Some(*tenant), Verb::List),
        ("GET", [tenant, ".well-known", "openid-configuration"])
        | ("GET", [tenant, "v2.0", ".well-known", "openid-configuration"]) => {
            (Endpoint::Keys, Some(*tenant), Verb::Read)
        }
        _ => return None,
    })
}

fn graph<'a>(method: &str, segments: &[&'a str]) -> Found<'a> {
    Some(match (method, segments) {
        ("POST", ["$batch"]) => (Endpoint::Batch, None, Verb::Act),
        ("POST", ["communications", "getPresencesByUserId"]) => (Endpoint::Presences, None, Verb::List),
        (_, ["communications", "presences", user, rest @ ..]) => presence(method, user, rest)?,
        (_, ["users", user, "presence", rest @ ..]) => presence(method, user, rest)?,
        ("GET", ["users", "delta" | "delta()" | "microsoft.graph.delta()"]) => (Endpoint::UsersDelta, None, Verb::List),
        ("GET", ["users"]) => (Endpoint::Users, None, Verb::List),
        ("GET", ["users", user]) => (Endpoint::Users, Some(*user), Verb::Read),
        ("GET", ["groups", "delta" | "delta()" | "microsoft.graph.delta()"]) => {
            (Endpoint::GroupsDelta, None, Verb::List)
        }
        ("GET", ["groups"]) => (Endpoint::Groups, None, Verb::List),
        ("GET", ["groups", group]) => (Endpoint::Groups, Some(*group), Verb::Read),
        ("GET", ["groups", group, "members" | "transitiveMembers"])
        | ("GET", ["groups", group, "members" | "transitiveMembers", "microsoft.graph.user"]) => {
            (Endpoint::GroupMembers, Some(*group), Verb::List)
        }
        ("GET", ["admin", "teams", "userConfigurations"]) => (Endpoint::UserConfigurations, None, Verb::List),
        ("GET", ["admin", "teams", "telephoneNumberManagement", "numberAssignments"]) => {
            (Endpoint::NumberAssignments, None, Verb::List)
        }
        ("POST", ["subscriptions"]) => (Endpoint::Subscriptions, None, Verb::Create),
        ("GET", ["subscriptions"]) => (Endpoint::Subscriptions, None, Verb::List),
        ("PATCH", ["subscriptions", id]) => (Endpoint::Subscriptions, Some(*id), Verb::Renew),
        ("DELETE", ["subscriptions", id]) => (Endpoint::Subscriptions, Some(*id), Verb::Remove),
        ("POST", ["subscriptions", id, "reauthorize"]) => (Endpoint::Subscriptions, Some(*id), Verb::Act),
        _ => return None,
    })
}

fn presence<'a>(method: &str, user: &&'a str, rest: &[&str]) -> Found<'a> {
    let action = rest.first().map(|action| action.trim_start_matches("microsoft.graph."));
    let endpoint = match (method, action) {
        ("GET", None) => return Some((Endpoint::Presence, Some(*user), Verb::Read)),
        ("POST", Some("setPresence")) => Endpoint::SetPresence,
        ("POST", Some("clearPresence")) => Endpoint::ClearPresence,
        ("POST", Some("setUserPreferredPresence")) => Endpoint::SetPreferred,
        ("POST", Some("clearUserPreferredPresence")) => Endpoint::ClearPreferred,
        _ => return None,
    };
    Some((endpoint, Some(*user), Verb::Act))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_endpoints() {
        let cases = [
            ("POST", "/v1.0/users/u1/presence/setPresence", Endpoint::SetPresence, Some("u1")),
            (
                "POST",
                "/v1.0/users/a%40contoso.example/presence/clearPresence",
                Endpoint::ClearPresence,
                Some("a@contoso.example"),
            ),
            (
                "POST",
                "/v1.0/communications/presences/u1/microsoft.graph.setPresence",
                Endpoint::SetPresence,
                Some("u1"),
            ),
            ("GET", "/v1.0/users/u1/presence", Endpoint::Presence, Some("u1")),
            ("GET", "/v1.0/users/delta", Endpoint::UsersDelta, None),
            ("GET", "/v1.0/users/u1", Endpoint::Users, Some("u1")),
            ("GET", "/v1.0/groups/g/members", Endpoint::GroupMembers, Some("g")),
            ("POST", "/v1.0/$batch", Endpoint::Batch, None),
            ("POST", "/t/oauth2/v2.0/token", Endpoint::Token, Some("t")),
            ("GET", "/v1.0/users/u1/presence/setPresence", Endpoint::Unknown, None),
            ("POST", "/users/u1/presence/setPresence", Endpoint::Unknown, None),
        ];
        for (method, path, endpoint, subject) in cases {
            let found = route(method, path);
            assert_eq!((found.endpoint, found.subject.as_deref()), (endpoint, subject), "{method} {path}");
        }
    }
}
