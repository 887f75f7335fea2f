//! sipp (Debian package `sip-tester`): calls by scenario, with counts.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::place::Place;
use super::process::Process;
use super::sockets::{self, Kind};

/// What carries sipp's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    Udp,
    /// One TCP connection for all calls.
    Tcp,
    /// A TCP connection for each call.
    TcpForEach,
}

/// What sipp plays.
#[derive(Clone, Debug)]
pub enum Scenario {
    /// One that is built into sipp.
    Own(&'static str),
    /// One of `tests/peers/scenarios`, with `{{name}}` filled in.
    File(&'static str, Vec<(&'static str, String)>),
}

/// A scenario of `tests/peers/scenarios` without blanks to fill in.
pub fn scenario(name: &'static str) -> Scenario {
    Scenario::File(name, Vec::new())
}

/// A sipp to be started.
#[derive(Clone, Debug)]
pub struct Sipp {
    pub scenario: Scenario,
    pub carrier: Carrier,
    /// Its own address.
    pub at: SocketAddr,
    /// Where the messages of a caller go; `None`: it waits for calls.
    pub to: Option<SocketAddr>,
    /// The number that is called.
    pub number: String,
    pub calls: u32,
    /// Calls a second.
    pub rate: u32,
    /// Pauses of the scenario.
    pub pause: Duration,
    /// After so long sipp gives up.
    pub limit: Duration,
}

impl Sipp {
    /// A callee at a host of the place.
    pub fn callee(place: &Place, host: u8, scenario: Scenario) -> Self {
        Self {
            scenario,
            carrier: Carrier::Udp,
            at: place.at(host),
            to: None,
            number: String::new(),
            calls: 1,
            rate: 10,
            pause: Duration::ZERO,
            limit: Duration::from_secs(60),
        }
    }

    /// A caller at a host of the place that sends to the edge.
    pub fn caller(place: &Place, host: u8, scenario: Scenario, number: &str) -> Self {
        Self { to: Some(place.at(1)), number: number.to_owned(), ..Self::callee(place, host, scenario) }
    }

    pub fn by(self, carrier: Carrier) -> Self {
        Self { carrier, ..self }
    }

    pub fn calls(self, calls: u32, rate: u32) -> Self {
        Self { calls, rate, ..self }
    }

    pub fn to(self, to: SocketAddr) -> Self {
        Self { to: Some(to), ..self }
    }

    pub fn pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    pub fn limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Starts it; a callee listens when this returns.
    pub fn start(&self, place: &Place) -> Running {
        let name = format!("sipp-{}", self.at.ip());
        let stats = place.folder().join(format!("{name}.csv"));
        let errors = place.folder().join(format!("{name}.errors"));
        self.wait_for_port();
        let mut process = Process::start(&name, place.folder(), &mut self.command(place, &name, &stats, &errors));
        process.logs.push(errors);
        if self.to.is_none() {
            let kind = if self.carrier == Carrier::Udp { Kind::Udp } else { Kind::Stream };
            process.ready("it listens", |_| sockets::is_open(kind, self.at).then_some(()));
        }
        Running { process, stats, calls: self.calls, limit: self.limit }
    }

