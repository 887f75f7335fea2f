//! What final answers mean to a peer that takes them for an order: which of them make it try elsewhere.

use crate::trunk::TrunkKind;

/// What final answers to calls mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// What the peer's own answers really mean, for a peer that says one thing for another.
    pub from: Codes,
    /// What the peer gets to see in place of what the far side said.
    pub to: Codes,
    /// A 503 with Retry-After speaks of the connection that it came over: no further request is sent over that.
    pub drop_connection: bool,
}

/// Final codes that stand for others; what is not listed stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codes(Vec<Code>);

/// One code, or a class of them, and what stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// From 300 to 699; the whole class for 3 to 6.
    pub what: u16,
    pub becomes: u16,
}

impl Codes {
    /// Codes of which the first that fits counts.
    pub fn new(codes: Vec<Code>) -> Self {
        Self(codes)
    }

    /// These codes, and the others where none of these fits.
    #[must_use]
    pub fn over(mut self, others: &Self) -> Self {
        let unsaid = |code: &&Code| self.0.iter().all(|own| own.what != code.what);
        let unsaid: Vec<Code> = others.0.iter().filter(unsaid).copied().collect();
        self.0.extend(unsaid);
        self
    }

    /// What stands for a code; `None`: itself, since nobody says anything of it.
    pub fn of(&self, status: u16) -> Option<u16> {
        let fits = |code: &&Code| code.what == status || code.what == status / 100;
        self.0.iter().find(fits).map(|code| code.becomes)
    }
}

impl Answers {
    /// What is taken for granted of a kind of peer.
    ///
    /// Teams tries another edge after 408, 503 and 504 and ends the call after anything else. So what is wrong with the
    /// network on the other side becomes 503, a refused identity of the edge among it, and what the called person or
    /// the number is answerable for stays. It follows no redirection: that becomes 480.
    pub fn of_kind(kind: TrunkKind) -> Self {
        match kind {
            TrunkKind::Teams => {
                let codes = [(401, 503), (407, 503), (500, 503), (502, 503), (503, 503), (3, 480)];
                let to = codes.map(|(what, becomes)| Code { what, becomes });
                Self { from: Codes::default(), to: Codes::new(to.to_vec()), drop_connection: true }
            }
            TrunkKind::Carrier | TrunkKind::Pbx => Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn teams_is_told_to_try_elsewhere_for_trouble_of_the_network_only() {
        let teams = Answers::of_kind(TrunkKind::Teams).to;
        for (status, becomes) in [
            (401, Some(503)),
            (407, Some(503)),
            (500, Some(503)),
            (502, Some(503)),
            (503, Some(503)),
            (302, Some(480)),
            (408, None),
            (504, None),
            (404, None),
            (480, None),
            (484, None),
            (486, None),
            (488, None),
            (600, None),
            (603, None),
        ] {
            assert_eq!(teams.of(status), becomes, "{status}");
        }
    }

    #[test]
    fn what_is_said_first_counts() {
        let own = Codes::new(vec![Code { what: 503, becomes: 404 }, Code { what: 5, becomes: 500 }]);
        let codes = own.over(&Answers::of_kind(TrunkKind::Teams).to);
        assert_eq!([503, 502, 401, 404].map(|status| codes.of(status)), [Some(404), Some(500), Some(503), None]);
    }
}
