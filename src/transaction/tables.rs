//! The state tables of all machines, walked row by row on reliable and unreliable transports.
//!
//! A row reads `state | input | link | next state | outputs`. Every input must have exactly one row in
//! every state that can be reached on a link; a row that is missing, doubled or unreachable fails.
//! `time passes` runs the machine on its timers alone and lists what happens when, in milliseconds.

use std::fmt::Debug;

use super::*;

const INVITE_CLIENT: &str = "
    Calling    | 1xx             | any        | Proceeding | report Response
    Calling    | 2xx             | any        | Accepted   | report Response
    Calling    | 300-699         | unreliable | Completed  | send Ack, report Response
    Calling    | 300-699         | reliable   | Terminated | send Ack, report Response, end
    Calling    | other status    | any        | Calling    |
    Calling    | transport error | any        | Terminated | report TransportError, end
    Calling    | early           | any        | Calling    |
    Calling    | time passes     | unreliable | Terminated | 500 send Request; 1500 send Request; 3500 send Request; 7500 send Request; 15500 send Request; 31500 send Request; 32000 report TimedOut, end
    Calling    | time passes     | reliable   | Terminated | 32000 report TimedOut, end
    Proceeding | 1xx             | any        | Proceeding | report Response
    Proceeding | 2xx             | any        | Accepted   | report Response
    Proceeding | 300-699         | unreliable | Completed  | send Ack, report Response
    Proceeding | 300-699         | reliable   | Terminated | send Ack, report Response, end
    Proceeding | other status    | any        | Proceeding |
    Proceeding | transport error | any        | Proceeding |
    Proceeding | early           | any        | Proceeding |
    Proceeding | time passes     | any        | Proceeding |
    Completed  | 1xx             | unreliable | Completed  |
    Completed  | 2xx             | unreliable | Completed  |
    Completed  | 300-699         | unreliable | Completed  | send Ack
    Completed  | other status    | unreliable | Completed  |
    Completed  | transport error | unreliable | Terminated | report TransportError, end
    Completed  | early           | unreliable | Completed  |
    Completed  | time passes     | unreliable | Terminated | 32000 end
    Accepted   | 1xx             | any        | Accepted   |
    Accepted   | 2xx             | any        | Accepted   | report Response
    Accepted   | 300-699         | any        | Accepted   |
    Accepted   | other status    | any        | Accepted   |
    Accepted   | transport error | any        | Accepted   |
    Accepted   | early           | any        | Accepted   |
    Accepted   | time passes     | any        | Terminated | 32000 end
    Terminated | 1xx             | any        | Terminated |
    Terminated | 2xx             | any        | Terminated |
    Terminated | 300-699         | any        | Terminated |
    Terminated | other status    | any        | Terminated |
    Terminated | transport error | any        | Terminated |
    Terminated | early           | any        | Terminated |
    Terminated | time passes     | any        | Terminated |
";

const NON_INVITE_CLIENT: &str = "
    Trying     | 1xx             | any        | Proceeding | report Response
    Trying     | 2xx             | unreliable | Completed  | report Response
    Trying     | 2xx             | reliable   | Terminated | report Response, end
    Trying     | 300-699         | unreliable | Completed  | report Response
    Trying     | 300-699         | reliable   | Terminated | report Response, end
    Trying     | other status    | any        | Trying     |
    Trying     | transport error | any        | Terminated | report TransportError, end
    Trying     | early           | any        | Trying     |
    Trying     | time passes     | unreliable | Terminated | 500 send Request; 1500 send Request; 3500 send Request; 7500 send Request; 11500 send Request; 15500 send Request; 19500 send Request; 23500 send Request; 27500 send Request; 31500 send Request; 32000 report TimedOut, end
    Trying     | time passes     | reliable   | Terminated | 32000 report TimedOut, end
    Proceeding | 1xx             | any        | Proceeding | report Response
    Proceeding | 2xx             | unreliable | Completed  | report Response
    Proceeding | 2xx             | reliable   | Terminated | report Response, end
    Proceeding | 300-699         | unreliable | Completed  | report Response
    Proceeding | 300-699         | reliable   | Terminated | report Response, end
    Proceeding | other status    | any        | Proceeding |
    Proceeding | transport error | any        | Terminated | report TransportError, end
    Proceeding | early           | any        | Proceeding |
    Proceeding | time passes     | unreliable | Terminated | 500 send Request; 4500 send Request; 8500 send Request; 12500 send Request; 16500 send Request; 20500 send Request; 24500 send Request; 28500 send Request; 32000 report TimedOut, end
    Proceeding | time passes     | reliable   | Terminated | 32000 report TimedOut, end
    Completed  | 1xx             | unreliable | Completed  |
    Completed  | 2xx             | unreliable | Completed  |
    Completed  | 300-699         | unreliable | Completed  |
    Completed  | other status    | unreliable | Completed  |
    Completed  | transport error | unreliable | Completed  |
    Completed  | early           | unreliable | Completed  |
    Completed  | time passes     | unreliable | Terminated | 5000 end
    Terminated | 1xx             | any        | Terminated |
    Terminated | 2xx             | any        | Terminated |
    Terminated | 300-699         | any        | Terminated |
    Terminated | other status    | any        | Terminated |
    Terminated | transport error | any        | Terminated |
    Terminated | early           | any        | Terminated |
    Terminated | time passes     | any        | Terminated |
