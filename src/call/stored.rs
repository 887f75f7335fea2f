//! What of a call does not fit into the edge's own URIs is put down in the call store, and the URI holds its key.
//!
//! The core never waits for the store: what is to be kept comes out as [`Command`]s before the message that carries the
//! key, and what was kept is looked up at once. A state is sealed like one in a URI, so that the store's file shows
//! nothing and no record opens in another dialog. Losing the store loses such calls and no others.

use bytes::Bytes;

use super::command::Command;

/// Bytes of a key as it stands in a token.
pub const STORE_KEY_BYTES: usize = 16;

/// Where the call store has something: both numbers look random, and the same content of the same call has the same ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreKey {
    /// The mark of the call, under which all of it is let go together.
    pub call: u64,
    /// What of the call.
    pub item: u64,
}

impl StoreKey {
    /// As it stands in a token.
    pub fn to_bytes(self) -> [u8; STORE_KEY_BYTES] {
        (u128::from(self.call) << 64 | u128::from(self.item)).to_be_bytes()
    }

    /// From a token.
    pub const fn from_bytes(bytes: [u8; STORE_KEY_BYTES]) -> Self {
        let number = u128::from_be_bytes(bytes);
        Self { call: (number >> 64) as u64, item: number as u64 }
    }
}

/// How much more the call store takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// Nothing.
    #[default]
    None,
    /// What calls cannot do without.
    Little,
    /// What is good to have as well.
    Ample,
}

/// What the core sees of the call store; it never waits.
pub trait CallStore {
    /// What was kept under a key.
    fn state(&self, key: StoreKey) -> Option<Bytes>;

    /// How much more it takes.
    fn room(&self) -> Room;

    /// Whether there is nothing in it.
    fn is_empty(&self) -> bool;
}

/// A call store that keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoStore;

impl CallStore for NoStore {
    fn state(&self, _: StoreKey) -> Option<Bytes> {
        None
    }

    fn room(&self) -> Room {
        Room::None
    }

    fn is_empty(&self) -> bool {
        true
    }
}

/// What goes to the call store before the messages of an event leave.
#[derive(Debug, Default)]
pub struct Shelf {
    /// How much the store takes, as it was when the event came in.
    pub room: Room,
    /// Whether the store has something already.
    pub used: bool,
    commands: Vec<Command>,
}

impl Shelf {
    /// Adds something to be kept or let go.
    pub fn put(&mut self, command: Command) {
        self.commands.push(command);
    }

    /// A call is over.
    pub fn mark_over(&mut self, call: Option<u64>) {
        if let Some(call) = call.filter(|_| !self.is_unused()) {
            self.put(Command::CallOver { call });
        }
    }

    /// A call is up.
    pub fn mark_up(&mut self, call: Option<u64>) {
        if let Some(call) = call.filter(|_| !self.is_unused()) {
            self.put(Command::CallUp { call });
        }
    }

    /// Whether nothing of any call is kept or is to be.
    pub const fn is_unused(&self) -> bool {
        !self.used && self.commands.is_empty()
    }

    /// Moves all of it to `commands`, before those that came from `start` on.
    pub fn move_to(&mut self, commands: &mut Vec<Command>, start: usize) {
        if !self.commands.is_empty() {
            commands.splice(start..start, self.commands.drain(..));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_from_tokens() {
        let key = StoreKey { call: 0x0102_0304_0506_0708, item: u64::MAX - 1 };
        assert_eq!(StoreKey::from_bytes(key.to_bytes()), key);
        assert_eq!(key.to_bytes()[..3], [1, 2, 3]);
    }

    #[test]
    fn what_is_kept_goes_before_the_messages_of_its_event() {
        let over = |call| Command::CallOver { call };
        let mut commands = vec![over(1), over(2)];
        let mut shelf = Shelf::default();
        shelf.put(over(3));
        shelf.put(over(4));
        shelf.move_to(&mut commands, 1);
        shelf.move_to(&mut commands, 0);
        let order: Vec<_> = commands
            .iter()
            .map(|command| match command {
                Command::CallOver { call } => *call,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(order, [1, 3, 4, 2]);
    }
}
