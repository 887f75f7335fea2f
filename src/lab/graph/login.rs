//! The login service: client credentials with a secret or a signed assertion, refresh tokens, and errors in its words.

use std::collections::HashMap;

use serde_json::json;

use super::answer::Answer;
use super::assertion::{self, Refusal};
use super::clock::{At, Clock};
use super::journal::Journal;
use super::route::Endpoint;
use super::tenant::Tenant;
use super::text::{guid, random, value};

/// Tokens that are remembered; the oldest go.
const MAX_TOKENS: usize = 10_000;
/// Assertions that are remembered, so that none is used twice.
const MAX_ASSERTIONS: usize = 10_000;
/// Refused requests for a token within a minute that a client may make: more is hammering.
const MAX_REFUSED: usize = 10;
/// Refresh tokens of an application that are good at once.
const MAX_REFRESH_TOKENS: usize = 16;
/// The hosts of Graph's clouds, whose name may stand in a scope whatever the stand-in's own address is.
const GRAPH_HOSTS: [&str; 4] =
    ["graph.microsoft.com", "graph.microsoft.us", "dod-graph.microsoft.us", "microsoftgraph.chinacloudapi.cn"];

/// Who asks, as a token tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) tenant: usize,
    pub(super) app: usize,
    /// For a user who signed in, and not for the application itself.
    pub(super) delegated: bool,
}

/// Tokens that were given out, and assertions that were seen.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    issued: HashMap<String, (Access, At)>,
    seen: HashMap<String, u64>,
}

/// What a request for a token carries, and what it is judged by.
pub(super) struct Asked<'a> {
    pub(super) form: &'a [(String, String)],
    /// The tenant's word in the path.
    pub(super) word: &'a str,
    /// The host that the client dialled, with its port.
    pub(super) host: &'a str,
    pub(super) life: std::time::Duration,
}

impl Tokens {
    /// Judges a request for a token.
    pub(super) fn grant(
        &mut self,
        tenants: &mut [Tenant],
        clock: &Clock,
        journal: &mut Journal,
        asked: &Asked,
    ) -> Answer {
        let now = clock.now();
        let Some(place) = tenants.iter().position(|tenant| tenant.is_named(asked.word)) else {
            return refused(
                clock,
                Refusal::new(
                    400,
                    "invalid_request",
                    90_002,
                    &format!("Tenant '{}' not found. Check to make sure you have the correct tenant ID.", asked.word),
                ),
            );
        };
        let Some(tenant) = tenants.get_mut(place) else {
            return Answer::trouble(500, None);
        };
        match self.judge(tenant, clock, asked) {
            Ok((app, delegated)) => self.issue(tenant, Access { tenant: place, app, delegated }, now, asked),
            Err(refusal) => {
                tenant.refused_tokens.retain(|at| at + 60_000 > now);
                tenant.refused_tokens.push(now);
                if tenant.refused_tokens.len() == MAX_REFUSED + 1 {
                    let text = format!("asked {} times for a token within a minute, and was refused", MAX_REFUSED + 1);
                    journal.complain(now, Endpoint::Token, (Some(tenant.id.clone()), None), text);
                }
                refused(clock, refusal)
            }
        }
    }

    /// Whose a token is.
    pub(super) fn access(&self, now: At, authorization: Option<&str>) -> Result<Access, Answer> {
        let refuse = |message: &str| {
            Err(Answer::error(401, "InvalidAuthenticationToken", message).with("www-authenticate", "Bearer".to_owned()))
        };
        let Some(token) = authorization.and_then(|value| value.strip_prefix("Bearer ")) else {
            return refuse("Access token is empty.");
        };
        match self.issued.get(token.trim()) {
            None => refuse("Access token validation failure. Invalid signature."),
            Some((_, expires)) if now >= *expires => refuse("Lifetime validation failed, the token is expired."),
            Some((access, _)) => Ok(*access),
        }
    }

    /// Makes all tokens of a tenant worthless at once.
    pub(super) fn revoke(&mut self, tenant: usize) {
        self.issued.retain(|_, (access, _)| access.tenant != tenant);
    }