";

const INVITE_SERVER: &str = "
    Proceeding | request         | any        | Proceeding |
    Proceeding | 1xx             | any        | Proceeding | send Response
    Proceeding | 1xx, request    | any        | Proceeding | send Response; send Last
    Proceeding | 2xx             | any        | Accepted   | send Response
    Proceeding | 300-699         | any        | Completed  | send Response
    Proceeding | other status    | any        | Proceeding |
    Proceeding | ack             | any        | Proceeding |
    Proceeding | transport error | any        | Proceeding | report TransportError
    Proceeding | early           | any        | Proceeding |
    Proceeding | time passes     | any        | Proceeding |
    Completed  | request         | any        | Completed  | send Last
    Completed  | 1xx             | any        | Completed  |
    Completed  | 1xx, request    | any        | Completed  | send Last
    Completed  | 2xx             | any        | Completed  |
    Completed  | 300-699         | any        | Completed  |
    Completed  | other status    | any        | Completed  |
    Completed  | ack             | unreliable | Confirmed  |
    Completed  | ack             | reliable   | Terminated | end
    Completed  | transport error | any        | Completed  | report TransportError
    Completed  | early           | any        | Completed  |
    Completed  | time passes     | unreliable | Terminated | 500 send Last; 1500 send Last; 3500 send Last; 7500 send Last; 11500 send Last; 15500 send Last; 19500 send Last; 23500 send Last; 27500 send Last; 31500 send Last; 32000 report NoAck, end
    Completed  | time passes     | reliable   | Terminated | 32000 report NoAck, end
    Confirmed  | request         | unreliable | Confirmed  |
    Confirmed  | 1xx             | unreliable | Confirmed  |
    Confirmed  | 1xx, request    | unreliable | Confirmed  |
    Confirmed  | 2xx             | unreliable | Confirmed  |
    Confirmed  | 300-699         | unreliable | Confirmed  |
    Confirmed  | other status    | unreliable | Confirmed  |
    Confirmed  | ack             | unreliable | Confirmed  |
    Confirmed  | transport error | unreliable | Confirmed  |
    Confirmed  | early           | unreliable | Confirmed  |
    Confirmed  | time passes     | unreliable | Terminated | 5000 end
    Accepted   | request         | any        | Accepted   |
    Accepted   | 1xx             | any        | Accepted   |
    Accepted   | 1xx, request    | any        | Accepted   |
    Accepted   | 2xx             | any        | Accepted   | send Response
    Accepted   | 300-699         | any        | Accepted   |
    Accepted   | other status    | any        | Accepted   |
    Accepted   | ack             | any        | Accepted   | report Ack
    Accepted   | transport error | any        | Accepted   | report TransportError
    Accepted   | early           | any        | Accepted   |
    Accepted   | time passes     | any        | Terminated | 32000 end
    Terminated | request         | any        | Terminated |
    Terminated | 1xx             | any        | Terminated |
    Terminated | 1xx, request    | any        | Terminated |
    Terminated | 2xx             | any        | Terminated |
    Terminated | 300-699         | any        | Terminated |
    Terminated | other status    | any        | Terminated |
    Terminated | ack             | any        | Terminated |
    Terminated | transport error | any        | Terminated |
    Terminated | early           | any        | Terminated |
    Terminated | time passes     | any        | Terminated |
