//! `trunkway calls` and `trunkway limits`: calls in progress at the running edge, and what they count against.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{Door, Extent, columns, encoded, field, more};
use crate::cli::Output;

/// Arguments of `trunkway calls`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trunkway calls                                  calls that ring or are up
  trunkway calls list --trunk carrier --state ringing
  trunkway calls list --number 768401 --json
  trunkway calls history --user anna@contoso.example --tenant contoso --since 2h
  trunkway calls show 6b1f0c2a9d3e4f57            both legs, target, timers
  trunkway calls hangup 6b1f0c2a9d3e4f57")]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,

    #[command(flatten)]
    pub door: Door,
}

/// What is done with calls.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// See calls that are over; the same as `trunkway history`.
    History(Box<super::history::Arguments>),

    /// Show calls in progress.
    List {
        #[command(flatten)]
        which: Which,

        #[command(flatten)]
        extent: Extent,

        #[command(flatten)]
        door: Door,
    },

    /// Show all that is known of a call.
    Show {
        /// The id, as the list and the log have it.
        id: String,

        #[command(flatten)]
        door: Door,
    },

    /// End a call: BYE to both sides when it is up, 480 for the caller and CANCEL for who rings before that.
    ///
    /// A call between transparent trunks that is up cannot be ended here: then the exit code is 1.
    Hangup {
        /// The id, as the list and the log have it.
        id: String,

        #[command(flatten)]
        door: Door,
    },
}

/// Which calls are shown.
#[derive(Debug, Default, Args)]
pub struct Which {
    /// Calls that come from this trunk or go to it.
    #[arg(long, value_name = "NAME")]
    pub trunk: Option<String>,

    #[arg(long, value_name = "ID")]
    pub tenant: Option<String>,

    /// Calls whose caller's or called number has this in it.
    #[arg(long, value_name = "DIGITS")]
    pub number: Option<String>,

    #[arg(long)]
    pub state: Option<State>,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum State {
    Ringing,
    Up,
}

/// Arguments of `trunkway limits`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trunkway limits                                 every trunk, tenant and site with its calls
  trunkway limits --scope trunk
  trunkway limits --all --json")]
pub struct LimitArguments {
    /// Only those of trunks, tenants, sites or users.
    #[arg(long)]
    pub scope: Option<ScopeWord>,

    #[command(flatten)]
    pub extent: Extent,

    #[command(flatten)]
    pub door: Door,
}

/// What a limit is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScopeWord {
    Trunk,
    Tenant,
    Site,
    User,
}

/// Runs `trunkway calls`.
pub fn calls(arguments: &Arguments) -> Output {
    match &arguments.command {
        None => list(&arguments.door, &Which::default(), &Extent { limit: 100, all: false }),
        Some(Command::History(arguments)) => super::history::history(arguments),
        Some(Command::List { which, extent, door }) => list(door, which, extent),
        Some(Command::Show { id, door }) => door.show(|client| client.get(&path(id)), details),
        Some(Command::Hangup { id, door }) => {
            let ended = |call: &Value| format!("call {} is ended\n", field(call, "id"));
            door.show(|client| client.post(&format!("{}/hangup", path(id)), &json!({})), ended)
        }
    }
}

/// Runs `trunkway limits`.
pub fn limits(arguments: &LimitArguments) -> Output {
    let LimitArguments { scope, extent, door } = arguments;
    let query = word(*scope).map(|scope| format!("&scope={scope}")).unwrap_or_default();
    let words = |page: &Value| limit_rows(page) + more(page);
    door.show(|client| client.pages("/v1/admission", &query, "limits", extent.most()), words)
}

fn list(door: &Door, which: &Which, extent: &Extent) -> Output {
    let Which { trunk, tenant, number, state } = which;
    let state = word(*state);
    let query: String = [("trunk", trunk), ("tenant", tenant), ("number", number), ("state", &state)]
        .into_iter()
        .filter_map(|(key, value)| Some(format!("&{key}={}", encoded(value.as_deref()?))))
        .collect();
    door.show(|client| client.pages("/v1/calls", &query, "calls", extent.most()), |page| rows(page) + more(page))
}

fn word<T: ValueEnum>(value: Option<T>) -> Option<String> {
    value?.to_possible_value().map(|value| value.get_name().to_owned())
}

fn path(id: &str) -> String {
    format!("/v1/calls/{}", encoded(id))
}

