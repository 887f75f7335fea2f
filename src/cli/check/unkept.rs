//! Calls whose state fits into no URI, where nothing keeps it over a restart.

use crate::config::{Finding, Loaded, Review, Spot};

/// Warns when calls are to outlive the process and those with long Contacts do not.
pub(super) fn look(loaded: &Loaded, review: &Review<'_>) {
    let config = &loaded.config;
    let owns = loaded.trunks.0.iter().any(|trunk| !trunk.transparent);
    // Without a lasting key no call goes on, which is told at its trunk.
    if !owns || config.node.seal_key_file.is_none() || config.state.dir.is_some() {
        return;
    }
    review.warn(Finding {
        at: Spot::Whole,
        message: "calls with very long Contacts, route sets or Call-IDs end with the process".to_owned(),
        label: "",
        also: None,
        help: Some("give `dir` in [state]: what of them fits into no URI is then kept over a restart".to_owned()),
    });
}
