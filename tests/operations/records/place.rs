//! The edge with a control socket between a caller and a callee, and those who judge what it writes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::SOON;
use crate::support::edge::trunkway;
use crate::support::place::Place;
use crate::support::process::Process;

/// A caller and a callee over UDP with legs of the edge's own, and `more`.
pub fn config(place: &Place, more: &str) -> String {
    let [edge, caller, callee] = [1, 2, 3].map(|host| place.at(host));
    format!(
        r#"
[node]
name = "edge"
seal_key_file = "seal.key"

[metrics]
bind = "{metrics}"

[control]
socket = "control.sock"

[[listen]]
name = "inside"
bind = "udp:{edge}"

[trunk.caller]
kind = "pbx"
listen = "inside"
targets = ["udp:{caller}"]
transparent = false

[trunk.callee]
kind = "pbx"
listen = "inside"
targets = ["udp:{callee}"]
transparent = false

[dialplan.numbers]
rules = [{{ prefix = "2", tag = "callee" }}]

{more}
"#,
        metrics = place.metrics()
    )
}

/// The edge as a process.
pub struct Desk<'p> {
    place: &'p Place,
    process: Process,
}

impl<'p> Desk<'p> {
    /// Starts the edge; its output goes to `NAME.log`.
    pub fn start(place: &'p Place, more: &str, name: &str) -> Self {
        let path = place.write("edge.toml", &config(place, more));
        let mut process = Process::start(name, place.folder(), trunkway("run").arg("--config").arg(path));
        process.ready("it listens", |process| process.output().contains("ready").then_some(()));
        Self { place, process }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// Ends it as a service manager does.
    pub fn stop(&mut self) {
        let status = self.process.terminate(SOON);
        assert!(status.success(), "the edge has ended with {status}");
    }

    /// Ends it, whatever it has complained of.
    pub fn terminate(mut self) {
        self.stop();
    }

    /// Ends it; it must have had nothing to complain of.
    pub fn finish(mut self) {
        self.stop();
        let log = self.log();
        let complaint = log.lines().find(|line| line.contains("panicked") || line.contains("ERROR"));
        assert_eq!(complaint, None, "in the edge's log");
    }

    /// Ends it at once (SIGKILL).
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// What the control socket answers.
    pub fn get(&self, path: &str) -> Value {
        let mut stream = UnixStream::connect(self.place.folder().join("control.sock")).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    /// A metric's value for a sink; zero while there is none.
    pub fn labelled(&self, name: &str, sink: &str) -> f64 {
        let mut stream = TcpStream::connect(self.place.metrics()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        let series = format!("{name}{{sink=\"{sink}\"}} ");
        page.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap_or(0.0)
    }
}

/// What Python says of a file.
pub fn python(program: &str, file: &Path) -> Value {
    let output = Command::new("python3").args(["-c", program]).arg(file).output().expect("python3 can be started");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// How many records of a page have each outcome and status.
pub fn counts(page: &Value) -> Value {
    let mut counts = serde_json::Map::new();
    for record in page["records"].as_array().unwrap() {
        let name = format!("{} {}", record["outcome"].as_str().unwrap(), record["status"]);
        let count = counts.entry(name).or_insert(0.into());
        *count = (count.as_u64().unwrap() + 1).into();
    }
    counts.into()
}
