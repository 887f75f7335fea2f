//! `trunkway trunks`: the trunks of the running edge, and how their targets are doing.

use clap::Args;
use serde_json::Value;

use super::{Door, Extent, columns, field, more};
use crate::cli::Output;

/// The columns of a target; how long ago it answered OPTIONS is seen beside how long ago its trunk sent some.
const COLUMNS: [&str; 7] = ["target", "state", "for_s", "asked", "answered_s", "round_trip_ms", "reason"];

/// Arguments of `trunkway trunks`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    pub extent: Extent,

    #[command(flatten)]
    pub door: Door,
}

/// Runs it.
pub fn trunks(arguments: &Arguments) -> Output {
    let Arguments { extent, door } = arguments;
    door.show(|client| client.pages("/v1/trunks", "", "trunks", extent.most()), words)
}

/// A line for each target; a trunk without any, which only calls in, has one too.
fn words(page: &Value) -> String {
    let head: Vec<&str> = ["trunk", "kind", "heard_s"].into_iter().chain(COLUMNS).collect();
    let mut rows = Vec::new();
    for trunk in list(page, "trunks") {
        let begin = [field(trunk, "name"), field(trunk, "kind"), field(trunk, "options_received_s")];
        let targets = list(trunk, "targets");
        for target in targets {
            rows.push(begin.iter().cloned().chain(COLUMNS.map(|name| field(target, name))).collect());
        }
        if targets.is_empty() {
            rows.push(begin.to_vec());
        }
    }
    columns(&head, &rows) + more(page)
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_target_has_a_line_and_a_trunk_without_one_too() {
        let target = json!({
            "trunk": "teams", "target": "tls:a.example", "state": "down", "for_s": 7, "since": 1, "asked": true,
            "answered_s": 67, "round_trip_ms": null, "reason": "left OPTIONS without an answer",
        });
        let trunks = [
            json!({ "name": "door", "kind": "pbx", "targets": [] }),
            json!({ "name": "teams", "kind": "teams", "options_received_s": 12, "targets": [target] }),
        ];
        let wanted = "\
trunk  kind   heard_s  target         state  for_s  asked  answered_s  round_trip_ms  reason
door   pbx
teams  teams  12       tls:a.example  down   7      true   67                         left OPTIONS without an answer
";
        assert_eq!(words(&json!({ "trunks": trunks, "next": null })), wanted);
        assert!(words(&json!({ "trunks": trunks, "next": "teams" })).ends_with("use --all\n"));
    }
}
