//! The certificates that the edge shows: until when they are good, who hears of it in time, and how many connections
//! were made with older ones.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use time::OffsetDateTime;

use super::core::Core;
use crate::admin::{Cause, Severity};
use crate::telemetry::metrics::{Kind, Page, Series};
use crate::transport::Transports;

/// How long before its end a certificate is told of.
const AHEAD_DAYS: i64 = 30;

/// How often certificates are looked at.
const TURN: Duration = Duration::from_secs(60);

/// How often one certificate is told of in the log.
const DAY_S: i64 = 86_400;

/// A moment as RFC 3339 has it.
pub fn moment(at: OffsetDateTime) -> String {
    Timestamp::from_second(at.unix_timestamp()).unwrap_or(Timestamp::MAX).to_string()
}

/// What is unwell: certificates that end within [`AHEAD_DAYS`] or have ended, and secrets that are being written.
pub fn causes(transports: &Transports) -> Vec<Cause> {
    let now = OffsetDateTime::now_utc();
    let mut causes: Vec<Cause> = ends(transports).iter().filter_map(|(file, end)| near(file, *end, now)).collect();
    if let Some(log) = transports.key_log() {
        causes.push(Cause {
            severity: Severity::Warning,
            name: "key-log",
            source: log.path().display().to_string(),
            text: "the secrets of all TLS sessions are written to this file: whoever has it can read every call"
                .to_owned(),
            advice: "when the capture is done, remove `key_log` from [trace], reload, and delete the file".to_owned(),
        });
    }
    causes
}

/// When the first certificate of each file ends.
fn ends(transports: &Transports) -> BTreeMap<String, OffsetDateTime> {
    let mut ends = BTreeMap::new();
    for view in transports.certificates() {
        let Some(shown) = &view.credentials.shown else { continue };
        let end = ends.entry(shown.file.display().to_string()).or_insert(shown.ends);
        *end = (*end).min(shown.ends);
    }
    ends
}

fn near(file: &str, end: OffsetDateTime, now: OffsetDateTime) -> Option<Cause> {
    let days = (end - now).whole_seconds().div_euclid(DAY_S);
    let (severity, name, text) = match days {
        ..0 => (Severity::Error, "certificate-ended", format!("the certificate ended on {}", moment(end))),
        0..AHEAD_DAYS => {
            let text = format!("the certificate ends in {days} days, on {}", moment(end));
            (Severity::Warning, "certificate-near-end", text)
        }
        _ => return None,
    };
    let advice = "put a new certificate and key into the files, and run `trunkway reload`".to_owned();
    Some(Cause { severity, name, source: file.to_owned(), text, advice })
}

/// Tells the log of certificates near their end once a day, until it is aborted.
pub async fn tend(transports: Arc<Transports>) {
    let mut diary = Diary::default();
    let mut interval = tokio::time::interval(TURN);
    loop {
        interval.tick().await;
        for told in diary.due(causes(&transports), OffsetDateTime::now_utc().unix_timestamp()) {
            tracing::warn!(file = told.source, advice = told.advice, "{}", told.text);
        }
    }
}

/// When the log had each cause last, in seconds since 1970. The first time it has it as an alarm.
#[derive(Default)]
struct Diary(HashMap<(&'static str, String), i64>);

impl Diary {
    /// The causes that the log has not had for a day.
    fn due(&mut self, causes: Vec<Cause>, now: i64) -> Vec<Cause> {
        let mut told = HashMap::new();
        let mut due = Vec::new();
        for cause in causes {
            let key = (cause.name, cause.source.clone());
            let before = self.0.get(&key).copied().unwrap_or(now);
            let again = now - before >= DAY_S;
            told.insert(key, if again { now } else { before });
            due.extend(again.then_some(cause));
        }
        self.0 = told;
        due
    }
}

/// The certificates and the TLS connections on the page of metrics.
pub struct CertificateSeries {
    pub core: Arc<Core>,
    pub transports: Arc<Transports>,
}

impl Series for CertificateSeries {
    fn write(&self, page: &mut Page) {
        let mut family = page.family(
            "trunkway_certificate_expiry_seconds",
            Kind::Gauge,
            "When the first certificate of a file that the edge shows ends, in seconds since 1970",
        );
        for (file, end) in ends(&self.transports) {
            family.sample(&[("file", &file)], end.unix_timestamp() as f64);
        }
        let edge = self.core.edge();
        let mut tallies: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        let mut outdated = 0;
        for tally in self.transports.tls_tally() {
            let trunk = tally.trunk.and_then(|id| edge.trunk(id)).map_or("", |trunk| &*trunk.name);
            let direction = if tally.dialled { "dialled" } else { "accepted" };
            *tallies.entry((trunk, direction)).or_default() += tally.open as u64;
            outdated += tally.outdated;
        }
        let mut family = page.family(
            "trunkway_tls_connections",
            Kind::Gauge,
            "Open TLS connections by the trunk that the peer has proved to be of; empty for one that has proved nothing",
        );
        for ((trunk, direction), open) in tallies {
            family.count(&[("trunk", trunk), ("direction", direction)], open);
        }
        page.gauge(
            "trunkway_tls_connections_old_certificate",
            "Open TLS connections made with a certificate or trust that has been replaced",
            outdated as f64,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000 + day * DAY_S).unwrap()
    }

    #[test]
    fn a_certificate_is_told_of_thirty_days_ahead_and_is_an_error_once_it_has_ended() {
        let of = |day| near("edge.pem", at(day), at(0)).map(|cause| (cause.severity, cause.name));
        let warning = Some((Severity::Warning, "certificate-near-end"));
        assert_eq!((of(30), of(29), of(0)), (None, warning, warning));
        assert_eq!(of(-1), Some((Severity::Error, "certificate-ended")));
        let cause = near("edge.pem", at(7), at(0)).unwrap();
        assert!(cause.text.contains("7 days") && cause.advice.contains("trunkway reload"), "{cause:?}");
    }

    #[test]
    fn the_log_has_a_certificate_once_a_day_after_its_alarm() {
        let mut diary = Diary::default();
        let mut told = |day: i64, hours: i64, files: &[&str]| {
            let now = at(day).unix_timestamp() + hours * 3_600;
            let causes = files.iter().filter_map(|file| near(file, at(10), at(0))).collect();
            diary.due(causes, now).into_iter().map(|cause| cause.source).collect::<Vec<_>>()
        };
        assert_eq!(told(0, 0, &["a", "b"]), [""; 0]);
        assert_eq!(told(0, 1, &["a", "b", "c"]), [""; 0]);
        assert_eq!(told(0, 24, &["a", "b", "c"]), ["a", "b"]);
        assert_eq!(told(1, 1, &["b", "c"]), ["c"]);
        assert_eq!(told(1, 2, &["a", "b"]), [""; 0], "one that comes back has an alarm again");
        assert_eq!(told(2, 0, &["a", "b"]), ["b"]);
    }
}
