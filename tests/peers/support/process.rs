//! A foreign program (or the daemon) as a process that is ended when the test is over.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Bytes of a log that a failed test shows.
const SHOWN: usize = 6_000;

/// A running program with its output in a file. Dropped, it is ended; when the test has failed, its output is shown.
pub struct Process {
    name: String,
    child: Child,
    ended: Option<ExitStatus>,
    /// Files that a failed test shows.
    pub logs: Vec<PathBuf>,
}

impl Process {
    /// Starts a program; output goes to `NAME.log` in `folder`, where it also runs.
    pub fn start(name: &str, folder: &Path, command: &mut Command) -> Self {
        Self::start_with(name, folder, command.stdin(Stdio::null()))
    }

    /// The same with the standard input that the command has already.
    pub fn start_with(name: &str, folder: &Path, command: &mut Command) -> Self {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).expect("the log cannot be made");
        let errors = file.try_clone().expect("the log cannot be shared");
        // In a group of its own, so that children of the program are ended with it.
        let child = command.current_dir(folder).stdout(file).stderr(errors).process_group(0).spawn();
        let child = child.unwrap_or_else(|error| panic!("{:?} cannot be started: {error}", command.get_program()));
        Self { name: name.to_owned(), child, ended: None, logs: vec![log] }
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The exit status once the program has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("no news of the process");
        }
        self.ended
    }

    /// Waits until the program ends by itself.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < deadline, "{} still runs after {limit:?}", self.name);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for something that the program does, and fails at once when the program ends instead.
    pub fn ready<T>(&mut self, what: &str, mut answer: impl FnMut(&Self) -> Option<T>) -> T {
        let name = self.name.clone();
        super::until(&format!("{name}: {what}"), super::SOON, || {
            let ended = self.ended();
            let answer = answer(self);
            assert!(ended.is_none() || answer.is_some(), "{name} has ended with {ended:?} before: {what}");
            answer
        })
    }

    /// All that the program has printed.
    pub fn output(&self) -> String {
        self.logs.first().map(|log| read(log)).unwrap_or_default()
    }

    /// Asks the program to end (SIGTERM) and waits until it has.
    pub fn terminate(&mut self, limit: Duration) -> ExitStatus {
        if self.ended().is_none() {
            kill_process(self.pid(), Signal::TERM).expect("the process takes no signal");
        }
        self.wait(limit)
    }

    /// Kills the program (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) {
        if self.ended().is_none() {
            kill_process(self.pid(), Signal::KILL).expect("the process takes no signal");
            self.wait(super::SOON);
        }
    }

    /// Sends the program a signal.
    #[allow(dead_code, reason = "tests of the service send signals, others do not")]
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the process takes no signal");
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            let _ = kill_process(self.pid(), Signal::TERM);
            let patience = Instant::now() + Duration::from_secs(5);
            while self.ended().is_none() && Instant::now() < patience {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        if self.ended().is_none() {
            let _ = kill_process_group(self.pid(), Signal::KILL);
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            for log in &self.logs {
                eprintln!("--- {} ({}), the last of it:\n{}", self.name, log.display(), tail(&read(log)));
            }
        }
    }
}

fn read(path: &Path) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn tail(text: &str) -> &str {
    let from = (text.len().saturating_sub(SHOWN)..text.len()).find(|&at| text.is_char_boundary(at));
    &text[from.unwrap_or(0)..]
}
