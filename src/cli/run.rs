//! `trunkway run`: the daemon, from the configuration to the signal that ends it.

use std::process::ExitCode;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::{ConfigFile, EXIT_FAULTS, Output, runtime};
use crate::config::{self, Loaded, Service};
use crate::daemon::{Daemon, Left, StartError, handover, notify, workers};
use crate::transport::Inherited;

/// Exit code when the edge cannot start although its configuration is sound: an address in use, a key that does not
/// fit (`EX_UNAVAILABLE` of sysexits).
pub const EXIT_UNAVAILABLE: u8 = 69;

/// Arguments of `trunkway run`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    pub file: ConfigFile,
    /// What is logged, in the syntax of `RUST_LOG`: `warn`, `info`, `trunkway::transport=debug` ...
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log: String,
}

/// Runs the edge until SIGTERM or SIGINT.
pub fn run(arguments: &Arguments, color: bool) -> ExitCode {
    let loaded = match config::load(&arguments.file.config) {
        Ok(loaded) => loaded,
        Err(faults) => return Output::fault(faults.render(color)).print(),
    };
    let filter = match EnvFilter::try_new(&arguments.log) {
        Ok(filter) => filter,
        Err(error) => return Output::fault(format!("error: --log: {error}\n")).print(),
    };
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(color).init();
    let inherited = handover::take();
    let runtime = match runtime(workers(&loaded.config)) {
        Ok(runtime) => runtime,
        Err(error) => return unavailable(&format!("the system gives no threads: {error}")),
    };
    match runtime.block_on(serve(loaded, inherited)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ StartError::Build(_)) => {
            Output { code: EXIT_FAULTS, ..Output::fault(format!("error: {error}\n")) }.print()
        }
        Err(error) => unavailable(&error.to_string()),
    }
}

fn unavailable(why: &str) -> ExitCode {
    Output { code: EXIT_UNAVAILABLE, ..Output::fault(format!("error: {why}\n")) }.print()
}

async fn serve(loaded: Loaded, inherited: Vec<Inherited>) -> Result<(), StartError> {
    for warning in loaded.warnings.warnings() {
        tracing::warn!("{}", warning.message);
    }
    let service = loaded.config.service.clone();
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
        }
    }
    notify::stopping();
    stop(daemon, &service, signals).await;
    Ok(())
}

/// Stops as the configuration has it; a further signal ends it at once.
async fn stop(daemon: Daemon, service: &Service, mut signals: Signals) {
    tracing::info!(waits_for = ?service.stop_waits_for, at_most_s = service.drain_timeout.as_secs(), "stopping");
    let Left { calls, requests } = tokio::select! {
        left = daemon.drain(service) => left,
        () = signals.stop() => {
            tracing::warn!("a second signal: the edge ends at once");
            daemon.left()
        }
    };
    if requests > 0 {
        tracing::warn!(requests, "requests without an answer are given up");
    }
    tracing::info!(calls, "calls that are up go on without this process");
    daemon.stop().await;
}

/// What a signal wants.
enum Wish {
    Stop,
}

/// The signals that an operator or the service manager sends.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, StartError> {
        let listen = |kind| signal(kind).map_err(StartError::Signals);
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> Wish {
        self.stop().await;
        Wish::Stop
    }

    /// Waits for a signal to stop.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
