//! What comes to the bridge's thread from others: two bounded queues, so that a flood from the network holds up no
//! operator and no answer of Graph. Nobody waits to put something in.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc::{self, Receiver, Sender};

use super::side::Side;
use crate::sip::Message;
use crate::transport::{SendFault, Token};
use crate::trunk::{Flow, TrunkId};

/// Orders of operators, settings and answers of Graph that wait; more are refused, and whoever asked is told.
const ORDERS: usize = 4_096;

/// What the network brings.
#[derive(Debug)]
pub enum Event {
    /// A request that is for the bridge, from a known trunk.
    Request { trunk: TrunkId, flow: Flow, message: Message },
    /// An answer to one of the bridge's requests.
    Response(Message),
    /// One of the bridge's requests did not leave.
    NotSent { token: Token, fault: SendFault },
}

/// Something to be done on the bridge's thread, quickly.
pub type Order = Box<dyn FnOnce(&mut Side) + Send>;

/// The queue is full, or the thread has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The way in.
#[derive(Debug)]
pub struct Inbox {
    network: Sender<Event>,
    orders: Sender<Order>,
    dropped: AtomicU64,
    refused: AtomicU64,
}

/// The other end.
#[derive(Debug)]
pub struct Outlet {
    pub network: Receiver<Event>,
    pub orders: Receiver<Order>,
}

impl Inbox {
    /// An inbox that holds so many events of the network.
    pub fn new(queue: usize) -> (Self, Outlet) {
        let (network, events) = mpsc::channel(queue.max(1));
        let (orders, ordered) = mpsc::channel(ORDERS);
        let inbox = Self { network, orders, dropped: AtomicU64::new(0), refused: AtomicU64::new(0) };
        (inbox, Outlet { network: events, orders: ordered })
    }

    /// Hands over what the network brought; it never waits.
    ///
    /// # Errors
    /// [`Full`]: it is counted and gone.
    pub fn offer(&self, event: Event) -> Result<(), Full> {
        self.network.try_send(event).map_err(|_| {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            Full
        })
    }

    /// Has something done on the bridge's thread; it never waits.
    ///
    /// # Errors
    /// [`Full`].
    pub fn order(&self, order: impl FnOnce(&mut Side) + Send + 'static) -> Result<(), Full> {
        self.orders.try_send(Box::new(order)).map_err(|_| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            Full
        })
    }

    /// The same for tasks of the bridge's own, which can wait until there is room.
    pub async fn order_in_turn(&self, order: impl FnOnce(&mut Side) + Send + 'static) {
        // An error: the thread has ended, and nobody wants it any more.
        let _ = self.orders.send(Box::new(order)).await;
    }

    /// Events of the network that were dropped, and orders that were refused, since the start.
    pub fn lost(&self) -> (u64, u64) {
        (self.dropped.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }

    /// Events and orders that wait now.
    pub fn waiting(&self) -> (usize, usize) {
        let waiting = |max: usize, free: usize| max - free;
        let Self { network, orders, .. } = self;
        (waiting(network.max_capacity(), network.capacity()), waiting(orders.max_capacity(), orders.capacity()))
    }
}
