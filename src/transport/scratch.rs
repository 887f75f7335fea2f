//! One read buffer per worker thread, so that sockets that wait hold none.

use std::cell::Cell;

/// Bytes of the largest datagram, rounded up.
pub(super) const SLOT_BYTES: usize = 65_536;

/// Datagrams that one system call takes at most.
pub(super) const SLOTS: usize = 32;

thread_local! {
    // Zeroed memory of this size comes straight from the system: only pages that were once read into
    // are resident.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static SOCKET: Cell<usize> = const { Cell::new(0) };
}

/// Runs `work` with the worker's buffer of [`SLOTS`] times [`SLOT_BYTES`] bytes.
pub(super) fn with_buffer<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    // Taken out meanwhile: a nested call, which nothing makes today, would get a fresh one.
    let mut buffer = BUFFER.take();
    if buffer.is_empty() {
        buffer = vec![0; SLOTS * SLOT_BYTES];
    }
    let result = work(&mut buffer);
    BUFFER.set(buffer);
    result
}

/// Which of a port's UDP sockets this worker has read last, so that it sends from the same one.
pub(super) fn socket() -> usize {
    SOCKET.get()
}

/// Remembers which of a port's UDP sockets this worker reads.
pub(super) fn set_socket(index: usize) {
    SOCKET.set(index);
}
