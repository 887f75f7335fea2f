//! `trunkway rules`: the dial plans of the running edge.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Door, Extent, Failure, Signature, changed, encoded, listed, signed};
use crate::cli::Output;
use crate::routing::Edit;

/// Arguments of `trunkway rules`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

/// What is done with rules.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the rules of a dial plan, ascending by prefix.
    List {
        /// The dial plan.
        plan: String,
        /// What the prefix begins with, as it is written.
        #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true)]
        prefix: String,
        /// Whose rules.
        #[arg(long)]
        owner: Option<String>,
        /// Rules that lead there: a site's FQDN or a trunk.
        #[arg(long)]
        tag: Option<String>,
        #[command(flatten)]
        extent: Extent,
        #[command(flatten)]
        door: Door,
    },
    /// Tell the rule that a number meets.
    Find {
        /// The dial plan.
        plan: String,
        /// The number as it is dialled.
        #[arg(allow_hyphen_values = true)]
        number: String,
        #[command(flatten)]
        door: Door,
    },
    /// Add a rule, or give the one of this prefix and owner another tag.
    Add {
        /// The dial plan.
        plan: String,
        /// The prefix, in the syntax of dial plan files.
        prefix: String,
        /// Where it leads: a site's FQDN or a trunk.
        tag: String,
        /// Whose rule it is.
        #[arg(long, default_value = "", hide_default_value = true)]
        owner: String,
        /// Keep it, but do not let it match.
        #[arg(long)]
        inactive: bool,
        #[command(flatten)]
        signature: Signature,
        #[command(flatten)]
        door: Door,
    },
    /// Remove a rule.
    Remove {
        /// The dial plan.
        plan: String,
        /// The prefix.
        prefix: String,
        /// Whose rule it is.
        #[arg(long, default_value = "", hide_default_value = true)]
        owner: String,
        #[command(flatten)]
        signature: Signature,
        #[command(flatten)]
        door: Door,
    },
    /// Make many changes at once, of rules, users and tenants: all of them or none.
    ///
    /// The file is a JSON object `{"id": ..., "edits": [{"put": {"plan": ..., "prefix": ..., "tag": ..., "owner": ...}},
    /// {"remove": {...}}, {"remove_owner": {...}}, {"put_user": {...}}, {"set_lives": {...}}, ...]}`.
    Apply {
        /// The file; `-` for standard input.
        file: PathBuf,
        #[command(flatten)]
        signature: Signature,
        #[command(flatten)]
        door: Door,
    },
    /// List the last changes, the newest first.
    Changes {
        /// How many at most.
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: usize,
        #[command(flatten)]
        door: Door,
    },
    /// Show what a change did: who, when, old and new.
    Show {
        /// The id of the change.
        id: String,
        #[command(flatten)]
        door: Door,
    },
    /// Take a change back, unless what it did has changed since.
    Revert {
        /// The id of the change.
        change: String,
        #[command(flatten)]
        signature: Signature,
        #[command(flatten)]
        door: Door,
    },
}

/// Runs it.
pub fn rules(arguments: &Arguments) -> Output {
    match &arguments.command {
        Command::List { plan, prefix, owner, tag, extent, door } => {
            let mut query = format!("&prefix={}", encoded(prefix));
            for (key, value) in [("owner", owner), ("tag", tag)] {
                if let Some(value) = value {
                    query.push_str(&format!("&{key}={}", encoded(value)));
                }
            }
            let path = format!("/v1/dialplans/{}/rules", encoded(plan));
            door.show(
                |client| client.pages(&path, &query, "rules", extent.most()),
                |page| listed(page, "rules", &["prefix", "tag", "owner", "active", "file", "line", "change"]),
            )
        }
        Command::Find { plan, number, door } => {
            let path = format!("/v1/dialplans/{}/find?number={}", encoded(plan), encoded(number));
            door.show(
                |client| client.get(&path),
                |rule| {
                    listed(&json!({ "rules": [rule] }), "rules", &["prefix", "tag", "owner", "file", "line", "change"])
                },
            )
        }
        Command::Add { plan, prefix, tag, owner, inactive, signature, door } => {
            let (plan, prefix, tag, owner) = (plan.clone(), prefix.clone(), tag.clone(), owner.clone());
            door.change(signature, &[Edit::Put { plan, prefix, tag, owner, active: !inactive }])
        }
        Command::Remove { plan, prefix, owner, signature, door } => {
            let (plan, prefix, owner) = (plan.clone(), prefix.clone(), owner.clone());
            door.change(signature, &[Edit::Remove { plan, prefix, owner }])
        }
        Command::Apply { file, signature, door } => door.show(
            |client| {
                let batch = read(file).map_err(|error| Failure::Fault(format!("{}: {error}", file.display())))?;
                client.post("/v1/changes", &signed(signature, batch))
            },
            changed,
        ),
        Command::Changes { limit, door } => {
            let path = format!("/v1/changes?limit={limit}");
            door.show(
                |client| client.get(&path),
                |changes| {
                    listed(
                        &json!({ "changes": changes }),
                        "changes",
                        &["revision", "id", "when", "who", "reverts", "rules", "users", "tenants"],
                    )
                },
            )
        }
        Command::Show { id, door } => {
            let path = format!("/v1/changes/{}", encoded(id));
            door.show(|client| client.get(&path), changed)
        }
        Command::Revert { change, signature, door } => {
            let path = format!("/v1/changes/{}/revert", encoded(change));
            door.show(|client| client.post(&path, &signed(signature, json!({}))), changed)
        }
    }
}

fn read(file: &Path) -> Result<Value, String> {
    let text = match file == Path::new("-") {
        true => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|_| text)
        }
        false => std::fs::read_to_string(file),
    };
    let batch: Value =
        serde_json::from_str(&text.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
    if batch.is_object() { Ok(batch) } else { Err("not a JSON object".to_owned()) }
}
