//! The directory on disk: what was read, what was put, what was dealt out. One file for all tenants.
//!
//! A reading is kept whole or not at all. A damaged file is moved aside and a new one begun: all of it can be had again,
//! but for the extensions that were dealt out, which the users in force still show.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::backends::InMemoryBackend;
use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, StorageError, Table, TableDefinition, TableError,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Entry, Group, Kept, Mirror, Reading};
use crate::routing::people::UserRecord;

/// The file in the state directory.
const FILE: &str = "directory.redb";

/// Memory for pages of the store, in bytes.
const CACHE_BYTES: usize = 16 << 20;

/// A table whose keys are a tenant and something of its own; values are JSON.
type Own = TableDefinition<'static, (&'static str, &'static str), &'static [u8]>;

/// By object id: [`Entry`].
const USERS: Own = TableDefinition::new("users-1");

/// By object id of the group: [`Members`].
const GROUPS: Own = TableDefinition::new("groups-1");

/// By user id: [`UserRecord`].
const PUT: Own = TableDefinition::new("put-1");

/// By object id: an extension.
const DEALT: Own = TableDefinition::new("dealt-1");

/// By `link` and `last`: [`Link`], and what the daemon says of the last run.
const NOTES: Own = TableDefinition::new("notes-1");

/// All tables.
const ALL: [Own; 5] = [USERS, GROUPS, PUT, DEALT, NOTES];

/// Why something is not kept, or not to be had.
#[derive(Debug, Error)]
#[error("{file}: {why}", file = file.display())]
pub struct StoreError {
    file: PathBuf,
    why: Why,
}

#[derive(Debug, Error)]
enum Why {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Transaction(#[from] redb::TransactionError),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Commit(#[from] redb::CommitError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("an entry cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it makes no sense")]
    Nonsense,
}

impl Why {
    /// Whether the file is no store, or a broken one, so that asking again is of no use.
    fn is_damage(&self) -> bool {
        let storage = |error: &StorageError| match error {
            StorageError::Corrupted(_) => true,
            StorageError::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
            _ => false,
        };
        match self {
            Self::Database(DatabaseError::Storage(error)) | Self::Storage(error) => storage(error),
            Self::Database(DatabaseError::UpgradeRequired(_) | DatabaseError::RepairAborted) => true,
            Self::Table(TableError::Storage(error)) => storage(error),
            Self::Table(_) | Self::Nonsense => true,
            _ => false,
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Link {
    link: Option<Box<str>>,
    shape: Box<str>,
}

#[derive(Default, Serialize, Deserialize)]
struct Members {
    link: Option<Box<str>>,
    members: BTreeSet<Box<str>>,
}

/// The store.
#[derive(Debug)]
pub struct Store {
    database: Database,
    file: PathBuf,
}

impl Store {
    /// Opens the store of a state directory; without one it is in memory and ends with the process.
    ///
    /// # Errors
    /// [`StoreError`]: the file cannot be opened, or another process has it.
    pub fn open(dir: Option<&Path>) -> Result<Self, StoreError> {
        let file = dir.map_or_else(|| PathBuf::from("the directory in memory"), |dir| dir.join(FILE));
        let made = match dir {
            Some(dir) => std::fs::create_dir_all(dir).map_err(Why::from).and_then(|()| match guarded(|| open(&file)) {
                Err(why) if why.is_damage() => put_aside(&file, &why).and_then(|()| open(&file)),
                made => made,
            }),
            None => Database::builder()
                .create_with_backend(InMemoryBackend::new())
                .map_err(Why::from)
                .and_then(|database| prepare(&database).map(|()| database)),
        };
        match made {
            Ok(database) => Ok(Self { database, file }),
            Err(why) => Err(StoreError { file, why }),
        }
    }

    /// What a tenant's directory had when it was last read to its end.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn mirror(&self, tenant: &str) -> Result<Mirror, StoreError> {
        self.told(self.reading(|read| {
            let users = list(read, USERS, tenant)?.map_values::<Entry>()?;
            let Link { link, shape } = one(read, NOTES, (tenant, "link"))?.unwrap_or_default();
            let groups = list(read, GROUPS, tenant)?.map_values::<Members>()?;
            let group = |(id, Members { link, members }): (Box<str>, Members)| (Arc::from(id), Group { link, members });
            Ok(Mirror { users, link, shape, groups: groups.into_iter().map(group).collect() })
        }))
    }

    /// What was done with a tenant's users.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn kept(&self, tenant: &str) -> Result<Kept, StoreError> {
        self.told(self.reading(|read| {
            let put = list(read, PUT, tenant)?.map_values::<UserRecord>()?;
            let put = put.into_iter().map(|(id, record)| (id.into_string(), record)).collect();
            let dealt = list(read, DEALT, tenant)?.map_values::<Box<str>>()?;
            Ok(Kept { put, dealt })
        }))
    }

    /// What was put of a tenant's users under these ids.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn put_among<'i>(
        &self,
        tenant: &str,
        ids: impl IntoIterator<Item = &'i str>,
    ) -> Result<Vec<UserRecord>, StoreError> {
        self.told(self.reading(|read| {
            let table = read.open_table(PUT)?;
            let mut found = Vec::new();
            for id in ids {
                if let Some(value) = table.get((tenant, id))? {
                    found.push(serde_json::from_slice(value.value())?);
                }
            }
            Ok(found)
        }))
    }

