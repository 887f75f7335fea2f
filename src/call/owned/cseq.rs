//! CSeq numbers of the far leg: those of the near one, spread out, so that the edge has numbers of its own between any
//! two of them and needs no memory for that. Requests that it makes itself (PRACK, refreshes, BYE) take those.

/// How many numbers of the far leg there are for one of the near leg.
pub const STRIDE: u32 = 1 << STRIDE_BITS;

const STRIDE_BITS: u32 = 8;

/// Near numbers come round at 2^22, so that the far ones stay below 2^31 (RFC 3261 section 8.1.1.5).
const NEAR: u32 = (1 << 22) - 1;

/// The largest number that a CSeq may have (RFC 3261 section 8.1.1.5).
pub const MAX: u32 = i32::MAX as u32;

/// The far leg's number for number `near` of the near leg; `offset` is what the dialog's token adds.
pub const fn far(near: u32, offset: i32) -> u32 {
    let number = ((near & NEAR) << STRIDE_BITS).saturating_add_signed(offset);
    if number > MAX { MAX } else { number }
}

/// The offset with which the number for `near` comes after `sent`, the last that was sent on the far leg: the one that
/// the dialog has, unless the edge has used up the numbers of its own or near ones have come round.
pub const fn offset_after(sent: u32, near: u32, offset: i32) -> i32 {
    if far(near, offset) > sent || sent >= MAX {
        return offset;
    }
    // Both are below 2^31.
    sent as i32 + 1 - far(near, 0) as i32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_spread_out_and_shifted() {
        assert_eq!((far(0, 0), far(1, 0), far(2, 0), far(1, 3), far(1, -3)), (0, 256, 512, 259, 253));
        assert_eq!(far(NEAR, 0), (NEAR) << 8);
        assert_eq!(far(NEAR + 1, 0), 0);
        assert_eq!((far(NEAR, i32::MAX), far(0, -1)), (MAX, 0));
    }

    #[test]
    fn an_offset_is_found_when_the_numbers_between_are_used_up() {
        assert_eq!(offset_after(511, 2, 0), 0);
        assert_eq!(far(2, offset_after(512, 2, 0)), 513);
        assert_eq!(far(2, offset_after(700, 2, 100)), 701);
        // Near numbers come round.
        assert_eq!(far(NEAR + 1, offset_after(far(NEAR, 0), NEAR + 1, 0)), far(NEAR, 0) + 1);
        assert_eq!(offset_after(MAX, 2, 5), 5);
    }

    proptest! {
        #[test]
        fn numbers_rise_with_255_free_ones_between(near in 0..NEAR, offset in 0..i32::MAX / 2) {
            prop_assert_eq!(far(near + 1, offset) - far(near, offset), STRIDE);
            prop_assert!(far(near + 1, offset) <= MAX);
        }

        #[test]
        fn what_comes_after_is_greater(sent in 0..MAX, near: u32, offset in -1_000_000..1_000_000) {
            prop_assert!(far(near, offset_after(sent, near, offset)) > sent);
        }
    }
}
