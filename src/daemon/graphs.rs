//! Microsoft Graph for all tenants that have it: one client each, shared by the bridge and the directory.

mod files;
mod meters;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use self::files::Files;
use self::meters::Meters;
use crate::admin::{Cause, Severity};
use crate::config;
use crate::daemon::clock::Clock;
use crate::graph::{Fault, Graph, Observer, Settings, TokenFault, TokenHealth};

/// Whom Graph is asked for.
#[derive(Debug, Default)]
pub struct Graphs {
    /// By tenant.
    table: ArcSwap<BTreeMap<Arc<str>, Entry>>,
    /// Tenants whose client could not be made, and why.
    broken: Mutex<BTreeMap<Arc<str>, String>>,
    meters: Arc<Meters>,
}

#[derive(Clone, Debug)]
struct Entry {
    config: config::Graph,
    graph: Arc<Graph>,
    /// In the name of the service account of its notifications.
    account: Option<Arc<Graph>>,
}

impl Graphs {
    /// Takes a configuration: clients of tenants whose table is the same stay, and try again what was refused.
    pub fn set(&self, tenants: &BTreeMap<Arc<str>, config::Graph>) {
        let before = self.table.load_full();
        let mut broken = BTreeMap::new();
        let mut table = BTreeMap::new();
        for (tenant, config) in tenants {
            if let Some(same) = before.get(tenant).filter(|entry| entry.config == *config) {
                same.graph.try_again();
                same.account.iter().for_each(|account| account.try_again());
                table.insert(Arc::clone(tenant), same.clone());
                continue;
            }
            let observer: Arc<dyn Observer> = self.meters.of_tenant(tenant);
            match Entry::open(tenant, config, &observer) {
                Ok(entry) => {
                    table.insert(Arc::clone(tenant), entry);
                }
                Err(fault) => {
                    broken.insert(Arc::clone(tenant), fault.to_string());
                }
            }
        }
        self.meters.keep(|tenant| table.contains_key(tenant));
        self.table.store(Arc::new(table));
        *lock(&self.broken) = broken;
    }

    /// Graph for a tenant; `None`: the tenant has none, or it could not be set up, which `causes` tells.
    pub fn of(&self, tenant: &str) -> Option<Arc<Graph>> {
        self.table.load().get(tenant).map(|entry| Arc::clone(&entry.graph))
    }

    /// Graph for a tenant in the name of the service account of its notifications, with what the configuration says of
    /// them; `None`: it wants none.
    pub fn account_of(&self, tenant: &str) -> Option<(Arc<Graph>, config::GraphNotifications)> {
        let table = self.table.load();
        let entry = table.get(tenant)?;
        Some((entry.account.clone()?, entry.config.notifications.clone()?))
    }

    /// What is unwell, by tenant.
    pub fn causes(&self) -> Vec<Cause> {
        let now = i64::try_from(Clock::start().unix()).unwrap_or(i64::MAX);
        let mut causes: Vec<Cause> = lock(&self.broken).iter().map(|(tenant, why)| unusable(tenant, why)).collect();
        for (tenant, entry) in &**self.table.load() {
            let health = entry.graph.health();
            token_causes(&mut causes, tenant, "the application", &health);
            if let Some(account) = &entry.account {
                token_causes(&mut causes, tenant, "the service account", &account.health());
            }
            if let Some(warning) = health.ending(now) {
                let severity = if warning.days_left < 0 { Severity::Error } else { Severity::Warning };
                causes.push(Cause {
                    severity,
                    name: "graph-secret-near-end",
                    source: tenant.to_string(),
                    text: format!("tenant {tenant}: {}", warning.text),
                    advice: warning.advice,
                });
            }
        }
        causes
    }
}

/// What is wrong with the token of the application, or of the account.
fn token_causes(causes: &mut Vec<Cause>, tenant: &str, whose: &str, health: &TokenHealth) {
    if let Some(fault) = &health.fault {
        let severity = if fault.needs_person() || health.age.is_none() { Severity::Error } else { Severity::Warning };
        causes.push(Cause {
            severity,
            name: "graph-token",
            source: format!("{tenant}, {whose}"),
            text: format!("no token for Microsoft Graph for {whose} of tenant {tenant}: {fault}"),
            advice: fault.advice(),
        });
    }
    for &permission in &health.lacking {
        let fault = TokenFault::MissingPermission(permission);
        causes.push(Cause {
            severity: Severity::Error,
            name: "graph-permission",
            source: format!("{tenant} {}", permission.role()),
            text: format!("Microsoft Graph refuses {whose} of tenant {tenant}: {fault}"),
            advice: fault.advice(),
        });
    }
}

fn unusable(tenant: &str, why: &str) -> Cause {
    Cause {
        severity: Severity::Error,
        name: "graph-unusable",
        source: tenant.to_owned(),
        text: format!("Microsoft Graph cannot be asked for tenant {tenant}: {why}"),
        advice: "repair what is named in [tenant.ID.graph], and run `trunkway reload`".to_owned(),
    }
}

impl Entry {
    fn open(tenant: &str, config: &config::Graph, observer: &Arc<dyn Observer>) -> Result<Self, Fault> {
        let open = |files| Graph::new(settings(tenant, config), Arc::new(files), Arc::clone(observer)).map(Arc::new);
        let files = || Files::new(config.credential.clone());
        let account = config.notifications.as_ref().map(|it| open(files().in_name_of(&it.refresh_token_file)));
        Ok(Self { config: config.clone(), graph: open(files())?, account: account.transpose()? })
    }
}

fn settings(tenant: &str, config: &config::Graph) -> Settings {
    Settings {
        tenant: tenant.into(),
        directory: Arc::clone(&config.directory),
        client: Arc::clone(&config.client),
        login: Arc::clone(&config.login),
        base: Arc::clone(&config.base),
        ca: config.ca.clone(),
        timeout: config.timeout,
        max_requests: config.max_requests,
        secret_ends: config.secret_ends,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
