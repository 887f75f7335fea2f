//! The command line door: subcommands, their arguments and their exit codes.
//!
//! Each subcommand is a module with its `Arguments` and one function that runs them; this file only lists them.

pub mod certs;
pub mod check;
pub mod control;
pub mod demo;
pub mod diff;
pub mod doctor;
mod examples;
pub mod export;
pub mod import;
pub mod lab;
pub mod manual;
pub mod number;
pub mod presence;
mod progress;
pub mod route;
mod rule_lists;
pub mod run;
mod write;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;

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
    /// Run the edge.
    ///
    /// Opens the listeners of the configuration and carries calls until SIGTERM or SIGINT: then it refuses new calls and
    /// ends when requests in progress are answered ([service] in the configuration); a second signal ends it at once.
    /// Exits with 64 when the configuration or a certificate is at fault, with 69 when an address cannot be opened.
    #[command(after_help = examples::RUN)]
    Run(run::Arguments),

    /// Check a configuration and tell everything that is wrong with it.
    ///
    /// Reads the file, the files that it includes and its dial plans, and looks whether certificates are there. Nothing
    /// is opened to the network. Exits with 0 when the configuration can be taken, with 64 when it cannot.
    #[command(after_help = examples::CHECK)]
    Check(check::Arguments),

    /// Tell where a call would go, and why.
    ///
    /// Exits with 0 when it would be sent on, with 1 when it would be refused, with 64 when the configuration or a
    /// question is at fault; with `--batch` with 0 when every line was answered.
    #[command(after_help = examples::ROUTE)]
    Route(route::Arguments),

    /// Tell what a number means to a tenant, and how each interface writes it.
    ///
    /// Reads URIs, user parts, directory fields and what people write. Exits with 64 when the configuration or the
    /// tenant's name is at fault.
    #[command(after_help = examples::NUMBER)]
    Number(number::Arguments),

    /// Take rules and users out of files that other products write.
    ///
    /// Every row is checked against the configuration and everything that is wrong is told at once, with exit code 64;
    /// then nothing is written. `--dry-run` tells what would change.
    #[command(after_help = examples::IMPORT)]
    Import(import::Arguments),

    /// Write the rules of the dial plans as CSV.
    ///
    /// Importing what was exported gives the same rules. Exits with 64 when the configuration is at fault.
    #[command(after_help = examples::EXPORT)]
    Export(export::Arguments),

    /// Tell what is different between two lists of dial plan rules.
    ///
    /// Neither the order of rules nor the way in which a prefix is written counts. Exits with 0 when both say the same,
    /// with 1 when they do not, with 64 when one of them cannot be read.
    #[command(after_help = examples::DIFF)]
    Diff(diff::Arguments),

    /// See what the running edge does, on one screen.
    ///
    /// Exit codes are those of `rules`.
    Status(control::status::Arguments),

    /// Tell how the running edge is doing, and what to do about it.
    ///
    /// Exits as monitoring plugins do: with 0 when all is well, with 1 at a warning, with 2 at an error; with 64 when an
    /// argument is at fault, with 69 when nobody answers.
    Health(control::health::HealthArguments),

    /// See what is wrong at the running edge, and what was.
    ///
    /// Exit codes are those of `rules`.
    Alarms(control::health::AlarmArguments),

    /// See and change the dial plans of the running edge.
    ///
    /// Changes are seen by the next call, kept over a restart where the configuration has a state directory, and can be
    /// taken back. Exits with 1 when the edge says no, with 64 when an argument is at fault, with 69 when nobody answers.
    #[command(after_help = examples::RULES)]
    Rules(control::rules::Arguments),

    /// See and change the users of the running edge.
    ///
    /// Exit codes are those of `rules`.
    #[command(after_help = examples::USERS)]
    Users(control::users::Arguments),

    /// See and remove tenants of the running edge.
    ///
    /// Exit codes are those of `rules`.
    #[command(after_help = examples::TENANTS)]
    Tenants(control::tenants::Arguments),

    /// See the trunks of the running edge and how their targets are doing.
    ///
    /// A target is `up`, `suspect` or `down`; those that are down are tried last. Exit codes are those of `rules`.
    #[command(after_help = examples::TRUNKS)]
    Trunks(control::trunks::Arguments),

    /// See calls as the edge saw them: the messages of all legs, decrypted, with what became of them.
    ///
    /// Without an argument it lists the calls of which messages are kept ([trace] of the configuration). Keys,
    /// credentials, tokens and bodies other than SDP are hidden. Exit codes are those of `rules`.
    Trace(Box<control::trace::Arguments>),

    /// See, rotate and reload the keys that seal what the edge writes into its own URIs.
    ///
    /// Calls that are up go on with the key before. Exit codes are those of `rules`.
    #[command(after_help = examples::KEYS)]
    Keys(control::keys::Arguments),

    /// Have the running edge read its configuration again.
    ///
    /// Everything is checked first; with anything wrong nothing changes. Calls go on.
    Reload(control::reload::Arguments),
    /// See calls in progress at the running edge, and end them.
    ///
    /// Exit codes are those of `rules`; 1 also for a call that has ended, or that only a side can end.
    Calls(control::calls::Arguments),

    /// See how many calls each trunk, tenant, site and user has, and how many it may have.
    ///
    /// Exit codes are those of `rules`.
    Limits(control::calls::LimitArguments),

    /// Explain presence between PBX lines and Teams, and see that of the running edge's users.
    ///
    /// `explain` needs no edge. Exit codes are those of `rules`.
    Presence(Box<presence::Arguments>),

    /// See calls that are over: who called whom, how it ended, and why.
    ///
    /// Needs a history (`[records]`, `[state]`). Exit codes are those of `rules`.
    History(Box<control::history::Arguments>),

    /// See and change what the running edge logs.
    ///
    /// Exit codes are those of `rules`.
    Log(control::log::Arguments),
    /// Users that are read from a tenant's directory (Entra ID): status, test, preview and sync.
    ///
    /// The running edge reads it, at the start and every `interval_s` of [tenant.ID.directory]. Exit codes are those of
    /// `rules`; 1 also when the test finds something missing, when a directory cannot be read, and when too many users
    /// would be removed.
    Directory(control::directory::Arguments),

    /// See, make and remove bans of addresses at the running edge.
    ///
    /// The edge bans strangers by itself after scans and floods, peers of trunks never. Exit codes are those of `rules`.
    Bans(control::bans::Arguments),

    /// See and end the TCP and TLS connections of the running edge.
    ///
    /// Those that are retired take no more requests and end when nothing is under way over them. Exit codes are those of
    /// `rules`.
    Connections(control::connections::Arguments),

    /// See the certificates that the running edge shows, until when they are good and what uses them.
    ///
    /// Exit codes are those of `rules`.
    Certificates(control::certificates::Arguments),

    /// Refuse new calls at the running edge, and wait until it is empty if you like.
    ///
    /// New calls get 503, and OPTIONS to the edge too, so that peers turn to another edge. Calls that are up go on, and
    /// calls for help pass. Exit codes are those of `rules`.
    Drain(control::drain::DrainArguments),

    /// Take new calls again after `drain`.
    ///
    /// Exit codes are those of `rules`; 1 when the edge is about to end.
    Undrain(control::drain::UndrainArguments),

    /// Look into all that has to be right before calls pass, and say what to do.
    ///
    /// Reads the configuration as `check` does, looks the edge's own names and the targets up, opens connections of its own
    /// to each target and sends OPTIONS as the edge would, and asks the running edge what it sees. Exits with 0 when no
    /// step failed, with 1 when one did, with 64 when the configuration or an argument is at fault.
    Doctor(doctor::Arguments),

    /// Place calls through an edge between stand-ins, all in this process, and show what happened.
    ///
    /// Needs no network, no certificate and no configuration. Exits with 1 when a call did not do what it should.
    #[command(after_help = examples::DEMO)]
    Demo(demo::DemoOptions),

    /// Run the stand-ins for a PBX and for Teams alone, to rehearse a configuration.
    #[command(after_help = examples::LAB)]
    Lab(Box<lab::LabArguments>),

    /// Make certificates.
    #[command(after_help = examples::CERTS)]
    Certs(certs::Arguments),

    /// Print what a shell needs to complete commands.
    Completions(manual::CompletionArguments),

    /// Write the manual pages.
    #[command(hide = true)]
    Man(manual::ManArguments),

    /// Print the version.
    #[command(after_help = examples::VERSION)]
    Version,
}

