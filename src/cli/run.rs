//! `trunkway run`: the arguments of the daemon.

use clap::Args;

use super::ConfigFile;

/// Arguments of `trunkway run`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    pub file: ConfigFile,
}
