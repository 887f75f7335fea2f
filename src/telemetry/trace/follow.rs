//! Those who follow calls while they pass: each has a queue of its own, and one who is slow loses messages, not calls.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, RwLock};

use tokio::sync::mpsc::{Receiver, Sender, channel, error::TrySendError};

use super::{Kept, lock, peek};
use crate::call::CallId;

/// Calls that one follower has in view; the oldest is let go for one more.
const MOST_CALLS: usize = 4_096;

/// Headers that tell who calls and who is called, with their short forms.
const WITH_NUMBERS: [(&[u8], &[u8]); 4] =
    [(b"from", b"f"), (b"to", b"t"), (b"p-asserted-identity", b""), (b"diversion", b"")];

/// Whose calls are followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    All,
    /// Calls with this number on either side: its digits, without `+`.
    Number(Box<[u8]>),
}

impl Whom {
    /// `all`, or a number as it stands in messages; `None`: there is nothing in it that could be looked for.
    pub fn read(text: &str) -> Option<Self> {
        if text == "all" {
            return Some(Self::All);
        }
        let number: String = text.chars().filter(|letter| !matches!(letter, ' ' | '-' | '(' | ')' | '.')).collect();
        let number = number.trim_start_matches('+');
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '*' | '#' | '_' | '-' | '.');
        (!number.is_empty() && number.len() <= 64 && number.chars().all(plain))
            .then(|| Self::Number(number.as_bytes().into()))
    }

    /// Whether a message that begins a call is one of theirs.
    pub fn is_in(&self, message: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Number(number) => {
                let start = message.split(|&byte| byte == b'\n').next().unwrap_or_default();
                stands_in(number, start)
                    || WITH_NUMBERS
                        .iter()
                        .filter_map(|(name, short)| peek::header(message, name, short))
                        .any(|value| stands_in(number, value))
            }
        }
    }
}

/// Whether a number stands in a text by itself, as the user part of a URI or a telephone number does.
fn stands_in(number: &[u8], text: &[u8]) -> bool {
    memchr::memmem::find_iter(text, number).any(|at| {
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        let after = text.get(at + number.len());
        matches!(before, Some(b':' | b'+' | b'"' | b'<')) && matches!(after, Some(b'@' | b';' | b'>' | b'"' | b':'))
    })
}

/// The limit of followers is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} follow calls already, which is the limit `max_followers` of [trace]")]
pub struct TooManyFollowers(pub usize);

#[derive(Debug)]
struct Follower {
    whom: Whom,
    calls: Mutex<Calls>,
    queue: Sender<Arc<Kept>>,
}

/// Calls that a follower has in view.
#[derive(Debug, Default)]
struct Calls {
    known: HashSet<CallId>,
    order: VecDeque<CallId>,
}

impl Calls {
    fn add(&mut self, call: CallId) {
        if self.known.insert(call) {
            self.order.push_back(call);
            if self.order.len() > MOST_CALLS
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
        }
    }
}

/// All who follow.
#[derive(Debug)]
pub(super) struct Followers {
    all: Arc<Registry>,
    most: usize,
    queue: usize,
}

#[derive(Debug, Default)]
struct Registry {
    /// Read without the lock.
    count: AtomicUsize,
    list: RwLock<Vec<Arc<Follower>>>,
}

/// What one follows; it ends when this is dropped.
#[derive(Debug)]
pub struct Followed {
    messages: Receiver<Arc<Kept>>,
    follower: Arc<Follower>,
    registry: Arc<Registry>,
}

impl Followed {
    /// The next entry of a call that is followed.
    pub async fn next(&mut self) -> Option<Arc<Kept>> {
        self.messages.recv().await
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.registry.change(|list| list.retain(|other| !Arc::ptr_eq(other, &self.follower)));
    }
}

impl Registry {
    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Follower>>)) {
        let mut list = self.list.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut list);
        self.count.store(list.len(), Relaxed);
    }

    fn each(&self, mut each: impl FnMut(&Follower)) {
        let list = self.list.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        list.iter().for_each(|follower| each(follower));
    }
}

impl Followers {
    pub(super) fn new(most: usize, queue: usize) -> Self {
        Self { all: Arc::default(), most, queue: queue.max(1) }
    }

    pub(super) fn any(&self) -> bool {
        self.all.count.load(Relaxed) > 0
    }

    pub(super) fn len(&self) -> usize {
        self.all.count.load(Relaxed)
    }