";

const NON_INVITE_SERVER: &str = "
    Trying     | request         | any        | Trying     |
    Trying     | 1xx             | any        | Proceeding | send Response
    Trying     | 1xx, request    | any        | Proceeding | send Response; send Last
    Trying     | 2xx             | unreliable | Completed  | send Response
    Trying     | 2xx             | reliable   | Terminated | send Response, end
    Trying     | 300-699         | unreliable | Completed  | send Response
    Trying     | 300-699         | reliable   | Terminated | send Response, end
    Trying     | other status    | any        | Trying     |
    Trying     | transport error | any        | Trying     |
    Trying     | early           | any        | Trying     |
    Trying     | time passes     | any        | Trying     |
    Proceeding | request         | any        | Proceeding | send Last
    Proceeding | 1xx             | any        | Proceeding | send Response
    Proceeding | 1xx, request    | any        | Proceeding | send Response; send Last
    Proceeding | 2xx             | unreliable | Completed  | send Response
    Proceeding | 2xx             | reliable   | Terminated | send Response, end
    Proceeding | 300-699         | unreliable | Completed  | send Response
    Proceeding | 300-699         | reliable   | Terminated | send Response, end
    Proceeding | other status    | any        | Proceeding |
    Proceeding | transport error | any        | Proceeding | report TransportError
    Proceeding | early           | any        | Proceeding |
    Proceeding | time passes     | any        | Proceeding |
    Completed  | request         | unreliable | Completed  | send Last
    Completed  | 1xx             | unreliable | Completed  |
    Completed  | 1xx, request    | unreliable | Completed  | send Last
    Completed  | 2xx             | unreliable | Completed  |
    Completed  | 300-699         | unreliable | Completed  |
    Completed  | other status    | unreliable | Completed  |
    Completed  | transport error | unreliable | Completed  | report TransportError
    Completed  | early           | unreliable | Completed  |
    Completed  | time passes     | unreliable | Terminated | 32000 end
    Terminated | request         | any        | Terminated |
    Terminated | 1xx             | any        | Terminated |
    Terminated | 1xx, request    | any        | Terminated |
    Terminated | 2xx             | any        | Terminated |
    Terminated | 300-699         | any        | Terminated |
    Terminated | other status    | any        | Terminated |
    Terminated | transport error | any        | Terminated |
    Terminated | early           | any        | Terminated |
    Terminated | time passes     | any        | Terminated |
";

#[test]
fn invite_client_does_what_its_table_says() {
    walk::<InviteClient>(INVITE_CLIENT);
}

#[test]
fn non_invite_client_does_what_its_table_says() {
    walk::<NonInviteClient>(NON_INVITE_CLIENT);
}

#[test]
fn invite_server_does_what_its_table_says() {
    walk::<InviteServer>(INVITE_SERVER);
}

#[test]
fn non_invite_server_does_what_its_table_says() {
    walk::<NonInviteServer>(NON_INVITE_SERVER);
}

#[test]
fn machines_and_actions_are_small() {
    assert!(size_of::<InviteClient>() <= 32);
    assert!(size_of::<NonInviteClient>() <= 32);
    assert!(size_of::<InviteServer>() <= 32);
    assert!(size_of::<NonInviteServer>() <= 16);
    assert!(size_of::<Alarm>() <= 8);
    assert_eq!(size_of::<Key>(), 16);
    assert!(size_of::<ClientActions>() <= 4);
    assert!(size_of::<ServerActions>() <= 4);
}

#[test]
fn buffers_are_needed_only_while_something_may_be_sent_again() {
    let at = |state, reliable| {
        InviteServer::in_state(state, reliable)
            .unwrap()
            .needs_buffer()
    };
    assert!(at("Proceeding", true) && at("Completed", false));
    assert!(!at("Accepted", false) && !at("Confirmed", false) && !at("Terminated", true));
    let at = |state, reliable| {
        InviteClient::in_state(state, reliable)
            .unwrap()
            .needs_buffer()
    };
    assert!(at("Calling", false) && at("Completed", false));
    assert!(!at("Proceeding", false) && !at("Accepted", false));
    let at = |state, reliable| {
        NonInviteClient::in_state(state, reliable)
            .unwrap()
            .needs_buffer()
    };
    assert!(at("Trying", false) && at("Proceeding", false));
    assert!(!at("Trying", true) && !at("Completed", false));
    let at = |state, reliable| {
        NonInviteServer::in_state(state, reliable)
            .unwrap()
            .needs_buffer()
    };
    assert!(at("Proceeding", true) && at("Completed", false));
    assert!(!at("Terminated", true));
}

