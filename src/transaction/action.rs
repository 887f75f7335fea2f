//! What a machine tells its owner to do. All values are `Copy` and a few bytes long.

/// What the owner of a client transaction is to put on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientSend {
    /// The ACK for the 300-699 response just handled (RFC 3261 section 17.1.1.3).
    Ack,
    /// The request, for the first time or again.
    Request,
}

/// What the owner of a client transaction is to tell the transaction user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientReport {
    /// The response just handled is new to the user: pass it up.
    Response,
    /// No response in time (timers B and F); a proxy goes on as if a 408 had come.
    TimedOut,
    /// The request or ACK could not be sent; a proxy goes on as if a 503 had come.
    TransportError,
}

/// The outcome of one event at a client transaction; the owner does `send`, then `report`, then `ended`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClientActions {
    /// What goes to the wire, if anything.
    pub send: Option<ClientSend>,
    /// What goes to the transaction user, if anything.
    pub report: Option<ClientReport>,
    /// The machine entered `Terminated` by this event and is to be dropped.
    pub ended: bool,
}

impl ClientActions {
    pub(super) const NONE: Self = Self { send: None, report: None, ended: false };

    pub(super) const fn send(send: ClientSend) -> Self {
        Self { send: Some(send), ..Self::NONE }
    }

    pub(super) const fn report(report: ClientReport) -> Self {
        Self { report: Some(report), ..Self::NONE }
    }

    pub(super) const fn ended(self) -> Self {
        Self { ended: true, ..self }
    }
}

/// What the owner of a server transaction is to put on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerSend {
    /// The last response kept for this transaction, once more.
    Last,
    /// The response that the user just handed in; it becomes the last one while `needs_buffer` holds.
    Response,
}

/// What the owner of a server transaction is to tell the transaction user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerReport {
    /// The ACK just handled belongs to a 2xx: pass it up (RFC 6026 section 7.1).
    Ack,
    /// No ACK came for a 300-699 response (timer H).
    NoAck,
    /// A response could not be sent; the transaction stays (RFC 6026 section 8.8).
    TransportError,
}

/// The outcome of one event at a server transaction; the owner does `send`, then `report`, then `ended`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServerActions {
    /// What goes to the wire, if anything; `None` after `handle_response`: the response is discarded.
    pub send: Option<ServerSend>,
    /// What goes to the transaction user, if anything.
    pub report: Option<ServerReport>,
    /// The machine entered `Terminated` by this event and is to be dropped.
    pub ended: bool,
}

impl ServerActions {
    pub(super) const NONE: Self = Self { send: None, report: None, ended: false };

    pub(super) const fn send(send: ServerSend) -> Self {
        Self { send: Some(send), ..Self::NONE }
    }

    pub(super) const fn report(report: ServerReport) -> Self {
        Self { report: Some(report), ..Self::NONE }
    }

    pub(super) const fn ended(self) -> Self {
        Self { ended: true, ..self }
    }
}
