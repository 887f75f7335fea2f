//! An Entra tenant of the stand-in: its applications, users, groups and numbers, and what was counted for it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::aggregate::Person;
use super::changes::Changes;
use super::clock::At;
use super::throttle::{Hold, Limit, Window};

/// An application that is registered in a tenant.
#[derive(Clone, Default)]
pub struct GraphApp {
    /// The client id, which is also the id of its presence sessions.
    pub client: String,
    pub secrets: Vec<AppSecret>,
    /// Certificates that it may sign assertions with, PEM.
    pub certificates: Vec<String>,
    /// Application permissions that an administrator consented to, such as `Presence.ReadWrite.All`.
    pub roles: Vec<String>,
    /// Refresh tokens of a user who signed in for it; for change notifications. Each use gives a new one.
    pub refresh_tokens: Vec<String>,
}

impl std::fmt::Debug for GraphApp {
    /// Keeps the secrets out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GraphApp").field("client", &self.client).field("roles", &self.roles).finish_non_exhaustive()
    }
}

impl GraphApp {
    /// An application with a secret and all that the bridge and the directory need.
    pub fn new(client: &str, secret: &str) -> Self {
        let roles = [
            "Presence.ReadWrite.All",
            "User.Read.All",
            "GroupMember.Read.All",
            "TeamsUserConfiguration.Read.All",
            "TeamsTelephoneNumber.Read.All",
        ];
        Self {
            client: client.to_owned(),
            secrets: vec![AppSecret { value: secret.to_owned(), expired: false }],
            certificates: Vec::new(),
            roles: roles.map(str::to_owned).to_vec(),
            refresh_tokens: Vec::new(),
        }
    }

    /// The same with a secret that nobody guesses.
    pub fn with_new_secret(client: &str) -> Self {
        Self::new(client, &super::text::guid())
    }
}

/// A secret of an application.
#[derive(Clone)]
pub struct AppSecret {
    pub value: String,
    pub expired: bool,
}

impl std::fmt::Debug for AppSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppSecret").field("expired", &self.expired).finish_non_exhaustive()
    }
}

/// A user of the directory, with Teams' own numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GraphUser {
    /// A GUID; made when empty.
    pub id: String,
    /// The userPrincipalName.
    pub upn: String,
    pub mail: Option<String>,
    pub display_name: String,
    pub business_phones: Vec<String>,
    pub mobile_phone: Option<String>,
    pub disabled: bool,
    /// Numbers that Teams itself assigned to the user, E.164.
    pub teams_numbers: Vec<String>,
}

impl GraphUser {
    /// A user whose mail is the userPrincipalName.
    pub fn new(upn: &str, display_name: &str) -> Self {
        let mail = Some(upn.to_owned());
        Self { upn: upn.to_owned(), mail, display_name: display_name.to_owned(), ..Self::default() }
    }
}

/// How a user left the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It may come back for thirty days; delta queries say `changed`.
    Soft,
    /// For good; delta queries say `deleted`.
    Hard,
}

/// A user with what the stand-in knows beside.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: Arc<str>,
    pub(super) user: GraphUser,
    pub(super) removed: Option<Removal>,
    pub(super) person: Person,
}

/// A group; its members by place among the users.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: Arc<str>,
    pub(super) name: String,
    pub(super) members: BTreeSet<usize>,
}

/// An Entra tenant as it is set up: what a test or the command line gives.
#[derive(Clone, Debug, Default)]
pub struct EntraTenant {
    /// The directory id, a GUID.
    pub id: String,
    /// Verified domains, which name the tenant too.
    pub domains: Vec<String>,
    pub apps: Vec<GraphApp>,
    pub users: Vec<GraphUser>,
}

/// An Entra tenant while the stand-in runs.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) id: Arc<str>,
    /// Its place among the tenants, which makes the ids of its users its own.
    place: usize,
    pub(super) domains: Vec<String>,
    pub(super) apps: Vec<GraphApp>,
    pub(super) users: Vec<Entry>,
    by_name: HashMap<String, usize>,
    pub(super) groups: Vec<Group>,
    pub(super) changes: Changes,
    pub(super) presence: Window,
    pub(super) directory: Window,
    /// The application was told to wait: with presence, with the directory.
    pub(super) presence_hold: Option<Hold>,
    pub(super) directory_hold: Option<Hold>,
    /// Users for whom the application was told to wait.
    pub(super) user_holds: HashMap<usize, Hold>,
    /// Writes that have come and are not answered, by user.
    pub(super) in_flight: HashMap<usize, u32>,
    /// When tokens were refused of late.
    pub(super) refused_tokens: Vec<At>,
}

impl Tenant {
    pub(super) fn new(place: usize, settings: EntraTenant, presence: Limit, directory: Limit) -> Self {
        let mut tenant = Self {
            id: Arc::from(settings.id),
            place,
            domains: settings.domains,
            apps: settings.apps,
            users: Vec::new(),
            by_name: HashMap::new(),
            groups: Vec::new(),
            changes: Changes::default(),
            presence: Window::new(presence),
            directory: Window::new(directory),
            presence_hold: None,
            directory_hold: None,
            user_holds: HashMap::new(),
            in_flight: HashMap::new(),
            refused_tokens: Vec::new(),
        };
        for user in settings.users {
            tenant.add_user(user);
        }
        tenant
    }

    /// Whether a word of a URL names it: its id or one of its domains.
    pub(super) fn is_named(&self, word: &str) -> bool {
        self.id.eq_ignore_ascii_case(word) || self.domains.iter().any(|domain| domain.eq_ignore_ascii_case(word))
    }

