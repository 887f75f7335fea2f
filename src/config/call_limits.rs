//! How many calls a trunk, tenant, site or user may have: `[limits_profile.NAME]`, and the same keys where they are used.

use std::sync::Arc;

use super::log::{At, Draft, Log};
use super::names::Names;
use super::reader::Table;
use crate::trunk::{CallLimits, CallRate};

/// Most calls that a limit may be, and most calls a second.
const MOST: u64 = 1_000_000;

/// The profiles, by name.
#[derive(Debug)]
pub(super) struct Profiles {
    names: Names<usize>,
    list: Vec<Arc<CallLimits>>,
}

impl Profiles {
    fn find(&self, log: &Log, title: &str, name: &At<&str>) -> Option<&Arc<CallLimits>> {
        self.list.get(self.names.find(log, title, name)?)
    }
}

/// Reads the profiles.
pub(super) fn profiles(log: &Log, tables: Vec<(At<&str>, Table<'_>)>) -> Profiles {
    let mut profiles = Profiles { names: Names::new("limits profile"), list: Vec::new() };
    for (name, mut table) in tables {
        profiles.names.add(log, At::new(name.value, name.place), profiles.list.len());
        let of_profile = CallLimits { profile: Some(name.value.into()), ..CallLimits::default() };
        let limits = keys(&mut table, &of_profile);
        if limits == of_profile {
            let message = format!("{} limits nothing", table.title);
            log.add(Draft::warning(name.place, message).help("give `max_calls` or `max_calls_per_second`"));
        }
        profiles.list.push(Arc::new(limits));
        table.finish();
    }
    profiles
}

/// The limits that a table has: those of the profile that `limits` names, with what it says itself put over them.
pub(super) fn read(table: &mut Table<'_>, profiles: &Profiles) -> Option<Arc<CallLimits>> {
    let profile = named(table, "limits", profiles);
    let before = profile.as_deref().cloned().unwrap_or_default();
    let limits = keys(table, &before);
    match profile {
        Some(profile) if limits == before => Some(profile),
        None if limits == before => None,
        _ => Some(Arc::new(limits)),
    }
}

/// The profile that a key names.
pub(super) fn named(table: &mut Table<'_>, key: &'static str, profiles: &Profiles) -> Option<Arc<CallLimits>> {
    let name = table.text(key)?;
    profiles.find(table.log(), &table.title, &name).cloned()
}

fn keys(table: &mut Table<'_>, before: &CallLimits) -> CallLimits {
    let mut count = |key, range| table.number(key, range).and_then(|number| u32::try_from(number.value).ok());
    let max_calls = count("max_calls", 0..=MOST).or(before.max_calls);
    let max_calls_in = count("max_calls_in", 0..=MOST).or(before.max_calls_in);
    let max_calls_out = count("max_calls_out", 0..=MOST).or(before.max_calls_out);
    let per_second = count("max_calls_per_second", 1..=MOST).or(before.rate.map(|rate| rate.per_second));
    let burst = count("max_calls_burst", 1..=MOST);
    let soft = count("soft_percent", 1..=100);
    let code = count("over_limit_code", 480..=503);
    let retry_after = count("retry_after_s", 0..=86_400).unwrap_or(before.retry_after);
    if let Some(code) = code.filter(|code| ![480, 486, 503].contains(code)) {
        let message = format!("{}: `over_limit_code` must be 480, 486 or 503, not {code}", table.title);
        table.log().add(Draft::error(table.place_of("over_limit_code"), message));
    }
    if burst.is_some() && per_second.is_none() {
        let message = format!("{}: `max_calls_burst` without `max_calls_per_second`", table.title);
        table.log().add(Draft::error(table.place_of("max_calls_burst"), message));
    }
    let same_rate = before.rate.filter(|rate| Some(rate.per_second) == per_second);
    CallLimits {
        profile: before.profile.clone(),
        max_calls,
        max_calls_in,
        max_calls_out,
        // At once, as many as in one second.
        rate: per_second.map(|per_second| CallRate {
            per_second,
            burst: burst.or(same_rate.map(|rate| rate.burst)).unwrap_or(per_second),
        }),
        soft_percent: soft.and_then(|soft| u8::try_from(soft).ok()).unwrap_or(before.soft_percent),
        over_limit_code: code.and_then(|code| u16::try_from(code).ok()).unwrap_or(before.over_limit_code),
        retry_after,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Loaded, load_str};

    const HEAD: &str = r#"
[node]
name = "n"
[[listen]]
name = "udp"
bind = "udp:127.0.0.1:5060"
[limits_profile.small]
max_calls = 10
max_calls_per_second = 2
over_limit_code = 486
[trunk.office]
kind = "pbx"
listen = "udp"
targets = ["192.0.2.1"]
"#;

    fn loaded(more: &str) -> Result<Loaded, String> {
        load_str("n", &format!("{HEAD}{more}"), Path::new(".")).map_err(|faults| faults.to_string())
    }

    #[test]
    fn a_trunk_takes_a_profile_and_puts_its_own_keys_over_it() {
        let small = CallLimits {
            max_calls: Some(10),
            over_limit_code: 486,
            profile: Some("small".into()),
            ..CallLimits::default()
        };
        let rate = |per_second, burst| Some(CallRate { per_second, burst });
        for (more, wanted) in [
            ("", None),
            ("max_calls = 100", Some(CallLimits { max_calls: Some(100), ..CallLimits::default() })),
            ("limits = \"small\"", Some(CallLimits { rate: rate(2, 2), ..small.clone() })),
            (
                "limits = \"small\"\nmax_calls_in = 3\nmax_calls_burst = 9\nretry_after_s = 0\nsoft_percent = 50",
                Some(CallLimits {
                    rate: rate(2, 9),
                    max_calls_in: Some(3),
                    retry_after: 0,
                    soft_percent: 50,
                    ..small.clone()
                }),
            ),
            ("limits = \"small\"\nmax_calls_per_second = 7", Some(CallLimits { rate: rate(7, 7), ..small.clone() })),
        ] {
            let loaded = loaded(more).unwrap();
            assert_eq!(loaded.trunks.0[0].limits.as_deref(), wanted.as_ref(), "{more}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (more, wanted) in [
            ("limits = \"smal\"", "there is no limits profile `smal`"),
            ("max_calls_burst = 3", "`max_calls_burst` without `max_calls_per_second`"),
            ("over_limit_code = 481", "must be 480, 486 or 503, not 481"),
            ("max_calls = -1", "`max_calls` must be from 0 to 1000000"),
            ("soft_percent = 0", "`soft_percent` must be from 1 to 100"),
        ] {
            let faults = loaded(more).unwrap_err();
            assert!(faults.contains(wanted), "{more}: {faults}");
        }
    }

    #[test]
    fn tenants_sites_and_users_have_limits_too() {
        let loaded = loaded(
            r#"
[trunk.carrier]
kind = "carrier"
listen = "udp"
targets = ["192.0.2.2"]
[trunk.cloud]
kind = "teams"
listen = "udp"
targets = ["192.0.2.3"]
fqdn = "edge.example.net"
[tenant.contoso]
max_calls = 50
user_limits = "small"
numbering = { extension_ranges = ["1000-1999"] }
[[tenant.contoso.site]]
fqdn = "contoso.example.net"
teams = "cloud"
trunk = "carrier"
max_calls_out = 7
[[tenant.contoso.user]]
id = "anna"
extension = "1000"
max_calls = 1
[[tenant.contoso.user]]
id = "bob"
extension = "1001"
"#,
        )
        .unwrap();
        let tenant = loaded.routing.tenants().iter().next().unwrap();
        assert_eq!(tenant.limits.as_ref().and_then(|limits| limits.max_calls), Some(50));
        let of = |number: &[u8]| tenant.limits_of_user(number).map(|(id, limits)| (id.to_owned(), limits.max_calls));
        assert_eq!(of(b"1000"), Some(("anna".to_owned(), Some(1))));
        assert_eq!(of(b"1001"), Some(("bob".to_owned(), Some(10))));
        assert_eq!(of(b"1002"), None);
        let site = loaded.routing.sites().iter().next().unwrap();
        assert_eq!(site.limits.as_ref().and_then(|limits| limits.max_calls_out), Some(7));
    }
}
