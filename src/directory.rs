//! The directory: users of a tenant read from Entra ID, kept on disk, and what changed. A driver.
