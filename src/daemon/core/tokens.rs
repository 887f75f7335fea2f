//! Branches as the transports carry them.

use crate::call::branch::{BranchId, ContextId};
use crate::transport::Token;

/// A branch as the transports' token.
pub fn token_of(id: BranchId) -> Token {
    let ContextId { shard, slot, generation } = id.context;
    Token(u64::from(slot) << 32 | u64::from(generation), u32::from(shard) << 16 | u32::from(id.branch))
}

/// The branch of a token; `None`: nobody wanted to know.
pub fn branch_of_token(token: Token) -> Option<BranchId> {
    if token == Token::NONE {
        return None;
    }
    let context = ContextId { shard: (token.1 >> 16) as u8, slot: (token.0 >> 32) as u32, generation: token.0 as u32 };
    Some(BranchId { context, branch: token.1 as u16 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_carry_branches() {
        let id = BranchId { context: ContextId { shard: 63, slot: u32::MAX, generation: 7 }, branch: 3 };
        assert_eq!(branch_of_token(token_of(id)), Some(id));
        assert_eq!(branch_of_token(Token::NONE), None);
    }
}
