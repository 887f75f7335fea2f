//! What a stand-in went through: its calls, its OPTIONS and its complaints about the other side.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::watch;

/// Most complaints that a journal keeps; later ones are only counted.
const COMPLAINT_LIMIT: usize = 500;
/// Most calls that a journal keeps; the oldest go first.
const CALL_LIMIT: usize = 10_000;
/// Most names of SBCs whose health a journal keeps.
pub const TRUNK_LIMIT: usize = 1_000;

/// Something that the other side did against RFC 3261 or against Microsoft's rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Complaint {
    /// The stand-in that noticed.
    pub by: String,
    pub call_id: String,
    /// The message in which it was seen.
    pub about: String,
    /// The name of Microsoft's rule that was broken, if it is one of those.
    pub rule: Option<&'static str>,
    /// Plain words with the section.
    pub text: String,
}

/// Which end of a call a stand-in was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Callee,
    Caller,
}

/// What ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The caller took the call back before it was answered.
    Cancelled,
    /// This side sent BYE.
    HungUp,
    /// The other side sent BYE.
    HungUpByPeer,
    /// A final answer other than 2xx.
    Refused,
}

/// One call as one side saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CallRecord {
    pub role: Role,
    /// The number that was called.
    pub number: String,
    pub call_id: String,
    /// Status codes above 100 and below 200, in order.
    pub provisional: Vec<u16>,
    /// The final status of the INVITE.
    pub code: Option<u16>,
    /// The ACK was sent (caller) or seen (callee).
    pub acknowledged: bool,
    /// How often this side put the call on hold and took it back, as far as that was answered with 2xx.
    pub changes_made: usize,
    /// Re-INVITEs that came and were acknowledged.
    pub changes_seen: usize,
    pub ending: Option<Ending>,
    /// The status of the BYE that this side sent.
    pub bye_code: Option<u16>,
    /// Everything came to its end as it should: every request answered, every final answer acknowledged.
    pub finished: bool,
    /// What went wrong, in plain words.
    pub error: Option<String>,
    /// Record-Route of the dialog as it stood in the 2xx, top first.
    pub record_routes: Vec<String>,
    /// The tag of this side.
    pub local_tag: String,
    /// The tag of the other side, once a dialog is there.
    pub remote_tag: Option<String>,
    /// To tags of provisional answers, each once, in order.
    pub early_tags: Vec<String>,
    /// Session refreshes by re-INVITE of this side that were answered with 2xx.
    pub refreshes_made: usize,
    /// How a transfer that this side began went.
    pub transfer: Option<TransferRecord>,
    /// The call is the one that a REFER of this side asked for, URI and Referred-By to the byte.
    pub referred: bool,
}

/// A transfer as the side that began it saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TransferRecord {
    /// The value of Refer-To.
    pub refer_to: String,
    /// The value of Referred-By.
    pub referred_by: String,
    /// The other side's Allow does not name REFER, so none was sent.
    pub withheld: bool,
    /// The final status of the REFER.
    pub code: Option<u16>,
    /// The status codes that NOTIFY brought, in order.
    pub notified: Vec<u16>,
}

impl CallRecord {
    /// The record of a call that has just begun.
    pub fn new(role: Role, number: &str, call_id: &str) -> Self {
        Self {
            role,
            number: number.into(),
            call_id: call_id.into(),
            provisional: Vec::new(),
            code: None,
            acknowledged: false,
            changes_made: 0,
            changes_seen: 0,
            ending: None,
            bye_code: None,
            finished: false,
            error: None,
            record_routes: Vec::new(),
            local_tag: String::new(),
            remote_tag: None,
            early_tags: Vec::new(),
            refreshes_made: 0,
            transfer: None,
            referred: false,
        }
    }

    /// Whether nothing more will happen.
    pub fn is_over(&self) -> bool {
        self.finished || self.error.is_some()
    }
}

/// OPTIONS that a stand-in sent and got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OptionsCount {
    pub sent: u64,
    pub answered: u64,
    pub received: u64,
}

/// How far the handshake by OPTIONS with an SBC is, in the words of the health dashboard (section A18).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TrunkStatus {
    /// Its OPTIONS come, ours were not answered yet.
    Pending,
    /// OPTIONS are answered both ways.
    Active,
    /// Its OPTIONS have stopped, and ours with them.
    Warning,
}

