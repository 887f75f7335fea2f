//! `trunkway run`: the daemon, from the configuration to the signal that ends it.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{ConfigFile, EXIT_FAULTS, Output, runtime};
use crate::config::{self, Loaded, LogFormat, Logging, Service};
use crate::daemon::reload::{Ask, By};
use crate::daemon::{Daemon, Left, StartError, handover, notify, workers};
use crate::telemetry::logs::{self, LogError, Logs};
use crate::transport::Inherited;

/// Exit code when the edge cannot start although its configuration is sound: an address in use, a key that does not
/// fit (`EX_UNAVAILABLE` of sysexits).
pub const EXIT_UNAVAILABLE: u8 = 69;

/// How long the last lines of the log may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Arguments of `trunkway run`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    pub file: ConfigFile,
    /// What is logged, in the syntax of `RUST_LOG`: `warn`, `info,trunkway::transport=debug` ... Default: what [log] of the
    /// configuration says.
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
}

/// Runs the edge until SIGTERM or SIGINT.
pub fn run(arguments: &Arguments, color: bool) -> ExitCode {
    let loaded = match config::load(&arguments.file.config) {
        Ok(loaded) => loaded,
        Err(faults) => return Output::fault(faults.render(color)).print(),
    };
    let log = match set_up_log(arguments.log.as_deref(), &loaded.config.logging, color) {
        Ok(log) => log,
        Err(error) => return Output::fault(format!("error: the log: {error}\n")).print(),
    };
    let inherited = handover::take();
    let runtime = match runtime(workers(&loaded.config)) {
        Ok(runtime) => runtime,
        Err(error) => return unavailable(&format!("the system gives no threads: {error}")),
    };
    let served = runtime.block_on(serve(loaded, inherited));
    log.flush(LAST_WORDS);
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ StartError::Build(_)) => {
            Output { code: EXIT_FAULTS, ..Output::fault(format!("error: {error}\n")) }.print()
        }
        Err(error) => unavailable(&error.to_string()),
    }
}

/// What the command line says of levels goes before the configuration.
fn set_up_log(filter: Option<&str>, logging: &Logging, color: bool) -> Result<&'static Logs, LogError> {
    logs::install(logs::Settings {
        filter: filter.map_or_else(|| logging.filter(), str::to_owned),
        pinned: filter.is_some(),
        format: match logging.format {
            LogFormat::Auto => logs::Format::of_stderr(),
            LogFormat::Journald => logs::Format::Journald,
            LogFormat::Json => logs::Format::Json,
            LogFormat::Text => logs::Format::Text,
        },
        color,
        queue: logging.queue,
    })
}

fn unavailable(why: &str) -> ExitCode {
    Output { code: EXIT_UNAVAILABLE, ..Output::fault(format!("error: {why}\n")) }.print()
}

async fn serve(loaded: Loaded, inherited: Vec<Inherited>) -> Result<(), StartError> {
    for warning in loaded.warnings.warnings() {
        tracing::warn!("{}", warning.message);
    }
    // Before anybody is told that the edge is ready: no signal is lost then.
    let mut signals = Signals::new()?;
    let mut daemon = Daemon::bind_inheriting(loaded, inherited).await?;
    for (name, transport, addr) in daemon.listeners() {
        tracing::info!(%name, "listening on {transport}:{addr}");
    }
    for socket in daemon.unused_sockets() {
        tracing::warn!("the service manager has opened {socket}, and no listener is bound to that");
    }
    daemon.run();
    notify::ready();
    tracing::info!("ready");
    loop {
        match signals.next().await {
            Wish::Stop => break,
            Wish::Reload => reload(&daemon).await,
        }
    }
    notify::stopping();
    let service = daemon.reloader().service();
    stop(daemon, &service, signals).await;
    Ok(())
}

/// Reads the configuration again; the service manager is told when it begins and when it is over. What came of it is told
/// by whoever does it.
async fn reload(daemon: &Daemon) {
    notify::reloading();
    let _ = daemon.reloader().reload(Ask { dry_run: false, by: By::Signal }).await;
    notify::ready();
}

/// Stops as the configuration has it; a further signal ends it at once.
async fn stop(daemon: Daemon, service: &Service, mut signals: Signals) {
    tracing::info!(waits_for = ?service.stop_waits_for, at_most_s = service.drain_timeout.as_secs(), "stopping");
    let Left { calls, setups, .. } = tokio::select! {
        left = daemon.drain(service) => left,
        () = signals.stop() => {
            tracing::warn!("a second signal: the edge ends at once");
            daemon.left()
        }
    };
    if setups > 0 {
        tracing::warn!(calls = setups, "calls that were being set up are given up");
    }
    tracing::info!(calls, "calls that are up go on without this process");
    daemon.stop().await;
}

/// What a signal wants.
enum Wish {
    Stop,
    Reload,
}

/// The signals that an operator or the service manager sends.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, StartError> {
        let listen = |kind| signal(kind).map_err(StartError::Signals);
        let (terminate, interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt, hangup: listen(SignalKind::hangup())? })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.hangup.recv() => Wish::Reload,
        }
    }

    /// Waits for a signal to stop.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
