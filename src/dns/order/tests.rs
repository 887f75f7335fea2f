use std::collections::HashSet;
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

fn target(transport: Option<Transport>, port: Option<u16>) -> Target {
    Target { transport, host: Arc::from("example.net"), port, literal: None }
}

fn literal(text: &str, transport: Option<Transport>, port: Option<u16>) -> Target {
    Target {
        transport,
        host: Arc::from(text),
        port,
        literal: Some(SocketAddr::new(text.parse().unwrap(), port.unwrap_or(0))),
    }
}

fn naptr(order: u16, preference: u16, services: &str, replacement: &str) -> Naptr {
    Naptr {
        order,
        preference,
        flags: b"s".to_vec(),
        services: services.as_bytes().to_vec(),
        regexp: Vec::new(),
        replacement: replacement.to_owned(),
    }
}

fn destination(priority: u16, weight: u16, last: u8) -> Destination {
    Destination { priority, weight, port: 5060, addrs: vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))] }
}

fn answer(targets: Vec<Destination>, limit: usize) -> Answer {
    let services = vec![Destinations { transport: Transport::Udp, targets }];
    Answer::new(Arc::from("example.net"), services, limit)
}

/// The last octets of the places, in order.
fn lasts(list: &[Resolved]) -> Vec<u8> {
    list.iter()
        .map(|place| match place.addr.ip() {
            IpAddr::V4(ip) => ip.octets()[3],
            IpAddr::V6(ip) => ip.octets()[15],
        })
        .collect()
}

#[test]
fn given_port_asks_for_addresses_only() {
    let asked = |transport, allowed| question(&target(transport, Some(5080)), allowed);
    let addresses = |transport| Ok(Question::Addresses { transport, port: 5080 });
    assert_eq!(asked(Some(Transport::Tcp), Transports::ALL), addresses(Transport::Tcp));
    assert_eq!(asked(None, Transports::ALL), addresses(Transport::Udp));
    let streams = Transports::of(Transport::Tls).with(Transport::Tcp);
    assert_eq!(asked(None, streams), addresses(Transport::Tcp));
    let tls = Transports::of(Transport::Tls);
    assert_eq!(asked(None, tls), addresses(Transport::Tls));
}

#[test]
fn given_transport_asks_for_srv_and_neither_for_naptr() {
    let asked = |transport| question(&target(transport, None), Transports::ALL);
    assert_eq!(asked(Some(Transport::Tls)), Ok(Question::Srv(Transport::Tls)));
    assert_eq!(asked(None), Ok(Question::Naptr));
}

#[test]
fn literal_needs_no_dns_and_gets_the_default_port_of_its_transport() {
    let asked = |target: Target| question(&target, Transports::ALL).unwrap();
    let nothing = |transport, addr: &str| Question::Nothing { transport, addr: addr.parse().unwrap() };
    assert_eq!(asked(literal("192.0.2.1", None, None)), nothing(Transport::Udp, "192.0.2.1:5060"));
    assert_eq!(
        asked(literal("2001:db8::1", Some(Transport::Tls), None)),
        nothing(Transport::Tls, "[2001:db8::1]:5061")
    );
    assert_eq!(
        asked(literal("192.0.2.1", Some(Transport::Tcp), Some(5070))),
        nothing(Transport::Tcp, "192.0.2.1:5070")
    );
}

#[test]
fn transport_that_no_listener_speaks_is_refused() {
    let udp = Transports::of(Transport::Udp);
    assert_eq!(question(&target(Some(Transport::Tls), None), udp), Err(NotAllowed(Some(Transport::Tls))));
    assert_eq!(question(&target(None, None), Transports::NONE), Err(NotAllowed(None)));
}

#[test]
fn naptr_sorts_by_order_and_preference_and_ends_with_the_first_usable_order() {
    let records = [
        naptr(20, 1, "SIPS+D2T", "later"),
        naptr(10, 50, "SIP+D2U", "udp"),
        naptr(10, 10, "sip+d2t", "tcp"),
        naptr(5, 1, "E2U+email", "mail"),
    ];
    let names = |allowed| -> Vec<String> {
        services_of_naptr(&records, allowed).into_iter().map(|service| service.name).collect()
    };
    assert_eq!(names(Transports::ALL), ["tcp", "udp"]);
    assert_eq!(names(Transports::of(Transport::Udp)), ["udp"]);
    assert_eq!(names(Transports::of(Transport::Tls)), ["later"]);
    assert!(names(Transports::NONE).is_empty());
}

#[test]
fn naptr_of_another_kind_is_passed_over() {
    let mut regexp = naptr(1, 1, "SIP+D2U", "a");
    regexp.regexp = b"!.*!x!".to_vec();
    let mut uri = naptr(1, 1, "SIP+D2U", "b");
    uri.flags = b"u".to_vec();
    let mut large = naptr(1, 1, "SIP+D2U", "c");
    large.flags = b"S".to_vec();
    let services = services_of_naptr(&[regexp, uri, large], Transports::ALL);
    assert_eq!(services.len(), 1);
    assert_eq!(services[0].name, "c");
}