/// One name of an SBC as a stand-in for Teams sees its health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrunkHealth {
    /// Host of the Contact of its OPTIONS.
    pub fqdn: String,
    pub status: TrunkStatus,
    /// OPTIONS that came.
    pub received: u64,
    /// OPTIONS that went to it.
    pub sent: u64,
    /// 2xx that came back.
    pub answered: u64,
}

/// A message as it passed the socket of a stand-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Since the stand-in was started.
    pub at: Duration,
    /// This side sent it.
    pub sent: bool,
    pub remote: SocketAddr,
    /// The number of the connection, zero for datagrams.
    pub connection: u64,
    /// The whole message; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// The shared, bounded memory of one stand-in.
#[derive(Clone, Debug)]
pub struct Journal {
    inner: Arc<Mutex<Inner>>,
    changed: Arc<watch::Sender<u64>>,
    start: Instant,
    capture_limit: usize,
}

#[derive(Debug, Default)]
struct Inner {
    calls: Vec<(u64, CallRecord)>,
    complaints: Vec<Complaint>,
    complaints_dropped: usize,
    options: OptionsCount,
    trunks: Vec<TrunkHealth>,
    captured: VecDeque<Captured>,
    captured_dropped: u64,
}

impl Default for Journal {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Journal {
    /// A journal that keeps the last `capture_limit` messages whole.
    pub fn new(capture_limit: usize) -> Self {
        Self { inner: Arc::default(), changed: Arc::new(watch::Sender::new(0)), start: Instant::now(), capture_limit }
    }

    /// Keeps a message; the oldest goes when there are too many.
    pub fn capture(&self, sent: bool, remote: SocketAddr, connection: u64, bytes: &[u8]) {
        let at = self.start.elapsed();
        self.edit(|inner| {
            if inner.captured.len() >= self.capture_limit {
                inner.captured_dropped += 1;
                inner.captured.pop_front();
            }
            if self.capture_limit > 0 {
                let text = String::from_utf8_lossy(bytes).into_owned();
                inner.captured.push_back(Captured { at, sent, remote, connection, text });
            }
        });
    }

    /// The messages that were kept, oldest first.
    pub fn captured(&self) -> Vec<Captured> {
        self.read(|inner| inner.captured.iter().cloned().collect())
    }

    /// How many messages are no longer kept; a search through all of them is whole only while this is zero.
    pub fn captured_dropped(&self) -> u64 {
        self.read(|inner| inner.captured_dropped)
    }

    /// Received messages that contain a text.
    pub fn received_with(&self, text: &str) -> Vec<Captured> {
        self.read(|inner| inner.captured.iter().filter(|m| !m.sent && m.text.contains(text)).cloned().collect())
    }

    /// Changes the health of one name of an SBC.
    pub fn set_trunk(&self, trunk: &TrunkHealth) {
        self.edit(|inner| {
            let room = inner.trunks.len() < TRUNK_LIMIT;
            match inner.trunks.iter_mut().find(|known| known.fqdn == trunk.fqdn) {
                Some(known) => *known = trunk.clone(),
                None if room => inner.trunks.push(trunk.clone()),
                None => {}
            }
        });
    }

    /// The health of all names that showed themselves by OPTIONS.
    pub fn trunks(&self) -> Vec<TrunkHealth> {
        self.read(|inner| inner.trunks.clone())
    }

    /// The health of one name.
    pub fn trunk(&self, fqdn: &str) -> Option<TrunkHealth> {
        self.read(|inner| inner.trunks.iter().find(|trunk| trunk.fqdn == fqdn).cloned())
    }

    /// Writes the present state of a call under its key.
    pub fn set_call(&self, key: u64, record: &CallRecord) {
        self.edit(|inner| match inner.calls.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = record.clone(),
            None => {
                if inner.calls.len() >= CALL_LIMIT {
                    inner.calls.remove(0);
                }
                inner.calls.push((key, record.clone()));
            }
        });
    }