/// What the tests need of a machine, whichever it is.
pub(super) trait Machine: Copy + Debug {
    const STATES: &'static [&'static str];
    const INPUTS: &'static [Input];

    fn begin(now: Moment, reliable: bool, timing: &Timing) -> Self;
    fn handle(&mut self, now: Moment, event: Event, timing: &Timing) -> Outcome;
    fn next_timeout(&self) -> Option<Moment>;
    fn state_name(&self) -> String;

    /// A machine that was brought to a state at [`T0`]; `None` when no way leads there on the link.
    fn in_state(state: &str, reliable: bool) -> Option<Self> {
        let timing = Timing::default();
        let ways: &[&[Event]] = &[
            &[],
            &[Event::Status(180)],
            &[Event::Status(200)],
            &[Event::Status(486)],
            &[Event::Status(486), Event::Ack],
            &[Event::Status(486), Event::Ack, Event::Timeout],
            &[Event::Status(486), Event::Timeout],
        ];
        ways.iter().find_map(|way| {
            let mut machine = Self::begin(T0, reliable, &timing);
            for &event in *way {
                let now = if event == Event::Timeout {
                    T0 + Timing::default().timer_b()
                } else {
                    T0
                };
                machine.handle(now, event, &timing);
            }
            (machine.state_name() == state).then_some(machine)
        })
    }
}

/// An event that any machine may meet; one that a kind of machine does not know changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Ack,
    Request,
    Status(u16),
    Timeout,
    TransportError,
}

/// What came of an event, in words, and whether the machine said that it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) words: String,
    pub(super) ended: bool,
}

impl Outcome {
    fn of(send: Option<impl Debug>, report: Option<impl Debug>, ended: bool) -> Self {
        let send = send.map(|send| format!("send {send:?}"));
        let report = report.map(|report| format!("report {report:?}"));
        let end = ended.then(|| "end".to_owned());
        let words = [send, report, end]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(", ");
        Self { words, ended }
    }

    fn of_client(actions: ClientActions) -> Self {
        Self::of(actions.send, actions.report, actions.ended)
    }

    fn of_server(actions: ServerActions) -> Self {
        Self::of(actions.send, actions.report, actions.ended)
    }
}

/// A column of a state table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Ack,
    Early,
    OtherStatus,
    Provisional,
    ProvisionalAndRequest,
    Request,
    Status2xx,
    Status300To699,
    TimePasses,
    TransportError,
}

impl Input {
    const fn name(self) -> &'static str {
        match self {
            Self::Ack => "ack",
            Self::Early => "early",
            Self::OtherStatus => "other status",
            Self::Provisional => "1xx",
            Self::ProvisionalAndRequest => "1xx, request",
            Self::Request => "request",
            Self::Status2xx => "2xx",
            Self::Status300To699 => "300-699",
            Self::TimePasses => "time passes",
            Self::TransportError => "transport error",
        }
    }

    /// Equivalent ways to give the input: each must have the same outcome.
    fn ways(self) -> Vec<Vec<Event>> {
        let statuses = |list: &[u16]| {
            list.iter()
                .map(|&status| vec![Event::Status(status)])
                .collect()
        };
        match self {
            Self::Ack => vec![vec![Event::Ack]],
            Self::OtherStatus => statuses(&[0, 99, 700, u16::MAX]),
            Self::Provisional => statuses(&[100, 180, 199]),
            Self::ProvisionalAndRequest => vec![vec![Event::Status(183), Event::Request]],
            Self::Request => vec![vec![Event::Request]],
            Self::Status2xx => statuses(&[200, 202, 299]),
            Self::Status300To699 => statuses(&[300, 401, 487, 503, 603, 699]),
            Self::TransportError => vec![vec![Event::TransportError]],
            Self::Early | Self::TimePasses => vec![],
        }
    }
}

const CLIENT_INPUTS: &[Input] = &[
    Input::Provisional,
    Input::Status2xx,
    Input::Status300To699,
    Input::OtherStatus,
    Input::TransportError,
    Input::Early,
    Input::TimePasses,
];

