//! Behind the door: tenants' directories.

use super::Desk;
use crate::admin::{Directory, DirectoryRefusal, DirectoryRun, DirectoryStatus, DirectoryTest};

impl Directory for Desk {
    fn directory(&self, tenant: &str) -> Result<DirectoryStatus, DirectoryRefusal> {
        self.parts.directories.status(tenant)
    }

    fn test_directory(&self, tenant: &str) -> Result<DirectoryTest, DirectoryRefusal> {
        self.parts.directories.test(tenant)
    }

    fn preview_directory(&self, tenant: &str) -> Result<DirectoryRun, DirectoryRefusal> {
        self.parts.directories.preview(tenant)
    }

    fn sync_directory(&self, tenant: &str, force: bool) -> Result<DirectoryRun, DirectoryRefusal> {
        self.parts.directories.sync(tenant, force)
    }
}
