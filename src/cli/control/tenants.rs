//! `trunkway tenants`: the tenants of the running edge.

use clap::{Args, Subcommand};

use super::{Door, Extent, Signature, listed};
use crate::cli::Output;
use crate::routing::Edit;

/// Arguments of `trunkway tenants`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

/// What is done with tenants.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the tenants, ascending by name.
    List {
        #[command(flatten)]
        extent: Extent,
        #[command(flatten)]
        door: Door,
    },
    /// Remove a tenant with its users, and in every dial plan the rules that it owns.
    ///
    /// One change: `trunkway rules revert` brings all of it back.
    Remove {
        /// The tenant.
        tenant: String,
        #[command(flatten)]
        signature: Signature,
        #[command(flatten)]
        door: Door,
    },
    /// Take a tenant that was removed back, without users and rules.
    Restore {
        /// The tenant.
        tenant: String,
        #[command(flatten)]
        signature: Signature,
        #[command(flatten)]
        door: Door,
    },
}

/// Runs it.
pub fn tenants(arguments: &Arguments) -> Output {
    match &arguments.command {
        Command::List { extent, door } => door.show(
            |client| client.pages("/v1/tenants", "", "tenants", extent.most()),
            |page| listed(page, "tenants", &["id", "removed", "users", "sites"]),
        ),
        Command::Remove { tenant, signature, door } => {
            door.change(signature, &[Edit::RemoveTenant { tenant: tenant.clone() }])
        }
        Command::Restore { tenant, signature, door } => {
            door.change(signature, &[Edit::RestoreTenant { tenant: tenant.clone() }])
        }
    }
}