#[test]
fn service_names_are_those_of_rfc_3263() {
    let name = |transport| service_of_host("example.net", transport).name;
    assert_eq!(name(Transport::Udp), "_sip._udp.example.net");
    assert_eq!(name(Transport::Tcp), "_sip._tcp.example.net");
    assert_eq!(name(Transport::Tls), "_sips._tcp.example.net");
}

#[test]
fn services_keep_their_order_whatever_their_priorities() {
    let services = vec![
        Destinations { transport: Transport::Tls, targets: vec![destination(90, 0, 1)] },
        Destinations { transport: Transport::Udp, targets: vec![destination(1, 0, 1)] },
    ];
    let list = Answer::new(Arc::from("example.net"), services, 8).draw(0);
    let transports: Vec<_> = list.iter().map(|place| place.transport).collect();
    assert_eq!(transports, [Transport::Tls, Transport::Udp]);
}

#[test]
fn both_families_of_a_target_are_listed_in_their_order() {
    let both = Destination {
        addrs: vec!["2001:db8::7".parse().unwrap(), "192.0.2.8".parse().unwrap()],
        ..destination(0, 0, 0)
    };
    assert_eq!(lasts(&answer(vec![both], 8).draw(1)), [7, 8]);
}

#[test]
fn list_without_choice_is_made_once() {
    let fixed = answer(vec![destination(1, 5, 1), destination(2, 5, 2)], 8);
    assert!(Arc::ptr_eq(&fixed.draw(1), &fixed.draw(2)));
    let drawn = answer(vec![destination(1, 5, 1), destination(1, 5, 2)], 8);
    assert!(!Arc::ptr_eq(&drawn.draw(1), &drawn.draw(2)));
}

#[test]
fn weight_zero_gets_a_small_share_beside_weights() {
    let answer = answer(vec![destination(1, 99, 1), destination(1, 0, 2)], 8);
    let zero_first = (0..20_000).filter(|&seed| lasts(&answer.draw(seed))[0] == 2).count();
    // One mark of a hundred (0 to 99) falls on it.
    assert!((120..280).contains(&zero_first), "{zero_first}");
}

fn any_targets() -> impl Strategy<Value = Vec<Destination>> {
    let record = (0_u16..4, 0_u16..20);
    prop::collection::vec(record, 1..12).prop_map(|records| {
        (0_u8..).zip(records).map(|(last, (priority, weight))| destination(priority, weight, last)).collect()
    })
}

proptest! {
    #[test]
    fn every_target_is_listed_once_in_the_order_of_priorities(targets in any_targets(), seed: u64) {
        let list = lasts(&answer(targets.clone(), 100).draw(seed));
        prop_assert_eq!(list.len(), targets.len());
        prop_assert_eq!(list.iter().collect::<HashSet<_>>().len(), targets.len());
        let priorities: Vec<_> = list.iter().map(|&last| targets[usize::from(last)].priority).collect();
        prop_assert!(priorities.is_sorted());
    }

    #[test]
    fn list_is_cut_at_the_limit(targets in any_targets(), seed: u64, limit in 1_usize..14) {
        let all = targets.len();
        let list = answer(targets, limit).draw(seed);
        prop_assert_eq!(list.len(), all.min(limit));
    }

    #[test]
    fn address_that_two_targets_share_is_listed_once(weights in prop::collection::vec(0_u16..9, 1..8), seed: u64) {
        let targets = weights.into_iter().map(|weight| destination(1, weight, 7)).collect();
        prop_assert_eq!(lasts(&answer(targets, 100).draw(seed)), [7]);
    }

    #[test]
    fn draw_depends_on_nothing_but_the_seed(targets in any_targets(), seed: u64) {
        prop_assert_eq!(answer(targets.clone(), 100).draw(seed), answer(targets, 100).draw(seed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn first_place_is_shared_by_weight(weights in prop::collection::vec(1_u16..50, 2..5), start: u64) {
        const DRAWS: u64 = 8_000;
        let targets: Vec<_> = (0_u8..)
            .zip(&weights)
            .map(|(last, &weight)| destination(1, weight, last))
            .collect();
        let answer = answer(targets, 8);
        let mut counts = vec![0_u32; weights.len()];
        for step in 0..DRAWS {
            let list = answer.draw(start.wrapping_add(step));
            counts[usize::from(lasts(&list)[0])] += 1;
        }
        let sum: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        for (count, &weight) in counts.iter().zip(&weights) {
            // RFC 2782 draws from 0 to the sum inclusive, which moves a share by one mark at most;
            // beyond that five standard deviations are left.
            let share = f64::from(weight) / sum;
            let slack = 1.0 / sum + 5.0 * (share * (1.0 - share) / DRAWS as f64).sqrt();
            let found = f64::from(*count) / DRAWS as f64;
            prop_assert!((found - share).abs() <= slack, "{found} of {share}, weights {weights:?}");
        }
    }
}
