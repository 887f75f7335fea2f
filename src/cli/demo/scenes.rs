//! What the demo plays: each scene is one thing that an edge must get right, judged from both ends.

use std::time::Duration;

use super::presence;
use super::stage::{EDGE_NAME, Parts, Stage};
use crate::lab::{Agent, CallPlan, CallRecord, Ending, Role, Script, Scripts};

/// A call is a failure when it is not over by then.
pub(super) const LIMIT: Duration = Duration::from_secs(8);
/// How long the called side may take to see the end after the caller did.
pub(super) const MARGIN: Duration = Duration::from_secs(2);
/// From the INVITE to the answer.
const RINGING: Duration = Duration::from_millis(150);
/// From the INVITE to CANCEL.
const PATIENCE: Duration = Duration::from_millis(400);
/// From the answer to the end of a call.
const TALK: Duration = Duration::from_millis(300);
/// From the answer to hold.
const BEFORE_HOLD: Duration = Duration::from_millis(100);
/// Long enough for hold and back.
const LONG_TALK: Duration = Duration::from_millis(900);

pub(super) const CONTOSO: &str = "contoso.customers.example.net";
const FABRIKAM: &str = "fabrikam.customers.example.net";
const TAILSPIN: &str = "tailspin.customers.example.net";

/// What came of a scene.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub name: String,
    pub caller: String,
    pub callee: String,
    pub failure: Option<String>,
    /// On both sides: they differ where the edge gives each leg its own.
    pub call_ids: Vec<String>,
}

/// One thing to try.
#[derive(Clone, Copy, Debug)]
pub enum Scene {
    Call(CallScene),
    OptionsOfPbx,
    OptionsOfTeams,
    Presence,
}

/// A call with the way that it must go.
#[derive(Clone, Copy, Debug)]
pub struct CallScene {
    name: &'static str,
    way: Way,
    /// No two scenes call the same number: it is how the called side's record is found.
    number: &'static str,
    finish: Finish,
    /// The caller puts the call on hold and takes it back.
    hold: bool,
    early_media: bool,
}

/// Which two sides a call connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Pbx1ToTeams,
    Pbx3ToTeams,
    TeamsToPbx1,
    TeamsToPbx2,
    TeamsToPbx3,
}

/// What ends the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finish {
    Busy,
    CalleeHangsUp,
    CallerCancels,
    CallerHangsUp,
}

impl Finish {
    /// What caller and callee note as the end.
    const fn endings(self) -> (Ending, Ending) {
        match self {
            Self::Busy => (Ending::Refused, Ending::Refused),
            Self::CalleeHangsUp => (Ending::HungUpByPeer, Ending::HungUp),
            Self::CallerCancels => (Ending::Cancelled, Ending::Cancelled),
            Self::CallerHangsUp => (Ending::HungUp, Ending::HungUpByPeer),
        }
    }

    /// The final status of the INVITE, on both sides.
    const fn code(self) -> u16 {
        match self {
            Self::Busy => 486,
            Self::CallerCancels => 487,
            Self::CalleeHangsUp | Self::CallerHangsUp => 200,
        }
    }
}

const fn call(name: &'static str, way: Way, number: &'static str, finish: Finish) -> CallScene {
    CallScene { name, way, number, finish, hold: false, early_media: false }
}

const CALLS: [CallScene; 11] = [
    call("PBX calls Teams, PBX hangs up", Way::Pbx1ToTeams, "+441632760001", Finish::CallerHangsUp),
    CallScene {
        early_media: true,
        ..call("PBX calls Teams, early media, Teams hangs up", Way::Pbx1ToTeams, "+441632760002", Finish::CalleeHangsUp)
    },
    call("Teams calls PBX, Teams hangs up", Way::TeamsToPbx1, "+441632960101", Finish::CallerHangsUp),
    call("Teams calls PBX, PBX hangs up", Way::TeamsToPbx1, "+441632960102", Finish::CalleeHangsUp),
    call("Teams calls PBX, which is busy", Way::TeamsToPbx1, "+441632960103", Finish::Busy),
    call("PBX calls Teams and cancels", Way::Pbx1ToTeams, "+441632760003", Finish::CallerCancels),
    call("Teams calls PBX and cancels", Way::TeamsToPbx1, "+441632960104", Finish::CallerCancels),
    CallScene {
        hold: true,
        ..call("PBX calls Teams, holds and resumes", Way::Pbx1ToTeams, "+441632760004", Finish::CallerHangsUp)
    },
    call("first target is dead, the second answers", Way::TeamsToPbx2, "+442079460101", Finish::CallerHangsUp),
    call("PBX on TCP calls Teams", Way::Pbx3ToTeams, "+441134960001", Finish::CallerHangsUp),
    CallScene {
        hold: true,
        ..call("Teams calls PBX on TCP, holds and resumes", Way::TeamsToPbx3, "+441134960101", Finish::CallerHangsUp)
    },
];

