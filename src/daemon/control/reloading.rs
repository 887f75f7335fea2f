//! Behind the door: reloads of the configuration, and what came of them.

use super::Desk;
use crate::admin::{LastReload, NotReloaded, ReloadReport, Reloading};
use crate::daemon::reload::{Ask, By};

impl Reloading for Desk {
    fn reload(&self, dry_run: bool, by: &str) -> Result<ReloadReport, NotReloaded> {
        self.parts.reloader.reload_here(&Ask { dry_run, by: By::Command(by.to_owned()) })
    }

    fn last_reload(&self) -> Option<LastReload> {
        self.parts.reloader.last()
    }
}
