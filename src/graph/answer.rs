//! Faults as Graph and Entra write them, in words (B5, B6). What is read comes from the network: it is cut to one short
//! line, and unknown members are ignored.

use std::time::Duration;

use serde::Deserialize;

use super::fault::{Fault, Refusal, TokenFault};

/// Characters of a text of Graph's that are kept.
const MAX_TEXT: usize = 300;

/// Characters of a code or an id that are kept.
const MAX_WORD: usize = 80;

#[derive(Deserialize, Default)]
struct Body<'a> {
    #[serde(borrow, default)]
    error: Error<'a>,
}

#[derive(Deserialize, Default)]
struct Error<'a> {
    #[serde(borrow, default)]
    code: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, default)]
    message: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, default, rename = "innerError", alias = "innererror")]
    inner: Option<Inner<'a>>,
}

#[derive(Deserialize)]
struct Inner<'a> {
    #[serde(borrow, default, rename = "request-id")]
    request_id: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, default)]
    code: Option<std::borrow::Cow<'a, str>>,
}

/// What an answer that is no 2xx means; `request_id` is that of the answer's head.
pub fn graph_fault(status: u16, body: &[u8], request_id: Option<&str>, retry_after: Option<Duration>) -> Fault {
    let error = serde_json::from_slice::<Body<'_>>(body).unwrap_or_default().error;
    let inner = error.inner.as_ref();
    let code = error.code.as_deref().or_else(|| inner.and_then(|inner| inner.code.as_deref()));
    let refusal = Refusal {
        status,
        code: line(code.unwrap_or_default(), MAX_WORD),
        text: line(error.message.as_deref().unwrap_or_default(), MAX_TEXT),
        request_id: request_id
            .or_else(|| inner.and_then(|inner| inner.request_id.as_deref()))
            .map(|id| line(id, MAX_WORD)),
    };
    match status {
        429 => Fault::Throttled { retry_after },
        404 => Fault::NotFound(refusal),
        410 => Fault::Gone(refusal),
        400 if is_old_state(&refusal.code) => Fault::Gone(refusal),
        500..=599 => Fault::Server { refusal, retry_after },
        _ => Fault::Refused(refusal),
    }
}

/// Codes of a delta link whose state is known no more (B7).
fn is_old_state(code: &str) -> bool {
    ["syncStateNotFound", "resyncRequired", "syncStateInvalid"].iter().any(|known| code.eq_ignore_ascii_case(known))
}

#[derive(Deserialize, Default)]
struct TokenBody<'a> {
    #[serde(borrow, default)]
    error: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    error_description: std::borrow::Cow<'a, str>,
    #[serde(default)]
    error_codes: Vec<u64>,
}

/// What an answer of the token endpoint means that brings no token (B6).
pub fn token_fault(status: u16, body: &[u8], retry_after: Option<Duration>) -> TokenFault {
    if status == 429 || status >= 500 {
        return TokenFault::Busy { status, retry_after };
    }
    let Ok(body) = serde_json::from_slice::<TokenBody<'_>>(body) else {
        return TokenFault::Malformed(format!("{status} without the JSON that Entra answers with").into());
    };
    let text = || line(&body.error_description, MAX_TEXT);
    let number = body.error_codes.first().copied().or_else(|| number_in(&body.error_description));
    match number {
        Some(7_000_215) => TokenFault::WrongSecret,
        Some(7_000_222) => TokenFault::ExpiredSecret,
        Some(700_016) => TokenFault::UnknownApplication,
        Some(7_000_112) => TokenFault::DisabledApplication,
        Some(90_002 | 900_023) => TokenFault::UnknownDirectory,
        Some(65_001) => TokenFault::MissingConsent,
        Some(700_024) => TokenFault::Clock,
        Some(700_027 | 700_023 | 700_025 | 700_021 | 50_012 | 7_000_214 | 7_000_218) => {
            TokenFault::WrongCertificate(text())
        }
        Some(700_082 | 70_008 | 70_043 | 50_173 | 50_076 | 50_079 | 50_078 | 54_005 | 50_057 | 700_084) => {
            TokenFault::SignInAgain(text())
        }
        _ if body.error == "interaction_required" || body.error == "invalid_grant" => TokenFault::SignInAgain(text()),
        Some(number) => TokenFault::Other { code: format!("AADSTS{number}").into(), text: text() },
        None => TokenFault::Other { code: line(&body.error, MAX_WORD), text: text() },
    }
}

