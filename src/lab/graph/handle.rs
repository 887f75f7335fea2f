//! What a running stand-in can be told and asked, from the process it runs in.

use std::sync::Arc;
use std::time::Duration;

use super::aggregate::{ClientState, Device, Pair, Person};
use super::faults::{Fault, FaultId};
use super::journal::{GraphComplaint, RequestRecord};
use super::presence;
use super::route::Endpoint;
use super::server::Shared;
use super::subscriptions::Delivery;
use super::tenant::{EntraTenant, GraphApp, GraphUser, Removal, Tenant};
use super::throttle::Limit;

/// A hold on a running stand-in. Tenants are named by id or domain, users by id or userPrincipalName.
#[derive(Clone, Debug)]
pub struct GraphControl {
    shared: Arc<Shared>,
}

/// A user's session that an application wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionState {
    pub pair: Pair,
    /// Until it ends by itself.
    pub remaining: Duration,
}

impl GraphControl {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Lets its time jump: sessions, tokens, links and limits age by so much.
    pub fn advance(&self, by: Duration) {
        self.shared.world().clock.advance(by);
    }

    /// Adds an Entra tenant.
    pub fn add_tenant(&self, tenant: EntraTenant) {
        let mut world = self.shared.world();
        let place = world.tenants.len();
        world.tenants.push(Tenant::new(place, tenant, Limit::PRESENCE, Limit::DIRECTORY));
    }

    /// Adds a user to a tenant, or brings back the one with that id; the user's id.
    pub fn add_user(&self, tenant: &str, user: GraphUser) -> Option<String> {
        self.with_tenant(tenant, |tenant| tenant.add_user(user).to_string())
    }

    /// Changes a user, named by id or userPrincipalName; whether it is there.
    pub fn change_user(&self, tenant: &str, user: &str, change: impl FnOnce(&mut GraphUser)) -> bool {
        self.with_tenant(tenant, |tenant| tenant.change_user(user, change)).unwrap_or(false)
    }

    /// Takes a user out of the directory; whether it was there.
    pub fn remove_user(&self, tenant: &str, user: &str, how: Removal) -> bool {
        self.with_tenant(tenant, |tenant| tenant.remove_user(user, how)).unwrap_or(false)
    }

    /// The id of a user by userPrincipalName.
    pub fn user_id(&self, tenant: &str, user: &str) -> Option<String> {
        self.with_tenant(tenant, |tenant| {
            let user = tenant.find(user)?;
            tenant.users.get(user).map(|entry| entry.id.to_string())
        })?
    }

    /// Makes a group, or finds it by its id, and lets a user join or leave it; whether that changed anything.
    pub fn set_member(&self, tenant: &str, group_id: &str, group_name: &str, user: &str, member: bool) -> bool {
        let set = |tenant: &mut Tenant| {
            let group = tenant.group(group_id, group_name);
            tenant.set_member(group, user, member)
        };
        self.with_tenant(tenant, set).unwrap_or(false)
    }

    /// Sets what a user's Teams client does; whether there is such a user.
    pub fn set_client(&self, tenant: &str, user: &str, device: Device, state: ClientState) -> bool {
        self.with_person(tenant, user, |person| person.set_client(device, state)).is_some()
    }

    /// Sets a user's own choice by two words of Graph, or takes it away; whether there is such a user and pair.
    pub fn prefer(&self, tenant: &str, user: &str, choice: Option<(&str, &str)>) -> bool {
        let now = self.shared.world().clock.now();
        let choice = match choice {
            None => None,
            Some((availability, activity)) => match Pair::find(&Pair::CHOICES, availability, activity) {
                Some(pair) => Some((pair, now.saturating_add(presence::choice_life(pair)))),
                None => return false,
            },
        };
        self.with_person(tenant, user, |person| person.prefer(choice)).is_some()
    }

    /// What Teams shows of a user.
    pub fn shown(&self, tenant: &str, user: &str) -> Option<Pair> {
        let now = self.shared.world().clock.now();
        self.with_person(tenant, user, |person| person.shown(now))
    }

    /// What the tenant's first application has written for a user, unless it is over.
    pub fn session(&self, tenant: &str, user: &str) -> Option<SessionState> {
        let now = self.shared.world().clock.now();
        self.with_person(tenant, user, |person| {
            let session = person.session(now, 0)?;
            let remaining = Duration::from_millis(session.expires.saturating_sub(now));
            Some(SessionState { pair: session.pair, remaining })
        })?
    }

    /// All users of a tenant with a session of its first application: userPrincipalName and pair.
    pub fn sessions(&self, tenant: &str) -> Vec<(String, Pair)> {
        let now = self.shared.world().clock.now();
        let of = |tenant: &mut Tenant| {
            let entries = tenant.users.iter();
            entries
                .filter_map(|entry| Some((entry.user.upn.clone(), entry.person.session(now, 0)?.pair)))
                .collect::<Vec<_>>()
        };
        self.with_tenant(tenant, of).unwrap_or_default()
    }

