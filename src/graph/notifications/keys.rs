//! Whether tokens that come with notifications were signed by Microsoft: the keys of Entra's OpenID configuration, kept for
//! a day and read again when a token names one that is not among them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use reqwest::Method;
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::graph::client::Client;
use crate::graph::{Call, Fault, Graph};

/// How long keys are kept, and how soon they are read again for the sake of a name.
const KEPT: Duration = Duration::from_secs(86_400);
const SOONEST: Duration = Duration::from_secs(300);

/// Keys that are kept.
const MAX_KEYS: usize = 100;

/// The application that sends Graph's notifications.
const SENDER: &str = "0bf30f3b-4a52-48df-9a82-234910c4a086";

/// Why a token proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    #[error("there is no validation token")]
    NoToken,
    #[error("a validation token cannot be read, or its signature, time or audience is wrong: {0}")]
    Token(String),
    #[error("a validation token was issued by {0}")]
    Issuer(String),
    #[error("a validation token is for another application's notifications")]
    Sender,
    #[error("a validation token was signed with a key that Entra does not know")]
    UnknownKey,
    #[error("the keys of Entra cannot be read: {0}")]
    Keys(#[from] Fault),
}

/// The keys that Entra signs tokens with.
pub struct SigningKeys {
    client: Arc<Client>,
    login: Arc<str>,
    /// The application's client id, for which tokens are.
    audience: Arc<str>,
    /// The directory's id, where the configuration has it and no domain.
    directory: Option<Arc<str>>,
    known: Mutex<Known>,
    reading: Semaphore,
}

#[derive(Default)]
struct Known {
    keys: BTreeMap<String, DecodingKey>,
    read: Option<Instant>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    #[serde(default)]
    tid: String,
    #[serde(default)]
    appid: String,
    #[serde(default)]
    azp: String,
}

impl SigningKeys {
    /// The keys that tokens for a tenant's application are signed with; none is read yet.
    pub fn of(graph: &Graph) -> Self {
        let directory = Arc::clone(&graph.settings.directory);
        Self {
            client: Arc::clone(&graph.client),
            login: Arc::clone(&graph.settings.login),
            audience: Arc::clone(&graph.settings.client),
            directory: (!directory.contains('.')).then_some(directory),
            known: Mutex::default(),
            reading: Semaphore::new(1),
        }
    }

    /// Verifies all tokens of a request.
    ///
    /// # Errors
    /// [`NotSigned`] by the first that proves nothing, or when there is none.
    pub async fn verify(&self, tokens: &[String]) -> Result<(), NotSigned> {
        if tokens.is_empty() {
            return Err(NotSigned::NoToken);
        }
        for token in tokens {
            self.verify_one(token).await?;
        }
        Ok(())
    }

    async fn verify_one(&self, token: &str) -> Result<(), NotSigned> {
        let told = |error: jsonwebtoken::errors::Error| NotSigned::Token(error.to_string());
        let header = decode_header(token).map_err(told)?;
        let key = self.key(header.kid.as_deref().unwrap_or_default()).await?;
        // The algorithm is ours to say, and not the token's.
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "aud", "iss"]);
        validation.validate_nbf = true;
        let claims = decode::<Claims>(token, &key, &validation).map_err(told)?.claims;
        self.believe(&claims)
    }

    /// Whether the claims of a token are those of Graph's own notifications.
    fn believe(&self, claims: &Claims) -> Result<(), NotSigned> {
        let Claims { iss, tid, appid, azp } = claims;
        let ours = self.directory.as_ref().is_none_or(|directory| directory.eq_ignore_ascii_case(tid));
        let issuers = [format!("https://sts.windows.net/{tid}/"), format!("{}/{tid}/v2.0", self.login)];
        if tid.is_empty() || !ours || !issuers.contains(iss) {
            return Err(NotSigned::Issuer(iss.chars().filter(|sign| !sign.is_control()).take(200).collect()));
        }
        if appid != SENDER && azp != SENDER {
            return Err(NotSigned::Sender);
        }
        Ok(())
    }

    /// The key of a name.
    async fn key(&self, name: &str) -> Result<DecodingKey, NotSigned> {
        if let Some(key) = self.found(name, KEPT) {
            return Ok(key);
        }
        // One reads, the others wait and look again. The semaphore is never closed.
        let _reading = self.reading.acquire().await;
        if let Some(key) = self.found(name, KEPT) {
            return Ok(key);
        }
        if self.lock().read.is_none_or(|read| read.elapsed() >= SOONEST) {
            let keys = self.read().await?;
            *self.lock() = Known { keys, read: Some(Instant::now()) };
        }
        self.found(name, KEPT).ok_or(NotSigned::UnknownKey)
    }

    fn found(&self, name: &str, kept: Duration) -> Option<DecodingKey> {
        let known = self.lock();
        known.read.filter(|read| read.elapsed() < kept)?;
        known.keys.get(name).cloned()
    }

    async fn read(&self) -> Result<BTreeMap<String, DecodingKey>, Fault> {
        #[derive(Deserialize)]
        struct Configuration {
            jwks_uri: String,
        }
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Key>,
        }
        #[derive(Deserialize)]
        struct Key {
            #[serde(default)]
            kid: String,
            #[serde(default)]
            n: String,
            #[serde(default)]
            e: String,
        }
        let url = format!("{}/common/.well-known/openid-configuration", self.login);
        let configuration: Configuration = self.json(&url).await?;
        let origin = |text: &str| text.parse::<reqwest::Url>().ok().map(|url| url.origin());
        if origin(&configuration.jwks_uri) != origin(&self.login) {
            return Err(Fault::Malformed("the keys are on another host than Entra".to_owned()));
        }
        let set: Set = self.json(&configuration.jwks_uri).await?;
        let key = |key: &Key| Some((key.kid.clone(), DecodingKey::from_rsa_components(&key.n, &key.e).ok()?));
        Ok(set.keys.iter().take(MAX_KEYS).filter_map(key).collect())
    }

    async fn json<T: serde::de::DeserializeOwned>(&self, url: &str) -> Result<T, Fault> {
        let answer = self.client.send(Call::Keys, self.client.request(Method::GET, url)).await?;
        if !answer.is_ok() {
            return Err(crate::graph::graph_fault(answer.status, &answer.body, answer.request_id(), None));
        }
        serde_json::from_slice(&answer.body).map_err(|error| Fault::Malformed(error.to_string()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
