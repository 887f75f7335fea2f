//! The running edge: what it knows of its targets, and who has asked it by OPTIONS.

use serde_json::Value;

use super::report::{Report, Step};
use super::{Arguments, Patient};
use crate::cli::control::Failure;
use crate::trunk::TrunkKind;

const AREA: &str = "running edge";

/// Teams asks every SBC about once a minute; after three without a sign something is wrong.
const TEAMS_SILENT_S: u64 = 180;

/// Asks the running edge.
pub(super) fn look(patient: &Patient<'_>, arguments: &Arguments, report: &mut Report) {
    let asked = arguments.door.client().and_then(|client| client.get("/v1/trunks?limit=10000"));
    let page = match asked {
        Ok(page) => page,
        Err(Failure::Fault(why)) => return report.add(Step::warn(AREA, "control socket", why)),
        Err(failure) => {
            let advice = "is it running? `systemctl status trunkway`; may this user open the socket?";
            return report.add(Step::warn(AREA, "control socket", failure.to_string()).advise(advice));
        }
    };
    for trunk in page.get("trunks").and_then(Value::as_array).map_or(&[][..], Vec::as_slice) {
        let name = trunk.get("name").and_then(Value::as_str).unwrap_or_default();
        let Some(known) = patient.loaded.trunks.named(name) else {
            report.add(Step::warn(AREA, name, "runs and is not in the configuration").advise("`trunkway reload`"));
            continue;
        };
        if !patient.looks_at(known.id) {
            continue;
        }
        for target in trunk.get("targets").and_then(Value::as_array).map_or(&[][..], Vec::as_slice) {
            report.add(of_target(name, target));
        }
        report.add(of_options(name, known.kind, trunk));
    }
}

fn of_target(trunk: &str, target: &Value) -> Step {
    let text = |key: &str| target.get(key).and_then(Value::as_str).unwrap_or_default();
    let subject = format!("{trunk} {}", text("target"));
    let for_s = target.get("for_s").and_then(Value::as_u64).unwrap_or_default();
    let said = format!("{} for {for_s} s: {}", text("state"), text("reason"));
    match text("state") {
        "up" => Step::ok(AREA, &subject, said),
        "suspect" => Step::warn(AREA, &subject, said),
        _ => Step::fail(AREA, &subject, said).advise("see the step of this target above"),
    }
}

/// OPTIONS that have come in.
fn of_options(trunk: &str, kind: TrunkKind, shown: &Value) -> Step {
    let age = shown.get("options_received_s").and_then(Value::as_u64);
    match (kind, age) {
        (TrunkKind::Teams, Some(age)) if age <= TEAMS_SILENT_S => {
            Step::ok(AREA, trunk, format!("Teams asked by OPTIONS {age} s ago"))
        }
        (TrunkKind::Teams, age) => {
            let since = age.map_or("since the start".to_owned(), |age| format!("for {age} s"));
            Step::fail(AREA, trunk, format!("Teams has sent no OPTIONS {since}")).advise(
                "Teams sends them to an SBC that is enabled in the tenant and whose own OPTIONS it has taken: is the port \
                 in the tenant's SBC that of the listener, does the firewall let Microsoft's networks in, is the \
                 certificate taken?",
            )
        }
        (_, Some(age)) => Step::ok(AREA, trunk, format!("asked by OPTIONS {age} s ago")),
        (_, None) => Step::ok(AREA, trunk, "has sent no OPTIONS, which only Teams must"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::report::Verdict;
    use super::*;

    #[test]
    fn teams_must_be_heard_and_others_need_not() {
        for (kind, age, wanted) in [
            (TrunkKind::Teams, Some(12), Verdict::Ok),
            (TrunkKind::Teams, Some(181), Verdict::Fail),
            (TrunkKind::Teams, None, Verdict::Fail),
            (TrunkKind::Pbx, None, Verdict::Ok),
            (TrunkKind::Carrier, Some(9_000), Verdict::Ok),
        ] {
            let step = of_options("t", kind, &json!({ "options_received_s": age }));
            assert_eq!(step.verdict, wanted, "{kind:?} {age:?}");
        }
        let states = [("up", Verdict::Ok), ("suspect", Verdict::Warn), ("down", Verdict::Fail)];
        for (state, wanted) in states {
            let target = json!({ "target": "udp:a", "state": state, "reason": "r", "for_s": 3 });
            assert_eq!(of_target("t", &target).verdict, wanted);
        }
    }
}
