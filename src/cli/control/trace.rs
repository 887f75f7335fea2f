//! `trunkway trace`: calls as the edge saw them, all legs at once, decrypted.

mod ladder;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{Door, Failure, encoded, field, listed};
use crate::admin::{TraceLine, TraceShown};
use crate::cli::Output;
use ladder::Drawing;

const EXAMPLES: &str = "\
Examples:
  trunkway trace                              the last calls of which messages are kept
  trunkway trace 9f86d081884c7d65             one of them: the ladder of all its legs
  trunkway trace a84b4c76e66710@pbx.example   the same by the Call-ID of any leg
  trunkway trace --number +441632960001       the last call from or to a number
  trunkway trace --last-failed --messages     what went wrong last, with the messages
  trunkway trace --follow all                 what passes now, until Ctrl-C
  trunkway trace --last-failed --pcap out.pcapng && tshark -r out.pcapng";

/// Arguments of `trunkway trace`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The call: its id, as logs and records have it, or the Call-ID of one of its legs.
    pub call: Option<String>,

    /// The last call from or to this number; with `--list` all of them.
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, conflicts_with = "call")]
    pub number: Option<String>,

    /// The last call that failed.
    #[arg(long, conflicts_with_all = ["call", "result"])]
    pub last_failed: bool,

    /// Calls from or to this trunk.
    #[arg(long, value_name = "NAME", conflicts_with = "call")]
    pub trunk: Option<String>,

    /// Calls of this tenant.
    #[arg(long, value_name = "ID", conflicts_with = "call")]
    pub tenant: Option<String>,

    /// Calls that ended so: `failed`, `up` (they go on), or an outcome such as `refused`.
    #[arg(long, value_name = "RESULT", conflicts_with = "call")]
    pub result: Option<String>,

    /// List the calls instead of showing the last of them.
    #[arg(long, conflicts_with_all = ["call", "follow", "pcap"])]
    pub list: bool,

    /// Show what passes from now on: calls from or to this number, or `all`.
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, conflicts_with_all = ["call", "number", "pcap"])]
    pub follow: Option<String>,

    /// Calls of a list, or messages to be followed, at most.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,

    /// Print the messages themselves.
    #[arg(long)]
    pub messages: bool,

    /// Do not hide keys, credentials, tokens and bodies. The edge logs who asked.
    #[arg(long)]
    pub unredacted: bool,

    /// Write the messages into a capture file that Wireshark and sngrep read; `-` for standard output.
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,

    /// Draw with ASCII characters only.
    #[arg(long)]
    pub ascii: bool,

    #[command(flatten)]
    pub door: Door,
}

/// Calls of a list, when nothing is said.
const LISTED: usize = 20;

/// Runs it.
pub fn trace(arguments: &Arguments) -> ExitCode {
    if let Some(whom) = &arguments.follow {
        return follow(arguments, whom);
    }
    let wants_one = arguments.call.is_some() || arguments.number.is_some() || arguments.last_failed;
    if arguments.list || !(wants_one || arguments.pcap.is_some()) {
        return list(arguments).print();
    }
    match &arguments.pcap {
        Some(file) => capture(arguments, file).print(),
        None => show(arguments).print(),
    }
}

impl Arguments {
    /// The conditions that a call has to meet, as a query.
    fn conditions(&self) -> String {
        let result = if self.last_failed { Some("failed") } else { self.result.as_deref() };
        let conditions = [
            ("number", self.number.as_deref()),
            ("trunk", self.trunk.as_deref()),
            ("tenant", self.tenant.as_deref()),
            ("result", result),
        ];
        let given = conditions.into_iter().filter_map(|(key, value)| Some((key, value?)));
        given.map(|(key, value)| format!("&{key}={}", encoded(value))).collect()
    }

    /// The call that is meant, as a path.
    fn path(&self, client: &super::Client) -> Result<String, Failure> {
        let call = match &self.call {
            Some(call) => call.clone(),
            None => {
                let page = client.get(&format!("/v1/traces?limit=1{}", self.conditions()))?;
                let first = page.get("traces").and_then(|traces| traces.get(0));
                let detail = "no such call is kept; `trunkway trace --list` shows those that are";
                let none = || Failure::Refused { status: 404, answer: serde_json::json!({ "detail": detail }) };
                first.map(|call| field(call, "call")).ok_or_else(none)?
            }
        };
        Ok(format!("/v1/traces/{}", encoded(&call)))
    }

    fn drawing(&self) -> Drawing {
        if self.ascii { Drawing::Ascii } else { Drawing::Utf8 }
    }
}

fn list(arguments: &Arguments) -> Output {
    let most = arguments.limit.unwrap_or(LISTED);
    arguments.door.show(
        |client| client.pages("/v1/traces", &arguments.conditions(), "traces", most),
        |page| {
            let columns =
                ["began", "call", "from", "caller", "to", "called", "tenant", "outcome", "status", "messages"];
            listed(page, "traces", &columns)
        },
    )
}

fn show(arguments: &Arguments) -> Output {
    let Arguments { messages, unredacted, door, .. } = arguments;
    let query = format!("?messages={messages}&unredacted={unredacted}");
    door.show(
        |client| client.get(&(arguments.path(client)? + &query)),
        |answer| match serde_json::from_value::<TraceShown>(answer.clone()) {
            Ok(shown) => ladder::story(&shown, arguments.drawing()),
            Err(error) => format!("the edge's answer is of another version: {error}\n"),
        },
    )
}

