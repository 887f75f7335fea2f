//! What Teams shows against what the edge has written: the edge's own echo, and the user's own choice.

use std::time::Duration;

use crate::presence::{Availability, Session, TeamsPresence};
use crate::transaction::Moment;

/// For so long Teams may still show what the edge had written before.
const ECHO: Duration = Duration::from_secs(60);

/// What was asked for earlier after a write may not know of it yet.
const TAKES_EFFECT: Duration = Duration::from_secs(8);

/// What the edge has written for a user.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wrote {
    session: Option<Session>,
    /// A request is under way.
    coming: Option<Session>,
    /// What it had written before, and until when Teams may show it.
    before: Option<(Session, Moment)>,
    /// Since when the session is there.
    since: Option<Moment>,
}

/// Whether Teams shows the user's own choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Wins,
    DoesNot,
    /// It cannot be told (yet).
    Unclear,
}

impl Wrote {
    pub const fn session(&self) -> Option<Session> {
        self.session
    }

    /// A request to set a session is under way.
    pub const fn expect(&mut self, session: Option<Session>) {
        self.coming = session;
    }

    /// Graph has the session, or none.
    pub fn set(&mut self, now: Moment, session: Option<Session>) {
        self.coming = None;
        if self.session != session {
            self.before = self.session.map(|before| (before, now + ECHO)).or(self.before);
            (self.session, self.since) = (session, Some(now));
        }
    }

    /// Whether what Teams shows is nothing but what the edge wrote.
    pub fn is_own(&self, now: Moment, presence: &TeamsPresence) -> bool {
        let before = self.before.filter(|(_, until)| now < *until).map(|(session, _)| session);
        [self.session, self.coming, before].into_iter().flatten().any(|session| {
            Availability::read(session.availability()) == presence.availability
                && (presence.activity.is_empty() || presence.activity.eq_ignore_ascii_case(session.activity()))
        })
    }

    /// Whether Teams shows something that can only be the user's own choice: weaker than what was written, which wins
    /// among sessions (rule 2), or a state that no session has. `asked` is when Teams was asked, or told by itself.
    pub fn judge(&self, asked: Moment, presence: &TeamsPresence) -> Verdict {
        let Some((session, since)) = self.session.zip(self.since) else { return Verdict::DoesNot };
        if asked < since + TAKES_EFFECT {
            return Verdict::Unclear;
        }
        let Some(shown) = rank(presence.availability) else { return Verdict::Unclear };
        let written = rank(Availability::read(session.availability())).unwrap_or(0);
        if shown < written || presence.availability == Availability::BeRightBack {
            Verdict::Wins
        } else {
            Verdict::DoesNot
        }
    }
}

/// The order of sessions (rule 2), the greatest wins.
const fn rank(availability: Availability) -> Option<u8> {
    Some(match availability {
        Availability::Offline => 0,
        Availability::Away | Availability::BeRightBack => 1,
        Availability::Available | Availability::AvailableIdle => 2,
        Availability::Busy | Availability::BusyIdle => 3,
        Availability::DoNotDisturb => 4,
        Availability::Unknown => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_millis(seconds * 1_000)
    }

    fn shown(availability: Availability, activity: &str) -> TeamsPresence {
        TeamsPresence { availability, activity: activity.into(), sequence: None }
    }

    #[test]
    fn own_is_what_was_written_is_being_written_or_was_written_a_moment_ago() {
        let dnd = shown(Availability::DoNotDisturb, "presenting");
        let mut wrote = Wrote::default();
        assert!(!wrote.is_own(at(0), &dnd));
        wrote.expect(Some(Session::Presenting));
        assert!(wrote.is_own(at(0), &dnd));
        wrote.set(at(1), Some(Session::Presenting));
        assert!(wrote.is_own(at(5_000), &dnd));
        assert!(!wrote.is_own(at(5_000), &shown(Availability::DoNotDisturb, "DoNotDisturb")), "chosen by the user");
        wrote.set(at(5_000), None);
        assert!(wrote.is_own(at(5_059), &dnd));
        assert!(!wrote.is_own(at(5_060), &dnd), "somebody presents in Teams");
    }

    #[test]
    fn choice_is_what_no_session_could_have_made() {
        use Availability::{Available, Away, BeRightBack, Busy, DoNotDisturb, Offline, Unknown};
        let rows = [
            (Session::InACall, Available, Verdict::Wins),
            (Session::InACall, Away, Verdict::Wins),
            (Session::InACall, Offline, Verdict::Wins),
            (Session::InACall, Busy, Verdict::DoesNot),
            (Session::InACall, DoNotDisturb, Verdict::DoesNot),
            (Session::InACall, Unknown, Verdict::Unclear),
            (Session::Presenting, Busy, Verdict::Wins),
            (Session::Away, Available, Verdict::DoesNot),
            (Session::Away, BeRightBack, Verdict::Wins),
            (Session::Away, Offline, Verdict::Wins),
        ];
        for (session, availability, verdict) in rows {
            let mut wrote = Wrote::default();
            wrote.set(at(0), Some(session));
            let shown = shown(availability, "");
            assert_eq!(wrote.judge(at(7), &shown), Verdict::Unclear, "too early");
            assert_eq!(wrote.judge(at(8), &shown), verdict, "{session:?} {availability:?}");
        }
        assert_eq!(Wrote::default().judge(at(100), &shown(Offline, "")), Verdict::DoesNot);
    }
}
