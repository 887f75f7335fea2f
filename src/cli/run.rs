//! `trunkway run`: the daemon, from the configuration to the signal that ends it.

use std::process::ExitCode;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::{ConfigFile, EXIT_FAULTS, Output, runtime};
use crate::config::{self, Loaded};
use crate::daemon::{Daemon, StartError, workers};

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
    let runtime = match runtime(workers(&loaded.config)) {
        Ok(runtime) => runtime,
        Err(error) => return unavailable(&format!("the system gives no threads: {error}")),
    };
    match runtime.block_on(serve(loaded)) {
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

async fn serve(loaded: Loaded) -> Result<(), StartError> {
    for warning in loaded.warnings.warnings() {
        tracing::warn!("{}", warning.message);
    }
    let mut daemon = Daemon::bind(loaded).await?;
    for (name, transport, addr) in daemon.listeners() {
        tracing::info!(%name, "listening on {transport}:{addr}");
    }
    daemon.run();
    tracing::info!("ready");
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    if let (Ok(mut terminate), Ok(mut interrupt)) = signals {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    let status = daemon.status();
    tracing::info!(transactions = status.contexts, "stopping");
    daemon.stop().await;
    Ok(())
}
