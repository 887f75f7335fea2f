//! Rules 2 and 3: what is written into the app session, and how Teams combines.

use std::fmt;
use std::str::FromStr;

use super::merge::Merged;
use super::state::{Availability, ClientState, Presence, Session, UnknownState, words};

/// What Teams shows of a user, spelled as the golden table spells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Shown {
    #[default]
    Offline,
    Away,
    Available,
    Busy,
    DoNotDisturb,
    /// Only by the user's own choice.
    BeRightBack,
}

words!(Shown {
    Offline = "offline",
    Away = "away",
    Available = "available",
    Busy = "busy",
    DoNotDisturb = "do-not-disturb",
    BeRightBack = "be-right-back",
});

impl Shown {
    /// What a base state of Graph shows, idle or not; `None`: Graph does not know.
    pub const fn of(availability: Availability) -> Option<Self> {
        match availability {
            Availability::Available | Availability::AvailableIdle => Some(Self::Available),
            Availability::Away => Some(Self::Away),
            Availability::BeRightBack => Some(Self::BeRightBack),
            Availability::Busy | Availability::BusyIdle => Some(Self::Busy),
            Availability::DoNotDisturb => Some(Self::DoNotDisturb),
            Availability::Offline => Some(Self::Offline),
            Availability::Unknown => None,
        }
    }

    /// The base state that Graph has for it.
    pub const fn availability(self) -> Availability {
        match self {
            Self::Offline => Availability::Offline,
            Self::Away => Availability::Away,
            Self::Available => Availability::Available,
            Self::Busy => Availability::Busy,
            Self::DoNotDisturb => Availability::DoNotDisturb,
            Self::BeRightBack => Availability::BeRightBack,
        }
    }

    /// Its place among sessions: the greatest shows (rule 2). No session makes anybody be right back.
    const fn rank(self) -> u8 {
        match self {
            Self::Offline | Self::BeRightBack => 0,
            Self::Away => 1,
            Self::Available => 2,
            Self::Busy => 3,
            Self::DoNotDisturb => 4,
        }
    }
}

/// Rule 3 as data: what is written for each PBX presence, `None`: nothing, and what was written is cleared.
pub const WRITTEN: [(Presence, Option<Session>); 6] = [
    (Presence::Away, Some(Session::Away)),
    (Presence::DoNotDisturb, Some(Session::Presenting)),
    (Presence::Busy, Some(Session::InACall)),
    (Presence::Available, None),
    (Presence::Offline, None),
    (Presence::Unknown, None),
];

/// Rule 2 as data: what each state of a client counts as.
pub const CLIENTS: [(ClientState, Shown); 5] = [
    (ClientState::Offline, Shown::Offline),
    (ClientState::ConnectedInactive, Shown::Away),
    (ClientState::ConnectedActive, Shown::Available),
    (ClientState::Busy, Shown::Busy),
    (ClientState::FocusOrPresenting, Shown::DoNotDisturb),
];

/// What the edge writes into its app session (rule 3); `None`: it clears it.
pub fn session_for(merged: Merged) -> Option<Session> {
    let row = WRITTEN.iter().find(|(presence, _)| *presence == merged.presence);
    let session = row.and_then(|(_, session)| *session)?;
    Some(if session == Session::InACall && merged.conference { Session::InAConferenceCall } else { session })
}

/// What a session counts as.
pub const fn of_session(session: Session) -> Shown {
    match session {
        Session::Available => Shown::Available,
        Session::InACall | Session::InAConferenceCall => Shown::Busy,
        Session::Away => Shown::Away,
        Session::Presenting => Shown::DoNotDisturb,
    }
}

/// What a client counts as.
pub fn of_client(client: ClientState) -> Shown {
    CLIENTS.iter().find(|(state, _)| *state == client).map_or(Shown::Offline, |(_, shown)| *shown)
}

/// What Teams shows of a user's clients, the edge's session and what the user has chosen by hand (rule 2).
pub fn shown(clients: &[ClientState], session: Option<Session>, preferred: Option<Availability>) -> Shown {
    let running = clients.iter().copied().filter(|client| *client != ClientState::Offline).map(of_client);
    let greatest = running.chain(session.map(of_session)).max_by_key(|shown| shown.rank());
    // Without any session a user is offline, whatever was chosen.
    let Some(greatest) = greatest else { return Shown::Offline };
    preferred.and_then(Shown::of).unwrap_or(greatest)
}