    fn judge(&mut self, tenant: &Tenant, clock: &Clock, asked: &Asked) -> Result<(usize, bool), Refusal> {
        let form = |name: &str| value(asked.form, name).filter(|value| !value.is_empty());
        let need = |name: &'static str| {
            form(name).ok_or_else(|| {
                let text = format!("The request body must contain the following parameter: '{name}'.");
                Refusal::new(400, "invalid_request", 900_144, &text)
            })
        };
        let grant = need("grant_type")?;
        let client = need("client_id")?;
        let Some(app) = tenant.apps.iter().position(|app| app.client.eq_ignore_ascii_case(client)) else {
            let text =
                format!("Application with identifier '{client}' was not found in the directory '{}'.", tenant.id);
            return Err(Refusal::new(400, "unauthorized_client", 700_016, &text));
        };
        let Some(known) = tenant.apps.get(app) else {
            return Err(Refusal::new(500, "server_error", 90_033, "The service is not available for the moment."));
        };
        let scope = need("scope")?;
        match (form("client_secret"), form("client_assertion")) {
            (Some(secret), _) => judge_secret(known, secret)?,
            (None, Some(jwt)) => {
                let kind = form("client_assertion_type");
                let audience = format!("https://{}/{}/oauth2/v2.0/token", asked.host, asked.word);
                let wall = clock.unix_seconds();
                let (jti, expires) = assertion::verify(known, jwt, kind, &audience)?;
                self.use_once(jti, expires, wall)?;
            }
            (None, None) => {
                let text =
                    "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
                return Err(Refusal::new(401, "invalid_client", 7_000_218, text));
            }
        }
        match grant {
            "client_credentials" => {
                judge_scope(scope, asked.host)?;
                Ok((app, false))
            }
            "refresh_token" => {
                let token = need("refresh_token")?;
                if known.refresh_tokens.iter().any(|known| known == token) {
                    return Ok((app, true));
                }
                let text = "The refresh token has expired due to inactivity or was revoked.";
                Err(Refusal::new(400, "invalid_grant", 700_082, text))
            }
            other => {
                let text = format!("The app requested an unsupported grant type '{other}'.");
                Err(Refusal::new(400, "unsupported_grant_type", 70_003, &text))
            }
        }
    }

    fn use_once(&mut self, jti: String, expires: u64, wall: u64) -> Result<(), Refusal> {
        if self.seen.len() >= MAX_ASSERTIONS {
            self.seen.retain(|_, expires| *expires > wall);
        }
        if self.seen.insert(jti, expires).is_some() {
            return Err(Refusal::new(401, "invalid_client", 50_027, "JWT token is invalid: its jti was used before."));
        }
        Ok(())
    }

    fn issue(&mut self, tenant: &mut Tenant, access: Access, now: At, asked: &Asked) -> Answer {
        if self.issued.len() >= MAX_TOKENS {
            self.issued.retain(|_, (_, expires)| *expires > now);
        }
        if self.issued.len() >= MAX_TOKENS {
            self.issued.clear();
        }
        let mut bytes = [0_u8; 48];
        random(&mut bytes);
        let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let token = format!("eyJ0eXAiOiJKV1Qi.{token}");
        let life = asked.life.as_secs();
        self.issued.insert(token.clone(), (access, now.saturating_add(life.saturating_mul(1_000))));
        let mut body = json!({
            "token_type": "Bearer",
            "expires_in": life,
            "ext_expires_in": life,
            "access_token": token,
        });
        if access.delegated {
            let fresh = guid();
            body["scope"] = json!("Presence.Read.All");
            body["refresh_token"] = json!(fresh);
            if let Some(app) = tenant.apps.get_mut(access.app) {
                // An older one stays good, since the client may not have kept the newer.
                if app.refresh_tokens.len() >= MAX_REFRESH_TOKENS {
                    app.refresh_tokens.remove(1);
                }
                app.refresh_tokens.push(fresh);
            }
        }
        Answer::json(200, body)
    }
}

fn judge_secret(app: &super::tenant::GraphApp, secret: &str) -> Result<(), Refusal> {
    match app.secrets.iter().find(|known| known.value == secret) {
        Some(known) if known.expired => {
            let text = format!("The provided client secret keys for app '{}' are expired.", app.client);
            Err(Refusal::new(401, "invalid_client", 7_000_222, &text))
        }
        Some(_) => Ok(()),
        None => {
            let text = "Invalid client secret provided. Ensure the secret being sent in the request is the client \
                        secret value, not the client secret ID.";
            Err(Refusal::new(401, "invalid_client", 7_000_215, text))
        }
    }
}

/// The scope must be all that was consented to, of a Graph that exists.
fn judge_scope(scope: &str, host: &str) -> Result<(), Refusal> {
    let Some(resource) = scope.strip_suffix("/.default") else {
        let text =
            format!("The provided value for scope {scope} is not valid: client credential flows need /.default.");
        return Err(Refusal::new(400, "invalid_scope", 1_002_012, &text));
    };
    let known = resource
        .strip_prefix("https://")
        .is_some_and(|name| name.eq_ignore_ascii_case(host) || GRAPH_HOSTS.contains(&name));
    if known {
        return Ok(());
    }
    let text = format!("The resource principal named {resource} was not found in the tenant.");
    Err(Refusal::new(400, "invalid_resource", 500_011, &text))
}

fn refused(clock: &Clock, refusal: Refusal) -> Answer {
    let (trace, correlation) = (guid(), guid());
    let timestamp = clock.date(clock.now());
    let description = format!(
        "AADSTS{}: {} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {timestamp}",
        refusal.number, refusal.text
    );
    let body = json!({
        "error": refusal.word,
        "error_description": description,
        "error_codes": [refusal.number],
        "timestamp": timestamp,
        "trace_id": trace,
        "correlation_id": correlation,
    });
    Answer::json(refusal.status, body)
}