/// The configuration that a subcommand reads.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = "/etc/trunkway/edge.toml")]
    pub config: PathBuf,
}

/// Runs a subcommand.
pub fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Check(arguments) => check::check(&arguments, colored()).print(),
        Command::Route(arguments) => route::run(&arguments, colored()),
        Command::Number(arguments) => number::number(&arguments, colored()).print(),
        Command::Import(arguments) => import::import(&arguments, colored()).print(),
        Command::Export(arguments) => export::export(&arguments, colored()).print(),
        Command::Diff(arguments) => diff::diff(&arguments, colored()).print(),
        Command::Run(arguments) => run::run(&arguments, colored()),
        Command::Status(arguments) => control::status::status(&arguments).print(),
        Command::Health(arguments) => control::health::health(&arguments).print(),
        Command::Alarms(arguments) => control::health::alarms(&arguments).print(),
        Command::Rules(arguments) => control::rules::rules(&arguments).print(),
        Command::Users(arguments) => control::users::users(&arguments).print(),
        Command::Tenants(arguments) => control::tenants::tenants(&arguments).print(),
        Command::Trunks(arguments) => control::trunks::trunks(&arguments).print(),
        Command::Trace(arguments) => control::trace::trace(&arguments),
        Command::Keys(arguments) => control::keys::keys(&arguments).print(),
        Command::Calls(arguments) => control::calls::calls(&arguments).print(),
        Command::Limits(arguments) => control::calls::limits(&arguments).print(),
        Command::Presence(arguments) => presence::presence(&arguments, colored()).print(),
        Command::History(arguments) => control::history::history(&arguments).print(),
        Command::Log(arguments) => control::log::log(&arguments).print(),
        Command::Directory(arguments) => control::directory::directory(&arguments).print(),
        Command::Bans(arguments) => control::bans::bans(&arguments).print(),
        Command::Connections(arguments) => control::connections::connections(&arguments).print(),
        Command::Certificates(arguments) => control::certificates::certificates(&arguments).print(),
        Command::Reload(arguments) => control::reload::reload(&arguments).print(),
        Command::Drain(arguments) => control::drain::drain(&arguments).print(),
        Command::Undrain(arguments) => control::drain::undrain(&arguments).print(),
        Command::Completions(arguments) => manual::completions(&arguments).print(),
        Command::Man(arguments) => manual::man(&arguments).print(),
        Command::Doctor(arguments) => doctor::doctor(&arguments, colored()),
        Command::Demo(options) => demo::demo(&options),
        Command::Lab(arguments) => lab::lab(&arguments),
        Command::Certs(arguments) => certs::certs(&arguments).print(),
        Command::Version => Output::said(format!("trunkway {}\n", env!("CARGO_PKG_VERSION"))).print(),
    }
}

