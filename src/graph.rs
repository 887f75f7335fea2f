//! Microsoft Graph over HTTPS: tokens, requests, batches, and what its faults mean in words. A driver: it decides nothing.
//!
//! One [`Graph`] serves one tenant of the edge. It keeps no secret longer than a request of a token takes, follows no
//! redirect, and reads no more of an answer than [`client::MAX_ANSWER_BYTES`]. While the token cannot be had, requests
//! end at once with what is wrong: only the back-off of [`token`] asks again. Names are those of Graph's pages; sections
//! "B1" and the like are those of the reference page `teams-protocol.md`.

mod answer;
mod assertion;
mod batch;
mod client;
mod fault;
mod health;
pub mod notifications;
mod numbers;
mod presences;
mod retry_after;
mod settings;
mod subscriptions;
mod token;
mod users;

use std::sync::Arc;

use self::client::{Answer, Client};
use self::token::Tokens;

pub use answer::{graph_fault, token_fault};
pub use batch::{MAX_BATCH, Write, answers as batch_answers};
pub use client::random_id;
pub use fault::{Fault, Permission, Refusal, TokenFault};
pub use health::{TokenHealth, Warning};
pub use numbers::{NumberAssignment, TeamsNumber, TeamsUser};
pub use presences::{MAX_POLLED, Preferred, UserPresence};
pub use settings::{
    Call, ClientCertificate, Observer, Outcome, Proof, ProofFault, Prove, Secret, Settings, Unobserved,
};
pub use subscriptions::{MAX_SUBSCRIBED, Subscription, SubscriptionWanted};
pub use users::{Member, Next, Page, Removed, User};

/// Microsoft Graph, for one tenant.
pub struct Graph {
    settings: Arc<Settings>,
    client: Arc<Client>,
    tokens: Arc<Tokens>,
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Graph {
    /// Graph as the settings say, with what the application proves itself with. Nothing is asked yet.
    ///
    /// # Errors
    /// [`Fault::Setup`] when the authorities cannot be read, or TLS cannot be set up.
    pub fn new(settings: Settings, prove: Arc<dyn Prove>, observer: Arc<dyn Observer>) -> Result<Self, Fault> {
        let settings = Arc::new(settings);
        let client = Arc::new(Client::new(&settings, observer)?);
        let tokens = Arc::new(Tokens::new(Arc::clone(&settings), Arc::clone(&client), prove));
        Ok(Self { settings, client, tokens })
    }

    /// What it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How it stands with the token.
    pub fn health(&self) -> TokenHealth {
        self.tokens.health()
    }

    /// Forgets how often a token was refused: the next request asks for one at once. For a reload, and for people who
    /// have just repaired something.
    pub fn try_again(&self) {
        self.tokens.try_again();
    }

    /// Asks for a token, as a test of the connection; gives the roles that it carries, none when the token cannot be
    /// looked into.
    ///
    /// # Errors
    /// [`Fault`], mostly [`Fault::Token`].
    pub async fn test(&self) -> Result<Vec<String>, Fault> {
        let bearer = self.tokens.bearer().await?;
        Ok(bearer.roles.clone().unwrap_or_default())
    }

    /// Makes a request with a token, once more with a new token where Graph does not take it (401).
    async fn ask(
        &self,
        call: Call,
        permission: Permission,
        request: impl Fn() -> reqwest::RequestBuilder,
    ) -> Result<Answer, Fault> {
        self.tokens.may(permission)?;
        let mut again = true;
        loop {
            let bearer = self.tokens.bearer().await?;
            let answer = self.client.send(call, request().bearer_auth(bearer.token.reveal())).await?;
            if answer.is_ok() {
                self.tokens.allow(permission);
                return Ok(answer);
            }
            let fault = graph_fault(answer.status, &answer.body, answer.request_id(), answer.retry_after());
            match (answer.status, fault) {
                (401 | 403, _) if !bearer.allows(permission) => {
                    return Err(self.tokens.deny(permission, &bearer).into());
                }
                (401, _) if again => {
                    self.tokens.discard(&bearer);
                    again = false;
                }
                (401, Fault::Refused(refusal)) => {
                    return Err(self.tokens.reject(&bearer, TokenFault::Rejected(refusal)).into());
                }
                (_, fault) => return Err(fault),
            }
        }
    }
}

#[cfg(test)]
mod tests;
