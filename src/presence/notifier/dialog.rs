//! The dialog of a subscription, as the notifier's side keeps it (RFC 3261 section 12).

use std::sync::Arc;

use super::wish::Refused;
use crate::presence::agent::Arrived;
use crate::sip::{HeaderName, Message, Uri};
use crate::trunk::{Flow, TrunkId};

/// A dialog that a SUBSCRIBE has made.
#[derive(Clone, Debug)]
pub(super) struct Dialog {
    pub trunk: TrunkId,
    /// The way that the last SUBSCRIBE came by.
    pub flow: Flow,
    pub call_id: Arc<str>,
    /// The watcher: From of the SUBSCRIBE, with its tag.
    pub remote: Box<str>,
    /// The user: To of the SUBSCRIBE, without a tag.
    pub local: Box<str>,
    /// Contact of the watcher.
    target: Box<str>,
    /// Record-Route of the SUBSCRIBE, in order.
    routes: Box<[Box<str>]>,
    remote_cseq: u32,
}

impl Dialog {
    /// The dialog that a request begins.
    ///
    /// # Errors
    /// 400 when something that a dialog needs is missing, 513 when it is too much to keep.
    pub(super) fn of(arrived: &Arrived) -> Result<Self, Refused> {
        let message = &arrived.message;
        let text = |name| message.value(name).map(unfolded).ok_or(Refused::bad("Missing Header"));
        if message.from().ok().and_then(|from| from.tag()).is_none() {
            return Err(Refused::bad("Missing Tag in From"));
        }
        let routes: Vec<Box<str>> = message
            .values(HeaderName::RecordRoute)
            .map(|route| route.map(unfolded))
            .collect::<Result<_, _>>()
            .map_err(|_| Refused::bad("Malformed Record-Route"))?;
        let dialog = Self {
            trunk: arrived.trunk,
            flow: arrived.flow,
            call_id: (*text(HeaderName::CallId)?).into(),
            remote: text(HeaderName::From)?,
            local: text(HeaderName::To)?,
            target: target(message).ok_or(Refused::bad("Missing or Malformed Contact"))?,
            routes: routes.into(),
            remote_cseq: message.cseq().map_err(|_| Refused::bad("Malformed CSeq"))?.number,
        };
        if dialog.bytes() > MAX_BYTES { Err(Refused::new(513, "Message Too Large")) } else { Ok(dialog) }
    }

    /// Whether a request inside a dialog, found by its To tag, is of this one.
    pub(super) fn owns(&self, arrived: &Arrived) -> bool {
        let tag = |value: &str| {
            crate::sip::NameAddr::parse(value.as_bytes()).ok().and_then(|from| from.tag()).map(<[u8]>::to_vec)
        };
        let theirs = arrived.message.from().ok().and_then(|from| from.tag()).map(<[u8]>::to_vec);
        self.trunk == arrived.trunk
            && arrived.message.call_id().is_ok_and(|call_id| call_id == self.call_id.as_bytes())
            && theirs.is_some()
            && tag(&self.remote) == theirs
    }

    /// Takes a further SUBSCRIBE: it may come another way and from another Contact (RFC 3261 section 12.2.2).
    ///
    /// # Errors
    /// 500 when it is older than one that was taken before.
    pub(super) fn refresh(&mut self, arrived: &Arrived) -> Result<(), Refused> {
        let cseq = arrived.message.cseq().map_err(|_| Refused::bad("Malformed CSeq"))?.number;
        if cseq <= self.remote_cseq {
            return Err(Refused::new(500, "CSeq Out of Order").with("Retry-After", "5".to_owned()));
        }
        self.remote_cseq = cseq;
        self.flow = arrived.flow;
        if let Some(target) = target(&arrived.message).filter(|target| target.len() <= MAX_BYTES / 2) {
            self.target = target;
        }
        Ok(())
    }

    /// Request-URI and Route values of a request inside the dialog (RFC 3261 section 12.2.1.1).
    pub(super) fn way(&self) -> (String, Vec<String>) {
        let strict = self.routes.first().and_then(|first| {
            let first = crate::sip::NameAddr::parse(first.as_bytes()).ok()?.uri().ok()?;
            (!first.is_loose()).then(|| String::from_utf8_lossy(first.raw).into_owned())
        });
        let routes = self.routes.iter().map(|route| route.to_string());
        match strict {
            None => (self.target.to_string(), routes.collect()),
            Some(first) => (first, routes.skip(1).chain([format!("<{}>", self.target)]).collect()),
        }
    }

    fn bytes(&self) -> usize {
        let routes: usize = self.routes.iter().map(|route| route.len()).sum();
        self.call_id.len() + self.remote.len() + self.local.len() + self.target.len() + routes
    }
}

/// The URI in Contact.
fn target(message: &Message) -> Option<Box<str>> {
    let contact = message.contacts().next()?.ok()?;
    let uri: Uri<'_> = contact.uri().ok()?;
    uri.is_routable().then(|| unfolded(uri.raw))
}

/// A value as text, without the line breaks of folds.
fn unfolded(value: &[u8]) -> Box<str> {
    String::from_utf8_lossy(value).replace(['\r', '\n', '\0'], " ").into()
}

/// The most that is kept of a dialog, in bytes.
const MAX_BYTES: usize = 4_096;
