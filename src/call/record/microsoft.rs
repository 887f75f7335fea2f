//! Microsoft's reasons in plain words: what the sub-codes and texts in Teams' answers and BYEs mean to an operator.

/// What Teams means by a status and the text of a Reason or Warning header; `None` when nothing is known of it.
pub fn meaning(_status: u16, _text: &[u8]) -> Option<&'static str> {
    None
}