    /// Adds a user, or brings one back; its id.
    pub(super) fn add_user(&mut self, mut user: GraphUser) -> Arc<str> {
        if let Some(index) = self.by_name.get(&user.id.to_lowercase()).copied().filter(|_| !user.id.is_empty()) {
            return self.restore_user(index, user);
        }
        let index = self.users.len();
        if user.id.is_empty() {
            user.id = format!("00000000-0000-4000-8{:03x}-{:012x}", self.place & 0xfff, index + 1);
        }
        let id: Arc<str> = Arc::from(user.id.as_str());
        self.by_name.insert(user.id.to_lowercase(), index);
        self.by_name.insert(user.upn.to_lowercase(), index);
        self.users.push(Entry { id: id.clone(), user, removed: None, person: Person::default() });
        self.changes.user(index);
        id
    }

    fn restore_user(&mut self, index: usize, user: GraphUser) -> Arc<str> {
        self.by_name.insert(user.upn.to_lowercase(), index);
        self.changes.user(index);
        match self.users.get_mut(index) {
            Some(entry) => {
                entry.removed = None;
                entry.user = user;
                entry.id.clone()
            }
            None => Arc::from(""),
        }
    }

    /// Changes a user's entry; whether it is there.
    pub(super) fn change_user(&mut self, name: &str, change: impl FnOnce(&mut GraphUser)) -> bool {
        let Some(index) = self.find(name) else { return false };
        let Some(entry) = self.users.get_mut(index) else { return false };
        let before = entry.user.clone();
        change(&mut entry.user);
        entry.user.id = entry.id.to_string();
        let after = entry.user.clone();
        if before.upn != after.upn {
            self.by_name.remove(&before.upn.to_lowercase());
            self.by_name.insert(after.upn.to_lowercase(), index);
        }
        self.changes.user_changed(index, super::changes::changed_properties(&before, &after));
        true
    }

    /// Takes a user out of the directory; whether it was there.
    pub(super) fn remove_user(&mut self, name: &str, how: Removal) -> bool {
        let Some(index) = self.find(name) else { return false };
        let Some(entry) = self.users.get_mut(index) else { return false };
        entry.removed = Some(how);
        entry.person = Person::default();
        self.by_name.remove(&entry.user.upn.to_lowercase());
        self.changes.user(index);
        for (place, group) in self.groups.iter_mut().enumerate() {
            if group.members.remove(&index) {
                self.changes.member(place, index);
            }
        }
        true
    }

    /// The place of a user by id or userPrincipalName, unless removed.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let index = match self.by_name.get(name) {
            Some(index) => *index,
            None => *self.by_name.get(&name.to_lowercase())?,
        };
        self.users.get(index).filter(|entry| entry.removed.is_none()).map(|_| index)
    }

    /// Makes a group, or finds it by its id; its place.
    pub(super) fn group(&mut self, id: &str, name: &str) -> usize {
        if let Some(place) = self.groups.iter().position(|group| &*group.id == id) {
            return place;
        }
        self.groups.push(Group { id: Arc::from(id), name: name.to_owned(), members: BTreeSet::new() });
        self.changes.group(self.groups.len() - 1);
        self.groups.len() - 1
    }

    /// Lets a user join or leave a group; whether that changed anything.
    pub(super) fn set_member(&mut self, group: usize, user: &str, member: bool) -> bool {
        let Some(index) = self.find(user) else { return false };
        let Some(entry) = self.groups.get_mut(group) else { return false };
        let changed = if member { entry.members.insert(index) } else { entry.members.remove(&index) };
        if changed {
            self.changes.member(group, index);
        }
        changed
    }

    /// Counts a write that came for a user; how many are on their way.
    pub(super) fn begin_write(&mut self, user: usize) -> u32 {
        let count = self.in_flight.entry(user).or_default();
        *count += 1;
        *count
    }

    /// A write was answered, or the client gave up.
    pub(super) fn end_write(&mut self, user: usize) {
        if let Some(count) = self.in_flight.get_mut(&user) {
            *count -= 1;
            if *count == 0 {
                self.in_flight.remove(&user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> Tenant {
        let users =
            vec![GraphUser::new("Alice@contoso.example", "Alice"), GraphUser::new("bob@contoso.example", "Bob")];
        let settings = EntraTenant { id: "t".into(), users, ..EntraTenant::default() };
        Tenant::new(0, settings, Limit::PRESENCE, Limit::DIRECTORY)
    }

    #[test]
    fn users_are_found_by_id_and_by_name_without_case() {
        let mut tenant = tenant();
        let id = tenant.users[0].id.clone();
        assert_eq!(tenant.find(&id), Some(0));
        assert_eq!(tenant.find("ALICE@contoso.example"), Some(0));
        assert!(tenant.change_user("alice@contoso.example", |user| user.upn = "alicia@contoso.example".into()));
        assert_eq!(tenant.find("alice@contoso.example"), None);
        assert_eq!(tenant.find("alicia@contoso.example"), Some(0));
        assert!(tenant.remove_user("alicia@contoso.example", Removal::Soft));
        assert_eq!(tenant.find(&id), None);
    }

    #[test]
    fn who_leaves_the_directory_leaves_its_groups() {
        let mut tenant = tenant();
        let sales = tenant.group("g", "Sales");
        assert!(tenant.set_member(sales, "bob@contoso.example", true));
        assert!(!tenant.set_member(sales, "bob@contoso.example", true));
        tenant.remove_user("bob@contoso.example", Removal::Hard);
        assert!(tenant.groups[sales].members.is_empty());
    }

    #[test]
    fn nothing_of_an_application_shows_its_secrets() {
        let app = GraphApp::new("client", "s3cret");
        assert!(!format!("{app:?}{:?}", app.secrets).contains("s3cret"));
    }
}
