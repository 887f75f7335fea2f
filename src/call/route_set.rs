//! Route information of a request that has come to the edge (RFC 3261 section 16.4): the edge's own Route values are
//! taken off, and what a strict router did to the Request-URI is undone.

use super::dialog_token::DialogToken;
use super::{Edge, Secrets};
use crate::sip::{Essentials, HeaderName, Message, NameAddr, Uri, What};

/// What is left of the Route headers, and where the request wants to go next.
#[derive(Clone, Copy, Debug)]
pub struct RouteSet<'a> {
    /// How many Route values on top are the edge's own.
    pub taken: usize,
    /// The Request-URI to go on with.
    pub request_uri: Uri<'a>,
    /// The Request-URI was the edge's: it came from the last Route value, which is to be removed.
    pub from_last: bool,
    /// The first Route value that is left.
    pub next: Option<NameAddr<'a>>,
    /// Between which trunks the edge set this dialog up; `None` when nothing proves it.
    pub token: Option<DialogToken>,
    /// There is something like a token of the edge's, and nothing proves it.
    pub unproved: bool,
}

impl<'a> RouteSet<'a> {
    /// Reads the Route headers of a request.
    ///
    /// # Errors
    /// [`What::Route`] or [`What::Uri`] for values that cannot be read.
    pub fn read(
        edge: &Edge,
        secrets: &Secrets,
        message: &'a Message,
        essentials: &Essentials<'a>,
    ) -> Result<Self, What> {
        let token_of = |uri: &Uri<'_>| DialogToken::read(&secrets.seal, essentials.call_id, uri.user?);
        let mut set =
            Self { taken: 0, request_uri: essentials.uri, from_last: false, next: None, token: None, unproved: false };
        if message.line(HeaderName::Route).is_none() {
            return Ok(set);
        }
        set.token = token_of(&essentials.uri);
        if set.token.is_some() {
            let mut last = None;
            for route in message.routes() {
                last = Some(route?);
            }
            if let Some(last) = last {
                set.request_uri = last.uri()?;
                set.from_last = true;
            }
        }
        for route in message.routes() {
            let route = route?;
            let uri = route.uri().map_err(|_| What::Route)?;
            let token = token_of(&uri);
            if token.is_none() && !edge.is_own(uri.host, uri.port) {
                set.next = Some(route);
                break;
            }
            set.token = set.token.or(token);
            set.unproved |= token.is_none() && uri.user.is_some_and(DialogToken::has_form);
            set.taken += 1;
        }
        // The last value has become the Request-URI: it is no hop any more.
        if set.from_last
            && set.next.is_some_and(|next| message.routes().count() == set.taken + 1 && next.uri == set.request_uri.raw)
        {
            set.next = None;
        }
        Ok(set)
    }

    /// The URI that names the next hop: the first Route left, or else the Request-URI.
    ///
    /// # Errors
    /// [`What::Route`] for a URI that cannot be read.
    pub fn next_uri(&self) -> Result<Uri<'a>, What> {
        match &self.next {
            Some(next) => next.uri().map_err(|_| What::Route),
            None => Ok(self.request_uri),
        }
    }
}
