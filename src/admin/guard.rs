//! Endpoints: addresses that are banned, and the overload of the edge.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use super::access::{Need, Routes};
use super::bodies::Held;
use super::fault::Fault;
use super::listing::{self, PageQuery};
use super::routes::{Desk, Reply};
use crate::trunk::Network;

/// Characters of a reason that somebody gives for a ban.
const MAX_REASON: usize = 256;

/// Seconds that a ban lasts at most, unless it lasts until it is taken out: ten years.
const MAX_BAN_S: u64 = 3_650 * 86_400;

/// What stands behind these endpoints.
pub trait Guard: Send + Sync + 'static {
    /// All bans that hold, in the order of their networks.
    fn bans(&self) -> Vec<BanStatus>;

    /// Bans a network; `None`: until it is taken out.
    ///
    /// # Errors
    /// Why not, in words: trunk peers are never banned, and there is a limit.
    fn ban(&self, network: Network, length: Option<Duration>, reason: &str) -> Result<BanStatus, String>;

    /// Takes the ban of exactly this network out; `None`: there is none.
    fn unban(&self, network: Network) -> Option<BanStatus>;

    /// What the edge carries, and what it refuses for that.
    fn overload(&self) -> OverloadStatus;
}

/// A network that is not listened to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BanStatus {
    /// `192.0.2.7/32`.
    pub network: String,
    /// RFC 3339.
    pub since: String,
    /// RFC 3339; `None`: until somebody takes it out.
    pub until: Option<String>,
    /// The number of this ban among those of the network that count.
    pub times: u32,
    /// `operator`, or the kind of offence: `stranger`, `scanner`, `malformed`, `handshake`, `flood`.
    pub cause: &'static str,
    /// In words.
    pub reason: String,
}

/// What the edge carries.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct OverloadStatus {
    /// Of a hundred new calls, how many are refused.
    pub shed_percent: u8,
    /// Percent of the processor time that the workers could have.
    pub cpu_percent: u8,
    /// How late timers are.
    pub lag_ms: u64,
    /// Percent of `limits.max_transactions`.
    pub transactions_percent: u8,
}

/// A ban that somebody wants.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BanAsk {
    network: String,
    /// Seconds; absent: until it is taken out.
    for_s: Option<u64>,
    #[serde(default)]
    reason: String,
}

/// A ban that somebody does not want any more.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnbanAsk {
    network: String,
}

#[derive(Debug, Serialize)]
struct BanPage {
    bans: Vec<BanStatus>,
    next: Option<String>,
}

/// The endpoints.
pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/v1/bans", Need::READ, bans)
        .post("/v1/bans", Need::CHANGE, ban)
        .post("/v1/bans/remove", Need::CHANGE, unban)
        .get("/v1/overload", Need::READ, overload)
}

async fn bans(State(desk): State<Desk>, query: Result<Query<PageQuery>, QueryRejection>) -> Reply<Json<BanPage>> {
    let Query(query) = query?;
    let after = query.after.as_deref().map(network).transpose()?;
    let limit = listing::page(query.limit);
    let page = desk.aside(move |control| {
        let mut bans = control.bans();
        if let Some(after) = after {
            let beyond = |ban: &BanStatus| ban.network.parse::<Network>().is_ok_and(|it| it.prefix() > after.prefix());
            bans.retain(beyond);
        }
        let more = bans.len() > limit;
        bans.truncate(limit);
        let next = bans.last().filter(|_| more).map(|last| last.network.clone());
        Ok(BanPage { bans, next })
    });
    Ok(Json(page.await?))
}

async fn ban(State(desk): State<Desk>, headers: HeaderMap, body: Body) -> Reply<(StatusCode, Json<BanStatus>)> {
    let held: Held<BanAsk> = desk.bodies.json(&headers, body).await?;
    let (ask, _room) = held.into_parts();
    let wanted = network(&ask.network)?;
    if ask.reason.chars().count() > MAX_REASON || ask.reason.chars().any(char::is_control) {
        let detail = format!("`reason` has more than {MAX_REASON} characters, or a control character");
        return Err(Fault::bad("bad_reason", detail));
    }
    if ask.for_s.is_some_and(|seconds| seconds == 0 || seconds > MAX_BAN_S) {
        return Err(Fault::bad("bad_time", format!("`for_s` is from 1 to {MAX_BAN_S}")));
    }
    let length = ask.for_s.map(Duration::from_secs);
    let refused = |detail| Fault::new(StatusCode::CONFLICT, "not_banned", detail);
    let made = desk.aside(move |control| control.ban(wanted, length, &ask.reason).map_err(refused));
    Ok((StatusCode::CREATED, Json(made.await?)))
}

async fn unban(State(desk): State<Desk>, headers: HeaderMap, body: Body) -> Reply<Json<BanStatus>> {
    let held: Held<UnbanAsk> = desk.bodies.json(&headers, body).await?;
    let (ask, _room) = held.into_parts();
    let wanted = network(&ask.network)?;
    let unknown = move || Fault::missing("unknown_ban", format!("{wanted} is not banned"));
    Ok(Json(desk.aside(move |control| control.unban(wanted).ok_or_else(unknown)).await?))
}

async fn overload(State(desk): State<Desk>) -> Reply<Json<OverloadStatus>> {
    Ok(Json(desk.aside(|control| Ok(control.overload())).await?))
}

fn network(text: &str) -> Reply<Network> {
    text.parse().map_err(|error: crate::trunk::NoNetwork| Fault::bad("bad_network", error.to_string()))
}