    /// Changes an application of a tenant, by its client id: secrets, certificates, roles; whether it is there.
    pub fn change_app(&self, tenant: &str, client: &str, change: impl FnOnce(&mut GraphApp)) -> bool {
        let find = |tenant: &mut Tenant| {
            let app = tenant.apps.iter_mut().find(|app| app.client == client)?;
            change(app);
            Some(())
        };
        self.with_tenant(tenant, find).flatten().is_some()
    }

    /// Makes all secrets of a tenant's applications expired or good again, and its tokens worthless.
    pub fn set_secrets_expired(&self, tenant: &str, expired: bool) {
        let _ = self.with_tenant(tenant, |tenant| {
            for secret in tenant.apps.iter_mut().flat_map(|app| &mut app.secrets) {
                secret.expired = expired;
            }
        });
        self.revoke_tokens(tenant);
    }

    /// Makes all tokens of a tenant worthless: the next request with one gets 401.
    pub fn revoke_tokens(&self, tenant: &str) {
        let mut world = self.shared.world();
        if let Some(place) = world.tenants.iter().position(|known| known.is_named(tenant)) {
            world.tokens.revoke(place);
        }
    }

    /// Asks the subscribers of a tenant, at their lifecycle address, to authorise their subscriptions again.
    pub fn ask_reauthorization(&self, tenant: &str) {
        let mut world = self.shared.world();
        if let Some(place) = world.tenants.iter().position(|known| known.is_named(tenant)) {
            world.ask_reauthorization(place);
        }
    }

    /// The change notifications that were delivered of late, with the subscribers' answers.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.world().deliveries()
    }

    /// Makes all delta links of a tenant too old, so that the next query gets 410.
    pub fn expire_links(&self, tenant: &str) {
        let _ = self.with_tenant(tenant, |tenant| tenant.changes.forget());
    }

    /// Lets delta queries put empty pages in between and say some things twice, or not.
    pub fn set_awkward(&self, awkward: bool) {
        self.shared.world().awkward = awkward;
    }

    /// Sets the limits of all tenants.
    pub fn set_limits(&self, presence: Option<Limit>, directory: Option<Limit>) {
        self.shared.world().set_limits(presence, directory);
    }

    /// Sets the life of the tokens that are given out from now on.
    pub fn set_token_life(&self, life: Duration) {
        self.shared.world().token_life = life;
    }

    /// Switches a fault on; its user may be named by userPrincipalName too.
    pub fn fault(&self, mut fault: Fault) -> FaultId {
        let mut world = self.shared.world();
        let id = fault.user.as_deref().and_then(|user| {
            world.tenants.iter().find_map(|tenant| Some(tenant.users.get(tenant.find(user)?)?.id.to_string()))
        });
        fault.user = id.or(fault.user);
        world.faults.add(fault)
    }

    /// Switches one fault off.
    pub fn clear_fault(&self, fault: FaultId) {
        self.shared.world().faults.remove(fault);
    }

    /// Switches all faults off.
    pub fn clear_faults(&self) {
        self.shared.world().faults.clear();
    }

    /// The requests that the journal keeps, oldest first; items of batches stand beside their batch.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.shared.world().journal.requests().cloned().collect()
    }

    /// The requests that came after the first `seen`, and how many there were ever, to ask with the next time.
    pub fn requests_since(&self, seen: u64) -> (Vec<RequestRecord>, u64) {
        let world = self.shared.world();
        let (records, total) = world.journal.since(seen);
        (records.cloned().collect(), total)
    }

    /// The requests of one endpoint.
    pub fn requests_of(&self, endpoint: Endpoint) -> Vec<RequestRecord> {
        self.shared.world().journal.requests().filter(|record| record.endpoint == endpoint).cloned().collect()
    }

    /// How many requests of an endpoint were ever answered with a status.
    pub fn count(&self, endpoint: Endpoint, status: u16) -> u64 {
        let world = self.shared.world();
        world.journal.counts().filter(|(known, code, _)| (*known, *code) == (endpoint, status)).map(|(.., n)| n).sum()
    }

    /// How many requests of an endpoint there ever were.
    pub fn total(&self, endpoint: Endpoint) -> u64 {
        let world = self.shared.world();
        world.journal.counts().filter(|(known, ..)| *known == endpoint).map(|(.., n)| n).sum()
    }

    /// What is held against the clients: the first thousand of it.
    pub fn complaints(&self) -> Vec<GraphComplaint> {
        self.shared.world().journal.complaints().to_vec()
    }

    /// How much is held against the clients, that without words too.
    pub fn complained(&self) -> u64 {
        self.shared.world().journal.complained()
    }

    /// Forgets requests and complaints.
    pub fn clear_journal(&self) {
        self.shared.world().journal.clear();
    }

    fn with_tenant<T>(&self, tenant: &str, act: impl FnOnce(&mut Tenant) -> T) -> Option<T> {
        self.shared.world().tenants.iter_mut().find(|known| known.is_named(tenant)).map(act)
    }

    fn with_person<T>(&self, tenant: &str, user: &str, act: impl FnOnce(&mut Person) -> T) -> Option<T> {
        self.with_tenant(tenant, |tenant| {
            let user = tenant.find(user)?;
            tenant.users.get_mut(user).map(|entry| act(&mut entry.person))
        })?
    }
}
