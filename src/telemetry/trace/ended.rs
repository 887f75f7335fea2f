//! What the ring keeps of a call that is over.

use serde::{Deserialize, Serialize};

use crate::call::CallRecord;
use crate::call::record::Outcome;

/// A call that is over, as the ring and its readers have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// How, as counters and logs name it.
    pub outcome: String,
    /// Nobody spoke, and not since the caller gave up.
    pub failed: bool,
    /// The final status of an INVITE that failed; 200 of a call that was up.
    pub status: u16,
    /// Names of trunks.
    pub from: String,
    pub to: Option<String>,
    pub tenant: Option<String>,
    pub site: Option<String>,
    pub caller: String,
    pub called: String,
    /// The target that answered, or was tried last.
    pub target: String,
    /// Targets that were tried.
    pub tries: u8,
    pub transfers: u8,
    /// The limit that it was refused at.
    pub limit: Option<String>,
    pub emergency: bool,
    pub lasted_ms: Option<u64>,
    /// What the peer gave as the reason.
    pub reason: String,
    /// What Microsoft means by that.
    pub meaning: Option<String>,
    pub q850: Option<u8>,
}

impl Ended {
    /// What a record says.
    pub fn of(record: &CallRecord) -> Self {
        let facts = &record.facts;
        Self {
            outcome: record.outcome.name().to_owned(),
            failed: record.lasted.is_none() && !matches!(record.outcome, Outcome::Cancelled | Outcome::HungUp(_)),
            status: record.status,
            from: record.from.trunk.to_string(),
            to: record.to.as_ref().map(|to| to.trunk.to_string()),
            tenant: record.tenant.as_deref().map(str::to_owned),
            site: facts.site.as_deref().map(str::to_owned),
            caller: facts.caller.to_string(),
            called: facts.called.to_string(),
            target: facts.target.to_string(),
            tries: facts.tries,
            transfers: facts.transfers,
            limit: facts.limit.as_deref().map(str::to_owned),
            emergency: facts.emergency,
            lasted_ms: record.lasted.map(|lasted| u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX)),
            reason: record.reason.to_string(),
            meaning: record.meaning.map(str::to_owned),
            q850: facts.q850,
        }
    }

    /// All of it in words: one sentence a line.
    pub fn words(&self) -> Vec<String> {
        let mut words = vec![self.how()];
        let mut path = format!("from {}", self.from);
        if let Some(to) = &self.to {
            path += &format!(" to {to}");
        }
        if !self.target.is_empty() {
            path += &format!(", target {}", self.target);
        }
        if let Some(tenant) = &self.tenant {
            path += &format!(", tenant {tenant}");
        }
        if let Some(site) = &self.site {
            path += &format!(", site {site}");
        }
        words.push(path);
        if self.tries > 1 {
            words.push(format!("{} targets were tried", self.tries));
        }
        if self.transfers > 0 {
            words.push(format!("it was transferred {} times", self.transfers));
        }
        if let Some(limit) = &self.limit {
            words.push(format!("it was refused at a limit: {limit}"));
        }
        if self.emergency {
            words.push("it was a call for help".to_owned());
        }
        if !self.reason.is_empty() {
            words.push(format!("reason given: {}", self.reason));
        }
        if let Some(cause) = self.q850 {
            words.push(format!("Q.850 cause {cause}"));
        }
        if let Some(meaning) = &self.meaning {
            words.push(format!("Microsoft means: {meaning}"));
        }
        words
    }

    fn how(&self) -> String {
        let lasted = self.lasted_ms.map(|lasted| format!(" after {:.1} s", lasted as f64 / 1_000.0));
        let lasted = lasted.unwrap_or_default();
        match self.outcome.as_str() {
            "caller-hung-up" => format!("the caller hung up{lasted}"),
            "callee-hung-up" => format!("the callee hung up{lasted}"),
            "cancelled" => "the caller gave up before it was answered".to_owned(),
            "refused" => format!("refused with {}", self.status),
            "unreachable" => format!("nobody could be reached ({})", self.status),
            "not-passed" => format!("the edge did not let it pass ({})", self.status),
            "forgotten" => format!("forgotten{lasted}: nothing was seen of it for too long"),
            other => format!("ended by the edge{lasted}: {other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_in_words() {
        let ended = Ended {
            outcome: "refused".to_owned(),
            status: 403,
            from: "pbx1".to_owned(),
            to: Some("teams".to_owned()),
            tenant: Some("contoso".to_owned()),
            tries: 2,
            reason: "Q.850;cause=21".to_owned(),
            meaning: Some("the number is not assigned to a user".to_owned()),
            q850: Some(21),
            ..Ended::default()
        };
        let words = ended.words();
        assert_eq!(words[0], "refused with 403");
        assert_eq!(words[1], "from pbx1 to teams, tenant contoso");
        for word in ["2 targets were tried", "reason given: Q.850;cause=21", "Microsoft means: the number is not"] {
            assert!(words.iter().any(|said| said.starts_with(word)), "{word}: {words:?}");
        }
        let hung_up = Ended { outcome: "callee-hung-up".to_owned(), lasted_ms: Some(61_250), ..Ended::default() };
        assert_eq!(hung_up.words()[0], "the callee hung up after 61.2 s");
        let text = serde_json::to_vec(&ended).unwrap();
        assert_eq!(serde_json::from_slice::<Ended>(&text).unwrap(), ended);
    }
}
