//! The scene of presence: a call makes its user busy in Teams, and the end of the call takes that back.

use std::time::Duration;

use super::scenes::{CONTOSO, LIMIT, MARGIN, Outcome, describe, status};
use super::stage::Stage;
use crate::lab::graph::{Endpoint, EntraTenant, GraphApp, GraphError, GraphStandIn, GraphStandInSettings, GraphUser};
use crate::lab::{CallPlan, Ending, Role};

/// Who is called; the user is known by the same name in Entra.
pub const USER: &str = "anna@contoso.example";
pub const NUMBER: &str = "+441632960105";
/// The application, as which the edge asks Graph.
pub const CLIENT: &str = "de700000-0000-4000-8000-00000000c11e";
pub const SECRET: &str = "known to the demo only";
/// The directory in Entra.
pub const DIRECTORY: &str = "de700000-0000-4000-8000-000000000001";

/// From the answer to the end of the call: long enough for Graph to hear of it on a busy machine.
const TALK: Duration = Duration::from_millis(2_000);
/// How long the edge may take to find the user in Entra, and to write what changed.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often the stand-in is looked at.
const TICK: Duration = Duration::from_millis(10);

/// The stand-in for Graph with one user.
pub fn graph() -> Result<GraphStandIn, GraphError> {
    GraphStandIn::start(GraphStandInSettings::with_tenant(EntraTenant {
        id: DIRECTORY.to_owned(),
        domains: vec!["contoso.example".to_owned()],
        apps: vec![GraphApp::new(CLIENT, SECRET)],
        users: vec![GraphUser::new(USER, "Anna")],
    }))
}

/// Whether the edge has found the user in Entra: it asks for his presence then.
fn user_is_known(stage: &Stage) -> bool {
    stage.graph.count(Endpoint::Presences, 200) > 0
}

/// What the user's session is to the edge: `Busy/InACall`, or nothing.
fn session(stage: &Stage) -> Option<String> {
    stage.graph.session(DIRECTORY, USER).map(|session| session.pair.to_string())
}

/// Calls the user, and judges what Teams shows meanwhile and afterwards.
pub async fn play(stage: &Stage) -> Outcome {
    let name = "a call makes its user busy in Teams".to_owned();
    // Only who is known in Entra can be busy there.
    if until(|| user_is_known(stage).then_some(())).await.is_none() {
        let failure = Some("the edge never asked Graph for its user".to_owned());
        return Outcome { name, failure, ..Outcome::default() };
    }
    let (to, host) = stage.edge_tls(CONTOSO);
    let mut plan = CallPlan::new(NUMBER, "+441632760009", &host, to);
    (plan.limit, plan.hang_up_after) = (LIMIT, Some(TALK));
    // What Teams shows is looked at while the call is up: it may be over a moment later.
    let (made, during) = tokio::join!(stage.teams.call(plan), until(|| session(stage)));
    let seen = stage.pbx1.journal().wait_call(Role::Callee, NUMBER, MARGIN).await;
    let cleared = until(|| session(stage).is_none().then_some(())).await;
    let complaint = stage.graph.complaints().into_iter().next();
    let failure = match (&made.error, made.code, made.ending) {
        (Some(error), ..) => Some(format!("caller: {error}")),
        (None, Some(200), Some(Ending::HungUp)) => None,
        _ => Some(format!("caller: the call did not go as it should ({})", describe(&made))),
    };
    let failure = failure
        .or_else(|| match (during.as_deref(), cleared) {
            (None, _) => Some("Teams never showed the call".to_owned()),
            (Some("Busy/InACall"), Some(())) => None,
            (Some("Busy/InACall"), None) => Some("Teams shows the call after its end".to_owned()),
            (Some(other), _) => Some(format!("Teams showed {other} instead of Busy/InACall")),
        })
        .or_else(|| complaint.map(|found| format!("Graph: the edge {}", found.text)));
    let call_ids = [Some(&made), seen.as_ref()].into_iter().flatten().map(|record| record.call_id.clone());
    Outcome {
        name,
        caller: status(&made),
        callee: format!(
            "Teams: {}, then {}",
            during.as_deref().unwrap_or("-"),
            session(stage).as_deref().unwrap_or("clear")
        ),
        failure,
        call_ids: call_ids.filter(|id| !id.is_empty()).collect(),
    }
}

/// Waits until there is something to see, but not for ever.
async fn until<T>(look: impl Fn() -> Option<T>) -> Option<T> {
    let seen = async {
        loop {
            if let Some(seen) = look() {
                return seen;
            }
            tokio::time::sleep(TICK).await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.ok()
}
