use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn guard(settings: Settings) -> Guard {
    Guard::new(settings)
}

fn offend(guard: &mut Guard, now: u64, address: &str, times: u32) -> Option<Ban> {
    (0..times).find_map(|_| match guard.note(now, ip(address), Offence::Stranger) {
        Verdict::Banned(ban) => Some(ban),
        Verdict::Noted => None,
    })
}

#[test]
fn a_source_is_banned_for_longer_each_time_and_forgiven_in_the_end() {
    let mut guard = guard(Settings::default());
    let mut now = 1_000_000;
    let mut lengths = Vec::new();
    for _ in 0..8 {
        assert_eq!(offend(&mut guard, now, "192.0.2.7", 19), None);
        let ban = offend(&mut guard, now, "192.0.2.7", 1).unwrap();
        lengths.push((ban.until.unwrap() - now) / 1_000);
        now = ban.until.unwrap() + 1;
    }
    assert_eq!(lengths, [60, 240, 960, 3_840, 15_360, 61_440, 86_400, 86_400]);
    guard.bans.forgive(now, guard.settings().forgive);
    assert_eq!(guard.bans.len(), 1, "it still counts");
    now += 86_400_000;
    guard.bans.forgive(now, guard.settings().forgive);
    assert!(guard.bans.is_empty());
    assert_eq!(offend(&mut guard, now, "192.0.2.7", 20).unwrap().times, 1);
}

#[test]
fn offences_far_apart_do_not_add_up() {
    let mut guard = guard(Settings::default());
    for minute in 0..100 {
        assert_eq!(offend(&mut guard, minute * 60_000, "192.0.2.7", 19), None, "minute {minute}");
    }
}

#[test]
fn a_scanner_is_banned_at_once_and_known_by_its_name() {
    let mut guard = guard(Settings::default());
    assert!(guard.is_scanner(b"Friendly-Scanner 1.0"));
    assert!(guard.is_scanner(b"\"sipvicious\" <sip:100@1.1.1.1>;tag=1"));
    assert!(!guard.is_scanner(b"Asterisk PBX 18"));
    assert!(matches!(guard.note(5, ip("192.0.2.9"), Offence::Scanner), Verdict::Banned(_)));
}

#[test]
fn one_ipv6_subscriber_is_one_source_and_mapped_addresses_are_ipv4() {
    let mut guard = guard(Settings::default());
    for last in 0..19 {
        assert_eq!(guard.note(1, ip(&format!("2001:db8:1:2::{last}")), Offence::Malformed), Verdict::Noted);
    }
    let Verdict::Banned(ban) = guard.note(1, ip("2001:db8:1:2:ffff::1"), Offence::Malformed) else { panic!() };
    assert_eq!(ban.network.to_string(), "2001:db8:1:2::/64");
    assert_eq!(source(ip("::ffff:192.0.2.1")).to_string(), "192.0.2.1/32");
}

#[test]
fn strangers_have_a_budget_that_a_calendar_set_back_does_not_use_up() {
    let mut guard = guard(Settings::default());
    let taken = |guard: &mut Guard, now| (0..100).filter(|_| guard.take(now, ip("192.0.2.1"))).count();
    assert_eq!(taken(&mut guard, 10_000), 20);
    assert_eq!(taken(&mut guard, 10_500), 10);
    assert_eq!(taken(&mut guard, 3_000), 20, "an hour earlier");
    assert!(guard.take(10_500, ip("192.0.2.2")), "another source has its own");
}

#[test]
fn no_offence_bans_anybody_where_that_is_switched_off() {
    let mut guard = guard(Settings { offences: 0, ..Settings::default() });
    assert_eq!(guard.note(1, ip("192.0.2.1"), Offence::Scanner), Verdict::Noted);
    assert!(guard.bans.is_empty());
}

#[test]
fn the_ban_that_ends_first_makes_room_and_those_of_operators_stay() {
    let mut bans = Bans::new(2);
    let ban = |address: &str, until| Ban {
        network: source(ip(address)),
        since: 0,
        until,
        times: 1,
        cause: Cause::Operator("".into()),
    };
    bans.order(1, ban("192.0.2.1", Some(50))).unwrap();
    bans.order(1, ban("192.0.2.2", None)).unwrap();
    let gone = bans.order(1, ban("192.0.2.3", None)).unwrap();
    assert_eq!(gone.unwrap().network.to_string(), "192.0.2.1/32");
    assert_eq!(bans.order(1, ban("192.0.2.4", Some(9))), Err(BanError::Full));
    assert!(bans.order(1, ban("192.0.2.2", Some(9))).is_ok(), "in the place of its own");
    assert_eq!(bans.len(), 2);
}

proptest! {
    /// Whatever comes from wherever: memory is bounded, and only who offends is banned.
    #[test]
    fn memory_is_bounded_and_only_offenders_are_banned(
        events in prop::collection::vec((any::<u32>(), 0u8..3, 0u64..10_000), 1..2_000)
    ) {
        let settings = Settings { offences: 3, max_sources: 64, max_bans: 16, ..Settings::default() };
        let mut guard = guard(settings);
        let mut now = 0;
        let mut offenders = std::collections::HashSet::new();
        for (address, what, step) in events {
            now += step;
            let remote = IpAddr::from(u32::to_be_bytes(address % 200));
            match what {
                0 => { guard.take(now, remote); }
                1 => { offenders.insert(source(remote)); guard.note(now, remote, Offence::Stranger); }
                _ => { guard.bans.forgive(now, Duration::from_secs(1)); }
            }
            prop_assert!(guard.sources() <= 64);
            prop_assert!(guard.bans.len() <= 16);
        }
        prop_assert!(guard.bans.iter().all(|ban| offenders.contains(&ban.network)));
    }
}
