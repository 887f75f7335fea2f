//! The `trunkway` binary: allocator, arguments, exit code.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use trunkway::cli;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse())
}
