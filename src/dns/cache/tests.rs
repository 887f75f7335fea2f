use super::*;
use crate::dns::order::{Destination, Destinations};

const TTL: Duration = Duration::from_secs(60);

fn cache(max_entries: usize) -> Cache {
    Cache::new(&Settings {
        stale: Duration::from_secs(3600),
        grace: Duration::from_secs(30),
        negative_ttl: Duration::from_secs(5),
        max_entries,
        ..Settings::default()
    })
}

fn key(host: &str) -> Key {
    Key { host: Arc::from(host), port: None, transport: None, allowed: Transports::ALL }
}

fn answer() -> Arc<Answer> {
    let services = vec![Destinations {
        transport: Transport::Udp,
        targets: vec![Destination { priority: 0, weight: 0, port: 5060, addrs: vec!["192.0.2.1".parse().unwrap()] }],
    }];
    Arc::new(Answer::new(Arc::from("a.example"), services, 4))
}

fn no_reply() -> ResolveError {
    ResolveError::NoReply { host: Arc::from("a.example"), reason: Arc::from("test") }
}

fn not_found() -> ResolveError {
    ResolveError::NotFound { host: Arc::from("a.example") }
}

/// `fresh`, `missing`, `nothing`, or for a stale answer whether it is usable and to be refreshed.
fn word(known: &Known) -> String {
    match known {
        Known::Fresh(_) => "fresh".to_owned(),
        Known::Missing(_) => "missing".to_owned(),
        Known::Nothing => "nothing".to_owned(),
        Known::Stale { usable, refresh, .. } => format!("stale usable={usable} refresh={refresh}"),
    }
}

#[test]
fn answer_is_fresh_then_usable_for_the_grace_then_only_a_fallback_then_gone() {
    let (cache, start) = (cache(8), Instant::now());
    cache.keep(key("a.example"), answer(), TTL, start);
    let at = |seconds| {
        let now = start + Duration::from_secs(seconds);
        word(&cache.look(&key("a.example"), now))
    };
    assert_eq!(at(59), "fresh");
    assert_eq!(at(60), "stale usable=true refresh=true");
    assert_eq!(at(89), "stale usable=true refresh=true");
    assert_eq!(at(90), "stale usable=false refresh=true");
    assert_eq!(at(60 + 3599), "stale usable=false refresh=true");
    assert_eq!(at(60 + 3600), "nothing");
}

#[test]
fn answer_stands_in_while_dns_is_down_and_dns_is_asked_at_intervals() {
    let (cache, start) = (cache(8), Instant::now());
    cache.keep(key("a.example"), answer(), TTL, start);
    let later = start + Duration::from_secs(1000);
    cache.keep_failure(key("a.example"), &no_reply(), later);
    let at = |seconds| {
        let now = later + Duration::from_secs(seconds);
        word(&cache.look(&key("a.example"), now))
    };
    assert_eq!(at(4), "stale usable=true refresh=false");
    assert_eq!(at(5), "stale usable=true refresh=true");
    cache.keep(key("a.example"), answer(), TTL, later);
    assert_eq!(at(5), "fresh");
}

#[test]
fn no_of_dns_takes_the_answer_away_and_is_remembered_for_a_moment() {
    let (cache, start) = (cache(8), Instant::now());
    cache.keep(key("a.example"), answer(), TTL, start);
    let later = start + Duration::from_secs(61);
    cache.keep_failure(key("a.example"), &not_found(), later);
    let at = |seconds| {
        let now = later + Duration::from_secs(seconds);
        word(&cache.look(&key("a.example"), now))
    };
    assert_eq!(at(0), "missing");
    assert_eq!(at(4), "missing");
    assert_eq!(at(5), "nothing");
}

#[test]
fn silence_of_dns_without_an_older_answer_is_remembered_for_a_moment() {
    let (cache, start) = (cache(8), Instant::now());
    cache.keep_failure(key("a.example"), &no_reply(), start);
    assert_eq!(word(&cache.look(&key("a.example"), start)), "missing");
}

#[test]
fn same_host_under_other_transports_is_another_entry() {
    let (cache, start) = (cache(8), Instant::now());
    cache.keep(key("a.example"), answer(), TTL, start);
    let tls = Key { allowed: Transports::of(Transport::Tls), ..key("a.example") };
    assert_eq!(word(&cache.look(&tls, start)), "nothing");
}

#[test]
fn full_cache_gives_up_what_runs_out_first() {
    let (cache, start) = (cache(3), Instant::now());
    for (host, ttl) in [("b", 20), ("a", 10), ("c", 30)] {
        let evicted = cache.keep(key(host), answer(), Duration::from_secs(ttl), start);
        assert!(!evicted);
    }
    assert!(!cache.keep(key("c"), answer(), TTL, start));
    assert!(cache.keep(key("d"), answer(), TTL, start));
    assert_eq!(cache.len(), 3);
    assert_eq!(word(&cache.look(&key("a"), start)), "nothing");
    for host in ["b", "c", "d"] {
        assert_eq!(word(&cache.look(&key(host), start)), "fresh", "{host}");
    }
}

#[test]
fn full_cache_gives_up_remembered_failures_before_answers() {
    let (cache, start) = (cache(2), Instant::now());
    cache.keep(key("a"), answer(), Duration::from_secs(1), start);
    cache.keep_failure(key("b"), &not_found(), start);
    cache.keep(key("c"), answer(), TTL, start);
    assert_eq!(word(&cache.look(&key("a"), start)), "fresh");
    assert_eq!(word(&cache.look(&key("b"), start)), "nothing");
}
