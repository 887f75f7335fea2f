//! What watchers are shown of a user (rule 4): Teams' state, or the PBX's where the user's direction does not show Teams.

use std::borrow::Cow;

use super::pidf::{Activity, Basic};
use super::{Availability, Direction, Presence, TeamsPresence};

/// What a watcher sees of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub presence: Presence,
    /// Teams' activity as Graph spells it; empty: there is none to tell.
    pub activity: Cow<'static, str>,
}

impl View {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { presence: Presence::Unknown, activity: Cow::Borrowed("") };

    /// What Teams tells of the user.
    pub fn of_teams(teams: &TeamsPresence) -> Self {
        let presence = match teams.availability {
            Availability::Available | Availability::AvailableIdle => Presence::Available,
            Availability::Away | Availability::BeRightBack => Presence::Away,
            Availability::Busy | Availability::BusyIdle => Presence::Busy,
            Availability::DoNotDisturb => Presence::DoNotDisturb,
            Availability::Offline => Presence::Offline,
            Availability::Unknown => Presence::Unknown,
        };
        let known = ACTIVITIES.iter().find(|row| row.word.eq_ignore_ascii_case(&teams.activity));
        let activity = known.map_or_else(|| Cow::Owned(teams.activity.to_string()), |row| Cow::Borrowed(row.word));
        Self { presence, activity }
    }

    /// What the PBX side tells of the user, merged by rule 1.
    pub const fn of_pbx(presence: Presence, conference: bool) -> Self {
        let activity = if conference && matches!(presence, Presence::Busy) { "InAConferenceCall" } else { "" };
        Self { presence, activity: Cow::Borrowed(activity) }
    }

    /// What watchers of a user with this direction see; what is not known yet is [`View::UNKNOWN`].
    pub fn by_direction(direction: Direction, teams: Option<&TeamsPresence>, pbx: Option<(Presence, bool)>) -> Self {
        if direction.shows_teams() {
            teams.map_or(Self::UNKNOWN, Self::of_teams)
        } else {
            pbx.map_or(Self::UNKNOWN, |(presence, conference)| Self::of_pbx(presence, conference))
        }
    }

    /// Whether the user can be reached at all (RFC 3863 section 4.1.4).
    pub const fn basic(&self) -> Basic {
        match self.presence {
            Presence::Unknown | Presence::Offline => Basic::Closed,
            Presence::Available | Presence::Busy | Presence::DoNotDisturb | Presence::Away => Basic::Open,
        }
    }

    /// The activities of the person, the one that phones without a notion of the others shall show first.
    pub fn activities(&self) -> Vec<Activity> {
        let more = self.row().and_then(|row| row.more.clone());
        match self.presence {
            Presence::Available | Presence::Offline => Vec::new(),
            Presence::Unknown => vec![Activity::Unknown],
            Presence::Away => vec![Activity::Away],
            // What a PBX calls busy is a call nearly always, and many phones show nothing for `busy` alone.
            Presence::Busy if self.activity.is_empty() => vec![Activity::OnThePhone, Activity::Busy],
            Presence::Busy => more.into_iter().chain([Activity::Busy]).collect(),
            // RPID has no such activity: `busy` is what all phones know, the text is for those that look closer.
            Presence::DoNotDisturb => {
                [Activity::Busy].into_iter().chain(more).chain([Activity::Other(DO_NOT_DISTURB.into())]).collect()
            }
        }
    }

    /// The note that people read on the phone.
    pub fn note(&self) -> &str {
        match self.row() {
            Some(row) => row.note,
            None if !self.activity.is_empty() => &self.activity,
            None => match self.presence {
                Presence::Unknown => "Unknown",
                Presence::Offline => "Offline",
                Presence::Available => "Available",
                Presence::Busy => "Busy",
                Presence::DoNotDisturb => "Do not disturb",
                Presence::Away => "Away",
            },
        }
    }

    fn row(&self) -> Option<&'static ActivityRow> {
        ACTIVITIES.iter().find(|row| row.word == self.activity)
    }
}

/// The text of RPID's `other` for Do not disturb.
pub const DO_NOT_DISTURB: &str = "do-not-disturb";

/// An activity that Graph is known to tell (reference page `teams-protocol.md`, B1).
struct ActivityRow {
    word: &'static str,
    note: &'static str,
    /// What RPID calls it, beside what follows from the base state.
    more: Option<Activity>,
}

