//! Whether a number that no rule takes is the beginning of one that a rule takes (RFC 3261 section 21.4.22).

use std::ops::ControlFlow;

use super::super::super::prefixes::MAX_HEAD_SYMBOLS;
use super::super::super::symbols::{Dialled, END, key_length, nibble, truncated};
use super::super::tails::Kept;
use super::super::values::NO_TAG;
use super::{At, Layer};

/// How many rules and ranges are looked at for one number.
///
/// The first does nearly always: only dead rules, and those that go on with no digit, let the search go on. When
/// thousands of them stand side by side, until they are folded away, a number may count as unknown, not as incomplete.
const MAX_STEPS: usize = 4096;

impl Layer {
    /// Whether a rule that is not `dead` begins with the number, goes on with a digit, and has nothing but digits then.
    pub(in crate::routing) fn goes_on(&self, number: &Dialled, dead: &impl Fn(At, u32) -> bool) -> bool {
        let mut steps = MAX_STEPS;
        let of_tail = |rule: u32, kept: &Kept| dead(At::Tail(rule), self.owner(kept.value));
        let mut key = truncated(number.head, number.length.min(MAX_HEAD_SYMBOLS));
        while let Some(found) = self.trie.longest(key) {
            let tail = self.values.get(found.value).and_then(|value| value.tail.checked_sub(1));
            if tail.is_some_and(|head| self.tails.goes_on(head, number, found.symbols, &of_tail, &mut steps)) {
                return true;
            }
            let Some(shorter) = found.symbols.checked_sub(1) else { break };
            key = truncated(key, shorter);
        }
        if number.length >= MAX_HEAD_SYMBOLS {
            return false;
        }
        let end = self.trie.under(number.head, number.length, &mut |key, found| {
            let Some(left) = steps.checked_sub(1) else { return ControlFlow::Break(false) };
            steps = left;
            let Some(value) = self.values.get(found.value) else { return ControlFlow::Continue(()) };
            if !has_digits_only(key, number.length) {
                return ControlFlow::Continue(());
            }
            let is_alive = value.tag != NO_TAG && !dead(At::Literal(found.spot), value.owner);
            let mut tail_goes_on = || {
                let head = value.tail.checked_sub(1);
                head.is_some_and(|head| self.tails.goes_on(head, number, found.symbols, &of_tail, &mut steps))
            };
            if is_alive || tail_goes_on() { ControlFlow::Break(true) } else { ControlFlow::Continue(()) }
        });
        end.break_value().unwrap_or(false)
    }
}

/// Whether a key goes on with a digit, and then with digits until it is over.
fn has_digits_only(key: u128, from: usize) -> bool {
    let length = key_length(key);
    length > from
        && (from..length).all(|index| {
            let symbol = nibble(key, index);
            symbol <= 10 || (symbol == END && index > from)
        })
}
