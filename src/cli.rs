//! The command line door: subcommands, their arguments and their exit codes.
//!
//! Each subcommand is a module with its `Arguments` and one function that runs them; this file only lists them.

pub mod check;
pub mod route;
pub mod run;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::Faults;

/// Exit code when the answer is no, such as "there is no route".
pub const EXIT_NO: u8 = 1;

/// Exit code when the configuration or an argument is at fault (`EX_USAGE` of sysexits).
pub const EXIT_FAULTS: u8 = 64;

/// SIP edge proxy between PBXs, carriers and Microsoft Teams Direct Routing.
#[derive(Debug, Parser)]
#[command(name = "trunkway", version, about, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// What `trunkway` is asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check a configuration and tell everything that is wrong with it.
    ///
    /// Reads the file, the files that it includes and its dial plans, and looks whether certificates are there. Nothing
    /// is opened to the network. Exits with 0 when the configuration can be taken, with 64 when it cannot.
    Check(check::Arguments),

    /// Tell where a call would go, and why.
    ///
    /// Exits with 0 when there is a route, with 1 when there is none, with 64 when the configuration is at fault.
    Route(route::Arguments),

    /// Print the version.
    Version,
}

/// The configuration that a subcommand reads.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The configuration file.
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "/etc/trunkway/edge.toml"
    )]
    pub config: PathBuf,
}

/// Runs a subcommand.
pub fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Check(arguments) => check::check(&arguments),
        Command::Route(arguments) => route::route(&arguments),
        Command::Version => {
            say(&format!("trunkway {}\n", env!("CARGO_PKG_VERSION")));
            ExitCode::SUCCESS
        }
    }
}

/// Writes to standard output; a reader that has gone away, such as `head`, is no fault.
pub(crate) fn say(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

/// Writes to standard error.
pub(crate) fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Shows faults on standard error, coloured on a terminal unless `NO_COLOR` is set.
pub(crate) fn show(faults: &Faults) {
    let color = io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    complain(&faults.render(color));
}
