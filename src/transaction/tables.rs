//! The state tables of all machines, walked row by row on reliable and unreliable transports.
//!
//! A row reads `state | input | link | next state | outputs`. Every input must have exactly one row in
//! every state that can be reached on a link; a row that is missing, doubled or unreachable fails.
//! `time passes` runs the machine on its timers alone and lists what happens when, in milliseconds.

mod walk;

use super::*;
use walk::walk;
pub(super) use walk::{Event, Machine};

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
    Trying     | abandon         | unreliable | Abandoned  |
    Trying     | abandon         | reliable   | Terminated | end
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
    Proceeding | abandon         | unreliable | Abandoned  |
    Proceeding | abandon         | reliable   | Terminated | end
    Proceeding | early           | any        | Proceeding |
    Proceeding | time passes     | any        | Proceeding |
    Completed  | request         | unreliable | Completed  | send Last
    Completed  | 1xx             | unreliable | Completed  |
    Completed  | 1xx, request    | unreliable | Completed  | send Last
    Completed  | 2xx             | unreliable | Completed  |
    Completed  | 300-699         | unreliable | Completed  |
    Completed  | other status    | unreliable | Completed  |
    Completed  | transport error | unreliable | Completed  | report TransportError
    Completed  | abandon         | unreliable | Completed  |
    Completed  | early           | unreliable | Completed  |
    Completed  | time passes     | unreliable | Terminated | 32000 end
    Abandoned  | request         | unreliable | Abandoned  |
    Abandoned  | 1xx             | unreliable | Abandoned  |
    Abandoned  | 1xx, request    | unreliable | Abandoned  |
    Abandoned  | 2xx             | unreliable | Abandoned  |
    Abandoned  | 300-699         | unreliable | Abandoned  |
    Abandoned  | other status    | unreliable | Abandoned  |
    Abandoned  | transport error | unreliable | Abandoned  |
    Abandoned  | abandon         | unreliable | Abandoned  |
    Abandoned  | early           | unreliable | Abandoned  |
    Abandoned  | time passes     | unreliable | Terminated | 32000 end
    Terminated | request         | any        | Terminated |
    Terminated | 1xx             | any        | Terminated |
    Terminated | 1xx, request    | any        | Terminated |
    Terminated | 2xx             | any        | Terminated |
    Terminated | 300-699         | any        | Terminated |
    Terminated | other status    | any        | Terminated |
    Terminated | transport error | any        | Terminated |
    Terminated | abandon         | any        | Terminated |
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
    assert!(size_of::<InviteClient>() <= 24);
    assert!(size_of::<NonInviteClient>() <= 24);
    assert!(size_of::<InviteServer>() <= 24);
    assert!(size_of::<NonInviteServer>() <= 16);
    assert!(size_of::<Alarm>() <= 8);
    assert_eq!(size_of::<Key>(), 16);
    assert!(size_of::<ClientActions>() <= 4);
    assert!(size_of::<ServerActions>() <= 4);
}

#[test]
fn buffers_are_needed_only_while_something_may_be_sent_again() {
    let at = |state, reliable| InviteServer::in_state(state, reliable).unwrap().needs_buffer();
    assert!(at("Proceeding", true) && at("Completed", false));
    assert!(!at("Accepted", false) && !at("Confirmed", false) && !at("Terminated", true));
    let at = |state, reliable| InviteClient::in_state(state, reliable).unwrap().needs_buffer();
    assert!(at("Calling", false) && at("Completed", false));
    assert!(!at("Proceeding", false) && !at("Accepted", false));
    let at = |state, reliable| NonInviteClient::in_state(state, reliable).unwrap().needs_buffer();
    assert!(at("Trying", false) && at("Proceeding", false));
    assert!(!at("Trying", true) && !at("Completed", false));
    let at = |state, reliable| NonInviteServer::in_state(state, reliable).unwrap().needs_buffer();
    assert!(at("Proceeding", true) && at("Completed", false));
    assert!(!at("Abandoned", false) && !at("Terminated", true));
}
