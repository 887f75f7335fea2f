//! The certificates that the edge shows: until when they are good, who hears of it in time, and how many connections
//! were made with older ones.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use metrics::{describe_gauge, gauge};
use time::OffsetDateTime;

use super::core::Core;
use crate::admin::{Cause, Severity};
use crate::transport::Transports;

/// How long before its end a certificate is told of.
const AHEAD_DAYS: i64 = 30;

/// How often gauges are set.
const TURN: Duration = Duration::from_secs(5);

/// How often one certificate is told of in the log.
const DAY_S: i64 = 86_400;

const EXPIRY: &str = "trunkway_certificate_expiry_seconds";
const CONNECTIONS: &str = "trunkway_tls_connections";
const OLD: &str = "trunkway_tls_connections_old_certificate";

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

/// Sets the gauges and tells of certificates near their end, until it is aborted.
pub async fn tend(core: Arc<Core>, transports: Arc<Transports>) {
    describe_gauge!(EXPIRY, "When the first certificate of a file that the edge shows ends, in seconds since 1970");
    describe_gauge!(CONNECTIONS, "Open TLS connections by the trunk that the peer has proved to be of");
    describe_gauge!(OLD, "Open TLS connections made with a certificate or trust that has been replaced");
    let mut board = Board::default();
    let mut interval = tokio::time::interval(TURN);
    loop {
        interval.tick().await;
        board.set(&core, &transports);
        for told in board.due(causes(&transports), OffsetDateTime::now_utc().unix_timestamp()) {
            tracing::warn!(file = told.source, advice = told.advice, "{}", told.text);
        }
    }
}

/// What was published before: what is not there any more is set to nothing.
#[derive(Default)]
struct Board {
    files: BTreeMap<String, OffsetDateTime>,
    tallies: HashMap<(String, &'static str), usize>,
    /// When each cause was told last, in seconds since 1970.
    told: HashMap<(&'static str, String), i64>,
}

impl Board {
    fn set(&mut self, core: &Core, transports: &Transports) {
        let now = ends(transports);
        for (file, end) in &now {
            gauge!(EXPIRY, "file" => file.clone()).set(end.unix_timestamp() as f64);
        }
        for gone in self.files.keys().filter(|file| !now.contains_key(*file)) {
            // No number: an alert on it would be about a file that nobody uses.
            gauge!(EXPIRY, "file" => gone.clone()).set(f64::NAN);
        }
        self.files = now;
        let edge = core.edge();
        let mut outdated = 0;
        self.tallies.values_mut().for_each(|open| *open = 0);
        for tally in transports.tls_tally() {
            let trunk = tally.trunk.and_then(|id| edge.trunk(id)).map_or("none", |trunk| &*trunk.name);
            let direction = if tally.dialled { "dialled" } else { "accepted" };
            *self.tallies.entry((trunk.to_owned(), direction)).or_default() += tally.open;
            outdated += tally.outdated;
        }
        for ((trunk, direction), open) in &self.tallies {
            gauge!(CONNECTIONS, "trunk" => trunk.clone(), "direction" => *direction).set(*open as f64);
        }
        self.tallies.retain(|_, open| *open > 0);
        gauge!(OLD).set(outdated as f64);
    }

    /// The causes that the log has not had for a day.
    fn due(&mut self, causes: Vec<Cause>, now: i64) -> Vec<Cause> {
        let key = |cause: &Cause| (cause.name, cause.source.clone());
        let mut told = HashMap::new();
        let due = |cause: &Cause| {
            let before = self.told.get(&key(cause)).copied().filter(|before| now - before < DAY_S);
            told.insert(key(cause), before.unwrap_or(now));
            before.is_none()
        };
        let due: Vec<Cause> = causes.into_iter().filter(due).collect();
        self.told = told;
        due
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
    fn the_log_has_a_certificate_once_a_day_and_again_when_it_comes_back() {
        let mut board = Board::default();
        let mut told = |day: i64, hours: i64, files: &[&str]| {
            let now = at(day).unix_timestamp() + hours * 3_600;
            let causes = files.iter().filter_map(|file| near(file, at(10), at(0))).collect();
            board.due(causes, now).into_iter().map(|cause| cause.source).collect::<Vec<_>>()
        };
        assert_eq!(told(0, 0, &["a", "b"]), ["a", "b"]);
        assert_eq!(told(0, 1, &["a", "b", "c"]), ["c"]);
        assert_eq!(told(0, 24, &["a", "b", "c"]), ["a", "b"]);
        assert_eq!(told(1, 1, &["b"]), [""; 0]);
        assert_eq!(told(1, 2, &["a", "b"]), ["a"]);
    }
}
