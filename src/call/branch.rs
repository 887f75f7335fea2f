//! The edge's own branch parameter: it names the shard, the context and the branch that an answer belongs to, so
//! that no table has to be searched, and carries what loop detection needs (RFC 3261 sections 8.1.1.7, 16.6 item 8).
//!
//! `z9hG4bKtw` and 30 hex digits: shard (2), slot (8), generation (8), branch (4), loop hash (8). The generation is
//! drawn from a keyed hash, so that a stranger cannot guess the branch of a call in progress.

/// What every branch of the edge starts with.
const PREFIX: &[u8] = b"z9hG4bKtw";

/// Bytes of a branch of the edge.
pub const BRANCH_BYTES: usize = PREFIX.len() + 30;

/// A context in its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct ContextId {
    pub shard: u8,
    pub slot: u32,
    pub generation: u32,
}

/// One branch of a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BranchId {
    pub context: ContextId,
    pub branch: u16,
}

impl BranchId {
    /// Writes the branch parameter's value.
    pub fn write(&self, loop_hash: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(PREFIX);
        write_hex(out, u64::from(self.context.shard), 2);
        write_hex(out, u64::from(self.context.slot), 8);
        write_hex(out, u64::from(self.context.generation), 8);
        write_hex(out, u64::from(self.branch), 4);
        write_hex(out, u64::from(loop_hash), 8);
    }

    /// Reads a branch that the edge made; also gives its loop hash.
    pub fn read(branch: &[u8]) -> Option<(Self, u32)> {
        let digits = branch.strip_prefix(PREFIX)?;
        if digits.len() != BRANCH_BYTES - PREFIX.len() {
            return None;
        }
        let field = |start: usize, len: usize| read_hex(digits.get(start..start + len)?);
        let context = ContextId {
            shard: u8::try_from(field(0, 2)?).ok()?,
            slot: u32::try_from(field(2, 8)?).ok()?,
            generation: u32::try_from(field(10, 8)?).ok()?,
        };
        let branch = u16::try_from(field(18, 4)?).ok()?;
        Some((Self { context, branch }, u32::try_from(field(22, 8)?).ok()?))
    }
}

/// Writes a number as lower-case hex digits of a fixed width.
pub(crate) fn write_hex(out: &mut Vec<u8>, number: u64, width: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for at in (0..width).rev() {
        let digit = (number >> (4 * at)) as usize & 15;
        out.extend(DIGITS.get(digit));
    }
}

/// Reads hex digits in any case, at most 16 of them.
pub(crate) fn read_hex(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0u64, |number, &digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            b'A'..=b'F' => digit - b'A' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(value))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(shard: u8, slot: u32, generation: u32, branch: u16, hash: u32) {
            let id = BranchId { context: ContextId { shard, slot, generation }, branch };
            let mut out = Vec::new();
            id.write(hash, &mut out);
            prop_assert_eq!(out.len(), BRANCH_BYTES);
            prop_assert_eq!(BranchId::read(&out), Some((id, hash)));
        }

        #[test]
        fn anything_else_is_nobodys(text in "z9hG4bKtw[0-9a-zG]{0,40}") {
            if text.len() != BRANCH_BYTES || !text["z9hG4bKtw".len()..].bytes().all(|byte| byte.is_ascii_hexdigit()) {
                prop_assert_eq!(BranchId::read(text.as_bytes()), None);
            }
        }
    }
}
