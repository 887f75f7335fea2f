//! The daemon as a process.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use super::place::Place;
use super::process::Process;
use super::{SOON, until};

/// `trunkway run` with a configuration of the test.
pub struct Edge {
    process: Process,
    metrics: std::net::SocketAddr,
}

/// The program with a subcommand.
pub fn trunkway(subcommand: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkway"));
    command.arg(subcommand);
    command
}

impl Edge {
    /// Starts the edge and waits until it reads messages; `[node]` and `[metrics]` are added to the configuration.
    pub fn start(place: &Place, config: &str) -> Self {
        Self::start_with_metrics(place, config, "")
    }

    /// The same with more keys in `[metrics]`.
    pub fn start_with_metrics(place: &Place, config: &str, more: &str) -> Self {
        let metrics = place.metrics();
        let text = format!(
            "{config}\n[node]\nname = \"edge\"\nseal_key_file = \"seal.key\"\n\n[metrics]\nbind = \"{metrics}\"\n{more}\n"
        );
        let path = place.write("edge.toml", &text);
        let mut process = Process::start("edge", place.folder(), trunkway("run").arg("--config").arg(path));
        process.ready("it listens", |process| process.output().contains("ready").then_some(()));
        Self { process, metrics }
    }

    /// A metric's value now, summed over its labels; the edge publishes once a second.
    pub fn metric(&self, name: &str) -> f64 {
        let page = self.page();
        let values = page.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let of_name = series.split('{').next() == Some(name);
            of_name.then(|| value.parse::<f64>().expect("a metric is a number"))
        });
        let values: Vec<f64> = values.collect();
        assert!(!values.is_empty(), "no metric {name} in:\n{page}");
        values.iter().sum()
    }

    /// The whole page of metrics.
    pub fn page(&self) -> String {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(self.metrics)?;
            stream.set_read_timeout(Some(SOON))?;
            write!(stream, "GET /metrics HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n")?;
            let mut page = String::new();
            stream.read_to_string(&mut page)?;
            Ok(page)
        };
        ask().expect("the edge shows its metrics")
    }

    /// Waits until no transaction is left.
    pub fn forgets_all(&self, limit: std::time::Duration) {
        until("the edge forgets all transactions", limit, || {
            (self.metric("trunkway_transactions") == 0.0).then_some(())
        });
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Memory that the process has in use, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(Path::new("/proc").join(self.process.id().to_string()).join("status"));
        let status = status.expect("the edge runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the system tells VmRSS");
        line.trim().trim_end_matches("kB").trim().parse().expect("VmRSS is a number")
    }

    /// Ends the edge at once (SIGKILL), as a fault or a loss of power does.
    pub fn kill(mut self) {
        self.process.kill();
    }

    /// Asks the edge to end; it must do so without a complaint.
    pub fn stop(mut self) {
        let status = self.process.terminate(SOON);
        assert!(status.success(), "the edge has ended with {status}");
        let log = self.process.output();
        let complaint = log.lines().find(|line| line.contains("panicked") || line.contains("ERROR"));
        assert_eq!(complaint, None, "in the edge's log");
    }
}
