//! `trunkway connections`: the stream connections of the running edge.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Door, Extent, columns, encoded, field, more};
use crate::cli::Output;

/// Arguments of `trunkway connections`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trunkway connections list
  trunkway connections list --trunk teams --retired true
  trunkway connections list --all --json
  trunkway connections close 4711")]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

/// What is done with connections.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show TCP and TLS connections, the oldest first.
    List {
        /// Only those of this trunk.
        #[arg(long, value_name = "NAME")]
        trunk: Option<String>,

        /// Only those of this listener.
        #[arg(long, value_name = "NAME")]
        listener: Option<String>,

        /// Only those that requests take no more, since the certificate they were made with was renewed for example; or
        /// only those that requests take.
        #[arg(long, value_name = "BOOL")]
        retired: Option<bool>,

        #[command(flatten)]
        extent: Extent,

        #[command(flatten)]
        door: Door,
    },

    /// End a connection at once, whatever is under way over it.
    Close {
        /// Its id in the list.
        id: u64,

        #[command(flatten)]
        door: Door,
    },
}

/// Runs it.
pub fn connections(arguments: &Arguments) -> Output {
    match &arguments.command {
        Command::List { trunk, listener, retired, extent, door } => {
            let mut query = String::new();
            for (key, value) in [("trunk", trunk.clone()), ("listener", listener.clone())] {
                query.extend(value.map(|value| format!("&{key}={}", encoded(&value))));
            }
            query.extend(retired.map(|retired| format!("&retired={retired}")));
            door.show(|client| client.pages("/v1/connections", &query, "connections", extent.most()), words)
        }
        Command::Close { id, door } => {
            let path = format!("/v1/connections/{id}/close");
            door.show(|client| client.post(&path, &json!({})), |_| format!("connection {id} is closed\n"))
        }
    }
}

fn words(page: &Value) -> String {
    const HEAD: [&str; 13] = [
        "id",
        "trunks",
        "listener",
        "direction",
        "peer",
        "open_s",
        "idle_s",
        "under_way",
        "received",
        "sent",
        "tls",
        "own_serial",
        "retired_s",
    ];
    let entries = page.get("connections").and_then(Value::as_array).cloned().unwrap_or_default();
    let row = |entry: &Value| {
        let mut row: Vec<String> = HEAD.iter().map(|name| field(entry, name)).collect();
        let tls = entry.get("tls").cloned().unwrap_or_default();
        let mut set = |name: &str, text: String| {
            if let Some(cell) = HEAD.iter().position(|head| *head == name).and_then(|at| row.get_mut(at)) {
                *cell = text;
            }
        };
        set("trunks", names(entry, "trunks"));
        set(
            "tls",
            match tls.is_null() {
                true => field(entry, "transport"),
                false => format!("{} {}", field(&tls, "version"), field(&tls, "peer_name")).trim().to_owned(),
            },
        );
        set("own_serial", field(&tls, "serial"));
        row
    };
    columns(&HEAD, &entries.iter().map(row).collect::<Vec<_>>()) + more(page)
}

/// A list of names, as text.
pub(super) fn names(entry: &Value, key: &str) -> String {
    let all = entry.get(key).and_then(Value::as_array);
    let all: Vec<&str> = all.map_or(&[][..], Vec::as_slice).iter().filter_map(Value::as_str).collect();
    all.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_has_a_line() {
        let tls = json!({ "version": "TLS 1.3", "serial": "0A", "peer_name": "pbx.example" });
        let connections = [
            json!({
                "id": 7, "transport": "tls", "listener": "tls", "peer": "192.0.2.7:5061", "direction": "dialled",
                "trunks": ["teams", "backup"], "open_s": 60, "idle_s": 2, "retired_s": 5, "under_way": 1,
                "received": 10, "sent": 11, "tls": tls,
            }),
            json!({
                "id": 8, "transport": "tcp", "listener": "lan", "peer": "10.0.0.8:40000", "direction": "accepted",
                "trunks": [], "open_s": 1, "idle_s": null, "retired_s": null, "under_way": 0, "received": 0, "sent": 0,
                "tls": null,
            }),
        ];
        let wanted = "\
id  trunks        listener  direction  peer            open_s  idle_s  under_way  received  sent  tls                  own_serial  retired_s
7   teams,backup  tls       dialled    192.0.2.7:5061  60      2       1          10        11    TLS 1.3 pbx.example  0A          5
8                 lan       accepted   10.0.0.8:40000  1               0          0         0     tcp
";
        assert_eq!(words(&json!({ "connections": connections, "next": null })), wanted);
        assert!(words(&json!({ "connections": connections, "next": "8" })).ends_with("use --all\n"));
    }
}
