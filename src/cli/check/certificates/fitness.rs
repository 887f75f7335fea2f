//! What Teams demands of an edge's certificate, whatever its names: dates, key, purposes and chain.

use time::OffsetDateTime;

use crate::transport::tls::certificate::{Certificate, Key, Name, Purposes};

/// How many days before the end it is told; Teams' own dashboard does so as well.
const WARN_DAYS: i64 = 30;
/// The shortest RSA key that is any good, in bits.
const MIN_RSA_BITS: usize = 2_048;

/// What is wrong with a certificate, said of the file that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub what: String,
    /// What to do.
    pub help: String,
}

/// Everything that is wrong with a chain, the edge's own certificate first.
pub(super) fn complaints(
    chain: &[Certificate],
    is_trusted: impl Fn(&Name) -> bool,
    now: OffsetDateTime,
) -> Vec<Complaint> {
    let Some((own, above)) = chain.split_first() else { return Vec::new() };
    let dates = dates(own, above, now);
    let rest = [key(own.key), purposes(own.purposes), issuer(own, above, is_trusted)];
    let told = |(what, help): (String, &str)| Complaint { what, help: help.to_owned() };
    dates.into_iter().chain(rest.into_iter().flatten()).map(told).collect()
}

type Told = (String, &'static str);

fn dates(own: &Certificate, above: &[Certificate], now: OffsetDateTime) -> Vec<Told> {
    let mut told = Vec::new();
    told.extend(date(own, now).map(|what| {
        let help = match now < own.not_before {
            true => "look at the clock of this machine, or wait: Teams refuses it until then",
            false => "renew it, and make all connections of the old one anew: Teams does not take it for longer",
        };
        (what, help)
    }));
    for one in above {
        let help = "take the new one from your authority, and put it in the old one's place";
        told.extend(date(one, now).map(|what| (format!("comes with {}, which {what}", shown(&one.subject)), help)));
    }
    told
}

/// What is wrong with the time for which a certificate is good.
fn date(certificate: &Certificate, now: OffsetDateTime) -> Option<String> {
    let Certificate { not_before, not_after, .. } = certificate;
    if now < *not_before {
        return Some(format!("is not good before {}", not_before.date()));
    }
    match certificate.days_left(now) {
        ..0 => Some(format!("expired on {}", not_after.date())),
        0 => Some("ends within a day".to_owned()),
        1 => Some(format!("ends in 1 day, on {}", not_after.date())),
        days if days < WARN_DAYS => Some(format!("ends in {days} days, on {}", not_after.date())),
        _ => None,
    }
}

fn key(key: Key) -> Option<Told> {
    const HELP: &str = "order one for an RSA key of 2048 bits or more";
    let what = match key {
        Key::Rsa { bits } if bits >= MIN_RSA_BITS => return None,
        Key::Rsa { bits } => format!("has an RSA key of {bits} bits, and Teams asks for {MIN_RSA_BITS}"),
        Key::Ecdsa => "has an ECDSA key, and the suites that Teams offers are for RSA".to_owned(),
        Key::Other => "has a key that is not RSA, and the suites that Teams offers are for RSA".to_owned(),
    };
    Some((what, HELP))
}

fn purposes(purposes: Option<Purposes>) -> Option<Told> {
    let Purposes { client, server } = purposes?;
    let lacks = match (client, server) {
        (true, true) => return None,
        (false, true) => "no clientAuth",
        (true, false) => "no serverAuth",
        (false, false) => "neither serverAuth nor clientAuth",
    };
    let help = "order one with both: Teams demands both of an edge, since it dials as well as it is dialled";
    Some((format!("has {lacks} in its extended key usage"), help))
}

/// Whether who issued the edge's own certificate is known; that of a root need not be sent.
fn issuer(own: &Certificate, above: &[Certificate], is_trusted: impl Fn(&Name) -> bool) -> Option<Told> {
    if own.is_self_issued() {
        let help = "order one of an authority in the Microsoft Trusted Root Program";
        return Some(("is self-signed, and Teams takes none of those".to_owned(), help));
    }
    if above.iter().any(|one| one.subject == own.issuer) || is_trusted(&own.issuer) {
        return None;
    }
    let what = format!("comes without that of {}, who issued it: its chain is incomplete", shown(&own.issuer));
    Some((what, "put the intermediates of your authority behind it in the file, without the root"))
}

/// A name as messages have it.
fn shown(name: &Name) -> String {
    if name.shown.is_empty() {
        "somebody without a name".to_owned()
    } else {
        format!("`{}`", name.shown.escape_debug())
    }
}
