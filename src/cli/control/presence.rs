//! `trunkway presence list`, `show`, `unmatched`, `overruled`: users of the bridge at the running edge.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Client, Door, Extent, Failure, columns, encoded, field, more};
use crate::cli::Output;

/// The columns of a user.
const HEAD: [&str; 9] = ["user", "tenant", "direction", "pbx", "sources", "wanted", "written", "teams", "watchers"];

/// The columns of a source.
const SOURCE: [&str; 5] = ["source", "says", "conference", "age_s", "left_s"];

/// What is asked of the running edge.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show users: what the PBX side says, what was written to Teams, and what Teams shows.
    List(ListArguments),

    /// Show all that is known of a user.
    Show {
        /// The user's id, as `list` has it.
        #[arg(value_name = "USER")]
        user: String,

        /// The tenant of the user. May be left out when one tenant has such a user.
        #[arg(long, value_name = "TENANT")]
        tenant: Option<String>,

        #[command(flatten)]
        door: Door,
    },

    /// Show users who have no match in Teams: nothing is written for them.
    Unmatched(ListArguments),

    /// Show users whose own choice in Teams goes over what the edge writes.
    Overruled(ListArguments),
}

/// Which users, and how many.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// Users of a tenant.
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,

    #[command(flatten)]
    pub extent: Extent,

    #[command(flatten)]
    pub door: Door,
}

/// Runs it.
pub fn presence(command: &Command) -> Output {
    match command {
        Command::List(arguments) => list(arguments, ""),
        Command::Unmatched(arguments) => list(arguments, "&only=unmatched"),
        Command::Overruled(arguments) => list(arguments, "&only=overruled"),
        Command::Show { user, tenant, door } => door.show(
            |client| match tenant {
                Some(tenant) => client.get(&format!("/v1/presence/{}/{}", encoded(tenant), encoded(user))),
                None => only(client, user),
            },
            one,
        ),
    }
}

fn list(arguments: &ListArguments, only: &str) -> Output {
    let ListArguments { tenant, extent, door } = arguments;
    let tenant = tenant.as_ref().map_or(String::new(), |tenant| format!("&tenant={}", encoded(tenant)));
    let query = tenant + only;
    door.show(|client| client.pages("/v1/presence", &query, "users", extent.most()), words)
}

/// The only user of an id.
fn only(client: &Client, user: &str) -> Result<Value, Failure> {
    let mut page = client.pages("/v1/presence", &format!("&user={}", encoded(user)), "users", 10)?;
    let users = page.get_mut("users").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
    let tenants: Vec<String> = users.iter().map(|user| field(user, "tenant")).collect();
    let mut users = users.into_iter();
    match (users.next(), users.next()) {
        (Some(user), None) => Ok(user),
        (None, _) => {
            let detail = format!("the bridge has no user `{user}`");
            Err(Failure::Refused { status: 404, answer: json!({ "error": "unknown_user", "detail": detail }) })
        }
        _ => Err(Failure::Fault(format!("say which `{user}` is meant with --tenant: {}", tenants.join(", ")))),
    }
}

/// A line for each user.
fn words(page: &Value) -> String {
    let users = page.get("users").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if users.is_empty() {
        return "no user fits\n".to_owned();
    }
    let rows: Vec<Vec<String>> = users.iter().map(row).collect();
    columns(&HEAD, &rows) + more(page)
}

fn row(user: &Value) -> Vec<String> {
    let sources = user.get("sources").and_then(Value::as_array).map_or(0, Vec::len);
    let pbx = if flag(user, "conference") { "busy (conference)".to_owned() } else { field(user, "pbx") };
    let teams = match (flag(user, "matched"), flag(user, "overruled")) {
        (false, _) => "no match".to_owned(),
        (true, true) => format!("{} (own choice)", pair(user.get("teams"))),
        (true, false) => pair(user.get("teams")),
    };
    vec![
        field(user, "user"),
        field(user, "tenant"),
        field(user, "direction"),
        pbx,
        sources.to_string(),
        pair(user.get("wanted")),
        pair(user.get("written")),
        teams,
        field(user, "watchers"),
    ]
}

/// Everything of one user.
fn one(user: &Value) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (name, text) in HEAD.into_iter().zip(row(user)).filter(|(name, _)| *name != "sources") {
        rows.push(vec![name.to_owned(), text]);
    }
    let sources = user.get("sources").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let cells = |source: &Value| SOURCE.map(|name| field(source, name)).to_vec();
    let sources: Vec<Vec<String>> = sources.iter().map(cells).collect();
    let told = if sources.is_empty() { "no source has told anything\n".to_owned() } else { columns(&SOURCE, &sources) };
    columns(&[], &rows) + "\n" + &told
}

fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or_default()
}

/// A pair of Graph's words.
fn pair(value: Option<&Value>) -> String {
    match value {
        Some(value) if value.is_object() => format!("{}/{}", field(value, "availability"), field(value, "activity")),
        _ => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> Value {
        json!({
            "tenant": "contoso", "user": "anna@contoso.example", "direction": "both", "matched": true, "pbx": "busy",
            "conference": true,
            "sources": [
                { "source": "line 0", "says": "busy", "conference": true, "age_s": 3, "left_s": 3597 },
                { "source": "feed desk", "says": null, "conference": null, "age_s": 70, "left_s": null },
            ],
            "wanted": { "availability": "Busy", "activity": "InAConferenceCall" }, "written": null,
            "teams": { "availability": "Available", "activity": "Available" }, "overruled": true, "watchers": 2,
        })
    }

    #[test]
    fn users_have_a_line_each() {
        let stranger = json!({ "user": "bob@contoso.example", "tenant": "contoso", "direction": "to-teams",
            "matched": false, "pbx": "unknown", "sources": [], "wanted": null, "written": null, "watchers": 0 });
        let page = json!({ "users": [user(), stranger], "next": "8" });
        let wanted = "\
user                  tenant   direction  pbx                sources  wanted                  written  teams                             watchers
anna@contoso.example  contoso  both       busy (conference)  2        Busy/InAConferenceCall  -        Available/Available (own choice)  2
bob@contoso.example   contoso  to-teams   unknown            0        -                       -        no match                          0
... and more: raise --limit, or use --all
";
        assert_eq!(words(&page), wanted);
        assert_eq!(words(&json!({ "users": [] })), "no user fits\n");
    }

    #[test]
    fn a_user_is_shown_with_the_sources() {
        let text = one(&user());
        assert!(text.starts_with("user       anna@contoso.example\ntenant     contoso\n"), "{text}");
        assert!(text.contains("\nline 0     busy  true        3      3597\n"), "{text}");
        assert!(text.ends_with("\nfeed desk                    70\n"), "{text}");
    }
}