/// The runtime of the daemon and the stand-ins. One worker needs no threads beside it.
fn runtime(workers: usize) -> io::Result<tokio::runtime::Runtime> {
    if workers <= 1 {
        return tokio::runtime::Builder::new_current_thread().enable_all().build();
    }
    tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()
}

/// What a subcommand that ends at once has to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// For standard output.
    pub out: String,
    /// For standard error.
    pub err: String,
    /// Exit code.
    pub code: u8,
}

impl Output {
    /// Success, with something on standard output.
    pub fn said(out: String) -> Self {
        Self { out, ..Self::default() }
    }

    /// Something is at fault, with a word about it on standard error.
    pub fn fault(err: String) -> Self {
        Self { err, code: EXIT_FAULTS, ..Self::default() }
    }

    /// Writes it; a reader that has gone away, such as `head`, is no fault.
    pub fn print(self) -> ExitCode {
        let _ = io::stderr().lock().write_all(self.err.as_bytes());
        let _ = io::stdout().lock().write_all(self.out.as_bytes());
        ExitCode::from(self.code)
    }
}

/// Whether faults are coloured: on a terminal, unless `NO_COLOR` is set.
fn colored() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !refused
}

/// A value as indented JSON and a newline.
fn json(value: &impl Serialize) -> String {
    match serde_json::to_string_pretty(value) {
        Ok(text) => text + "\n",
        // Our values have string keys only, so this is not reached; it would still be JSON.
        Err(_) => "null\n".to_owned(),
    }
}

#[cfg(test)]
mod tests;