fn entries<'a>(page: &'a Value, key: &str) -> &'a [Value] {
    page.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice)
}

fn rows(page: &Value) -> String {
    let calls = entries(page, "calls");
    if calls.is_empty() {
        return "no call is in progress\n".to_owned();
    }
    let row = |call: &Value| {
        ["id", "state", "for_s", "from", "to", "tenant", "caller", "called"].map(|key| field(call, key)).into()
    };
    let head = ["call", "state", "seconds", "from", "to", "tenant", "caller", "called"];
    columns(&head, &calls.iter().map(row).collect::<Vec<_>>())
}

fn details(call: &Value) -> String {
    let row = |(name, key): (&str, &str)| {
        let value = field(call, key);
        (!value.is_empty()).then(|| vec![name.to_owned(), value])
    };
    let names = [
        ("call", "id"),
        ("state", "state"),
        ("seconds", "for_s"),
        ("caller", "caller"),
        ("called", "called"),
        ("sent to", "sent_to"),
        ("from", "from"),
        ("to", "to"),
        ("target", "target"),
        ("targets tried", "tries"),
        ("tenant", "tenant"),
        ("site", "site"),
        ("rang after ms", "rang_after_ms"),
        ("answered after ms", "answered_after_ms"),
        ("transfers", "transfers"),
        ("for help", "emergency"),
        ("transparent", "transparent"),
        ("relearned", "relearned"),
        ("Call-ID", "call_id"),
    ];
    let mut rows: Vec<_> = names.into_iter().filter_map(row).collect();
    let counted = entries(call, "counts_at").iter().filter_map(Value::as_str).map(str::to_owned);
    rows.extend(counted.map(|name| vec!["counts at".to_owned(), name]));
    let mut text = columns(&[], &rows);
    for (leg, title) in entries(call, "legs").iter().zip(["caller's leg", "callee's leg"]) {
        text.push_str(&format!("{title}\n"));
        let names = [
            ("trunk", "trunk"),
            ("Call-ID", "call_id"),
            ("peer", "peer"),
            ("target", "target"),
            ("timer s", "timer_s"),
        ];
        let rows: Vec<_> = names.map(|(name, key)| vec![format!("  {name}"), field(leg, key)]).into();
        text.push_str(&columns(&[], &rows));
    }
    text
}

fn limit_rows(page: &Value) -> String {
    let row = |limit: &Value| {
        let used = |key: &str| limit.get(key).and_then(Value::as_u64).unwrap_or_default();
        let of = |used: u64, key: &str| match field(limit, key).as_str() {
            "" => used.to_string(),
            max => format!("{used}/{max}"),
        };
        let (came, went) = (used("calls_in"), used("calls_out"));
        let soft = if limit.get("soft") == Some(&Value::Bool(true)) { "near" } else { "" };
        vec![
            field(limit, "scope"),
            field(limit, "name"),
            of(came + went, "max_calls"),
            of(came, "max_calls_in"),
            of(went, "max_calls_out"),
            field(limit, "max_calls_per_second"),
            field(limit, "refused"),
            soft.to_owned(),
            field(limit, "profile"),
        ]
    };
    let rows: Vec<Vec<String>> = entries(page, "limits").iter().map(row).collect();
    columns(&["scope", "name", "calls", "in", "out", "per second", "refused", "", "profile"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_one_line_each() {
        let call = json!({
            "id": "6b1f0c2a9d3e4f57", "state": "up", "for_s": 12, "from": "teams", "to": "carrier", "tenant": null,
            "caller": "+441632768401", "called": "201",
        });
        assert_eq!(
            rows(&json!({ "calls": [call] })),
            "call              state  seconds  from   to       tenant  caller         called\n\
             6b1f0c2a9d3e4f57  up     12       teams  carrier          +441632768401  201\n"
        );
        assert_eq!(rows(&json!({ "calls": [] })), "no call is in progress\n");
    }

    #[test]
    fn limits_show_what_is_used_of_them() {
        let limit = json!({
            "scope": "trunk", "name": "carrier", "calls_in": 1, "calls_out": 2, "max_calls": 3, "max_calls_in": null,
            "max_calls_out": 9, "max_calls_per_second": null, "refused": 4, "soft": true, "profile": "small",
        });
        assert_eq!(
            limit_rows(&json!({ "limits": [limit] })),
            "scope  name     calls  in  out  per second  refused        profile\n\
             trunk  carrier  3/3    1   2/9              4        near  small\n"
        );
    }
}
