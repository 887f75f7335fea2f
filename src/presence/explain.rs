//! How a presence comes about, in words: what `trunkway presence explain` shows.

use super::merge::{self, Merged};
use super::state::{ClientState, Presence, Report, Session, UserState};
use super::teams::{self, Shown};

/// What is asked: the states of everything that has a say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The user's lines on the PBX.
    pub lines: Vec<Presence>,
    /// Whether the lines that are busy are in a conference.
    pub conference: bool,
    /// What the user has set on the phone.
    pub user: Option<UserState>,
    /// What `not-available` comes to.
    pub not_available: Presence,
    /// The user's Teams clients.
    pub clients: Vec<ClientState>,
    /// What the user has chosen by hand in Teams.
    pub preferred: Option<Shown>,
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub pbx: Presence,
    /// What the edge writes into its session; `None`: it clears it.
    pub session: Option<Session>,
    pub shown: Shown,
    /// A sentence for each step, in order.
    pub because: Vec<String>,
}

/// Answers a question by rules 1, 3 and 2.
pub fn explain(question: &Question) -> Explanation {
    let Question { lines, conference, user, not_available, clients, preferred } = question;
    let line = |&presence| Report::Line { presence, conference: *conference };
    let reports = lines.iter().map(line).chain(user.map(Report::User));
    let merged = merge::merge(reports, *not_available);
    let session = teams::session_for(merged);
    let shown = teams::shown(clients, session, preferred.map(Shown::availability));
    let because =
        vec![on_the_pbx(question, merged), in_the_session(merged, session), in_teams(question, session, shown)];
    Explanation { pbx: merged.presence, session, shown, because }
}

/// Rule 1 in words.
fn on_the_pbx(question: &Question, merged: Merged) -> String {
    let Question { lines, user, not_available, .. } = question;
    let mut says: Vec<(String, Presence)> = Vec::new();
    for (index, &presence) in lines.iter().enumerate() {
        let which = if lines.len() > 1 { format!("line {}", index + 1) } else { "the line".to_owned() };
        says.push((format!("{which} is {presence}"), presence));
    }
    if let Some(user) = user {
        let presence = merge::user_presence(*user, *not_available);
        let comes =
            if presence.word() == user.word() { String::new() } else { format!(", which counts as {presence}") };
        says.push((format!("the user has set {user}{comes}"), presence));
    }
    let pbx = merged.presence;
    match says.as_slice() {
        [] => "on the PBX nothing is known of the user".to_owned(),
        [(only, _)] => format!("on the PBX {only}"),
        _ => {
            let all: Vec<&str> = says.iter().map(|(text, _)| text.as_str()).collect();
            let greater = if says.iter().any(|(_, presence)| *presence != pbx) { ": the greatest counts" } else { "" };
            format!("on the PBX {}{greater}, {pbx}", all.join(" and "))
        }
    }
}

/// Rule 3 in words.
fn in_the_session(merged: Merged, session: Option<Session>) -> String {
    let presence = merged.presence;
    match session {
        Some(session) => {
            let conference = if merged.conference { " in a conference" } else { "" };
            let (availability, activity) = (session.availability(), session.activity());
            format!("the edge writes {availability} / {activity} to Teams, for the user is {presence}{conference}")
        }
        None => {
            format!("the edge clears its session in Teams, for a phone that is {presence} must not lift anybody there")
        }
    }
}

