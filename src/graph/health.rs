//! How it stands with a tenant's token, for alarms and metrics.

use std::time::Duration;

use super::fault::{Permission, TokenFault};

/// How long before its end a secret or certificate is told of, in days.
const AHEAD_DAYS: i64 = 30;

const DAY_S: i64 = 86_400;

/// How it stands with a tenant's token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenHealth {
    /// Why the last attempt to get a token failed; `None`: it did not, or there was none.
    pub fault: Option<TokenFault>,
    /// For how long it has been failing.
    pub failing_for: Option<Duration>,
    /// When it is tried again.
    pub next_try: Option<Duration>,
    /// How old the token is that is in use, and how long it is still good.
    pub age: Option<Duration>,
    pub left: Option<Duration>,
    /// What Graph refused since the token lacks the permission.
    pub lacking: Vec<Permission>,
    /// When the certificate or the secret ends, in seconds since 1970, where that is known.
    pub proof_ends: Option<i64>,
    /// Whether it is a certificate.
    pub by_certificate: bool,
}

/// What ends soon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Negative: it has ended.
    pub days_left: i64,
    pub text: String,
    pub advice: String,
}

impl TokenHealth {
    /// Whether somebody has to do something.
    pub fn needs_person(&self) -> bool {
        self.fault.as_ref().is_some_and(TokenFault::needs_person) || !self.lacking.is_empty()
    }

    /// Of a secret or certificate that ends within 30 days; `now` in seconds since 1970.
    pub fn ending(&self, now: i64) -> Option<Warning> {
        let days_left = self.proof_ends?.saturating_sub(now).div_euclid(DAY_S);
        if days_left >= AHEAD_DAYS {
            return None;
        }
        let (what, keys) = match self.by_certificate {
            true => {
                ("certificate", "upload it to the application, and put it and its key into `certificate` and `key`")
            }
            false => ("client secret", "put its value into `secret_file`, and its end into `secret_expires`"),
        };
        let text = match days_left {
            ..0 => format!("the {what} towards Microsoft Graph has ended"),
            0 => format!("the {what} towards Microsoft Graph ends today"),
            1 => format!("the {what} towards Microsoft Graph ends in 1 day"),
            _ => format!("the {what} towards Microsoft Graph ends in {days_left} days"),
        };
        Some(Warning { days_left, text, advice: format!("make a new {what} for the application in Entra: {keys}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_a_month_ahead() {
        let now = 1_700_000_000;
        let health =
            |ends, by_certificate| TokenHealth { proof_ends: Some(ends), by_certificate, ..TokenHealth::default() };
        assert_eq!(health(now + 30 * DAY_S, true).ending(now), None);
        assert_eq!(TokenHealth::default().ending(now), None);
        for (ends, by_certificate, words) in [
            (now + 30 * DAY_S - 1, false, "the client secret towards Microsoft Graph ends in 29 days"),
            (now + DAY_S, true, "the certificate towards Microsoft Graph ends in 1 day"),
            (now + 1, true, "the certificate towards Microsoft Graph ends today"),
            (now - 1, false, "the client secret towards Microsoft Graph has ended"),
        ] {
            let warning = health(ends, by_certificate).ending(now).unwrap();
            assert_eq!(warning.text, words);
            assert!(warning.advice.contains(if by_certificate { "`key`" } else { "`secret_file`" }));
        }
    }
}
