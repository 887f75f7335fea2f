//! What can be unwell in the core of the edge: targets, limits, the stores, files with secrets.

use std::path::PathBuf;
use std::sync::Arc;

use super::health::Part;
use crate::admin::{Cause, Severity};
use crate::call::stored::Room;
use crate::config::Limits;
use crate::daemon::core::Core;
use crate::store::Calls;
use crate::trunk::health::State;
use crate::trunk::{Trunk, TrunkKind};

/// Targets that are down which are told one by one.
const TOLD: usize = 200;

/// A limit is told of from so many percent on.
const NEARLY: usize = 90;

/// The core's own parts. What other matters add stands behind it.
pub fn parts(core: &Arc<Core>, calls: &Arc<Calls>, limits: &Limits, seal_key_file: Option<PathBuf>) -> Vec<Part> {
    let (targets_of, overload_of, limits_of) = (Arc::clone(core), Arc::clone(core), Arc::clone(core));
    let (calls, limits) = (Arc::clone(calls), *limits);
    vec![
        Box::new(move || targets(&targets_of)),
        Box::new(move || overload(&overload_of)),
        Box::new(move || nearly_full(&limits_of, &limits)),
        Box::new(move || store(&calls)),
        Box::new(move || seal_key_file.iter().filter_map(unreadable).collect()),
    ]
}

/// Targets that are down; a trunk that none of its targets serves is worse.
fn targets(core: &Core) -> Vec<Cause> {
    let edge = core.edge();
    let mut causes = Vec::new();
    for trunk in &edge.trunks.0 {
        let down = |index: u16| edge.health.state(trunk.id, index) == State::Down;
        let all = (0..).zip(&trunk.targets).filter(|&(index, _)| down(index)).count();
        if all > 0 && all == trunk.targets.len() {
            causes.push(Cause {
                severity: Severity::Error,
                name: "trunk-down",
                source: trunk.name.to_string(),
                text: format!("all {all} targets of trunk {} are down", trunk.name),
                advice: advice(trunk),
            });
        }
        for (index, target) in (0..).zip(&trunk.targets).filter(|&(index, _)| down(index)) {
            if causes.len() >= TOLD {
                return causes;
            }
            let why = core.probes().health(trunk.id, index).map(|health| health.reason).unwrap_or_default();
            causes.push(Cause {
                severity: Severity::Warning,
                name: "target-down",
                source: format!("{} {target}", trunk.name),
                text: format!("target {target} of trunk {} is down: it {why}", trunk.name),
                advice: advice(trunk),
            });
        }
    }
    causes
}

fn advice(trunk: &Trunk) -> String {
    let names = match trunk.kind {
        TrunkKind::Teams => "the SBC's FQDN, certificate and state in Teams' admin centre",
        TrunkKind::Carrier | TrunkKind::Pbx => "the peer itself",
    };
    format!(
        "look at `trunkway trunks` and `trunkway doctor`: names, routes, firewalls and certificates between here and \
         there, then {names}"
    )
}

/// New calls that are refused since there is too much to do.
fn overload(core: &Core) -> Vec<Cause> {
    let percent = core.edge().gate.shed_percent();
    let cause = || Cause {
        severity: Severity::Error,
        name: "overload",
        source: "node".to_owned(),
        text: format!("there is too much to do: {percent} of 100 new calls are refused"),
        advice: "see who calls so much (`trunkway calls`), and give the machine more processors".to_owned(),
    };
    (percent > 0).then(cause).into_iter().collect()
}

fn nearly_full(core: &Core, limits: &Limits) -> Vec<Cause> {
    let status = core.last_status();
    let users = core.edge().routing.user_count();
    let full = [
        ("max_transactions", status.contexts, limits.max_transactions, "new requests are refused"),
        ("max_calls_remembered", status.calls, limits.max_calls_remembered, "calls are carried, but not listed"),
        ("max_users", users, limits.max_users, "users cannot be added"),
    ];
    let cause = |(key, used, most, what): (&str, usize, usize, &str)| {
        let percent = used.saturating_mul(100).checked_div(most)?;
        (percent >= NEARLY).then(|| Cause {
            severity: if percent >= 100 { Severity::Error } else { Severity::Warning },
            name: "limit-nearly-full",
            source: key.to_owned(),
            text: format!("{used} of {most} are in use ({percent} %); when it is full, {what}"),
            advice: format!("raise `{key}` in [limits], or find out what fills it"),
        })
    };
    full.into_iter().filter_map(cause).collect()
}

fn store(calls: &Calls) -> Vec<Cause> {
    let full = matches!(calls.room(), Room::None);
    let cause = || Cause {
        severity: Severity::Warning,
        name: "call-store-full",
        source: "max_stored_calls".to_owned(),
        text: format!("the call store has {} calls and takes no more", calls.calls()),
        advice: "raise `max_stored_calls` in [limits]: calls whose state fits into no URI are refused meanwhile"
            .to_owned(),
    };
    full.then(cause).into_iter().collect()
}

/// A file with a secret that could not be read at the next start or reload.
pub fn unreadable(file: &PathBuf) -> Option<Cause> {
    let error = std::fs::File::open(file).err()?;
    Some(Cause {
        severity: Severity::Warning,
        name: "secret-unreadable",
        source: file.display().to_string(),
        text: format!("{} cannot be read any more: {error}", file.display()),
        advice: "put it back and let the edge's user read it: the next start needs it".to_owned(),
    })
}
