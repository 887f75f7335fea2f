//! What a dialog-info document says of a line (reference page `presence.md`, the table of line states).

use super::model::{Completeness, Dialog, DialogInfo, DialogState, Direction};
use crate::presence::pidf::OWN_MARK;
use crate::presence::{Presence, Report};

impl DialogInfo {
    /// What the dialogs of the document come to.
    pub fn report(&self) -> Report {
        report(&self.dialogs)
    }

    /// Takes out what the edge itself has written; `true` when the document is about something else.
    pub fn drop_own(&mut self) -> bool {
        let before = self.dialogs.len();
        self.dialogs.retain(|dialog| !dialog.id.starts_with(OWN_MARK));
        !self.dialogs.is_empty() || before == 0 && self.completeness == Completeness::Full
    }
}

/// What dialogs of one line come to: busy when the user calls or is in a call, available when the phone rings or rests.
pub fn report<'a>(dialogs: impl IntoIterator<Item = &'a Dialog>) -> Report {
    let mut all = Report::Line { presence: Presence::Available, conference: false };
    for dialog in dialogs {
        let busy = match dialog.state {
            DialogState::Confirmed => true,
            // Without a direction nobody knows who rings whom; a phone that rings is not busy.
            DialogState::Trying | DialogState::Proceeding | DialogState::Early => {
                dialog.direction == Some(Direction::Initiator)
            }
            DialogState::Terminated => false,
        };
        if busy {
            let before = matches!(all, Report::Line { conference: true, .. });
            all = Report::Line { presence: Presence::Busy, conference: before || dialog.is_conference() };
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialog(state: DialogState, direction: Option<Direction>) -> Dialog {
        Dialog { direction, ..Dialog::new("d", state) }
    }

    #[test]
    fn the_table_of_line_states() {
        let (initiator, recipient) = (Some(Direction::Initiator), Some(Direction::Recipient));
        for (state, direction, presence) in [
            (DialogState::Trying, initiator, Presence::Busy),
            (DialogState::Proceeding, initiator, Presence::Busy),
            (DialogState::Early, initiator, Presence::Busy),
            (DialogState::Early, recipient, Presence::Available),
            (DialogState::Early, None, Presence::Available),
            (DialogState::Confirmed, initiator, Presence::Busy),
            (DialogState::Confirmed, recipient, Presence::Busy),
            (DialogState::Confirmed, None, Presence::Busy),
            (DialogState::Terminated, initiator, Presence::Available),
        ] {
            let all = [dialog(DialogState::Terminated, recipient), dialog(state, direction)];
            assert_eq!(report(&all), Report::Line { presence, conference: false }, "{state:?} {direction:?}");
        }
        assert_eq!(report([]), Report::Line { presence: Presence::Available, conference: false });
    }

    #[test]
    fn a_conference_of_a_call_that_is_over_is_none() {
        let mut call = dialog(DialogState::Confirmed, None);
        call.remote.focus = true;
        let other = dialog(DialogState::Confirmed, None);
        assert_eq!(report([&call, &other]), Report::Line { presence: Presence::Busy, conference: true });
        call.state = DialogState::Terminated;
        assert_eq!(report([&call, &other]), Report::Line { presence: Presence::Busy, conference: false });
    }

    #[test]
    fn what_the_edge_wrote_is_taken_out() {
        let own = Dialog::new(format!("{OWN_MARK}teams"), DialogState::Confirmed);
        let other = Dialog::new("d", DialogState::Terminated);
        for (dialogs, left) in [(vec![own.clone()], false), (vec![own, other.clone()], true), (vec![], true)] {
            let mut document = DialogInfo { dialogs, ..DialogInfo::default() };
            assert_eq!(document.drop_own(), left);
            assert!(document.dialogs.iter().all(|dialog| *dialog == other));
        }
    }
}