/// All scenes in the order of the table; that of presence only for an edge that has to do with it.
pub fn all(presence: bool) -> Vec<Scene> {
    let options = [Scene::OptionsOfPbx, Scene::OptionsOfTeams];
    options.into_iter().chain(CALLS.map(Scene::Call)).chain(presence.then_some(Scene::Presence)).collect()
}

/// How the called sides answer.
pub fn parts() -> Parts {
    let scripts = |ways: &[Way]| {
        let mine = CALLS.iter().filter(|scene| ways.contains(&scene.way));
        mine.fold(Scripts::default(), |scripts, scene| scripts.with(scene.number, scene.script()))
    };
    Parts {
        pbx1: scripts(&[Way::TeamsToPbx1]).with(presence::NUMBER, Script::answer(RINGING)),
        pbx2: scripts(&[Way::TeamsToPbx2]),
        pbx3: scripts(&[Way::TeamsToPbx3]),
        teams: scripts(&[Way::Pbx1ToTeams, Way::Pbx3ToTeams]),
    }
}

impl Scene {
    /// Plays it and judges.
    pub async fn play(self, stage: &Stage) -> Outcome {
        match self {
            Self::Call(scene) => scene.play(stage).await,
            Self::OptionsOfPbx => {
                let to = stage.edge_udp();
                let host = to.endpoint.addr.to_string();
                let answer = stage.pbx1.options(to, &host, MARGIN).await;
                options_outcome("PBX asks with OPTIONS", answer)
            }
            Self::Presence => presence::play(stage).await,
            Self::OptionsOfTeams => {
                let (to, host) = stage.edge_tls(EDGE_NAME);
                let answer = stage.teams.options(to, &host, MARGIN).await;
                options_outcome("Teams asks with OPTIONS", answer)
            }
        }
    }
}

impl CallScene {
    fn script(&self) -> Script {
        let script = match self.finish {
            Finish::Busy => Script::reject(486),
            Finish::CalleeHangsUp => Script::answer(RINGING).hang_up_after(TALK),
            Finish::CallerCancels => Script::ring(),
            Finish::CallerHangsUp => Script::answer(RINGING),
        };
        if self.early_media { script.with_early_media() } else { script }
    }

    async fn play(self, stage: &Stage) -> Outcome {
        let (caller, callee) = self.sides(stage);
        let made = caller.call(self.plan(stage)).await;
        let seen = callee.journal().wait_call(Role::Callee, self.number, MARGIN).await;
        let failure = self.failure(&made, seen.as_ref(), stage);
        let call_ids = [Some(&made), seen.as_ref()].into_iter().flatten().map(|record| record.call_id.clone());
        Outcome {
            name: self.name.into(),
            caller: describe(&made),
            callee: seen.as_ref().map_or_else(|| "saw nothing".into(), describe),
            failure,
            call_ids: call_ids.filter(|id| !id.is_empty()).collect(),
        }
    }

