//! A tenant's users as its directory (Entra ID) has them: read page by page, kept on disk, and compared with the users
//! that routing has.
//!
//! [`read`] takes what has changed since the last time, or everything, into a [`Mirror`] of the directory; only one that
//! was read to its end is kept in the [`Store`]. [`plan`] says what has to be done with the tenant's users; it is pure,
//! and made anew from the whole mirror each time, so that nothing is lost that was not done. The pages come through
//! [`Pages`]: this module knows no network.

mod deal;
mod entry;
mod matches;
mod pages;
mod plan;
mod read;
mod settings;
mod store;

pub use entry::Entry;
pub use matches::{Matches, matches};
pub use pages::{Assignment, Fault, Member, Page, Pages, UserChange};
pub use plan::{Kept, Office, Plan, Replaced, Unreadable, plan};
pub use read::{Group, Mirror, Reading, read, trial};
pub use settings::{GroupRule, NumberField, Settings};
pub use store::{Store, StoreError};

#[cfg(test)]
mod tests;
