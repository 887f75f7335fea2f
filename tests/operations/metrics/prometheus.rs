//! Prometheus (Debian package `prometheus`) as a process that scrapes the edge, and its HTTP API.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::support::place::Place;
use crate::support::process::Process;
use crate::support::{SOON, until};

/// A running Prometheus.
pub struct Prometheus {
    at: SocketAddr,
    _process: Process,
}

/// A sample of an answer: its labels and its value.
pub type Sample = (Value, f64);

impl Prometheus {
    /// Scrapes a page every second, with the rules of this repository, until it is dropped.
    pub fn start(place: &Place, page: SocketAddr) -> Self {
        let at = SocketAddr::new(place.ip(90), place.port + 4);
        let rules = super::monitoring("trunkway.rules.yml");
        let config = format!(
            "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\n\
             rule_files: [ \"{}\" ]\n\
             scrape_configs:\n  - job_name: trunkway\n    static_configs: [ {{ targets: [ \"{page}\" ] }} ]\n",
            rules.display()
        );
        let config = place.write("prometheus.yml", &config);
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", place.folder().join("tsdb").display()));
        command.arg(format!("--web.listen-address={at}"));
        let mut process = Process::start("prometheus", place.folder(), &mut command);
        process.ready("it is ready", |_| (ask(at, "/-/ready")?.0 == 200).then_some(()));
        Self { at, _process: process }
    }

    /// What an expression gives now.
    pub fn query(&self, expression: &str) -> Result<Vec<Sample>, String> {
        let answer = self.api(&format!("query?query={}", encoded(expression)))?;
        let samples = answer["result"].as_array().ok_or_else(|| format!("{expression}: no list of samples"))?;
        let value = |sample: &Value| sample["value"][1].as_str()?.parse().ok();
        Ok(samples.iter().filter_map(|sample| Some((sample["metric"].clone(), value(sample)?))).collect())
    }

    /// Waits until an expression gives samples, and gives them.
    pub fn until(&self, expression: &str) -> Vec<Sample> {
        until(expression, SOON, || {
            let found = self.query(expression).unwrap_or_else(|fault| panic!("{expression}: {fault}"));
            (!found.is_empty()).then_some(found)
        })
    }

    /// Rules that could not be evaluated.
    pub fn rule_faults(&self) -> Vec<String> {
        let answer = self.api("rules").expect("it tells of its rules");
        let groups = answer["groups"].as_array().expect("groups").iter();
        let rules: Vec<&Value> = groups.flat_map(|group| group["rules"].as_array().expect("rules")).collect();
        assert!(rules.len() > 20, "it has read the rules");
        rules.iter().filter(|rule| rule["health"] == "err").map(ToString::to_string).collect()
    }

    fn api(&self, call: &str) -> Result<Value, String> {
        let (status, body) = ask(self.at, &format!("/api/v1/{call}")).ok_or("no answer")?;
        let answer: Value = serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))?;
        if status == 200 { Ok(answer["data"].clone()) } else { Err(answer["error"].to_string()) }
    }
}

/// Asks a server for a path: the status and the body.
pub fn ask(at: SocketAddr, path: &str) -> Option<(u16, String)> {
    converse(TcpStream::connect(at).ok()?, path)
}

/// Asks a server for a path, as somebody with another address does.
pub fn ask_from(own: IpAddr, at: SocketAddr, path: &str) -> Option<(u16, String)> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, None).ok()?;
    socket.bind(&SocketAddr::new(own, 0).into()).ok()?;
    socket.connect(&at.into()).ok()?;
    converse(socket.into(), path)
}

fn converse(mut stream: TcpStream, path: &str) -> Option<(u16, String)> {
    stream.set_read_timeout(Some(SOON)).ok()?;
    // HTTP/1.0: the body is not cut into chunks.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: edge\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// `promtool` with some arguments and an input: whether it is content, and all that it says.
pub fn promtool(arguments: &[&str], input: Option<&Path>) -> (bool, String) {
    let mut command = Command::new("promtool");
    command.args(arguments);
    if let Some(input) = input {
        command.stdin(std::fs::File::open(input).expect("the input is there"));
    }
    let output = command.output().expect("promtool runs");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), said)
}

/// A text as it stands in a URL's query.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a string takes all");
        }
        out
    })
}