/// The number behind `AADSTS` in a text.
fn number_in(text: &str) -> Option<u64> {
    let (_, behind) = text.split_once("AADSTS")?;
    let digits = behind.split(|sign: char| !sign.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// The first line of a text, without signs that a terminal obeys, and not longer than so many characters.
pub(super) fn line(text: &str, max: usize) -> Box<str> {
    let first = text.trim_start().lines().next().unwrap_or_default();
    let mut kept: String = first.chars().filter(|sign| !sign.is_control()).take(max).collect();
    if first.chars().nth(max).is_some() {
        kept.push_str("...");
    }
    kept.trim_end().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_entra_says_is_told_apart() {
        let wordy = |code: u64, error: &str| {
            format!(
                "{{\"error\":\"{error}\",\"error_description\":\"AADSTS{code}: Some words.\\r\\nTrace ID: 1\",\
                 \"error_codes\":[{code}],\"timestamp\":\"2026-01-01 00:00:00Z\",\"unknown\":{{}}}}"
            )
        };
        for (status, body, fault) in [
            (401, wordy(7_000_215, "invalid_client"), TokenFault::WrongSecret),
            (401, wordy(7_000_222, "invalid_client"), TokenFault::ExpiredSecret),
            (400, wordy(700_016, "unauthorized_client"), TokenFault::UnknownApplication),
            (400, wordy(90_002, "invalid_request"), TokenFault::UnknownDirectory),
            (400, wordy(65_001, "invalid_grant"), TokenFault::MissingConsent),
            (401, wordy(700_024, "invalid_client"), TokenFault::Clock),
            (400, wordy(7_000_112, "unauthorized_client"), TokenFault::DisabledApplication),
            (401, wordy(700_027, "invalid_client"), TokenFault::WrongCertificate("AADSTS700027: Some words.".into())),
            (400, wordy(700_082, "invalid_grant"), TokenFault::SignInAgain("AADSTS700082: Some words.".into())),
            (400, wordy(12, "invalid_grant"), TokenFault::SignInAgain("AADSTS12: Some words.".into())),
            (
                400,
                wordy(13, "invalid_scope"),
                TokenFault::Other { code: "AADSTS13".into(), text: "AADSTS13: Some words.".into() },
            ),
            (
                401,
                "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000222: The key has ended.\"}".to_owned(),
                TokenFault::ExpiredSecret,
            ),
            (
                400,
                "{\"error\":\"slow_down\"}".to_owned(),
                TokenFault::Other { code: "slow_down".into(), text: "".into() },
            ),
            (503, String::new(), TokenFault::Busy { status: 503, retry_after: None }),
        ] {
            assert_eq!(token_fault(status, body.as_bytes(), None), fault, "{body}");
            assert!(!fault.advice().is_empty() && !fault.to_string().is_empty());
        }
        assert!(matches!(token_fault(407, b"<html>", None), TokenFault::Malformed(_)));
        let after = Some(Duration::from_millis(1_500));
        assert_eq!(token_fault(429, b"", after), TokenFault::Busy { status: 429, retry_after: after });
    }

    #[test]
    fn what_graph_says_is_told_apart() {
        let body = |code: &str| {
            format!(
                "{{\"error\":{{\"code\":\"{code}\",\"message\":\"Words.\\nMore.\",\"innerError\":{{\"date\":\"x\",\
                 \"request-id\":\"inner\",\"client-request-id\":\"y\"}}}}}}"
            )
        };
        let refusal = |status, code: &str, id: &str| Refusal {
            status,
            code: code.into(),
            text: "Words.".into(),
            request_id: Some(id.into()),
        };
        let after = Some(Duration::from_millis(2_128));
        for (status, code, fault) in [
            (429, "TooManyRequests", Fault::Throttled { retry_after: after }),
            (404, "NotFound", Fault::NotFound(refusal(404, "NotFound", "inner"))),
            (410, "Gone", Fault::Gone(refusal(410, "Gone", "inner"))),
            (400, "SyncStateNotFound", Fault::Gone(refusal(400, "SyncStateNotFound", "inner"))),
            (400, "BadRequest", Fault::Refused(refusal(400, "BadRequest", "inner"))),
            (403, "Forbidden", Fault::Refused(refusal(403, "Forbidden", "inner"))),
            (503, "Busy", Fault::Server { refusal: refusal(503, "Busy", "inner"), retry_after: after }),
        ] {
            assert_eq!(graph_fault(status, body(code).as_bytes(), None, after), fault);
        }
        let Fault::Refused(told) = graph_fault(400, body("X").as_bytes(), Some("outer"), None) else { panic!() };
        assert_eq!(told.to_string(), "400 X, \"Words.\" (request-id outer)");
        let bare = graph_fault(302, b"<html>", None, None);
        assert_eq!(bare, Fault::Refused(Refusal { status: 302, ..Refusal::default() }));
    }

    #[test]
    fn texts_are_one_short_line() {
        assert_eq!(&*line("\n a\u{1b}[31m b\nc", 10), "a[31m b");
        assert_eq!(&*line(&"x".repeat(400), 300), format!("{}...", "x".repeat(300)));
    }
}
