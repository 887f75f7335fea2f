//! `trunkway import`: rules and users out of files that other products write.
//!
//! A file is read whole, all its faults are told, and nothing is written while there is one.

mod bulk_assignment;
mod dialplan;
mod pbx_users;
mod users;

use std::path::Path;
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::Output;
use crate::config::{FaultFile, FileFaults, Remark};

/// Arguments of `trunkway import`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Rules of dial plans: `dialPlanName,prefix,tag`, perhaps with `owner` and `active`.
    ///
    /// The imported list takes the place of what the dial plan's file holds, unless --merge keeps that.
    Dialplan(dialplan::Arguments),

    /// Users that the edge registers at a PBX: `Email,E164,PbxExtension,LocalUserName,RegisteringUserName,...`.
    ///
    /// The imported list takes the place of the tenant's users in the file. Passwords are shown nowhere.
    PbxUsers(users::Arguments),

    /// Users with the licences that they have: `Ext Key,Number,User,Addon license 1,...`.
    ///
    /// The imported list takes the place of the tenant's users in the file. Numbers are read as the tenant's country
    /// writes them.
    BulkAssignment(users::Arguments),
}

/// Imports a file.
pub fn import(arguments: &Arguments, color: bool) -> Output {
    match &arguments.what {
        What::Dialplan(arguments) => dialplan::import(arguments, color),
        What::PbxUsers(arguments) => pbx_users::import(arguments, color),
        What::BulkAssignment(arguments) => bulk_assignment::import(arguments, color),
    }
}

/// How many differences of each kind are shown to people.
const MAX_SHOWN: usize = 20;

/// What is said when something was written.
const NEXT: &str = "the running edge takes it when it reads its configuration: reload or restart it\n";

/// Reads a file; `None` after a fault. `shown` makes of a text with secrets what may be told.
pub(super) fn read_text(
    path: &Path,
    faults: &FileFaults,
    shown: impl Fn(&str) -> Option<String>,
) -> Option<(FaultFile, Arc<str>)> {
    let name = path.to_string_lossy();
    let add = |text: &str| {
        let text: Arc<str> = text.into();
        (faults.secret_file(&name, Arc::clone(&text), shown(&text)), text)
    };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let (file, _) = add("");
            faults.add(Remark::error_of(file, format!("cannot read the file: {error}")));
            return None;
        }
    };
    match str::from_utf8(&bytes) {
        Ok(text) => Some(add(text)),
        Err(error) => {
            let end = error.valid_up_to();
            let good = bytes.get(..end).and_then(|good| str::from_utf8(good).ok()).unwrap_or_default();
            let (file, _) = add(good);
            let remark = Remark::error(file, end..end, "this is no UTF-8");
            faults.add(remark.label("up to here").help("save the file as UTF-8, without or with a byte order mark"));
            None
        }
    }
}