const NON_INVITE_SERVER_INPUTS: &[Input] = &[
    Input::Request,
    Input::Provisional,
    Input::ProvisionalAndRequest,
    Input::Status2xx,
    Input::Status300To699,
    Input::OtherStatus,
    Input::TransportError,
    Input::Early,
    Input::TimePasses,
];

const INVITE_SERVER_INPUTS: &[Input] = &[
    Input::Request,
    Input::Provisional,
    Input::ProvisionalAndRequest,
    Input::Status2xx,
    Input::Status300To699,
    Input::OtherStatus,
    Input::Ack,
    Input::TransportError,
    Input::Early,
    Input::TimePasses,
];

impl Machine for InviteClient {
    const STATES: &'static [&'static str] = &[
        "Calling",
        "Proceeding",
        "Completed",
        "Accepted",
        "Terminated",
    ];
    const INPUTS: &'static [Input] = CLIENT_INPUTS;

    fn begin(now: Moment, reliable: bool, timing: &Timing) -> Self {
        let (machine, actions) = Self::start(now, reliable, timing);
        assert_eq!(Outcome::of_client(actions).words, "send Request");
        machine
    }

    fn handle(&mut self, now: Moment, event: Event, timing: &Timing) -> Outcome {
        Outcome::of_client(match event {
            Event::Status(status) => self.handle_response(now, status, timing),
            Event::Timeout => self.handle_timeout(now, timing),
            Event::TransportError => self.handle_transport_error(now),
            Event::Ack | Event::Request => ClientActions::default(),
        })
    }

    fn next_timeout(&self) -> Option<Moment> {
        self.next_timeout()
    }

    fn state_name(&self) -> String {
        format!("{:?}", self.state())
    }
}

impl Machine for NonInviteClient {
    const STATES: &'static [&'static str] = &["Trying", "Proceeding", "Completed", "Terminated"];
    const INPUTS: &'static [Input] = CLIENT_INPUTS;

    fn begin(now: Moment, reliable: bool, timing: &Timing) -> Self {
        let (machine, actions) = Self::start(now, reliable, timing);
        assert_eq!(Outcome::of_client(actions).words, "send Request");
        machine
    }

    fn handle(&mut self, now: Moment, event: Event, timing: &Timing) -> Outcome {
        Outcome::of_client(match event {
            Event::Status(status) => self.handle_response(now, status, timing),
            Event::Timeout => self.handle_timeout(now, timing),
            Event::TransportError => self.handle_transport_error(now),
            Event::Ack | Event::Request => ClientActions::default(),
        })
    }

    fn next_timeout(&self) -> Option<Moment> {
        self.next_timeout()
    }

    fn state_name(&self) -> String {
        format!("{:?}", self.state())
    }
}

impl Machine for InviteServer {
    const STATES: &'static [&'static str] = &[
        "Proceeding",
        "Completed",
        "Confirmed",
        "Accepted",
        "Terminated",
    ];
    const INPUTS: &'static [Input] = INVITE_SERVER_INPUTS;

    fn begin(now: Moment, reliable: bool, timing: &Timing) -> Self {
        Self::start(now, reliable, timing)
    }

    fn handle(&mut self, now: Moment, event: Event, timing: &Timing) -> Outcome {
        Outcome::of_server(match event {
            Event::Ack => self.handle_ack(now, timing),
            Event::Request => self.handle_request(now),
            Event::Status(status) => self.handle_response(now, status, timing),
            Event::Timeout => self.handle_timeout(now, timing),
            Event::TransportError => self.handle_transport_error(now),
        })
    }

    fn next_timeout(&self) -> Option<Moment> {
        self.next_timeout()
    }

    fn state_name(&self) -> String {
        format!("{:?}", self.state())
    }
}

impl Machine for NonInviteServer {
    const STATES: &'static [&'static str] = &["Trying", "Proceeding", "Completed", "Terminated"];
    const INPUTS: &'static [Input] = NON_INVITE_SERVER_INPUTS;

    fn begin(now: Moment, reliable: bool, timing: &Timing) -> Self {
        Self::start(now, reliable, timing)
    }

    fn handle(&mut self, now: Moment, event: Event, timing: &Timing) -> Outcome {
        Outcome::of_server(match event {
            Event::Request => self.handle_request(now),
            Event::Status(status) => self.handle_response(now, status, timing),
            Event::Timeout => self.handle_timeout(now, timing),
            Event::TransportError => self.handle_transport_error(now),
            Event::Ack => ServerActions::default(),
        })
    }

    fn next_timeout(&self) -> Option<Moment> {
        self.next_timeout()
    }

    fn state_name(&self) -> String {
        format!("{:?}", self.state())
    }
}