    /// Some program may have the port on all addresses of the machine for a moment, and sipp tries only once.
    fn wait_for_port(&self) {
        let kind = if self.carrier == Carrier::Udp { Kind::Udp } else { Kind::Stream };
        let deadline = Instant::now() + super::SOON;
        while !sockets::can_be_bound(kind, self.at) {
            assert!(Instant::now() < deadline, "{} is taken:\n{}", self.at, sockets::holders(kind, self.at));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts it and waits until all calls have succeeded.
    pub fn run(&self, place: &Place) -> Stats {
        for _ in 0..10 {
            let mut running = self.start(place);
            let status = running.process.wait(self.limit + super::SOON);
            if status.success() || !running.found_no_port() {
                return running.finish();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let kind = if self.carrier == Carrier::Udp { Kind::Udp } else { Kind::Stream };
        panic!("{} is taken:\n{}", self.at, sockets::holders(kind, self.at))
    }

    fn command(&self, place: &Place, name: &str, stats: &Path, errors: &Path) -> Command {
        let mut command = Command::new("sipp");
        if let Some(to) = self.to {
            command.arg(to.to_string()).args(["-s", &self.number, "-r", &self.rate.to_string()]);
            // The rate holds whatever the callee does.
            command.args(["-l", &self.calls.to_string()]);
        }
        match &self.scenario {
            Scenario::Own(own) => command.args(["-sn", own]),
            Scenario::File(file, blanks) => command.arg("-sf").arg(fill(place, name, file, blanks)),
        };
        let carrier = match self.carrier {
            Carrier::Udp => "u1",
            Carrier::Tcp => "t1",
            Carrier::TcpForEach => "tn",
        };
        let ip = self.at.ip().to_string();
        let port = self.at.port().to_string();
        command.args(["-t", carrier, "-i", &ip, "-p", &port, "-bind_local", "-ci", &ip, "-mi", &ip]);
        command.args(["-m", &self.calls.to_string(), "-d", &self.pause.as_millis().to_string()]);
        // The kernel gives no more than it may; a peer that waits for a processor shall lose nothing meanwhile.
        command.args(["-buff_size", "4194304"]);
        // Below what a system lets a process open that nobody has tuned.
        command.args(["-max_socket", "500"]);
        command.args(["-nostdin", "-trace_err", "-error_file"]).arg(errors);
        command.args(["-trace_stat", "-fd", "1", "-stf"]).arg(stats);
        command.args(["-timeout", &format!("{}s", self.limit.as_secs()), "-timeout_error"]);
        command
    }
}

/// Puts a scenario with its blanks filled in into the place's folder.
fn fill(place: &Place, name: &str, file: &str, blanks: &[(&str, String)]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/scenarios").join(file).with_extension("xml");
    let mut text = std::fs::read_to_string(&source).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
    let usual = [("linger", "200".to_owned()), ("contact", "[local_ip]:[local_port]".to_owned())];
    for (blank, value) in blanks.iter().chain(&usual) {
        text = text.replace(&format!("{{{{{blank}}}}}"), value);
    }
    assert!(!text.contains("{{"), "{file}: a blank is not filled in");
    place.write(&format!("{name}.xml"), &text)
}

/// A sipp that runs.
pub struct Running {
    process: Process,
    stats: PathBuf,
    calls: u32,
    limit: Duration,
}

impl Running {
    /// Waits until all calls are over; every one must have succeeded.
    pub fn finish(mut self) -> Stats {
        let status = self.process.wait(self.limit + super::SOON);
        let stats = Stats::read(&self.stats);
        assert!(status.success(), "sipp has ended with {status}: {stats:?}");
        assert_eq!(stats.successful, u64::from(self.calls), "{stats:?}");
        stats
    }

    /// Waits until all calls are over, however they ended.
    pub fn end(mut self) -> Stats {
        self.process.wait(self.limit + super::SOON);
        Stats::read(&self.stats)
    }

    /// Whether it ended because somebody else had its port.
    fn found_no_port(&self) -> bool {
        let told = |log: &PathBuf| std::fs::read_to_string(log).is_ok_and(|text| text.contains("Unable to bind"));
        self.process.logs.iter().any(told)
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

/// sipp's cumulative counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub successful: u64,
    pub failed: u64,
    /// Messages that sipp itself sent again, and those that came to it again.
    pub retransmissions: u64,
    pub unexpected: u64,
    pub out_of_call: u64,
    pub dead_call: u64,
}

impl Stats {
    /// Reads the last line of the file that sipp writes.
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let mut lines = text.lines();
        let (Some(head), Some(last)) = (lines.next(), lines.next_back()) else { return Self::default() };
        let columns: HashMap<&str, &str> = head.split(';').zip(last.split(';')).collect();
        let count = |name: &str| {
            let value = columns.get(name).unwrap_or_else(|| panic!("sipp tells no {name}"));
            value.parse().unwrap_or_else(|_| panic!("sipp tells {name} = {value}"))
        };
        Self {
            successful: count("SuccessfulCall(C)"),
            failed: count("FailedCall(C)"),
            retransmissions: count("Retransmissions(C)"),
            unexpected: count("FailedUnexpectedMessage(C)"),
            out_of_call: count("OutOfCallMsgs(C)"),
            dead_call: count("DeadCallMsgs(C)"),
        }
    }
}
