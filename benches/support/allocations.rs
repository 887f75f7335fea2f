//! A global allocator that counts, for benches and tests. It counts for each thread by itself, so that tests that run
//! beside each other do not disturb one another.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counted.
pub struct Counting;

/// What one thread has asked for so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Blocks asked for; a block that grows or shrinks counts once more.
    pub allocations: u64,
    /// Bytes held now: asked for less given back.
    pub live_bytes: i64,
}

thread_local! {
    // No destructor and no lazy start: the allocator must not need memory to count it.
    static COUNT: Cell<Count> = const { Cell::new(Count { allocations: 0, live_bytes: 0 }) };
}

/// The count of this thread.
pub fn count() -> Count {
    COUNT.get()
}

/// How many blocks `action` asks for, and what it gives.
pub fn during<T>(action: impl FnOnce() -> T) -> (u64, T) {
    let before = count().allocations;
    let value = action();
    (count().allocations - before, value)
}

fn note(allocations: u64, bytes: i64) {
    let Count { allocations: all, live_bytes } = COUNT.get();
    COUNT.set(Count { allocations: all + allocations, live_bytes: live_bytes + bytes });
}

// SAFETY: every call goes to `System` unchanged, which keeps the contract of `GlobalAlloc`; counting touches a
// thread-local `Cell` without a destructor and never allocates. There is no way to count allocations without `unsafe`;
// the crate itself forbids it, and benches and tests are no part of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size() as i64);
        // SAFETY: as for the whole block.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size() as i64);
        // SAFETY: as for the whole block.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        note(0, -(layout.size() as i64));
        // SAFETY: as for the whole block.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(1, size as i64 - layout.size() as i64);
        // SAFETY: as for the whole block.
        unsafe { System.realloc(block, layout, size) }
    }
}
