//! `trunkway bans`: addresses that the edge does not listen to.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Door, Extent, columns, field, more, seconds};
use crate::cli::Output;
use crate::trunk::Network;

/// Arguments of `trunkway bans`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trunkway bans list
  trunkway bans add 203.0.113.7 --for 2h --reason \"scans since yesterday\"
  trunkway bans add 2001:db8:bad::/48
  trunkway bans remove 203.0.113.7")]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

/// What is done with bans.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show who is banned, until when and why.
    List {
        #[command(flatten)]
        extent: Extent,

        #[command(flatten)]
        door: Door,
    },

    /// Ban an address or a network. Peers of trunks are never banned.
    Add {
        /// `203.0.113.7`, `203.0.113.0/24`, `2001:db8::/48`.
        network: Network,

        /// How long: `90s`, `30m`, `2h`, `7d`. Default: until it is removed.
        #[arg(long = "for", value_name = "TIME", value_parser = length)]
        length: Option<u64>,

        /// Why, for those who see it in the list.
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,

        #[command(flatten)]
        door: Door,
    },

    /// Listen to an address or network again; it is named as the list has it.
    Remove {
        network: Network,

        #[command(flatten)]
        door: Door,
    },
}

/// Runs it.
pub fn bans(arguments: &Arguments) -> Output {
    match &arguments.command {
        Command::List { extent, door } => {
            door.show(|client| client.pages("/v1/bans", "", "bans", extent.most()), |page| words(page) + more(page))
        }
        Command::Add { network, length, reason, door } => {
            let mut ask = json!({ "network": network.to_string(), "reason": reason });
            if let (Some(length), Some(map)) = (length, ask.as_object_mut()) {
                map.insert("for_s".to_owned(), (*length).into());
            }
            door.show(|client| client.post("/v1/bans", &ask), |ban| words(&json!({ "bans": [ban] })))
        }
        Command::Remove { network, door } => {
            let ask = json!({ "network": network.to_string() });
            let gone = |ban: &Value| format!("{} is listened to again\n", field(ban, "network"));
            door.show(|client| client.post("/v1/bans/remove", &ask), gone)
        }
    }
}

fn words(page: &Value) -> String {
    let bans = page.get("bans").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if bans.is_empty() {
        return "nobody is banned\n".to_owned();
    }
    let row = |ban: &Value| {
        let until = field(ban, "until");
        let until = if until.is_empty() { "removed".to_owned() } else { until };
        vec![field(ban, "network"), until, field(ban, "times"), field(ban, "cause"), field(ban, "reason")]
    };
    columns(&["network", "until", "times", "cause", "reason"], &bans.iter().map(row).collect::<Vec<_>>())
}

/// How long a ban lasts, in seconds.
fn length(text: &str) -> Result<u64, String> {
    seconds(text).filter(|&seconds| seconds > 0).ok_or_else(|| "write a time as 90s, 30m, 2h or 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, wanted) in [("90s", Some(90)), ("2h", Some(7_200)), ("7d", Some(604_800)), ("30m", Some(1_800))] {
            assert_eq!(length(text).ok(), wanted, "{text}");
        }
        for text in ["", "h", "0s", "-1h", "1", "1w", "ä", "99999999999999999999d"] {
            assert!(length(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bans_are_a_table() {
        let ban = json!({
            "network": "192.0.2.7/32", "since": "2026-11-22T09:00:00Z", "until": null, "times": 1, "cause": "operator",
            "reason": "scans",
        });
        let wanted = "\
network       until    times  cause     reason
192.0.2.7/32  removed  1      operator  scans
";
        assert_eq!(words(&json!({ "bans": [ban] })), wanted);
        assert_eq!(words(&json!({ "bans": [] })), "nobody is banned\n");
    }
}
