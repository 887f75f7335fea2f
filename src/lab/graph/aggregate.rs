//! What Teams makes of a user's clients, application sessions and own choice.
//!
//! The user's own choice wins while at least one session exists; with none the user is offline. Among sessions:
//! do not disturb, then busy, available, away. An application's `Available` fades after five minutes to
//! `AvailableInactive` and after five more to `Away`, whatever expiry was asked for.

use serde::Serialize;

use super::clock::At;

/// How long an application's `Available` holds, and its fading after that, in milliseconds.
const FADE: u64 = 5 * 60 * 1000;
/// Devices on which a user may run Teams.
const DEVICES: usize = 3;

/// The base of a presence; the order is that among sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Availability {
    Offline,
    BeRightBack,
    Away,
    Available,
    Busy,
    DoNotDisturb,
}

impl Availability {
    /// As Graph writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Offline => "Offline",
            Self::BeRightBack => "BeRightBack",
            Self::Away => "Away",
            Self::Available => "Available",
            Self::Busy => "Busy",
            Self::DoNotDisturb => "DoNotDisturb",
        }
    }
}

/// A presence as Graph shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    pub availability: Availability,
    pub activity: &'static str,
}

impl Pair {
    const fn new(availability: Availability, activity: &'static str) -> Self {
        Self { availability, activity }
    }

    /// Signed out everywhere.
    pub const OFFLINE: Self = Self::new(Availability::Offline, "Offline");

    /// What an application may write into its session.
    pub(super) const SESSIONS: [Self; 5] = [
        Self::new(Availability::Available, "Available"),
        Self::new(Availability::Busy, "InACall"),
        Self::new(Availability::Busy, "InAConferenceCall"),
        Self::new(Availability::Away, "Away"),
        Self::new(Availability::DoNotDisturb, "Presenting"),
    ];

    /// What may be set as a user's own choice.
    pub(super) const CHOICES: [Self; 6] = [
        Self::new(Availability::Available, "Available"),
        Self::new(Availability::Busy, "Busy"),
        Self::new(Availability::DoNotDisturb, "DoNotDisturb"),
        Self::new(Availability::BeRightBack, "BeRightBack"),
        Self::new(Availability::Away, "Away"),
        Self::new(Availability::Offline, "OffWork"),
    ];

    /// The pair of two words, when it is one of those allowed.
    pub(super) fn find(allowed: &[Self], availability: &str, activity: &str) -> Option<Self> {
        allowed.iter().find(|pair| pair.availability.word() == availability && pair.activity == activity).copied()
    }
}

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.availability.word(), self.activity)
    }
}

/// A device on which a user runs Teams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    Desktop,
    Mobile,
    Web,
}

impl Device {
    /// The device of a word such as `desktop`.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "desktop" => Some(Self::Desktop),
            "mobile" => Some(Self::Mobile),
            "web" => Some(Self::Web),
            _ => None,
        }
    }
}

/// What a Teams client is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientState {
    /// Not running.
    #[default]
    Offline,
    ConnectedInactive,
    ConnectedActive,
    InACall,
    InAMeeting,
    Presenting,
    Focusing,
}

impl ClientState {
    /// The state of a word, as the golden table has it (`busy`, `focus-or-presenting`) or more closely (`in-a-call`).
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "offline" => Some(Self::Offline),
            "connected-inactive" => Some(Self::ConnectedInactive),
            "connected-active" => Some(Self::ConnectedActive),
            "in-a-call" => Some(Self::InACall),
            "busy" | "in-a-meeting" => Some(Self::InAMeeting),
            "presenting" => Some(Self::Presenting),
            "focus-or-presenting" | "focusing" => Some(Self::Focusing),
            _ => None,
        }
    }

    fn pair(self) -> Option<Pair> {
        match self {
            Self::Offline => None,
            Self::ConnectedInactive => Some(Pair::new(Availability::Away, "Away")),
            Self::ConnectedActive => Some(Pair::new(Availability::Available, "Available")),
            Self::InACall => Some(Pair::new(Availability::Busy, "InACall")),
            Self::InAMeeting => Some(Pair::new(Availability::Busy, "InAMeeting")),
            Self::Presenting => Some(Pair::new(Availability::DoNotDisturb, "Presenting")),
            Self::Focusing => Some(Pair::new(Availability::DoNotDisturb, "Focusing")),
        }
    }
}

/// The session of one application.
#[derive(Clone, Copy, Debug)]
pub(super) struct AppSession {
    /// Which application of the tenant.
    pub(super) app: usize,
    pub(super) pair: Pair,
    pub(super) written: At,
    pub(super) expires: At,
    /// Whether the application has heard that it was written.
    pub(super) answered: bool,
}

impl AppSession {
    /// What is left of it now.
    fn pair_at(&self, now: At) -> Option<Pair> {
        if now >= self.expires {
            return None;
        }
        let age = now.saturating_sub(self.written);
        Some(match (self.pair.availability, age) {
            (Availability::Available, age) if age >= 2 * FADE => Pair::new(Availability::Away, "Away"),
            (Availability::Available, age) if age >= FADE => Pair::new(Availability::Available, "AvailableInactive"),
            _ => self.pair,
        })
    }

    /// Whether half of its life is over.
    pub(super) fn half_over(&self, now: At) -> bool {
        // A client counts from when it sent, which is earlier: the margin is for its clock and the way.
        let life = self.expires.saturating_sub(self.written);
        now.saturating_sub(self.written).saturating_mul(2).saturating_add(life / 50) >= life
    }
}

/// All that Teams knows of one user's presence.
#[derive(Clone, Debug)]
pub(super) struct Person {
    clients: [ClientState; DEVICES],
    sessions: Vec<AppSession>,
    preferred: Option<(Pair, At)>,
    last: Pair,
    sequence: u64,
}