    /// Notes a complaint.
    pub fn complain(&self, complaint: Complaint) {
        tracing::debug!(by = complaint.by, about = complaint.about, text = complaint.text, "complaint");
        self.edit(|inner| {
            if inner.complaints.len() < COMPLAINT_LIMIT {
                inner.complaints.push(complaint);
            } else {
                inner.complaints_dropped += 1;
            }
        });
    }

    /// Changes the count of OPTIONS.
    pub fn count_options(&self, change: impl FnOnce(&mut OptionsCount)) {
        self.edit(|inner| change(&mut inner.options));
    }

    /// All calls, oldest first.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.read(|inner| inner.calls.iter().map(|(_, record)| record.clone()).collect())
    }

    /// All complaints that were kept.
    pub fn complaints(&self) -> Vec<Complaint> {
        self.read(|inner| inner.complaints.clone())
    }

    /// Begins with complaints anew, for whoever plays several scenes with one stand-in.
    pub fn forget_complaints(&self) {
        self.edit(|inner| {
            inner.complaints.clear();
            inner.complaints_dropped = 0;
        });
    }

    /// How many complaints came after the journal was full.
    pub fn complaints_dropped(&self) -> usize {
        self.read(|inner| inner.complaints_dropped)
    }

    /// The count of OPTIONS.
    pub fn options(&self) -> OptionsCount {
        self.read(|inner| inner.options)
    }

    /// Waits until `ready` finds what it looks for, at most `limit` long.
    pub async fn wait<T>(&self, limit: Duration, ready: impl Fn(&Self) -> Option<T>) -> Option<T> {
        let mut changed = self.changed.subscribe();
        let search = async {
            loop {
                if let Some(found) = ready(self) {
                    return found;
                }
                // The sender lives in `self`, so this never ends with an error.
                if changed.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::time::timeout(limit, search).await.ok()
    }

    /// Waits for the call of one role to one number to be over; the record as it is when time is up.
    pub async fn wait_call(&self, role: Role, number: &str, limit: Duration) -> Option<CallRecord> {
        let find =
            |journal: &Self| journal.calls().into_iter().rev().find(|call| call.role == role && call.number == number);
        let over = self.wait(limit, |journal| find(journal).filter(CallRecord::is_over)).await;
        over.or_else(|| find(self))
    }

    fn edit(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.send_modify(|version| *version += 1);
    }

    fn read<T>(&self, look: impl FnOnce(&Inner) -> T) -> T {
        look(&self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_for_a_call_ends_with_the_call_or_with_the_time() {
        let journal = Journal::default();
        let mut record = CallRecord::new(Role::Callee, "1", "c");
        journal.set_call(7, &record);
        let limit = Duration::from_millis(50);
        assert!(!journal.wait_call(Role::Callee, "1", limit).await.unwrap().is_over());
        assert_eq!(journal.wait_call(Role::Caller, "1", limit).await, None);
        record.finished = true;
        let writer = journal.clone();
        let waiting = journal.wait_call(Role::Callee, "1", limit);
        let (seen, ()) = tokio::join!(waiting, async move { writer.set_call(7, &record) });
        assert!(seen.unwrap().finished);
        assert_eq!(journal.calls().len(), 1);
    }

    #[test]
    fn the_last_messages_are_kept_whole() {
        let journal = Journal::new(2);
        let remote = "192.0.2.1:5061".parse().unwrap();
        for (sent, text) in [(false, "one secret"), (false, "two secret"), (true, "three secret")] {
            journal.capture(sent, remote, 1, text.as_bytes());
        }
        assert_eq!((journal.captured().len(), journal.captured_dropped()), (2, 1));
        assert_eq!(journal.received_with("secret").len(), 1);
        assert_eq!(journal.received_with("secret")[0].text, "two secret");
    }

    #[test]
    fn complaints_are_bounded_and_counted() {
        let journal = Journal::default();
        let complaint =
            Complaint { by: "a".into(), call_id: String::new(), about: String::new(), rule: None, text: "t".into() };
        for _ in 0..COMPLAINT_LIMIT + 2 {
            journal.complain(complaint.clone());
        }
        assert_eq!((journal.complaints().len(), journal.complaints_dropped()), (COMPLAINT_LIMIT, 2));
    }
}
