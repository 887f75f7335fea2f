//! In which order the trunks of a group are tried.

use std::cmp::Reverse;

use smallvec::SmallVec;

use super::super::{Group, Member, Order};
use crate::trunk::TrunkId;

/// The members of a group in the order in which they are tried.
pub(super) type Ordered = SmallVec<[Member; 8]>;

/// Chance that is the same whenever it begins with the same draw (the splitmix64 generator).
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) const fn new(draw: u64) -> Self {
        Self(draw)
    }

    /// A number below a bound.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        ((u128::from(mixed) * u128::from(bound)) >> 64) as u64 // below `bound`
    }
}

/// Puts the members of a group in order; `price` is asked for groups in the order of cost only.
pub(super) fn ordered(group: &Group, chance: &mut Chance, price: impl Fn(TrunkId) -> Option<u64>) -> Ordered {
    let mut members = Ordered::from_slice(&group.members);
    match group.order {
        Order::Priority => {
            members.sort_by_key(|member| member.priority);
            for equals in members.chunk_by_mut(|a, b| a.priority == b.priority) {
                by_weight(equals, chance);
            }
        }
        Order::Cost => {
            let mut priced: SmallVec<[_; 8]> = members.iter().map(|member| (price(member.trunk), *member)).collect();
            priced.sort_by_key(|(price, member)| (Reverse(price.is_some()), *price, member.priority));
            members = priced.into_iter().map(|(_, member)| member).collect();
        }
    }
    members
}

/// Picks one after the other, each with a chance of its weight among those left; those without weight come last.
fn by_weight(mut members: &mut [Member], chance: &mut Chance) {
    while members.len() > 1 {
        let sum: u64 = members.iter().map(|member| u64::from(member.weight)).sum();
        if sum == 0 {
            return;
        }
        let mut drawn = chance.below(sum);
        let picked = members.iter().position(|member| {
            let weight = u64::from(member.weight);
            let is_it = drawn < weight;
            drawn = drawn.saturating_sub(weight);
            is_it
        });
        // The draw is below the sum of the weights, so that one of them is picked.
        let Some(chosen) = picked.and_then(|picked| members.get_mut(..=picked)) else { return };
        chosen.rotate_right(1);
        members = members.split_first_mut().map_or(&mut [], |(_, rest)| rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(trunk: u16, priority: u16, weight: u16) -> Member {
        Member { trunk: TrunkId(trunk), priority, weight }
    }

    fn trunks(group: &Group, draw: u64, price: impl Fn(TrunkId) -> Option<u64>) -> Vec<u16> {
        ordered(group, &mut Chance::new(draw), price).iter().map(|member| member.trunk.0).collect()
    }

    #[test]
    fn priorities_come_one_after_the_other_whatever_the_weights() {
        let members = vec![member(1, 9, 60_000), member(2, 1, 1), member(3, 5, 0)];
        let group = Group { order: Order::Priority, members };
        for draw in 0..100 {
            assert_eq!(trunks(&group, draw, |_| None), [2, 3, 1]);
        }
    }

    #[test]
    fn first_of_one_priority_is_drawn_by_weight_and_weightless_come_last() {
        let members = vec![member(0, 1, 0), member(1, 1, 70), member(2, 1, 20), member(3, 1, 10)];
        let group = Group { order: Order::Priority, members };
        let mut first = [0_u32; 4];
        let mut second_behind_1 = [0_u32; 4];
        for draw in 0..20_000 {
            let order = trunks(&group, draw, |_| None);
            assert_eq!(order, trunks(&group, draw, |_| None), "one draw, one order");
            assert_eq!(order[3], 0, "no weight: only when no other is left");
            first[usize::from(order[0])] += 1;
            if order[0] == 1 {
                second_behind_1[usize::from(order[1])] += 1;
            }
        }
        for (count, wanted) in first.into_iter().zip([0, 14_000, 4_000, 2_000_u32]) {
            assert!(count.abs_diff(wanted) <= 300, "{first:?}");
        }
        let share = f64::from(second_behind_1[2]) / f64::from(first[1]);
        assert!((share - 2.0 / 3.0).abs() < 0.03, "{share}");
        let weightless = Group { order: Order::Priority, members: vec![member(5, 1, 0), member(4, 1, 0)] };
        assert_eq!(trunks(&weightless, 7, |_| None), [5, 4], "as they stand");
    }

    #[test]
    fn cheapest_first_then_priority_and_unpriced_last() {
        let members = vec![member(0, 0, 1), member(1, 2, 1), member(2, 1, 1), member(3, 0, 1), member(4, 9, 1)];
        let group = Group { order: Order::Cost, members };
        let price = |trunk: TrunkId| [None, Some(5), Some(5), Some(9), Some(0)][usize::from(trunk.0)];
        assert_eq!(trunks(&group, 0, price), [4, 2, 1, 3, 0]);
    }
}