fn capture(arguments: &Arguments, file: &Path) -> Output {
    let written = || -> Result<usize, Failure> {
        let client = arguments.door.client()?;
        let path = arguments.path(&client)? + &format!("?format=pcap&unredacted={}", arguments.unredacted);
        let bytes = client.bytes(&path)?;
        let fault = |error: io::Error| Failure::Fault(format!("cannot write {}: {error}", file.display()));
        match file == Path::new("-") {
            true => io::stdout().lock().write_all(&bytes).map_err(fault)?,
            false => std::fs::write(file, &bytes).map_err(fault)?,
        }
        Ok(bytes.len())
    };
    match written() {
        Ok(_) if file == Path::new("-") => Output::default(),
        Ok(bytes) if arguments.door.json => {
            Output::said(crate::cli::json(&serde_json::json!({ "file": file, "bytes": bytes })))
        }
        Ok(bytes) => Output::said(format!("{bytes} bytes written to {}\n", file.display())),
        Err(failure) => failure.output(arguments.door.json),
    }
}

/// Shows lines as they come. The edge ends a connection after a while: then another one goes on.
fn follow(arguments: &Arguments, whom: &str) -> ExitCode {
    let Arguments { messages, unredacted, door, .. } = arguments;
    let path = format!("/v1/traces/follow?number={}&messages={messages}&unredacted={unredacted}", encoded(whom));
    let mut left = arguments.limit.unwrap_or(usize::MAX);
    let mut out = io::stdout().lock();
    let hint = io::stderr().is_terminal() && !door.json;
    if hint {
        eprintln!("waiting for calls; Ctrl-C ends it");
    }
    let client = match door.client() {
        Ok(client) => client,
        Err(failure) => return failure.output(door.json).print(),
    };
    while left > 0 {
        let followed = client.lines(&path, &mut |line| {
            let text = if door.json { String::from_utf8_lossy(line).into_owned() } else { said(line) };
            left -= 1;
            // A reader that has gone away ends it.
            writeln!(out, "{text}").and_then(|()| out.flush()).is_ok() && left > 0
        });
        match followed {
            Ok(true) => {}
            Ok(false) => return ExitCode::SUCCESS,
            Err(failure) => return failure.output(door.json).print(),
        }
    }
    ExitCode::SUCCESS
}

/// A line of JSON for people.
fn said(line: &[u8]) -> String {
    let Ok(line) = serde_json::from_slice::<TraceLine>(line) else {
        return String::from_utf8_lossy(line).into_owned();
    };
    let TraceLine { call, peer, message, ended } = line;
    if let Some(ended) = ended {
        return format!("{:24} {call}  = {}", "", ended.words.join("; "));
    }
    let Some(message) = message else { return call };
    let peer = peer.unwrap_or_default();
    let arrow = if message.received { "->" } else { "<-" };
    let clock = message.time.get(11..23).unwrap_or(&message.time);
    let ms = message.at_us as f64 / 1_000.0;
    let mut text = format!("{clock} {ms:>11.1} {call}  {peer:16} {arrow} edge  {}", ladder::label(&message));
    for note in ladder::notes(&message) {
        text += &format!("\n{:24} {call}    {note}", "");
    }
    if let Some(body) = &message.text {
        text += &format!("\n{}", body.replace("\r\n", "\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::cli::{Cli, Command};

    fn arguments(line: &[&str]) -> Result<Arguments, String> {
        let line = ["trunkway", "trace"].into_iter().chain(line.iter().copied());
        match Cli::try_parse_from(line).map_err(|error| error.to_string())?.command {
            Command::Trace(arguments) => Ok(*arguments),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn conditions_become_a_query() {
        let query = |line: &[&str]| arguments(line).unwrap().conditions();
        assert_eq!(query(&[]), "");
        assert_eq!(query(&["--number", "+44 1"]), "&number=%2B44%201");
        assert_eq!(query(&["--last-failed", "--trunk", "teams"]), "&trunk=teams&result=failed");
        assert!(arguments(&["some-call", "--number", "1"]).is_err(), "a call is named in one way");
        assert!(arguments(&["--follow", "all", "--pcap", "x"]).is_err());
    }

    #[test]
    fn a_line_that_is_followed_is_one_line() {
        let message = json!({
            "at_us": 12_345, "time": "2026-11-22T09:00:01.234567Z", "peer": 0, "received": true, "transport": "udp",
            "listener": "inside", "local": "l", "remote": "r", "call_id": "c", "method": null, "status": 486,
            "phrase": "Busy Here", "cseq": "1 INVITE", "sdp": false, "again": false, "reason": "Q.850;cause=17",
            "meaning": null, "bytes": 300, "cut": false,
        });
        let line = json!({ "call": "0123456789abcdef", "peer": "pbx1", "message": message }).to_string();
        let text = said(line.as_bytes());
        assert!(text.starts_with("09:00:01.234        12.3 0123456789abcdef  pbx1             -> edge  486 Busy Here"));
        assert!(text.ends_with("Reason: Q.850;cause=17"), "{text}");
        let end = json!({ "at_us": 1, "outcome": "refused", "failed": true, "status": 486, "words": ["a", "b"] });
        let line = json!({ "call": "0123456789abcdef", "peer": null, "ended": end }).to_string();
        assert!(said(line.as_bytes()).ends_with("0123456789abcdef  = a; b"));
        assert_eq!(said(b"strange"), "strange");
    }
}