    pub(super) fn add(&self, whom: Whom) -> Result<Followed, TooManyFollowers> {
        let (queue, messages) = channel(self.queue);
        let follower = Arc::new(Follower { whom, calls: Mutex::default(), queue });
        let mut taken = false;
        self.all.change(|list| {
            if list.len() < self.most {
                list.push(Arc::clone(&follower));
                taken = true;
            }
        });
        if taken {
            Ok(Followed { messages, follower, registry: Arc::clone(&self.all) })
        } else {
            Err(TooManyFollowers(self.most))
        }
    }

    /// Whether somebody follows the call of a message; one that begins a call of theirs makes them follow it.
    pub(super) fn want(&self, call: CallId, begins: impl FnOnce() -> bool, message: &[u8]) -> bool {
        let begins = begins();
        let mut wanted = false;
        self.all.each(|follower| {
            let mut calls = lock(&follower.calls);
            if begins && !calls.known.contains(&call) && follower.whom.is_in(message) {
                calls.add(call);
            }
            wanted |= calls.known.contains(&call);
        });
        wanted
    }

    /// Whether somebody follows a call.
    pub(super) fn know(&self, call: CallId) -> bool {
        let mut known = false;
        self.all.each(|follower| known |= lock(&follower.calls).known.contains(&call));
        known
    }

    /// Hands an entry to those who follow its call; gives how many were too slow to take it.
    pub(super) fn tell(&self, kept: &Arc<Kept>) -> u64 {
        let mut dropped = 0;
        self.all.each(|follower| {
            if lock(&follower.calls).known.contains(&kept.entry.call)
                && let Err(TrySendError::Full(_)) = follower.queue.try_send(Arc::clone(kept))
            {
                dropped += 1;
            }
        });
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::trace::Entry;

    fn invite(from: &str, to: &str, more: &str) -> Vec<u8> {
        format!(
            "INVITE sip:{to}@edge.example.net SIP/2.0\r\nFrom: \"A\" <sip:{from}@a>;tag=1\r\nt: <tel:{to}>\r\n\
             Call-ID: x\r\n{more}CSeq: 1 INVITE\r\n\r\n"
        )
        .into_bytes()
    }

    #[test]
    fn a_number_is_found_where_it_stands_by_itself() {
        let message = invite("+441632960001", "1002", "P-Asserted-Identity: <tel:+15550100;phone-context=x>\r\n");
        for (number, found) in [
            ("+441632960001", true),
            ("44 1632 960-001", true),
            ("1002", true),
            ("+15550100", true),
            ("1632960001", false),
            ("100", false),
            ("002", false),
            ("edge.example.net", false),
        ] {
            assert_eq!(Whom::read(number).unwrap().is_in(&message), found, "{number}");
        }
        assert!(Whom::read("all").unwrap().is_in(&message));
        for wrong in ["", "+", "a b@c", &"1".repeat(65)] {
            assert_eq!(Whom::read(wrong), None, "{wrong}");
        }
    }

    #[tokio::test]
    async fn each_follows_their_own_calls_and_slow_ones_lose_messages() {
        let followers = Followers::new(2, 2);
        let mut one = followers.add(Whom::read("1002").unwrap()).unwrap();
        let mut all = followers.add(Whom::All).unwrap();
        assert_eq!(followers.add(Whom::All).map(|_| ()), Err(TooManyFollowers(2)));
        let kept = |call| Arc::new(Kept { entry: Entry { call, ..Entry::default() }, bytes: Box::default() });
        let (theirs, other) = (CallId(1), CallId(2));
        assert!(!followers.want(theirs, || false, b""), "calls that are up already are not followed");
        assert!(followers.want(theirs, || true, &invite("7", "1002", "")));
        assert!(followers.want(other, || true, &invite("7", "8", "")));
        assert!(followers.know(theirs) && followers.want(theirs, || false, b"") && !followers.know(CallId(3)));
        assert_eq!(followers.tell(&kept(theirs)), 0);
        assert_eq!(followers.tell(&kept(other)), 0);
        assert_eq!(followers.tell(&kept(theirs)), 1, "one of the two has a full queue");
        assert_eq!(one.next().await.unwrap().entry.call, theirs);
        assert_eq!(one.next().await.unwrap().entry.call, theirs);
        assert_eq!(all.next().await.unwrap().entry.call, theirs);
        assert_eq!(all.next().await.unwrap().entry.call, other);
        drop((one, all));
        assert!(!followers.any());
    }
}
