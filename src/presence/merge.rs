//! Rule 1: the greatest of all line states and the user presence wins.
//!
//! Away > do-not-disturb > busy > available > offline > unknown: the order of [`Presence`]. What a user has set comes in
//! as [`UserState`]; the PBX's own names of it are read by [`user_state`].

use std::collections::BTreeMap;

use super::state::{Presence, Report, UnknownState, UserState};

/// What a line does, as the PBX or the edge's own calls tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineState {
    /// The user places a call that is not answered yet: initiator; trying, proceeding or early (RFC 4235).
    Calling,
    /// The line rings: recipient; trying, proceeding or early.
    Ringing,
    /// A call is up, on hold or not.
    Confirmed,
    /// There is no dialog, or only terminated ones.
    Idle,
    /// Do not disturb is on, at the phone or for the extension.
    DoNotDisturb,
    /// The device is not registered.
    NotRegistered,
    /// Nobody tells: the subscription failed or was never answered.
    Untold,
}

/// What the states of a line come to.
pub const LINES: [(LineState, Presence); 7] = [
    (LineState::Calling, Presence::Busy),
    (LineState::Ringing, Presence::Available),
    (LineState::Confirmed, Presence::Busy),
    (LineState::Idle, Presence::Available),
    (LineState::DoNotDisturb, Presence::DoNotDisturb),
    (LineState::NotRegistered, Presence::Offline),
    (LineState::Untold, Presence::Unknown),
];

/// What the states that a user sets come to; `None`: the configuration says (`not_available`).
pub const USERS: [(UserState, Option<Presence>); 5] = [
    (UserState::Available, Some(Presence::Available)),
    (UserState::Absent, Some(Presence::Away)),
    (UserState::Meeting, Some(Presence::Busy)),
    (UserState::Busy, Some(Presence::Busy)),
    (UserState::NotAvailable, None),
];

/// What a state of a line comes to.
pub fn line_presence(line: LineState) -> Presence {
    LINES.iter().find(|(state, _)| *state == line).map_or(Presence::Unknown, |(_, presence)| *presence)
}

/// What a state that a user has set comes to.
pub fn user_presence(user: UserState, not_available: Presence) -> Presence {
    let row = USERS.iter().find(|(state, _)| *state == user);
    row.map_or(Presence::Unknown, |(_, presence)| presence.unwrap_or(not_available))
}

/// Reads the name of a state that a user has set: the PBX's own names (in lower case) first, then those of [`UserState`].
///
/// # Errors
/// [`UnknownState`] that tells all names.
pub fn user_state(word: &str, aliases: &BTreeMap<String, UserState>) -> Result<UserState, UnknownState> {
    let lower = word.trim().to_lowercase();
    if let Some(&state) = aliases.get(&lower) {
        return Ok(state);
    }
    lower.parse().map_err(|error: UnknownState| {
        let own = aliases.keys().map(|name| format!(", {name}"));
        UnknownState { word: word.to_owned(), known: own.fold(error.known, |all, name| all + &name) }
    })
}

/// What all sources of a user come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Merged {
    pub presence: Presence,
    /// A line is busy in a conference; true only with [`Presence::Busy`].
    pub conference: bool,
}

impl Merged {
    /// What one report comes to.
    pub fn of(report: Report, not_available: Presence) -> Self {
        match report {
            Report::Line { presence, conference } => {
                Self { presence, conference: conference && presence == Presence::Busy }
            }
            Report::User(user) => Self { presence: user_presence(user, not_available), conference: false },
        }
    }

    /// The greater of two; of two that are busy, a conference is more than a call.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let key = |merged: Self| (merged.presence, merged.conference);
        if key(self) >= key(other) { self } else { other }
    }
}

/// Merges what the sources say; without any, the state is unknown.
pub fn merge(reports: impl IntoIterator<Item = Report>, not_available: Presence) -> Merged {
    reports.into_iter().map(|report| Merged::of(report, not_available)).fold(Merged::default(), Merged::or)
}

