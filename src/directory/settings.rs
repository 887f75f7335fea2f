//! What of a directory is read, and how users are made of it.

use std::sync::Arc;

use crate::routing::people::Lives;

/// How a tenant's users are made of its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The object id of the group whose members are taken; `None`: the whole tenant.
    pub group: Option<Arc<str>>,
    /// The field that names a user.
    pub name: Arc<str>,
    pub numbers: Vec<NumberField>,
    /// Numbers that Teams has assigned go before the field without a suffix.
    pub teams_numbers: bool,
    pub new: bool,
    pub update: bool,
    pub delete: bool,
    /// In percent of the users that the directory has put.
    pub max_delete_percent: u8,
    pub max_users: usize,
    /// The first one that has a user counts.
    pub rules: Vec<GroupRule>,
    /// Nobody is provisioned: only the ids of users are wanted.
    pub ids_only: bool,
}

/// A field with numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberField {
    pub field: Arc<str>,
    /// What tells the entries of one user apart.
    pub suffix: Option<Arc<str>>,
}

/// How the members of a group are provisioned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRule {
    pub group: Arc<str>,
    pub lives: Lives,
    pub first_extension: Option<Arc<str>>,
    pub extension_field: Option<Arc<str>>,
}

impl Settings {
    /// Nothing but the ids of the users of the whole tenant, so many of them at the most.
    pub fn ids_only(max_users: usize) -> Self {
        Self {
            group: None,
            name: "displayName".into(),
            numbers: Vec::new(),
            teams_numbers: false,
            new: false,
            update: false,
            delete: false,
            max_delete_percent: 0,
            max_users,
            rules: Vec::new(),
            ids_only: true,
        }
    }

    /// The fields whose values are kept, each once.
    pub fn fields(&self) -> Vec<Arc<str>> {
        if self.ids_only {
            return Vec::new();
        }
        let numbers = self.numbers.iter().map(|number| &number.field);
        let extensions = self.rules.iter().filter_map(|rule| rule.extension_field.as_ref());
        once(std::iter::once(&self.name).chain(numbers).chain(extensions).cloned())
    }

    /// The properties that are asked for, each once.
    pub fn select(&self) -> Vec<Arc<str>> {
        let always = ["id", "userPrincipalName", "mail", "accountEnabled"].map(Arc::from);
        let first = |field: Arc<str>| field.split('.').next().map_or_else(|| Arc::clone(&field), Arc::from);
        once(always.into_iter().chain(self.fields().into_iter().map(first)))
    }

    /// The groups whose members are read, each once.
    pub fn groups(&self) -> Vec<Arc<str>> {
        once(self.group.iter().chain(self.rules.iter().map(|rule| &rule.group)).cloned())
    }
}

fn once(all: impl Iterator<Item = Arc<str>>) -> Vec<Arc<str>> {
    let mut list: Vec<Arc<str>> = Vec::new();
    all.for_each(|it| {
        if !list.contains(&it) {
            list.push(it);
        }
    });
    list
}