    /// Keeps a reading in the place of what was read before.
    ///
    /// # Errors
    /// [`StoreError`]; what was read before is there then.
    pub fn keep_reading(&self, tenant: &str, reading: &Reading) -> Result<(), StoreError> {
        let Reading { mirror, touched, .. } = reading;
        self.told(self.writing(|write| {
            let mut users = write.open_table(USERS)?;
            match touched {
                Some(touched) => {
                    for id in touched {
                        match mirror.users.get(id) {
                            Some(entry) => insert(&mut users, (tenant, id), entry)?,
                            None => drop(users.remove((tenant, &**id))?),
                        }
                    }
                }
                None => {
                    clear(&mut users, tenant)?;
                    for (id, entry) in &mirror.users {
                        insert(&mut users, (tenant, id), entry)?;
                    }
                }
            }
            let mut groups = write.open_table(GROUPS)?;
            clear(&mut groups, tenant)?;
            for (id, Group { link, members }) in &mirror.groups {
                let members = Members { link: link.clone(), members: members.clone() };
                insert(&mut groups, (tenant, id), &members)?;
            }
            let link = Link { link: mirror.link.clone(), shape: mirror.shape.clone() };
            insert(&mut write.open_table(NOTES)?, (tenant, "link"), &link)
        }))
    }

    /// Notes, before they are put, users that were not there, and extensions before anybody has them.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is noted then.
    pub fn note<'r>(
        &self,
        tenant: &str,
        put: impl IntoIterator<Item = &'r UserRecord>,
        dealt: &[(Box<str>, Box<str>)],
    ) -> Result<(), StoreError> {
        self.told(self.writing(|write| {
            let mut table = write.open_table(PUT)?;
            for record in put {
                insert(&mut table, (tenant, &record.id), record)?;
            }
            let mut table = write.open_table(DEALT)?;
            for (id, extension) in dealt {
                insert(&mut table, (tenant, id), extension)?;
            }
            Ok(())
        }))
    }