/// Rule 2 in words.
fn in_teams(question: &Question, session: Option<Session>, shown: Shown) -> String {
    let Question { clients, preferred, .. } = question;
    let running: Vec<ClientState> = clients.iter().copied().filter(|client| *client != ClientState::Offline).collect();
    if running.is_empty() && session.is_none() {
        let choice = preferred.map_or(String::new(), |choice| format!(", whatever the user chose ({choice})"));
        return format!("no Teams client runs and there is no session: Teams shows {shown}{choice}");
    }
    if let Some(choice) = preferred {
        return format!("the user chose {choice} in Teams, which goes over every session: Teams shows {shown}");
    }
    let mut says: Vec<String> = Vec::new();
    for client in &running {
        let counts = teams::of_client(*client);
        let as_what = if counts.word() == client.word() { String::new() } else { format!(" (counts as {counts})") };
        says.push(format!("a client that is {client}{as_what}"));
    }
    says.extend(session.map(|session| format!("the edge's session ({})", teams::of_session(session))));
    match says.as_slice() {
        [only] => format!("Teams has {only} and nothing else: it shows {shown}"),
        _ => format!("Teams has {}: the greatest shows, {shown}", says.join(" and ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(line: &str, user: &str, client: &str) -> Question {
        Question {
            lines: vec![line.parse().unwrap()],
            conference: false,
            user: Some(user.parse().unwrap()),
            not_available: Presence::DoNotDisturb,
            clients: vec![client.parse().unwrap()],
            preferred: None,
        }
    }

    const CLIENTS: [&str; 5] = ["offline", "connected-inactive", "connected-active", "busy", "focus-or-presenting"];

    /// Phone, user and what comes of both; what Teams shows for each state of a client.
    const GOLDEN: [([&str; 3], [&str; 5]); 3] = [
        (["available", "available", "available"], ["offline", "away", "available", "busy", "do-not-disturb"]),
        (["busy", "available", "busy"], ["busy", "busy", "busy", "busy", "do-not-disturb"]),
        (["available", "busy", "busy"], ["busy", "busy", "busy", "busy", "do-not-disturb"]),
    ];

    fn check([line, user, pbx, client, shown]: [&str; 5]) {
        let explained = explain(&question(line, user, client));
        assert_eq!((explained.pbx.word(), explained.shown.word()), (pbx, shown), "{line} {user} {client}");
        assert_eq!(explained.session, (pbx == "busy").then_some(Session::InACall));
        assert_eq!(explained.because.len(), 3);
    }

    #[test]
    fn phone_user_and_client_give_what_the_solution_guide_says() {
        for ([line, user, pbx], row) in GOLDEN {
            CLIENTS.into_iter().zip(row).for_each(|(client, shown)| check([line, user, pbx, client, shown]));
        }
    }

    #[test]
    fn every_row_of_the_golden_table_holds() {
        let table = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/presence-golden.csv");
        let Ok(text) = std::fs::read_to_string(table) else { return };
        let rows: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        assert!(rows.len() >= 15, "{} rows", rows.len());
        for row in rows {
            let cells: Vec<&str> = row.split(',').collect();
            check(cells.try_into().unwrap());
        }
    }

    #[test]
    fn each_step_is_told() {
        let base = Question {
            lines: vec![],
            conference: false,
            user: None,
            not_available: Presence::DoNotDisturb,
            clients: vec![],
            preferred: None,
        };
        let told = |question: &Question| explain(question).because.join("; ");
        assert_eq!(
            told(&base),
            "on the PBX nothing is known of the user; \
             the edge clears its session in Teams, for a phone that is unknown must not lift anybody there; \
             no Teams client runs and there is no session: Teams shows offline"
        );
        let busy = Question {
            lines: vec![Presence::Available, Presence::Busy],
            conference: true,
            user: Some(UserState::NotAvailable),
            not_available: Presence::Offline,
            clients: vec![ClientState::ConnectedActive, ClientState::Offline],
            ..base.clone()
        };
        assert_eq!(
            told(&busy),
            "on the PBX line 1 is available and line 2 is busy and the user has set not-available, which counts as \
             offline: the greatest counts, busy; \
             the edge writes Busy / InAConferenceCall to Teams, for the user is busy in a conference; \
             Teams has a client that is connected-active (counts as available) and the edge's session (busy): the \
             greatest shows, busy"
        );
        let chosen = Question { preferred: Some(Shown::BeRightBack), ..busy };
        assert_eq!(explain(&chosen).shown, Shown::BeRightBack);
        assert!(told(&chosen).ends_with(
            "the user chose be-right-back in Teams, which goes over every session: Teams shows be-right-back"
        ));
        let absent = Question { lines: vec![], preferred: Some(Shown::Available), ..base };
        assert!(told(&absent).ends_with("Teams shows offline, whatever the user chose (available)"));
    }
}
