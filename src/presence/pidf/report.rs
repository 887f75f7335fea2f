//! What a presence document comes to: the table of activities and words.

use std::collections::BTreeMap;

use super::model::{Activity, Basic, Document};
use crate::presence::state::{Presence, Report, UserState};

/// A PBX's own names of user presence, in lower case.
pub type Aliases = BTreeMap<String, UserState>;

const AVAILABLE: Report = Report::User(UserState::Available);
const ABSENT: Report = Report::User(UserState::Absent);
const BUSY: Report = Report::User(UserState::Busy);
const MEETING: Report = Report::User(UserState::Meeting);
const NOT_AVAILABLE: Report = Report::User(UserState::NotAvailable);
const ON_THE_PHONE: Report = line(Presence::Busy);
const DO_NOT_DISTURB: Report = line(Presence::DoNotDisturb);
const OFFLINE: Report = line(Presence::Offline);

/// Words of notes and of activities that RFC 4480 does not have, blanks and underscores as hyphens.
const WORDS: [(&str, Report); 28] = [
    ("absent", ABSENT),
    ("available", AVAILABLE),
    ("away", ABSENT),
    ("be-right-back", ABSENT),
    ("brb", ABSENT),
    ("busy", BUSY),
    ("dnd", DO_NOT_DISTURB),
    ("do-not-disturb", DO_NOT_DISTURB),
    ("donotdisturb", DO_NOT_DISTURB),
    ("extended-away", ABSENT),
    ("in-a-call", ON_THE_PHONE),
    ("in-a-meeting", MEETING),
    ("in-call", ON_THE_PHONE),
    ("meeting", MEETING),
    ("not-available", NOT_AVAILABLE),
    ("not-disturb", DO_NOT_DISTURB),
    ("offline", OFFLINE),
    ("on-the-phone", ON_THE_PHONE),
    ("online", AVAILABLE),
    ("open", AVAILABLE),
    ("out", ABSENT),
    ("out-of-office", ABSENT),
    ("out-to-lunch", ABSENT),
    ("ready", AVAILABLE),
    ("sleeping", ABSENT),
    ("unavailable", NOT_AVAILABLE),
    ("vacation", ABSENT),
    ("xa", ABSENT),
];

impl Document {
    /// What the document says of the user; `None`: nothing that is known. Of several activities the greatest counts
    /// (rule 1). Words of `aliases` go before those of the standards. Where no activity is known, a note that is a word
    /// of the table counts, and where there is none either, whether anything is open.
    pub fn report(&self, aliases: &Aliases) -> Option<Report> {
        let persons = self.people.iter().flat_map(|person| &person.activities);
        let activities = persons.chain(self.tuples.iter().flat_map(|tuple| &tuple.activities));
        let notes = self.people.iter().flat_map(|person| &person.notes);
        let notes = notes.chain(self.tuples.iter().flat_map(|tuple| &tuple.notes)).chain(&self.notes);
        activities
            .filter_map(|activity| of_activity(activity, aliases))
            .reduce(Report::max_by_rule)
            .or_else(|| notes.filter_map(|note| of_word(note, aliases)).reduce(Report::max_by_rule))
            .or_else(|| self.basic_report())
    }

    fn basic_report(&self) -> Option<Report> {
        let mut basics = self.tuples.iter().filter_map(|tuple| tuple.basic).peekable();
        basics.peek()?;
        Some(if basics.any(|basic| basic == Basic::Open) { AVAILABLE } else { OFFLINE })
    }
}

fn of_activity(activity: &Activity, aliases: &Aliases) -> Option<Report> {
    let name = activity.element().unwrap_or_default();
    if let Some(&state) = aliases.get(name) {
        return Some(Report::User(state));
    }
    match activity {
        Activity::Appointment | Activity::Meeting | Activity::Presentation => Some(MEETING),
        Activity::Away
        | Activity::Holiday
        | Activity::Lunch
        | Activity::Meal
        | Activity::PermanentAbsence
        | Activity::Travel
        | Activity::Vacation => Some(ABSENT),
        Activity::Busy => Some(BUSY),
        Activity::OnThePhone => Some(ON_THE_PHONE),
        Activity::Unknown => None,
        Activity::Other(word) => of_word(word, aliases),
    }
}