struct Row<'a> {
    state: &'a str,
    input: &'a str,
    link: &'a str,
    next: &'a str,
    outputs: &'a str,
}

impl<'a> Row<'a> {
    fn parse(line: &'a str) -> Self {
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        let [state, input, link, next, outputs] = fields[..] else {
            panic!("not a row: {line}")
        };
        assert!(
            ["any", "reliable", "unreliable"].contains(&link),
            "no such link: {line}"
        );
        Self {
            state,
            input,
            link,
            next,
            outputs,
        }
    }

    fn is_for(&self, state: &str, input: Input, link: &str) -> bool {
        self.state == state
            && self.input == input.name()
            && (self.link == "any" || self.link == link)
    }
}

const T0: Moment = Moment::from_millis(777_777);

fn walk<M: Machine>(table: &str) {
    let rows: Vec<Row<'_>> = table
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(Row::parse)
        .collect();
    let mut used = vec![false; rows.len()];
    for (reliable, link) in [(false, "unreliable"), (true, "reliable")] {
        for state in M::STATES {
            let Some(machine) = M::in_state(state, reliable) else {
                continue;
            };
            for &input in M::INPUTS {
                let at: Vec<usize> = (0..rows.len())
                    .filter(|&row| rows[row].is_for(state, input, link))
                    .collect();
                assert_eq!(at.len(), 1, "rows for {state}, {}, {link}", input.name());
                used[at[0]] = true;
                check(&rows[at[0]], machine, input, link);
            }
        }
    }
    for (row, used) in rows.iter().zip(used) {
        assert!(
            used,
            "unreachable row: {} | {} | {}",
            row.state, row.input, row.link
        );
    }
}

fn check<M: Machine>(row: &Row<'_>, machine: M, input: Input, link: &str) {
    let runs = match input {
        Input::Early => vec![early(machine)],
        Input::TimePasses => vec![time_passes(machine)],
        _ => input
            .ways()
            .into_iter()
            .map(|way| give(machine, &way))
            .collect(),
    };
    for (after, outputs) in runs {
        let context = format!("{} | {} | {link}", row.state, row.input);
        assert_eq!(after.state_name(), row.next, "{context}");
        assert_eq!(outputs, row.outputs, "{context}");
        let ended = row.next == "Terminated" && row.state != "Terminated";
        assert_eq!(
            outputs.ends_with("end"),
            ended,
            "{context}: end is said once, on the way out"
        );
        if row.next == "Terminated" {
            assert_eq!(after.next_timeout(), None, "{context}");
        }
    }
}

fn give<M: Machine>(mut machine: M, events: &[Event]) -> (M, String) {
    let mut outputs = Vec::new();
    for &event in events {
        let outcome = machine.handle(T0, event, &Timing::default());
        if !outcome.words.is_empty() {
            outputs.push(outcome.words);
        }
    }
    (machine, outputs.join("; "))
}

fn early<M: Machine>(mut machine: M) -> (M, String) {
    let next = machine.next_timeout();
    let now = next.map_or(T0, |next| Moment::from_millis(next.as_millis() - 1));
    let outcome = machine.handle(now, Event::Timeout, &Timing::default());
    assert_eq!(machine.next_timeout(), next);
    (machine, outcome.words)
}

fn time_passes<M: Machine>(mut machine: M) -> (M, String) {
    let mut outputs = Vec::new();
    while let Some(now) = machine.next_timeout() {
        let outcome = machine.handle(now, Event::Timeout, &Timing::default());
        outputs.push(format!("{} {}", now.since(T0).as_millis(), outcome.words));
        assert!(
            outputs.len() < 100,
            "a machine that never ends: {outputs:?}"
        );
    }
    // With no timer set, nothing may happen however late it gets.
    let silence = machine.handle(
        Moment::from_millis(1 << 60),
        Event::Timeout,
        &Timing::default(),
    );
    assert_eq!(silence.words, "");
    (machine, outputs.join("; "))
}