    fn sides<'a>(&self, stage: &'a Stage) -> (&'a Agent, &'a Agent) {
        match self.way {
            Way::Pbx1ToTeams => (&stage.pbx1, &stage.teams),
            Way::Pbx3ToTeams => (&stage.pbx3, &stage.teams),
            Way::TeamsToPbx1 => (&stage.teams, &stage.pbx1),
            Way::TeamsToPbx2 => (&stage.teams, &stage.pbx2),
            Way::TeamsToPbx3 => (&stage.teams, &stage.pbx3),
        }
    }

    fn plan(&self, stage: &Stage) -> CallPlan {
        let (from, (to, host)) = match self.way {
            Way::Pbx1ToTeams => ("+441632960100", beside_host(stage.edge_udp())),
            Way::Pbx3ToTeams => ("+441134960100", beside_host(stage.edge_tcp())),
            Way::TeamsToPbx1 => ("+441632760009", stage.edge_tls(CONTOSO)),
            Way::TeamsToPbx2 => ("+442079460009", stage.edge_tls(FABRIKAM)),
            Way::TeamsToPbx3 => ("+441134960009", stage.edge_tls(TAILSPIN)),
        };
        let mut plan = CallPlan::new(self.number, from, &host, to);
        plan.limit = LIMIT;
        plan.hold_after = self.hold.then_some(BEFORE_HOLD);
        match self.finish {
            Finish::CallerCancels => plan.cancel_after = Some(PATIENCE),
            Finish::CallerHangsUp => plan.hang_up_after = Some(if self.hold { LONG_TALK } else { TALK }),
            Finish::Busy | Finish::CalleeHangsUp => {}
        }
        plan
    }

    /// The first thing that is not as it should be.
    fn failure(&self, made: &CallRecord, seen: Option<&CallRecord>, stage: &Stage) -> Option<String> {
        if let Some(error) = &made.error {
            return Some(format!("caller: {error}"));
        }
        let Some(seen) = seen else {
            return Some("the call never reached the called side".into());
        };
        if let Some(error) = &seen.error {
            return Some(format!("callee: {error}"));
        }
        let (caller_ending, callee_ending) = self.finish.endings();
        let code = self.finish.code();
        for (side, record, ending) in [("caller", made, caller_ending), ("callee", seen, callee_ending)] {
            if record.code != Some(code) {
                return Some(format!("{side}: {} instead of {code}", status(record)));
            }
            if !record.acknowledged {
                return Some(format!("{side}: no ACK"));
            }
            if !record.finished || record.ending != Some(ending) {
                return Some(format!("{side}: the call did not end as it should ({})", describe(record)));
            }
        }
        self.detail_failure(made, seen, stage)
    }

    fn detail_failure(&self, made: &CallRecord, seen: &CallRecord, stage: &Stage) -> Option<String> {
        // A refused call may have rung, but early media must arrive as what it was.
        if self.early_media && !made.provisional.contains(&183) {
            return Some(format!("the 183 did not reach the caller, who saw {:?}", made.provisional));
        }
        if self.finish == Finish::CallerCancels && !made.provisional.contains(&180) {
            return Some("the 180 did not reach the caller".into());
        }
        let changes = if self.hold { 2 } else { 0 };
        if (made.changes_made, seen.changes_seen) != (changes, changes) {
            return Some(format!(
                "{} re-INVITEs were answered and {} acknowledged instead of {changes}",
                made.changes_made, seen.changes_seen
            ));
        }
        // Where the Call-ID passes through, the edge is a proxy, and then the recorded routes come back as they were.
        if self.finish.code() == 200 && made.call_id == seen.call_id && made.record_routes != seen.record_routes {
            return Some(format!(
                "Record-Route was {:?} in the callee's answer and {:?} at the caller (RFC 3261 section 12.1.1)",
                seen.record_routes, made.record_routes
            ));
        }
        if self.way == Way::TeamsToPbx2 && !stage.dead_target_was_tried() {
            return Some("nothing was sent to the first target".into());
        }
        None
    }
}

fn beside_host(to: crate::lab::Destination) -> (crate::lab::Destination, String) {
    let host = to.endpoint.addr.to_string();
    (to, host)
}

fn options_outcome(name: &str, answer: Result<u16, String>) -> Outcome {
    let failure = match &answer {
        Ok(code) if (200..300).contains(code) => None,
        Ok(code) => Some(format!("answered {code}")),
        Err(reason) => Some(reason.clone()),
    };
    let caller = answer.map_or_else(|_| "-".into(), |code| code.to_string());
    Outcome { name: name.into(), caller, failure, ..Outcome::default() }
}

pub(super) fn status(record: &CallRecord) -> String {
    record.code.map_or_else(|| "no final answer".into(), |code| code.to_string())
}

/// Provisional and final codes and the end, in a few words.
pub(super) fn describe(record: &CallRecord) -> String {
    let mut words: Vec<String> = record.provisional.iter().map(u16::to_string).collect();
    words.push(status(record));
    let changes = record.changes_made + record.changes_seen;
    if changes > 0 {
        words.push(format!("+{changes}"));
    }
    words.push(
        match record.ending {
            Some(Ending::Cancelled) => "cancelled",
            Some(Ending::HungUp) => "BYE sent",
            Some(Ending::HungUpByPeer) => "BYE seen",
            Some(Ending::Refused) => "ACK",
            None => "unfinished",
        }
        .into(),
    );
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_scenes_call_the_same_number() {
        let mut numbers: Vec<&str> = CALLS.iter().map(|scene| scene.number).chain([presence::NUMBER]).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), CALLS.len() + 1);
    }
}
