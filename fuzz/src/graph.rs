//! What comes from Microsoft Graph, or from whoever says to be it: notifications, answers to batches, faults.

use trunkway::graph::notifications::{MAX_NOTICES, News, inside, parse};
use trunkway::graph::{MAX_BATCH, Secret, batch_answers, graph_fault, token_fault};

/// Characters of a text or an id that may come out of a fault.
const MAX_SHOWN: usize = 700;

/// Reads the bytes as the body of a request to the webhook.
///
/// # Panics
/// When more comes out than may, or something bears a secret that nobody has told.
pub fn notification(bytes: &[u8]) {
    let Ok(notices) = parse(bytes) else { return };
    assert!(notices.list.len() <= MAX_NOTICES);
    let secret = Secret::new("the state that no notification here bears");
    for notice in &notices.list {
        assert!(!notice.bears(&secret));
        match &notice.news {
            News::Plain(user) => assert!(user.id.len() <= 64 && user.presence.activity.chars().count() <= 64),
            News::Encrypted(_) | News::Lifecycle(_) | News::Nothing => {}
        }
    }
    if let Some(user) = inside(bytes) {
        assert!(!user.id.is_empty());
    }
}

/// Reads the bytes behind the first as the answer to so many requests of a batch.
///
/// # Panics
/// When there are more or fewer results than requests.
pub fn batch(bytes: &[u8]) {
    let Some((&count, body)) = bytes.split_first() else { return };
    let count = usize::from(count) % (MAX_BATCH + 1);
    if let Ok(results) = batch_answers(body, count) {
        assert_eq!(results.len(), count);
        results.iter().filter_map(|result| result.as_ref().err()).for_each(|fault| shown(&fault.to_string()));
    }
}

/// Reads the bytes behind the first as the body of an answer with a status that the first says.
///
/// # Panics
/// When what people are shown is long, or would move their terminal.
pub fn fault(bytes: &[u8]) {
    let Some((&status, body)) = bytes.split_first() else { return };
    let status = 300 + u16::from(status);
    shown(&graph_fault(status, body, None, None).to_string());
    let fault = token_fault(status, body, None);
    shown(&fault.to_string());
    assert!(!fault.advice().is_empty());
}

fn shown(text: &str) {
    assert!(text.chars().count() <= MAX_SHOWN, "{text}");
    assert!(!text.chars().any(char::is_control), "{text:?}");
}