#[cfg(test)]
pub(in crate::presence) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const DND: Presence = Presence::DoNotDisturb;

    pub(in crate::presence) fn any_presence() -> impl Strategy<Value = Presence> {
        proptest::sample::select(Presence::ALL)
    }

    pub(in crate::presence) fn any_report() -> impl Strategy<Value = Report> {
        prop_oneof![
            (any_presence(), any::<bool>()).prop_map(|(presence, conference)| Report::Line { presence, conference }),
            proptest::sample::select(UserState::ALL).prop_map(Report::User),
        ]
    }

    fn line(presence: Presence) -> Report {
        Report::Line { presence, conference: false }
    }

    #[test]
    fn order_is_that_of_the_rule() {
        let falling = ["away", "do-not-disturb", "busy", "available", "offline", "unknown"];
        let states: Vec<Presence> = falling.iter().map(|word| word.parse().unwrap()).collect();
        assert!(states.windows(2).all(|pair| pair[0] > pair[1]));
        for (at, &high) in states.iter().enumerate() {
            for &low in &states[at..] {
                assert_eq!(merge([line(low), line(high)], DND).presence, high);
            }
        }
        assert_eq!(merge([], DND), Merged::default());
        assert_eq!(Merged::default().presence, Presence::Unknown);
    }

    #[test]
    fn every_line_state_and_user_state_has_its_row() {
        let rows = [
            (LineState::Calling, "busy"),
            (LineState::Ringing, "available"),
            (LineState::Confirmed, "busy"),
            (LineState::Idle, "available"),
            (LineState::DoNotDisturb, "do-not-disturb"),
            (LineState::NotRegistered, "offline"),
            (LineState::Untold, "unknown"),
        ];
        for (state, wanted) in rows {
            assert_eq!(line_presence(state).word(), wanted, "{state:?}");
        }
        let rows = [
            (UserState::Available, "available"),
            (UserState::Absent, "away"),
            (UserState::Meeting, "busy"),
            (UserState::Busy, "busy"),
            (UserState::NotAvailable, "do-not-disturb"),
        ];
        assert_eq!(rows.len(), UserState::ALL.len());
        for (state, wanted) in rows {
            assert_eq!(user_presence(state, DND).word(), wanted, "{state:?}");
        }
        assert_eq!(user_presence(UserState::NotAvailable, Presence::Away), Presence::Away);
    }

    #[test]
    fn who_is_away_on_the_pbx_stays_so_in_a_call() {
        let merged = merge([line(Presence::Busy), Report::User(UserState::Absent)], DND);
        assert_eq!(merged.presence, Presence::Away);
    }

    #[test]
    fn a_conference_counts_where_the_user_is_busy_by_it() {
        let conference = |presence| Report::Line { presence, conference: true };
        let rows = [
            (vec![line(Presence::Busy), conference(Presence::Busy)], Presence::Busy, true),
            (vec![conference(Presence::Busy), Report::User(UserState::Meeting)], Presence::Busy, true),
            (vec![conference(Presence::Busy), line(DND)], DND, false),
            (vec![conference(Presence::Available), line(Presence::Busy)], Presence::Busy, false),
            (vec![conference(Presence::Available)], Presence::Available, false),
        ];
        for (reports, presence, conference) in rows {
            assert_eq!(merge(reports.clone(), DND), Merged { presence, conference }, "{reports:?}");
        }
    }

    #[test]
    fn aliases_go_before_the_names_of_the_rules() {
        let aliases =
            BTreeMap::from([("at lunch".to_owned(), UserState::Absent), ("busy".to_owned(), UserState::NotAvailable)]);
        let rows = [
            (" At Lunch ", UserState::Absent),
            ("BUSY", UserState::NotAvailable),
            ("Meeting", UserState::Meeting),
            ("not-available", UserState::NotAvailable),
        ];
        for (word, wanted) in rows {
            assert_eq!(user_state(word, &aliases), Ok(wanted), "{word}");
        }
        let error = user_state("gone fishing", &aliases).unwrap_err().to_string();
        assert!(error.contains("`gone fishing`") && error.contains("absent") && error.contains("at lunch"), "{error}");
    }

    proptest! {
        #[test]
        fn the_order_of_reports_does_not_matter(reports in vec(any_report(), 0..8), turn in 0_usize..8) {
            let merged = merge(reports.iter().copied(), DND);
            let mut other = reports.clone();
            other.reverse();
            prop_assert_eq!(merge(other.iter().copied(), DND), merged);
            let turn = turn % other.len().max(1);
            other.rotate_left(turn);
            prop_assert_eq!(merge(other, DND), merged);
        }

        #[test]
        fn merging_again_changes_nothing(reports in vec(any_report(), 0..8), not_available in any_presence()) {
            let Merged { presence, conference } = merge(reports.iter().copied(), not_available);
            let again = Report::Line { presence, conference };
            prop_assert_eq!(merge([again], not_available), Merged { presence, conference });
            let twice = reports.iter().chain(&reports).copied().chain([again]);
            prop_assert_eq!(merge(twice, not_available), Merged { presence, conference });
        }

        #[test]
        fn parts_can_be_merged_one_by_one(
            some in vec(any_report(), 0..5), more in vec(any_report(), 0..5), not_available in any_presence(),
        ) {
            let parts = merge(some.iter().copied(), not_available).or(merge(more.iter().copied(), not_available));
            prop_assert_eq!(merge(some.into_iter().chain(more), not_available), parts);
        }
    }
}
