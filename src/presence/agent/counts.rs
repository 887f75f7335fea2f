//! What the agent counts.

/// Totals since the start, and at the end what is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that the parts wanted sent.
    pub asked: u64,
    /// Those that got a final answer.
    pub answered: u64,
    /// Those that nobody answered in time.
    pub timed_out: u64,
    /// Those that could be sent nowhere.
    pub unreachable: u64,
    /// Those that were not sent, since `max_transactions` was reached.
    pub over_limit: u64,
    /// Requests sent again by a timer.
    pub retransmitted: u64,
    /// Further places tried after a failure.
    pub failovers: u64,
    /// Challenges that were met.
    pub challenges_met: u64,
    /// Challenges that could not be met: no credentials, wrong ones, or an unknown algorithm.
    pub challenges_refused: u64,
    /// Answers to nothing that is under way.
    pub stray_answers: u64,
    /// Requests that came.
    pub arrived: u64,
    /// Copies of requests, answered from memory or ignored.
    pub absorbed: u64,
    /// Answers that were forgotten before their time, to make room for newer ones.
    pub evicted: u64,
    /// Requests refused with 503, since `max_transactions` was reached.
    pub refused: u64,
    /// Requests that no part answered.
    pub unanswered: u64,
    /// Requests of the bridge's own that are under way.
    pub clients: usize,
    /// Requests of others that are not answered yet, or remembered.
    pub servers: usize,
}