impl Default for Person {
    fn default() -> Self {
        Self {
            clients: [ClientState::Offline; DEVICES],
            sessions: Vec::new(),
            preferred: None,
            last: Pair::OFFLINE,
            sequence: 0,
        }
    }
}

impl Person {
    pub(super) fn set_client(&mut self, device: Device, state: ClientState) {
        let slot = match device {
            Device::Desktop => 0,
            Device::Mobile => 1,
            Device::Web => 2,
        };
        if let Some(client) = self.clients.get_mut(slot) {
            *client = state;
        }
    }

    pub(super) fn set_session(&mut self, session: AppSession) {
        self.sessions.retain(|other| other.app != session.app);
        self.sessions.push(session);
    }

    /// Takes an application's session away; whether there was one.
    pub(super) fn clear_session(&mut self, now: At, app: usize) -> bool {
        let found = self.session(now, app).is_some();
        self.sessions.retain(|session| session.app != app);
        found
    }

    /// An application's session, unless it is over.
    pub(super) fn session(&self, now: At, app: usize) -> Option<&AppSession> {
        self.sessions.iter().find(|session| session.app == app && now < session.expires)
    }

    pub(super) fn session_mut(&mut self, app: usize) -> Option<&mut AppSession> {
        self.sessions.iter_mut().find(|session| session.app == app)
    }

    pub(super) fn prefer(&mut self, choice: Option<(Pair, At)>) {
        self.preferred = choice;
    }

    /// What Teams shows now.
    pub(super) fn shown(&self, now: At) -> Pair {
        let clients = self.clients.iter().filter_map(|client| client.pair());
        let sessions = self.sessions.iter().filter_map(|session| session.pair_at(now));
        // The first of equals stays: a client's own activity is told before an application's.
        let best = clients.chain(sessions).reduce(|best, pair| match pair.availability > best.availability {
            true => pair,
            false => best,
        });
        match (best, self.preferred) {
            (None, _) => Pair::OFFLINE,
            (Some(_), Some((choice, until))) if now < until => choice,
            (Some(pair), _) => pair,
        }
    }

    /// What Teams shows now with its number, which is taken from `next` when something changed since the last look.
    pub(super) fn look(&mut self, now: At, next: &mut u64) -> (Pair, u64) {
        let shown = self.shown(now);
        if shown != self.last || self.sequence == 0 {
            *next += 1;
            self.last = shown;
            self.sequence = *next;
        }
        (shown, self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    fn session(availability: &str, activity: &str, minutes: u64) -> AppSession {
        let pair = Pair::find(&Pair::SESSIONS, availability, activity).unwrap();
        AppSession { app: 0, pair, written: 0, expires: minutes * MINUTE, answered: true }
    }

    #[test]
    fn available_fades_twice_and_then_its_expiry_ends_it() {
        let mut person = Person::default();
        person.set_session(session("Available", "Available", 60));
        let shown = |minute: u64| person.shown(minute * MINUTE).to_string();
        assert_eq!(shown(4), "Available/Available");
        assert_eq!(shown(5), "Available/AvailableInactive");
        assert_eq!(shown(10), "Away/Away");
        assert_eq!(shown(60), "Offline/Offline");
    }

    #[test]
    fn busy_does_not_fade() {
        let mut person = Person::default();
        person.set_session(session("Busy", "InACall", 60));
        assert_eq!(person.shown(59 * MINUTE).to_string(), "Busy/InACall");
        assert_eq!(person.shown(60 * MINUTE), Pair::OFFLINE);
    }

    #[test]
    fn a_choice_wins_only_while_a_session_is_there() {
        let mut person = Person::default();
        let choice = Pair::find(&Pair::CHOICES, "BeRightBack", "BeRightBack").unwrap();
        person.prefer(Some((choice, 30 * MINUTE)));
        assert_eq!(person.shown(0), Pair::OFFLINE);
        person.set_client(Device::Web, ClientState::InAMeeting);
        assert_eq!(person.shown(0), choice);
        assert_eq!(person.shown(30 * MINUTE).to_string(), "Busy/InAMeeting");
        person.set_client(Device::Web, ClientState::Offline);
        assert_eq!(person.shown(0), Pair::OFFLINE);
        person.set_session(session("Busy", "InACall", 60));
        assert_eq!(person.shown(0), choice);
    }

    #[test]
    fn the_strongest_session_is_shown() {
        let mut person = Person::default();
        person.set_session(session("Away", "Away", 60));
        person.set_client(Device::Mobile, ClientState::ConnectedActive);
        assert_eq!(person.shown(0).to_string(), "Available/Available");
        person.set_session(session("Busy", "InACall", 60));
        assert_eq!(person.shown(0).to_string(), "Busy/InACall");
        person.set_client(Device::Desktop, ClientState::Focusing);
        assert_eq!(person.shown(0).to_string(), "DoNotDisturb/Focusing");
    }

    #[test]
    fn the_number_grows_only_with_a_change() {
        let (mut person, mut next) = (Person::default(), 7);
        let (_, first) = person.look(0, &mut next);
        assert_eq!(person.look(5, &mut next).1, first);
        person.set_session(session("Busy", "InACall", 5));
        let (_, second) = person.look(6, &mut next);
        assert!(second > first);
        assert!(person.look(5 * MINUTE, &mut next).1 > second, "its expiry is a change too");
    }

    #[test]
    fn half_a_life_is_not_over_early() {
        let session = session("Busy", "InACall", 60);
        assert!(!session.half_over(20 * MINUTE));
        assert!(session.half_over(30 * MINUTE));
    }
}
