//! A service manager as far as the daemon sees it: the socket that it tells its state to (sd_notify(3)).

use std::collections::VecDeque;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::SOON;
use crate::support::place::Place;

/// Hears what a daemon tells its manager.
pub struct Manager {
    path: PathBuf,
    socket: UnixDatagram,
    watchdog: Option<Duration>,
    /// Lines that came and nobody has waited for yet.
    waiting: VecDeque<String>,
    heard: Vec<String>,
}

impl Manager {
    pub fn new(place: &Place) -> Self {
        let path = place.folder().join("notify.sock");
        let socket = UnixDatagram::bind(&path).expect("a socket can be made");
        Self { path, socket, watchdog: None, waiting: VecDeque::new(), heard: Vec::new() }
    }

    /// Wants a sign of life within each such time.
    pub fn with_watchdog(self, time: Duration) -> Self {
        Self { watchdog: Some(time), ..self }
    }

    /// Has a command tell this manager.
    pub fn watch<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("NOTIFY_SOCKET", &self.path);
        if let Some(time) = self.watchdog {
            command.env("WATCHDOG_USEC", time.as_micros().to_string());
        }
        command
    }

    /// Waits for a line; those before it are passed over.
    pub fn wait(&mut self, line: &str) {
        assert!(self.next_within(line, SOON).is_some(), "no {line}; heard: {:?}", self.heard);
    }

    /// Waits for a line that fits; those before it are passed over.
    pub fn wait_for(&mut self, fits: impl Fn(&str) -> bool) -> String {
        self.next(SOON, fits).unwrap_or_else(|| panic!("no such line; heard: {:?}", self.heard))
    }

    pub fn next_within(&mut self, line: &str, limit: Duration) -> Option<String> {
        self.next(limit, |heard| heard == line)
    }

    /// Passes over what came up to now.
    pub fn drain(&mut self) {
        while self.next(Duration::from_millis(100), |_| true).is_some() {}
    }

    /// All that was heard.
    pub fn heard(&mut self) -> Vec<String> {
        self.drain();
        self.heard.clone()
    }

    fn next(&mut self, limit: Duration, fits: impl Fn(&str) -> bool) -> Option<String> {
        let deadline = Instant::now() + limit;
        loop {
            while let Some(line) = self.waiting.pop_front() {
                if fits(&line) {
                    return Some(line);
                }
            }
            let rest = deadline.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero())?;
            self.socket.set_read_timeout(Some(rest)).expect("a socket takes a limit");
            let mut buffer = [0; 4_096];
            let Ok(length) = self.socket.recv(&mut buffer) else { continue };
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            self.heard.extend(lines.iter().cloned());
            self.waiting.extend(lines);
        }
    }
}
