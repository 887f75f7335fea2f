//! One request of the token endpoint.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde::Deserialize;

use super::super::answer::{line, token_fault};
use super::super::assertion;
use super::super::client::{Client, random_id, unix_now};
use super::super::fault::{Fault, Permission, TokenFault};
use super::super::settings::{Call, Proof, Secret, Settings};

/// Bytes of a token that are taken; it stands in a header of each request.
const MAX_TOKEN_BYTES: usize = 16 << 10;

/// How the assertion's kind is named (RFC 7523 section 8.1).
const BY_JWT: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What Entra grants.
pub struct Granted {
    pub token: Secret,
    /// `None`: it cannot be looked into.
    pub roles: Option<Vec<String>>,
    pub good: Duration,
    /// The refresh token to use from now on.
    pub refresh: Option<Secret>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    access_token: std::borrow::Cow<'a, str>,
    expires_in: Seconds,
    #[serde(borrow, default)]
    refresh_token: Option<std::borrow::Cow<'a, str>>,
}

/// Some issuers write numbers as texts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

/// Asks Entra for a token: for the application itself, or for the account of a refresh token (RFC 6749 sections 4.4
/// and 6).
///
/// # Errors
/// [`TokenFault`].
pub async fn ask(
    settings: &Settings,
    client: &Client,
    proof: &Proof,
    account: Option<&Secret>,
) -> Result<Granted, TokenFault> {
    let url = format!("{}/{}/oauth2/v2.0/token", settings.login, settings.directory);
    let (assertion, scope);
    let mut form = vec![("client_id", &*settings.client)];
    match account {
        None => {
            scope = format!("{}/.default", settings.base);
            form.push(("grant_type", "client_credentials"));
        }
        Some(refresh) => {
            scope = format!("{}/{} offline_access", settings.base, Permission::Subscribe.role());
            form.extend([("grant_type", "refresh_token"), ("refresh_token", refresh.reveal())]);
        }
    }
    form.push(("scope", &*scope));
    match proof {
        Proof::Secret(secret) => form.push(("client_secret", secret.reveal())),
        Proof::Certificate(certificate) => {
            assertion = assertion::make(certificate, &settings.client, &url, &random_id(), unix_now())?;
            form.extend([("client_assertion_type", BY_JWT), ("client_assertion", &*assertion)]);
        }
    }
    let request = client.request(Method::POST, &url).form(&form);
    let answer = client.send(Call::Token, request).await.map_err(unreachable)?;
    if !answer.is_ok() {
        let secrets = [proof.secret(), account].into_iter().flatten();
        return Err(secrets.fold(token_fault(answer.status, &answer.body, answer.retry_after()), hide));
    }
    let malformed = |why: &str| TokenFault::Malformed(why.into());
    let body: Body<'_> =
        serde_json::from_slice(&answer.body).map_err(|_| malformed("it has no token and time in it"))?;
    let token = Secret::new(&body.access_token);
    let plain = token.reveal().bytes().all(|byte| byte.is_ascii_graphic());
    if token.reveal().is_empty() || token.reveal().len() > MAX_TOKEN_BYTES || !plain {
        return Err(malformed("the token can stand in no header"));
    }
    let seconds = match body.expires_in {
        Seconds::Number(seconds) => Some(seconds),
        Seconds::Text(text) => text.parse().ok(),
    };
    let good = Duration::from_secs(seconds.ok_or_else(|| malformed("`expires_in` is no number"))?);
    let refresh = body.refresh_token.map(|text| Secret::new(&text)).filter(|refresh| !refresh.reveal().is_empty());
    Ok(Granted { roles: roles(token.reveal()), token, good, refresh })
}

/// The roles of an application, or the scopes of an account, that stand in a token. Nothing is verified: the token is for
/// Graph, and what stands in it only makes a text clearer.
pub fn roles(token: &str) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Claims {
        #[serde(default)]
        roles: Vec<String>,
        #[serde(default)]
        scp: String,
    }
    let claims = token.split('.').nth(1)?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?).ok()?;
    Some(claims.roles.into_iter().chain(claims.scp.split_whitespace().map(str::to_owned)).collect())
}

fn unreachable(fault: Fault) -> TokenFault {
    match fault {
        Fault::Timeout => TokenFault::Timeout,
        Fault::Malformed(why) => TokenFault::Malformed(why.into()),
        Fault::Network(why) if why.contains("certificate") => TokenFault::Tls(why.into()),
        other => TokenFault::Network(line(&other.to_string(), 300)),
    }
}

/// Takes a secret out of what a server says, should it say it.
fn hide(fault: TokenFault, secret: &Secret) -> TokenFault {
    let clean = |text: Box<str>| -> Box<str> {
        if secret.reveal().is_empty() { text } else { text.replace(secret.reveal(), "***").into() }
    };
    match fault {
        TokenFault::Other { code, text } => TokenFault::Other { code: clean(code), text: clean(text) },
        TokenFault::SignInAgain(text) => TokenFault::SignInAgain(clean(text)),
        TokenFault::WrongCertificate(text) => TokenFault::WrongCertificate(clean(text)),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_scopes_are_read_without_verifying() {
        let token = |claims: &str| format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims));
        let read = |claims: &str| roles(&token(claims));
        assert_eq!(read("{\"roles\":[\"Presence.ReadWrite.All\"]}"), Some(vec!["Presence.ReadWrite.All".to_owned()]));
        assert_eq!(read("{\"scp\":\"Presence.Read.All openid\"}").unwrap(), ["Presence.Read.All", "openid"]);
        assert_eq!(read("{}"), Some(Vec::new()));
        assert_eq!((roles("opaque"), roles("a.!.c"), read("1")), (None, None, None));
    }

    #[test]
    fn a_secret_that_a_server_repeats_is_hidden() {
        let proof = Proof::Secret(Secret::new("s3cret\n"));
        let fault = TokenFault::Other { code: "x".into(), text: "got s3cret from you".into() };
        assert_eq!(hide(fault, proof.secret().unwrap()).to_string(), "Entra refuses a token: x, \"got *** from you\"");
        assert_eq!(format!("{proof:?}"), "Secret(Secret)");
    }
}
