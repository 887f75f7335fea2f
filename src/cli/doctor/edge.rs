//! What the running edge hears: OPTIONS both ways, and its own health.

use serde_json::Value;

use super::{Scope, Step};
use crate::cli::control::{Door, Failure};
use crate::trunk::TrunkKind;

/// Teams asks each minute; after so many seconds without OPTIONS of its own something is wrong.
const SILENT_S: u64 = 180;

/// Asks the running edge, if there is one.
pub(super) fn look(scope: &Scope<'_>, door: &Door) -> Vec<Step> {
    let answers =
        door.client().and_then(|client| Ok((client.get("/v1/trunks?limit=10000")?, client.get("/v1/health")?)));
    let (trunks, health) = match answers {
        Ok(answers) => answers,
        Err(failure @ (Failure::Fault(_) | Failure::Unreachable(_))) => {
            let advice = "start it, or give --socket: what its peers say to it is not looked at now";
            return vec![Step::warn("edge", format!("no running edge was asked: {failure}"), advice)];
        }
        Err(failure) => {
            return vec![Step::fail("edge", failure.to_string(), "use the socket, or a token for the node")];
        }
    };
    let mut steps = vec![Step::ok("edge", "it runs and answers")];
    for trunk in scope.trunks() {
        let named = |shown: &&Value| shown.get("name").and_then(Value::as_str) == Some(&trunk.name);
        match list(&trunks, "trunks").iter().find(named) {
            Some(shown) => options(shown, trunk.kind, &mut steps),
            None => {
                let text = format!("the running edge has no trunk {}", trunk.name);
                steps.push(Step::warn("edge", text, "it runs with another configuration: `trunkway reload`"));
            }
        }
    }
    if scope.tenant.is_none() {
        steps.extend(list(&health, "causes").iter().map(cause));
    }
    steps
}

/// OPTIONS to the targets of a trunk, and those that came from it.
fn options(trunk: &Value, kind: TrunkKind, steps: &mut Vec<Step>) {
    let name = text(trunk, "name");
    for target in list(trunk, "targets") {
        let at = format!("OPTIONS to {} of trunk {name}", text(target, "target"));
        let why = text(target, "reason");
        let asked = target.get("asked").and_then(Value::as_bool).unwrap_or_default();
        steps.push(match (text(target, "state"), asked) {
            ("down", _) => {
                Step::fail("options", format!("{at}: it is down: it {why}"), "look at the peer and at its log")
            }
            ("suspect", _) => Step::warn("options", format!("{at}: it is suspect: it {why}"), "look again in a while"),
            (_, false) => Step::ok("options", format!("{at}: none are sent; nothing is known against it")),
            _ => match target.get("answered_s").and_then(Value::as_u64) {
                Some(ago) => Step::ok("options", format!("{at}: answered {ago} s ago")),
                None => Step::warn("options", format!("{at}: no answer yet"), "look again in a minute"),
            },
        });
    }
    if kind != TrunkKind::Teams {
        return;
    }
    let advice = "Teams sends calls only to an SBC whose OPTIONS it takes and that answers its own: look at the SBC's \
                  FQDN, its state in Teams' admin centre, DNS, firewall and certificate";
    steps.push(match trunk.get("options_received_s").and_then(Value::as_u64) {
        Some(ago) if ago <= SILENT_S => {
            Step::ok("options", format!("OPTIONS from trunk {name}: the last came {ago} s ago"))
        }
        Some(ago) => Step::fail("options", format!("OPTIONS from trunk {name}: the last came {ago} s ago"), advice),
        None => Step::fail("options", format!("OPTIONS from trunk {name}: none has come"), advice),
    });
}

fn cause(cause: &Value) -> Step {
    let (words, advice) = (text(cause, "text"), text(cause, "advice"));
    match text(cause, "severity") {
        "error" => Step::fail("health", words, advice),
        _ => Step::warn("health", words, advice),
    }
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
