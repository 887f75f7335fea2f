//! `trunkway users`: the users of the running edge.

use clap::{Args, Subcommand};

use super::{Door, Extent, Signature, encoded, listed};
use crate::cli::Output;
use crate::routing::Edit;
use crate::routing::people::{Lives, UserKind, UserRecord};

/// Arguments of `trunkway users`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

/// What is done with users.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the users of a tenant, ascending by id.
    List {
        /// The tenant.
        tenant: String,
        #[command(flatten)]
        extent: Extent,
        #[command(flatten)]
        door: Door,
    },
    /// Say where a user's calls ring: this is how users move one by one.
    SetLives {
        /// The tenant.
        tenant: String,
        /// The user's id.
        user: String,
        /// `teams`, `pbx` or `both`.
        lives: Lives,
        #[command(flatten)]
        signature: Signature,
        #[command(flatten)]
        door: Door,
    },
    /// Add a user, or put a new record in the place of the one with this id.
    Put {
        /// The tenant.
        tenant: String,
        #[command(flatten)]
        user: Box<Record>,
        #[command(flatten)]
        signature: Signature,
        #[command(flatten)]
        door: Door,
    },
    /// Remove a user.
    Remove {
        /// The tenant.
        tenant: String,
        /// The user's id.
        user: String,
        #[command(flatten)]
        signature: Signature,
        #[command(flatten)]
        door: Door,
    },
}

/// A user record as arguments.
#[derive(Debug, Args)]
pub struct Record {
    /// The user's id, such as an e-mail address.
    pub user: String,
    /// The user's name.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub name: String,
    /// The telephone number.
    #[arg(long)]
    pub number: Option<String>,
    /// The extension.
    #[arg(long)]
    pub extension: Option<String>,
    /// `teams`, `pbx` or `both`.
    #[arg(long, default_value = "teams")]
    pub lives: Lives,
    /// `person` or `resource`.
    #[arg(long, default_value = "person")]
    pub kind: UserKind,
    /// The FQDN of the user's site.
    #[arg(long)]
    pub site: Option<String>,
    /// How long the PBX rings alone before Teams does, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub coverage_delay_s: u16,
    /// What the PBX knows the user by: user.host.
    #[arg(long, value_name = "IDENTITY")]
    pub pbx_identity: Option<String>,
}

impl Record {
    fn record(&self) -> UserRecord {
        UserRecord {
            id: self.user.clone(),
            name: self.name.clone(),
            number: self.number.clone(),
            extension: self.extension.clone(),
            lives: self.lives,
            kind: self.kind,
            site: self.site.clone(),
            coverage_delay_s: self.coverage_delay_s,
            pbx_identity: self.pbx_identity.clone(),
        }
    }
}

/// Runs it.
pub fn users(arguments: &Arguments) -> Output {
    match &arguments.command {
        Command::List { tenant, extent, door } => {
            let path = format!("/v1/tenants/{}/users", encoded(tenant));
            door.show(
                |client| client.pages(&path, "", "users", extent.most()),
                |page| listed(page, "users", &["id", "name", "number", "extension", "lives", "kind", "site"]),
            )
        }
        Command::SetLives { tenant, user, lives, signature, door } => {
            let (tenant, user) = (tenant.clone(), user.clone());
            door.change(signature, &[Edit::SetLives { tenant, user, lives: *lives }])
        }
        Command::Put { tenant, user, signature, door } => {
            door.change(signature, &[Edit::PutUser { tenant: tenant.clone(), user: user.record() }])
        }
        Command::Remove { tenant, user, signature, door } => {
            door.change(signature, &[Edit::RemoveUser { tenant: tenant.clone(), user: user.clone() }])
        }
    }
}