fn of_word(word: &str, aliases: &Aliases) -> Option<Report> {
    let word = word.trim().to_lowercase();
    if let Some(&state) = aliases.get(&word) {
        return Some(Report::User(state));
    }
    let word = word.replace([' ', '_'], "-");
    WORDS.iter().find(|(known, _)| *known == word).map(|&(_, report)| report)
}

impl Report {
    /// The one of two that rule 1 gives the higher rank, the first of equal ones.
    pub fn max_by_rule(self, other: Self) -> Self {
        if rank(other) > rank(self) { other } else { self }
    }
}

/// Rule 1; what a tenant says of `not-available` does not matter to one source.
const fn rank(report: Report) -> Presence {
    match report {
        Report::Line { presence, .. } => presence,
        Report::User(UserState::Absent) => Presence::Away,
        Report::User(UserState::NotAvailable) => Presence::DoNotDisturb,
        Report::User(UserState::Busy | UserState::Meeting) => Presence::Busy,
        Report::User(UserState::Available) => Presence::Available,
    }
}

const fn line(presence: Presence) -> Report {
    Report::Line { presence, conference: false }
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    fn report(inside: &str, aliases: &Aliases) -> Option<Report> {
        let text = format!("<presence entity='sip:a@b'>{inside}</presence>");
        read(text.as_bytes(), 4_096).unwrap().report(aliases)
    }

    fn person(activities: &str) -> String {
        format!(
            "<tuple id='t'><status><basic>open</basic></status></tuple>\
             <dm:person id='p'><rpid:activities>{activities}</rpid:activities></dm:person>"
        )
    }

    #[test]
    fn activities_have_their_meaning() {
        for (activities, wanted) in [
            ("<rpid:away/>", ABSENT),
            ("<rpid:permanent-absence/>", ABSENT),
            ("<rpid:vacation/>", ABSENT),
            ("<rpid:meeting/>", MEETING),
            ("<rpid:appointment/>", MEETING),
            ("<rpid:busy/>", BUSY),
            ("<rpid:on-the-phone/>", ON_THE_PHONE),
            ("<rpid:unknown/>", AVAILABLE),
            ("<rpid:unknown/><rpid:busy/>", BUSY),
            ("<rpid:dnd/>", DO_NOT_DISTURB),
            ("<rpid:do-not-disturb/>", DO_NOT_DISTURB),
            ("<rpid:other>Do not Disturb</rpid:other>", DO_NOT_DISTURB),
            ("<rpid:other>not available</rpid:other>", NOT_AVAILABLE),
            ("<rpid:other>counting sheep</rpid:other>", AVAILABLE),
            ("<rpid:on-the-phone/><rpid:away/><rpid:meeting/>", ABSENT),
            ("<rpid:on-the-phone/><rpid:dnd/>", DO_NOT_DISTURB),
        ] {
            assert_eq!(report(&person(activities), &Aliases::new()), Some(wanted), "{activities}");
        }
    }

    #[test]
    fn without_activities_notes_count_and_then_what_is_open() {
        let tuple = |basic: &str, note: &str| {
            format!("<tuple id='t'><status><basic>{basic}</basic></status><note>{note}</note></tuple>")
        };
        for (inside, wanted) in [
            (tuple("open", "DND"), Some(DO_NOT_DISTURB)),
            (tuple("open", "On the phone"), Some(ON_THE_PHONE)),
            (tuple("open", "see you at the bar"), Some(AVAILABLE)),
            (tuple("closed", ""), Some(OFFLINE)),
            (tuple("closed", "") + &tuple("open", ""), Some(AVAILABLE)),
            (tuple("ajar", ""), None),
            (String::new(), None),
        ] {
            assert_eq!(report(&inside, &Aliases::new()), wanted, "{inside}");
        }
    }

    #[test]
    fn aliases_go_before_the_standards() {
        let aliases = Aliases::from([
            ("siesta".into(), UserState::Absent),
            ("busy".into(), UserState::NotAvailable),
            ("nicht verf\u{fc}gbar".into(), UserState::NotAvailable),
        ]);
        assert_eq!(report(&person("<rpid:other>Siesta</rpid:other>"), &aliases), Some(ABSENT));
        assert_eq!(report(&person("<rpid:busy/>"), &aliases), Some(NOT_AVAILABLE));
        let note = "<tuple id='t'><status><basic>open</basic></status></tuple><note>Nicht Verf\u{fc}gbar</note>";
        assert_eq!(report(note, &aliases), Some(NOT_AVAILABLE));
    }
}