const fn row(word: &'static str, note: &'static str, more: Option<Activity>) -> ActivityRow {
    ActivityRow { word, note, more }
}

static ACTIVITIES: [ActivityRow; 17] = [
    row("Available", "Available", None),
    row("Away", "Away", None),
    row("BeRightBack", "Be right back", None),
    row("Busy", "Busy", None),
    row("DoNotDisturb", "Do not disturb", None),
    row("InACall", "In a call", Some(Activity::OnThePhone)),
    row("InAConferenceCall", "In a conference call", Some(Activity::OnThePhone)),
    row("Inactive", "Inactive", None),
    row("AvailableInactive", "Inactive", None),
    row("InAMeeting", "In a meeting", Some(Activity::Meeting)),
    row("Offline", "Offline", None),
    row("OffWork", "Off work", None),
    row("OutOfOffice", "Out of office", None),
    row("PresenceUnknown", "Unknown", None),
    row("Presenting", "Presenting", Some(Activity::Presentation)),
    row("UrgentInterruptionsOnly", "Urgent interruptions only", None),
    row("Focusing", "Focusing", None),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn teams(availability: Availability, activity: &str) -> View {
        View::of_teams(&TeamsPresence { availability, activity: activity.into(), sequence: None })
    }

    #[test]
    fn teams_states_become_activities_that_phones_know() {
        let dnd = || Activity::Other(DO_NOT_DISTURB.into());
        let rows: [(Availability, &str, Basic, Vec<Activity>, &str); 10] = [
            (Availability::Available, "Available", Basic::Open, vec![], "Available"),
            (Availability::AvailableIdle, "Inactive", Basic::Open, vec![], "Inactive"),
            (Availability::Busy, "inACall", Basic::Open, vec![Activity::OnThePhone, Activity::Busy], "In a call"),
            (Availability::Busy, "InAMeeting", Basic::Open, vec![Activity::Meeting, Activity::Busy], "In a meeting"),
            (Availability::Busy, "Busy", Basic::Open, vec![Activity::Busy], "Busy"),
            (
                Availability::DoNotDisturb,
                "Presenting",
                Basic::Open,
                vec![Activity::Busy, Activity::Presentation, dnd()],
                "Presenting",
            ),
            (Availability::DoNotDisturb, "", Basic::Open, vec![Activity::Busy, dnd()], "Do not disturb"),
            (Availability::BeRightBack, "BeRightBack", Basic::Open, vec![Activity::Away], "Be right back"),
            (Availability::Offline, "OutOfOffice", Basic::Closed, vec![], "Out of office"),
            (Availability::Unknown, "Juggling", Basic::Closed, vec![Activity::Unknown], "Juggling"),
        ];
        for (availability, activity, basic, activities, note) in rows {
            let view = teams(availability, activity);
            assert_eq!((view.basic(), view.activities(), view.note()), (basic, activities, note), "{activity}");
        }
    }

    #[test]
    fn what_the_pbx_calls_busy_is_a_call() {
        let busy = View::of_pbx(Presence::Busy, false);
        assert_eq!((busy.activities(), busy.note()), (vec![Activity::OnThePhone, Activity::Busy], "Busy"));
        let conference = View::of_pbx(Presence::Busy, true);
        assert_eq!((conference.activities(), conference.note()), (busy.activities(), "In a conference call"));
        assert_eq!(View::of_pbx(Presence::Away, true).note(), "Away");
    }

    #[test]
    fn known_activities_take_no_memory_of_their_own() {
        assert!(matches!(teams(Availability::Busy, "INACALL").activity, Cow::Borrowed("InACall")));
    }

    #[test]
    fn the_direction_picks_the_side() {
        let there = TeamsPresence { availability: Availability::Away, ..TeamsPresence::default() };
        let here = Some((Presence::Busy, false));
        for (direction, presence) in [
            (Direction::ToTeams, Presence::Busy),
            (Direction::Off, Presence::Busy),
            (Direction::FromTeams, Presence::Away),
            (Direction::Both, Presence::Away),
        ] {
            assert_eq!(View::by_direction(direction, Some(&there), here).presence, presence, "{direction}");
        }
        assert_eq!(View::by_direction(Direction::Both, None, here), View::UNKNOWN);
        assert_eq!(View::by_direction(Direction::ToTeams, Some(&there), None), View::UNKNOWN);
    }
}