    /// Notes, after it was done, what users were changed to, and those who are no more.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is noted then.
    pub fn settle<'r>(
        &self,
        tenant: &str,
        put: impl IntoIterator<Item = &'r UserRecord>,
        gone: impl IntoIterator<Item = &'r str>,
    ) -> Result<(), StoreError> {
        self.told(self.writing(|write| {
            let mut table = write.open_table(PUT)?;
            for id in gone {
                table.remove((tenant, id))?;
            }
            for record in put {
                insert(&mut table, (tenant, &record.id), record)?;
            }
            Ok(())
        }))
    }

    /// What was said of a tenant's last run.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn last<T: DeserializeOwned>(&self, tenant: &str) -> Result<Option<T>, StoreError> {
        self.told(self.reading(|read| one(read, NOTES, (tenant, "last"))))
    }

    /// Keeps what is said of a tenant's last run.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn keep_last<T: Serialize>(&self, tenant: &str, last: &T) -> Result<(), StoreError> {
        self.told(self.writing(|write| insert(&mut write.open_table(NOTES)?, (tenant, "last"), last)))
    }

    fn reading<T>(&self, work: impl FnOnce(&ReadTransaction) -> Result<T, Why>) -> Result<T, Why> {
        guarded(|| work(&self.database.begin_read()?))
    }

    fn writing<T>(&self, work: impl FnOnce(&redb::WriteTransaction) -> Result<T, Why>) -> Result<T, Why> {
        guarded(|| {
            let mut write = self.database.begin_write()?;
            // After a crash it is opened at once, however large it is.
            write.set_quick_repair(true);
            let done = work(&write)?;
            write.commit()?;
            Ok(done)
        })
    }

    fn told<T>(&self, result: Result<T, Why>) -> Result<T, StoreError> {
        result.map_err(|why| StoreError { file: self.file.clone(), why })
    }
}

fn open(file: &Path) -> Result<Database, Why> {
    let database = Database::builder().set_cache_size(CACHE_BYTES).create(file)?;
    prepare(&database)?;
    Ok(database)
}

/// Makes the tables that are not there yet: who only reads finds them then.
fn prepare(database: &Database) -> Result<(), Why> {
    let write = database.begin_write()?;
    for table in ALL {
        write.open_table(table)?;
    }
    Ok(write.commit()?)
}

fn put_aside(file: &Path, why: &Why) -> Result<(), Why> {
    let aside = file.with_extension("redb.damaged");
    std::fs::rename(file, &aside)?;
    tracing::warn!(error = %why, aside = %aside.display(), "the store of directories is damaged: a new one is begun");
    Ok(())
}

/// Bytes by key.
struct Listed(BTreeMap<Box<str>, Box<[u8]>>);

impl Listed {
    fn map_values<T: DeserializeOwned>(self) -> Result<BTreeMap<Box<str>, T>, Why> {
        self.0.into_iter().map(|(key, value)| Ok((key, serde_json::from_slice(&value)?))).collect()
    }
}

/// All that a tenant has in a table.
fn list(read: &ReadTransaction, table: Own, tenant: &str) -> Result<Listed, Why> {
    let table = read.open_table(table)?;
    let mut all = BTreeMap::new();
    for found in table.range((tenant, "")..)? {
        let (key, value) = found?;
        let (owner, key) = key.value();
        if owner != tenant {
            break;
        }
        all.insert(key.into(), value.value().into());
    }
    Ok(Listed(all))
}

fn one<T: DeserializeOwned>(read: &ReadTransaction, table: Own, key: (&str, &str)) -> Result<Option<T>, Why> {
    let table = read.open_table(table)?;
    let value = table.get(key)?;
    Ok(value.map(|value| serde_json::from_slice(value.value())).transpose()?)
}

type OwnTable<'t> = Table<'t, (&'static str, &'static str), &'static [u8]>;

fn insert<T: Serialize>(table: &mut OwnTable<'_>, key: (&str, &str), value: &T) -> Result<(), Why> {
    table.insert(key, serde_json::to_vec(value)?.as_slice())?;
    Ok(())
}

fn clear(table: &mut OwnTable<'_>, tenant: &str) -> Result<(), Why> {
    // The first key that no key of the tenant reaches: names of tenants have no such letter.
    let end = format!("{tenant}\u{1}");
    table.retain_in((tenant, "")..(end.as_str(), ""), |_, _| false)?;
    Ok(())
}

/// A file of somebody else's bytes may make its reader panic: that is damage, and no more.
fn guarded<T>(work: impl FnOnce() -> Result<T, Why>) -> Result<T, Why> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(Err(Why::Nonsense))
}