/// Whether what Teams shows is the user's own choice over what the edge has written: no set of clients makes a session
/// show less than itself.
pub fn choice_wins(session: Session, shown: Shown) -> bool {
    shown.rank() < of_session(session).rank()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::presence::merge::merge;
    use crate::presence::state::Report;

    #[test]
    fn only_what_the_rule_names_is_written() {
        let rows = [
            ("away", false, Some(("Away", "Away"))),
            ("do-not-disturb", false, Some(("DoNotDisturb", "Presenting"))),
            ("busy", false, Some(("Busy", "InACall"))),
            ("busy", true, Some(("Busy", "InAConferenceCall"))),
            ("available", false, None),
            ("offline", false, None),
            ("unknown", false, None),
        ];
        for (presence, conference, wanted) in rows {
            let presence: Presence = presence.parse().unwrap();
            let session = session_for(Merged { presence, conference });
            assert_eq!(session.map(|session| (session.availability(), session.activity())), wanted, "{presence}");
        }
    }

    /// Clients, the edge's session, the user's choice; what Teams shows.
    type Row<'a> = (&'a [ClientState], Option<Session>, Option<Availability>, Shown);

    #[test]
    fn the_greatest_session_shows_and_the_users_choice_over_it() {
        use ClientState::{Busy, ConnectedActive, ConnectedInactive, FocusOrPresenting, Offline};
        let rows: [Row<'_>; 12] = [
            (&[], None, None, Shown::Offline),
            (&[Offline], None, Some(Availability::Available), Shown::Offline),
            (&[Offline], Some(Session::Away), None, Shown::Away),
            (&[Offline], Some(Session::InACall), Some(Availability::Available), Shown::Available),
            (&[ConnectedActive], Some(Session::Away), None, Shown::Available),
            (&[ConnectedInactive, ConnectedActive], None, None, Shown::Available),
            (&[ConnectedActive, Busy], None, None, Shown::Busy),
            (&[FocusOrPresenting, Busy], Some(Session::InACall), None, Shown::DoNotDisturb),
            (&[ConnectedActive], Some(Session::Presenting), None, Shown::DoNotDisturb),
            (&[Busy], Some(Session::Presenting), Some(Availability::BeRightBack), Shown::BeRightBack),
            (&[Busy], None, Some(Availability::Offline), Shown::Offline),
            (&[Busy], None, Some(Availability::Unknown), Shown::Busy),
        ];
        for (clients, session, preferred, wanted) in rows {
            assert_eq!(shown(clients, session, preferred), wanted, "{clients:?} {session:?} {preferred:?}");
        }
    }

    fn any_clients() -> impl Strategy<Value = Vec<ClientState>> {
        vec(proptest::sample::select(ClientState::ALL), 0..5)
    }

    fn any_choice() -> impl Strategy<Value = Option<Availability>> {
        proptest::option::of(proptest::sample::select(Shown::ALL).prop_map(Shown::availability))
    }

    proptest! {
        #[test]
        fn an_idle_phone_lifts_nobody(
            clients in any_clients(),
            preferred in any_choice(),
            idle in vec(proptest::sample::select(vec![Presence::Available, Presence::Offline, Presence::Unknown]), 0..4),
        ) {
            let reports = idle.into_iter().map(|presence| Report::Line { presence, conference: false });
            let session = session_for(merge(reports, Presence::DoNotDisturb));
            prop_assert_eq!(shown(&clients, session, preferred), shown(&clients, None, preferred));
        }

        #[test]
        fn a_choice_is_seen_only_where_the_user_made_one(
            clients in any_clients(), session in proptest::sample::select(Session::ALL.to_vec()), preferred in any_choice(),
        ) {
            let seen = shown(&clients, Some(session), preferred);
            if choice_wins(session, seen) {
                prop_assert_eq!(preferred.and_then(Shown::of), Some(seen));
            }
            prop_assert!(!choice_wins(session, shown(&clients, Some(session), None)));
        }

        #[test]
        fn the_order_of_clients_does_not_matter(mut clients in any_clients(), preferred in any_choice()) {
            let before = shown(&clients, None, preferred);
            clients.reverse();
            prop_assert_eq!(shown(&clients, None, preferred), before);
        }
    }
}
