//! Machines as the tests see them, and the walk through a state table.

use std::fmt::Debug;

use crate::transaction::*;

/// What the tests need of a machine, whichever it is.
pub(in crate::transaction) trait Machine: Copy + Debug {
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
            &[Event::Abandon],
        ];
        ways.iter().find_map(|way| {
            let mut machine = Self::begin(T0, reliable, &timing);
            for &event in *way {
                let now = if event == Event::Timeout { T0 + Timing::default().timer_b() } else { T0 };
                machine.handle(now, event, &timing);
            }
            (machine.state_name() == state).then_some(machine)
        })
    }
}

/// An event that any machine may meet; one that a kind of machine does not know changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transaction) enum Event {
    Abandon,
    Ack,
    Request,
    Status(u16),
    Timeout,
    TransportError,
}

/// What came of an event, in words, and whether the machine said that it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::transaction) struct Outcome {
    pub(in crate::transaction) words: String,
    pub(in crate::transaction) ended: bool,
}

impl Outcome {
    fn of(send: Option<impl Debug>, report: Option<impl Debug>, ended: bool) -> Self {
        let send = send.map(|send| format!("send {send:?}"));
        let report = report.map(|report| format!("report {report:?}"));
        let end = ended.then(|| "end".to_owned());
        let words = [send, report, end].into_iter().flatten().collect::<Vec<_>>().join(", ");
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
pub(in crate::transaction) enum Input {
    Abandon,
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
            Self::Abandon => "abandon",
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
        let statuses = |list: &[u16]| list.iter().map(|&status| vec![Event::Status(status)]).collect();
        match self {
            Self::Abandon => vec![vec![Event::Abandon]],
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
    Input::Abandon,
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
    const STATES: &'static [&'static str] = &["Calling", "Proceeding", "Completed", "Accepted", "Terminated"];
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
            Event::Abandon | Event::Ack | Event::Request => ClientActions::default(),
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
            Event::Abandon | Event::Ack | Event::Request => ClientActions::default(),
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
    const STATES: &'static [&'static str] = &["Proceeding", "Completed", "Confirmed", "Accepted", "Terminated"];
    const INPUTS: &'static [Input] = INVITE_SERVER_INPUTS;

    fn begin(now: Moment, reliable: bool, timing: &Timing) -> Self {
        Self::start(now, reliable, timing)
    }

    fn handle(&mut self, now: Moment, event: Event, timing: &Timing) -> Outcome {
        Outcome::of_server(match event {
            Event::Abandon => ServerActions::default(),
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
    const STATES: &'static [&'static str] = &["Trying", "Proceeding", "Completed", "Abandoned", "Terminated"];
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
            Event::Abandon => self.abandon(now, timing),
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
        let [state, input, link, next, outputs] = fields[..] else { panic!("not a row: {line}") };
        assert!(["any", "reliable", "unreliable"].contains(&link), "no such link: {line}");
        Self { state, input, link, next, outputs }
    }

    fn is_for(&self, state: &str, input: Input, link: &str) -> bool {
        self.state == state && self.input == input.name() && (self.link == "any" || self.link == link)
    }
}

const T0: Moment = Moment::from_millis(777_777);

pub(super) fn walk<M: Machine>(table: &str) {
    let rows: Vec<Row<'_>> = table.lines().filter(|line| !line.trim().is_empty()).map(Row::parse).collect();
    let mut used = vec![false; rows.len()];
    for (reliable, link) in [(false, "unreliable"), (true, "reliable")] {
        for state in M::STATES {
            let Some(machine) = M::in_state(state, reliable) else {
                continue;
            };
            for &input in M::INPUTS {
                let at: Vec<usize> = (0..rows.len()).filter(|&row| rows[row].is_for(state, input, link)).collect();
                assert_eq!(at.len(), 1, "rows for {state}, {}, {link}", input.name());
                used[at[0]] = true;
                check(&rows[at[0]], machine, input, link);
            }
        }
    }
    for (row, used) in rows.iter().zip(used) {
        assert!(used, "unreachable row: {} | {} | {}", row.state, row.input, row.link);
    }
}

fn check<M: Machine>(row: &Row<'_>, machine: M, input: Input, link: &str) {
    let runs = match input {
        Input::Early => vec![early(machine)],
        Input::TimePasses => vec![time_passes(machine)],
        _ => input.ways().into_iter().map(|way| give(machine, &way)).collect(),
    };
    for (after, outputs) in runs {
        let context = format!("{} | {} | {link}", row.state, row.input);
        assert_eq!(after.state_name(), row.next, "{context}");
        assert_eq!(outputs, row.outputs, "{context}");
        let ended = row.next == "Terminated" && row.state != "Terminated";
        assert_eq!(outputs.ends_with("end"), ended, "{context}: end is said once, on the way out");
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
        assert!(outputs.len() < 100, "a machine that never ends: {outputs:?}");
    }
    // With no timer set, nothing may happen however late it gets.
    let silence = machine.handle(Moment::from_millis(1 << 60), Event::Timeout, &Timing::default());
    assert_eq!(silence.words, "");
    (machine, outputs.join("; "))
}
