//! Against a small server in the same process, which plays both Entra and Graph.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::presence::{Availability, Session};

const ALICE: &str = "00000000-0000-0000-0000-00000000000a";
const BOB: &str = "00000000-0000-0000-0000-00000000000b";

/// A request that came.
#[derive(Clone, Debug)]
struct Asked {
    method: String,
    target: String,
    headers: HeaderMap,
    body: String,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// An answer that is to be given.
struct Given {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    after: Duration,
}

fn given(status: u16, body: impl ToString) -> Given {
    Given { status, headers: Vec::new(), body: body.to_string(), after: Duration::ZERO }
}

impl Given {
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }
}

/// The server: answers in order, of Entra and of Graph apart.
#[derive(Default)]
struct Other {
    entra: Mutex<VecDeque<Given>>,
    graph: Mutex<VecDeque<Given>>,
    asked: Mutex<Vec<Asked>>,
}

impl Other {
    async fn start() -> (Arc<Self>, String) {
        let other = Arc::new(Self::default());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&other));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(listener, router));
        (other, base)
    }

    fn entra(&self, given: Given) {
        self.entra.lock().unwrap().push_back(given);
    }

    fn graph(&self, given: Given) {
        self.graph.lock().unwrap().push_back(given);
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    fn last(&self) -> Asked {
        self.asked().pop().unwrap()
    }

    fn tokens_asked(&self) -> usize {
        self.asked().iter().filter(|asked| asked.target.ends_with("/token")).count()
    }
}

/// What `axum::serve` does, of which the crate's features have no more than this.
async fn serve(listener: tokio::net::TcpListener, router: Router) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let service = hyper_util::service::TowerToHyperService::new(router.clone());
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(hyper_util::rt::TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

async fn answer(State(other): State<Arc<Other>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let asked = Asked {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    let queue = if asked.target.ends_with("/oauth2/v2.0/token") { &other.entra } else { &other.graph };
    other.asked.lock().unwrap().push(asked);
    let next = queue.lock().unwrap().pop_front();
    let Some(given) = next else { return (StatusCode::IM_A_TEAPOT, "nothing was prepared").into_response() };
    tokio::time::sleep(given.after).await;
    let mut response = (StatusCode::from_u16(given.status).unwrap(), given.body).into_response();
    for (name, value) in given.headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

/// A secret that can be replaced.
struct Vault {
    secret: Mutex<String>,
    stamp: AtomicU64,
}

impl Vault {
    fn new(secret: &str) -> Arc<Self> {
        Arc::new(Self { secret: Mutex::new(secret.to_owned()), stamp: AtomicU64::new(0) })
    }

    fn put(&self, secret: &str) {
        *self.secret.lock().unwrap() = secret.to_owned();
        self.stamp.fetch_add(1, Relaxed);
    }
}

impl Prove for Vault {
    fn proof(&self) -> Result<Proof, ProofFault> {
        Ok(Proof::Secret(Secret::new(&self.secret.lock().unwrap())))
    }

    fn stamp(&self) -> u64 {
        self.stamp.load(Relaxed)
    }
}

fn token(roles: &[&str]) -> String {
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(json!({"roles": roles, "aud": "graph"}).to_string()))
}

fn grant(roles: &[&str], seconds: u64) -> Given {
    given(200, json!({"token_type": "Bearer", "expires_in": seconds, "access_token": token(roles)}))
}

const ALL: &[&str] = &["Presence.ReadWrite.All", "User.Read.All", "GroupMember.Read.All"];

fn settings(base: &str) -> Settings {
    Settings {
        tenant: "contoso".into(),
        directory: "contoso.example".into(),
        client: "6e74172b-be56-4843-9ff4-e66a39bb12e3".into(),
        login: base.into(),
        base: base.into(),
        ca: None,
        timeout: Duration::from_secs(30),
        max_requests: 8,
        secret_ends: None,
    }
}

fn graph(base: &str, vault: &Arc<Vault>) -> Graph {
    Graph::new(settings(base), Arc::clone(vault) as _, Arc::new(Unobserved)).unwrap()
}

async fn started() -> (Arc<Other>, Graph, Arc<Vault>, String) {
    let (other, base) = Other::start().await;
    let vault = Vault::new("s3cret-value");
    let graph = graph(&base, &vault);
    (other, graph, vault, base)
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_used_by_all() {
    let (other, graph, _, base) = started().await;
    other.entra(grant(ALL, 3_600).after(Duration::from_millis(50)));
    for _ in 0..8 {
        other.graph(given(200, ""));
    }
    let graph = Arc::new(graph);
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let graph = Arc::clone(&graph);
            tokio::spawn(async move { graph.set_presence(ALICE, Session::InACall, Duration::from_secs(3_600)).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), Ok(()));
    }
    assert_eq!(other.tokens_asked(), 1);
    let asked = other.asked();
    let form = &asked[0];
    assert_eq!((&*form.method, &*form.target), ("POST", "/contoso.example/oauth2/v2.0/token"));
    let scope = format!("{base}/.default").replace(':', "%3A").replace('/', "%2F");
    for field in [
        "grant_type=client_credentials",
        "client_secret=s3cret-value",
        &format!("scope={scope}"),
        "client_id=6e74172b-",
    ] {
        assert!(form.body.contains(field), "{field}: {}", form.body);
    }
    let write = other.last();
    assert_eq!(write.target, format!("/v1.0/users/{ALICE}/presence/setPresence"));
    assert_eq!(write.header("authorization"), format!("Bearer {}", token(ALL)));
    assert_eq!(write.header("client-request-id").len(), 36);
    let wanted = json!({"sessionId": "6e74172b-be56-4843-9ff4-e66a39bb12e3", "availability": "Busy", "activity": "InACall",
        "expirationDuration": "PT1H"});
    assert_eq!(write.json(), wanted);
    let health = graph.health();
    assert!(health.fault.is_none() && health.left.unwrap() > Duration::from_secs(3_500), "{health:?}");
}

#[tokio::test]
async fn a_refused_secret_is_told_and_tried_again_when_it_changes() {
    let (other, graph, vault, _) = started().await;
    let refused = json!({"error": "invalid_client", "error_codes": [7_000_222],
        "error_description": "AADSTS7000222: The provided client secret keys are expired. s3cret-value"});
    other.entra(given(401, refused));
    let told = graph.test().await.unwrap_err();
    assert_eq!(told, Fault::Token(TokenFault::ExpiredSecret));
    assert_eq!(graph.clear_presence(ALICE).await, Err(Fault::Token(TokenFault::ExpiredSecret)));
    assert_eq!(other.tokens_asked(), 1, "nobody hammers");
    let health = graph.health();
    assert!(health.needs_person() && health.next_try.unwrap() > Duration::from_secs(50), "{health:?}");
    assert!(!format!("{told} {told:?} {graph:?} {health:?}").contains("s3cret"));
    vault.put("another");
    other.entra(grant(ALL, 3_600));
    let repaired = async {
        while graph.test().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), repaired).await.expect("the change is seen");
    assert_eq!(other.tokens_asked(), 2);
    assert!(other.last().body.contains("client_secret=another"));
    assert!(!graph.health().needs_person());
}

#[tokio::test]
async fn a_token_that_graph_takes_no_more_is_replaced_once() {
    let (other, graph, _, _) = started().await;
    let refused = || given(401, json!({"error": {"code": "InvalidAuthenticationToken", "message": "Expired."}}));
    other.entra(grant(ALL, 3_600));
    other.entra(grant(ALL, 3_600));
    other.graph(refused());
    other.graph(given(200, json!({"value": []})));
    assert_eq!(graph.presences(&[ALICE]).await, Ok(Vec::new()));
    assert_eq!(other.tokens_asked(), 2);
    other.entra(grant(ALL, 3_600));
    other.graph(refused());
    other.graph(refused());
    let told = graph.presences(&[ALICE]).await.unwrap_err();
    assert!(matches!(&told, Fault::Token(TokenFault::Rejected(refusal)) if refusal.status == 401), "{told}");
    let asked = other.asked().len();
    assert!(graph.presences(&[ALICE]).await.is_err());
    assert_eq!(other.asked().len(), asked, "nobody asks until the back-off is over");
}

#[tokio::test]
async fn a_missing_permission_is_named() {
    let (other, graph, _, _) = started().await;
    other.entra(grant(&["User.Read.All"], 3_600));
    other.entra(grant(ALL, 3_600));
    other.graph(given(403, json!({"error": {"code": "Forbidden", "message": "Insufficient privileges."}})));
    let told = graph.set_presence(ALICE, Session::Away, Duration::from_secs(300)).await.unwrap_err();
    assert_eq!(told, Fault::Token(TokenFault::MissingPermission(Permission::WritePresence)));
    assert_eq!(told.to_string(), "the token lacks the permission Presence.ReadWrite.All");
    assert_eq!(graph.health().lacking, [Permission::WritePresence]);
    assert_eq!(graph.clear_presence(ALICE).await, Err(told), "without asking");
    // What needs another permission goes on, with a token that may have more in it.
    other.graph(given(200, json!({"value": []})));
    assert!(graph.users_delta(&["displayName"], None).await.is_ok());
    // A permission that the token has is not what is missing.
    graph.try_again();
    other.graph(given(403, json!({"error": {"code": "Forbidden", "message": "No licence."}})));
    let told = graph.set_presence(ALICE, Session::Away, Duration::from_secs(300)).await.unwrap_err();
    assert_eq!(told.to_string(), "Graph refuses: 403 Forbidden, \"No licence.\"");
}

#[tokio::test]
async fn faults_of_graph_are_told_apart() {
    let (other, graph, _, _) = started().await;
    other.entra(grant(ALL, 3_600));
    other.graph(given(429, "").with("Retry-After", "2.128"));
    other.graph(given(503, "<html>").with("Retry-After", "3").with("request-id", "r-1"));
    other.graph(given(404, json!({"error": {"code": "NotFound", "message": "No session."}})));
    other.graph(given(404, json!({"error": {"code": "NotFound", "message": "No user."}})));
    other.graph(given(302, "").with("Location", "https://evil.example/"));
    other.graph(given(200, "no json"));
    let write = || graph.set_presence(ALICE, Session::InACall, Duration::from_secs(300));
    assert_eq!(write().await, Err(Fault::Throttled { retry_after: Some(Duration::from_millis(2_128)) }));
    let told = write().await.unwrap_err();
    assert_eq!(told.to_string(), "Graph has failed: 503 (request-id r-1)");
    assert!(matches!(told, Fault::Server { retry_after: Some(after), .. } if after.as_secs() == 3));
    assert_eq!(graph.clear_presence(ALICE).await, Ok(()), "there was nothing to clear");
    assert!(matches!(write().await, Err(Fault::NotFound(_))));
    assert!(matches!(write().await, Err(Fault::Refused(refusal)) if refusal.status == 302), "no redirect is followed");
    assert!(matches!(graph.presences(&[ALICE]).await, Err(Fault::Malformed(_))));
    assert!(matches!(graph.set_presence("../me", Session::Away, Duration::ZERO).await, Err(Fault::Malformed(_))));
}

#[tokio::test]
async fn silence_and_nobody_there_are_told_apart() {
    let (other, base) = Other::start().await;
    let vault = Vault::new("x");
    let patience = Settings { timeout: Duration::from_millis(300), ..settings(&base) };
    let impatient = Graph::new(patience, Arc::clone(&vault) as _, Arc::new(Unobserved)).unwrap();
    other.entra(grant(ALL, 3_600));
    other.graph(given(200, "").after(Duration::from_secs(60)));
    assert_eq!(impatient.test().await.unwrap(), ALL);
    assert_eq!(impatient.clear_presence(ALICE).await, Err(Fault::Timeout));
    // A port that nobody listens on.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = graph(&format!("http://{closed}"), &vault);
    let told = nobody.test().await.unwrap_err();
    assert!(matches!(&told, Fault::Token(TokenFault::Network(_))), "{told}");
    let health = nobody.health();
    assert!(!health.needs_person() && health.next_try.unwrap() <= Duration::from_secs(1), "{health:?}");
}

#[tokio::test]
async fn a_batch_gives_each_write_its_own_answer() {
    let (other, graph, _, _) = started().await;
    other.entra(grant(ALL, 3_600));
    let write = |user: &str, session| Write { user: user.into(), session, expires: Duration::from_secs(3_600) };
    let writes = [write(ALICE, Some(Session::Presenting)), write(BOB, None), write("bad id", None), write(BOB, None)];
    other.graph(given(
        200,
        json!({"responses": [
            {"id": "3", "status": 429, "headers": {"Retry-After": "0.5"}, "body": {}},
            {"id": "1", "status": 404, "body": {"error": {"code": "NotFound"}}},
            {"id": "0", "status": 200}
        ]}),
    ));
    let results = graph.write_many(&writes).await.unwrap();
    assert_eq!((&results[0], &results[1]), (&Ok(()), &Ok(())));
    assert!(matches!(&results[2], Err(Fault::Malformed(_))));
    assert_eq!(results[3], Err(Fault::Throttled { retry_after: Some(Duration::from_millis(500)) }));
    let asked = other.last();
    assert_eq!(asked.target, "/v1.0/$batch");
    let requests = asked.json()["requests"].as_array().unwrap().clone();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[0]["url"], format!("/users/{ALICE}/presence/setPresence"));
    assert_eq!(requests[0]["body"]["activity"], "Presenting");
    assert_eq!(requests[2]["id"], "3");
    // A single one goes without a batch; what befalls it is its own.
    other.graph(given(400, json!({"error": {"code": "BadRequest", "message": "No."}})));
    let single = graph.write_many(&writes[..1]).await.unwrap();
    assert!(matches!(&single[0], Err(Fault::Refused(refusal)) if &*refusal.code == "BadRequest"));
    other.graph(given(429, ""));
    assert_eq!(graph.write_many(&writes[..1]).await, Err(Fault::Throttled { retry_after: None }));
    assert_eq!(graph.write_many(&[]).await, Ok(Vec::new()));
    assert!(graph.write_many(&vec![write(ALICE, None); 21]).await.is_err());
}

#[tokio::test]
async fn preferred_presence_and_polls_are_as_graph_wants_them() {
    let (other, graph, _, _) = started().await;
    other.entra(grant(ALL, 3_600));
    other.graph(given(200, ""));
    other.graph(given(200, ""));
    let day = Duration::from_secs(86_400);
    assert_eq!(graph.set_preferred(ALICE, Some((Preferred::Offline, day))).await, Ok(()));
    let asked = other.last();
    assert!(asked.target.ends_with("/presence/setUserPreferredPresence"));
    assert_eq!(asked.json(), json!({"availability": "Offline", "activity": "OffWork", "expirationDuration": "PT24H"}));
    assert_eq!(graph.set_preferred(ALICE, None).await, Ok(()));
    assert!(other.last().target.ends_with("/presence/clearUserPreferredPresence"));
    other
        .graph(given(200, json!({"value": [{"id": ALICE, "availability": "DoNotDisturb", "activity": "Presenting"}]})));
    let read = graph.presences(&[ALICE, BOB]).await.unwrap();
    assert_eq!((read.len(), read[0].presence.availability), (1, Availability::DoNotDisturb));
    assert_eq!(other.last().json(), json!({"ids": [ALICE, BOB]}));
}

#[tokio::test]
async fn users_come_in_pages_and_links_stay_at_home() {
    let (other, graph, _, base) = started().await;
    other.entra(grant(ALL, 3_600));
    let next = format!("{base}/v1.0/users/delta?$skiptoken=a%20b");
    let delta = format!("{base}/v1.0/users/delta?$deltatoken=x");
    other.graph(given(200, json!({"value": [], "@odata.nextLink": next})));
    other.graph(given(
        200,
        json!({"value": [
            {"id": ALICE, "displayName": "Alice", "businessPhones": ["+44 1632 760001", " "], "mail": null,
             "accountEnabled": true, "onPremisesExtensionAttributes": {"extensionAttribute1": "401"}, "x@odata.type": "y"},
            {"id": BOB, "@removed": {"reason": "deleted"}}
        ], "@odata.deltaLink": delta}),
    ));
    let fields =
        ["displayName", "onPremisesExtensionAttributes.extensionAttribute1", "onPremisesExtensionAttributes.x"];
    let page = graph.users_delta(&fields, None).await.unwrap();
    assert_eq!((page.items.len(), &page.next), (0, &Next::Page(next.clone())));
    let first = other.last();
    assert_eq!(first.target, "/v1.0/users/delta?$select=id,displayName,onPremisesExtensionAttributes");
    assert_eq!(first.header("prefer"), "return=minimal");
    let page = graph.users_delta(&fields, Some(&next)).await.unwrap();
    assert_eq!(other.last().target, "/v1.0/users/delta?$skiptoken=a%20b");
    assert_eq!(page.next, Next::Delta(delta));
    let alice = &page.items[0];
    assert_eq!((&*alice.id, alice.removed), (ALICE, None));
    assert_eq!(alice.fields["businessPhones"], ["+44 1632 760001"]);
    assert_eq!(alice.fields["mail"], Vec::<String>::new(), "it was taken away");
    assert_eq!(alice.fields["onPremisesExtensionAttributes.extensionAttribute1"], ["401"]);
    assert_eq!(alice.fields["accountEnabled"], ["true"]);
    assert!(!alice.fields.contains_key("x@odata.type") && !alice.fields.contains_key("mobilePhone"));
    assert_eq!(page.items[1].removed, Some(Removed::Deleted));

    let asked = other.asked().len();
    for foreign in
        ["https://evil.example/v1.0/users/delta", "http://127.0.0.1:1/x", "users/delta", "file:///etc/passwd"]
    {
        let told = graph.users_delta(&fields, Some(foreign)).await.unwrap_err();
        assert!(told.to_string().contains("leads to"), "{told}");
    }
    assert_eq!(other.asked().len(), asked, "no token leaves for another host");
    other.graph(given(200, json!({"value": [], "@odata.nextLink": "https://evil.example/steal"})));
    let told = graph.users_delta(&fields, None).await.unwrap_err();
    assert!(told.to_string().contains("leads to evil.example"), "{told}");
    other.graph(given(410, json!({"error": {"code": "resyncRequired", "message": "Old."}})).with("Location", "x"));
    assert!(matches!(graph.users_delta(&fields, Some(&next)).await, Err(Fault::Gone(_))));
    other.graph(given(400, json!({"error": {"code": "syncStateNotFound", "message": "Old."}})));
    assert!(matches!(graph.users_delta(&fields, Some(&next)).await, Err(Fault::Gone(_))));
}

#[tokio::test]
async fn groups_and_numbers_are_read() {
    let (other, graph, _, _) = started().await;
    other.entra(grant(
        &["GroupMember.Read.All", "TeamsTelephoneNumber.Read.All", "TeamsUserConfiguration.Read.All"],
        3_600,
    ));
    other.graph(given(
        200,
        json!({"value": [{"id": "g", "members@delta": [{"id": ALICE}, {"id": BOB, "@removed": {"reason": "deleted"}}]}]}),
    ));
    let page = graph.group_delta("g-1", None).await.unwrap();
    let target = other.last().target;
    assert!(target.ends_with("groups/delta?$select=members&$filter=id%20eq%20%27g-1%27"), "{target}");
    let member = |id: &str, left| Member { id: id.into(), left };
    assert_eq!((page.items, page.next), (vec![member(ALICE, false), member(BOB, true)], Next::End));
    other.graph(given(200, json!({"value": [{"id": ALICE}]})));
    assert_eq!(graph.group_members("g-1", None).await.unwrap().items, [member(ALICE, false)]);
    other.graph(given(
        200,
        json!({"value": [
            {"telephoneNumber": "+441632760001", "assignmentTargetId": ALICE, "assignmentCategory": "primary",
             "numberType": "directRouting", "city": "x"},
            {"telephoneNumber": "+441632760002", "assignmentTargetId": null}
        ]}),
    ));
    let numbers = graph.number_assignments(None).await.unwrap().items;
    assert_eq!((&*numbers[0].number, numbers[0].target.as_deref()), ("+441632760001", Some(ALICE)));
    assert_eq!(numbers[1].target, None);
    other.graph(given(
        200,
        json!({"value": [{"id": ALICE, "userPrincipalName": "alice@contoso.example", "isEnterpriseVoiceEnabled": true,
            "telephoneNumbers": [{"telephoneNumber": "+441632760001", "assignmentCategory": "primary"}]}]}),
    ));
    let users = graph.teams_users(None).await.unwrap().items;
    assert!(users[0].voice && users[0].numbers[0].number == "+441632760001");
}

/// The application in the name of an account.
struct Account {
    vault: Arc<Vault>,
    refresh: Mutex<String>,
}

impl Prove for Account {
    fn proof(&self) -> Result<Proof, ProofFault> {
        self.vault.proof()
    }

    fn stamp(&self) -> u64 {
        self.vault.stamp()
    }

    fn refresh_token(&self) -> Result<Option<Secret>, ProofFault> {
        Ok(Some(Secret::new(&self.refresh.lock().unwrap())))
    }

    fn keep_refresh_token(&self, token: &Secret) {
        *self.refresh.lock().unwrap() = token.reveal().to_owned();
    }
}

#[tokio::test]
async fn subscriptions_are_made_in_the_name_of_an_account() {
    let (other, base) = Other::start().await;
    let account = Arc::new(Account { vault: Vault::new("x"), refresh: Mutex::new("refresh-1".to_owned()) });
    let graph = Graph::new(settings(&base), Arc::clone(&account) as _, Arc::new(Unobserved)).unwrap();
    let scoped = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode("{\"scp\":\"Presence.Read.All\"}"));
    other.entra(given(
        200,
        json!({"expires_in": "3600", "access_token": scoped, "refresh_token": "refresh-2", "token_type": "Bearer"}),
    ));
    other.graph(given(201, json!({"id": "s-1", "expirationDateTime": "2026-01-01T01:00:00Z", "resource": "x"})));
    let secret = Secret::new("state-secret");
    let wanted = SubscriptionWanted {
        users: &[ALICE, BOB],
        url: "https://edge.example.net/contoso",
        lifecycle_url: "https://edge.example.net/contoso",
        client_state: &secret,
        certificate: "AAAA",
        certificate_id: "c-1",
        expires: "2026-01-01T01:00:00Z",
    };
    let made = graph.subscribe(&wanted).await.unwrap();
    assert_eq!((&*made.id, &*made.expires), ("s-1", "2026-01-01T01:00:00Z"));
    assert_eq!(*account.refresh.lock().unwrap(), "refresh-2");
    let form = &other.asked()[0].body;
    assert!(form.contains("grant_type=refresh_token") && form.contains("refresh_token=refresh-1"), "{form}");
    let body = other.last().json();
    assert_eq!(body["resource"], format!("/communications/presences?$filter=id in ('{ALICE}','{BOB}')"));
    assert_eq!((&body["changeType"], &body["clientState"]), (&json!("updated"), &json!("state-secret")));
    assert_eq!((&body["includeResourceData"], &body["encryptionCertificateId"]), (&json!(true), &json!("c-1")));
    assert!(!format!("{wanted:?}").contains("state-secret"));

    let listed = json!({"id": "s-1", "notificationUrl": "https://edge.example.net/contoso", "expirationDateTime": "x"});
    other.graph(given(200, json!({"value": [listed]})));
    assert_eq!(graph.subscriptions(None).await.unwrap().items[0].url, "https://edge.example.net/contoso");
    other.graph(given(200, "{}"));
    assert_eq!(graph.renew("s-1", "2026-01-01T02:00:00Z").await, Ok(()));
    let asked = other.last();
    assert_eq!((&*asked.method, &*asked.target), ("PATCH", "/v1.0/subscriptions/s-1"));
    other.graph(given(404, json!({"error": {"code": "ResourceNotFound"}})));
    assert!(matches!(graph.renew("s-1", "x").await, Err(Fault::NotFound(_))));
    other.graph(given(202, ""));
    assert_eq!(graph.reauthorize("s-1").await, Ok(()));
    assert!(other.last().target.ends_with("/subscriptions/s-1/reauthorize"));
    other.graph(given(404, ""));
    assert_eq!(graph.unsubscribe("s-1").await, Ok(()));
    assert_eq!(other.last().method, "DELETE");

    // The account was withdrawn.
    graph.try_again();
    other.graph(given(401, ""));
    other.entra(given(
        400,
        json!({"error": "invalid_grant", "error_description": "AADSTS50173: refresh-2 was revoked."}),
    ));
    let told = graph.reauthorize("s-1").await.unwrap_err();
    assert_eq!(told.to_string(), "the service account has to sign in again: AADSTS50173: *** was revoked.");
}

#[tokio::test]
async fn only_what_microsoft_has_signed_for_this_application_is_believed() {
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
    use notifications::{NotSigned, SigningKeys};

    const SENDER: &str = "0bf30f3b-4a52-48df-9a82-234910c4a086";
    const DIRECTORY: &str = "11111111-2222-3333-4444-555555555555";
    let (other, graph, _, base) = started().await;
    let keys = SigningKeys::of(&graph);
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let signed = |header: Value, claims: Value| {
        let text =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &aws_lc_rs::rand::SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    };
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": "k-1"});
    let now = client::unix_now();
    let good = json!({
        "aud": "6e74172b-be56-4843-9ff4-e66a39bb12e3", "iss": format!("https://sts.windows.net/{DIRECTORY}/"),
        "tid": DIRECTORY, "appid": SENDER, "exp": now + 3_600, "nbf": now - 10,
    });
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        vec![signed(header.clone(), claims)]
    };
    let read = |pair: &KeyPair| {
        let n = URL_SAFE_NO_PAD.encode(pair.public_key().modulus().big_endian_without_leading_zero());
        let e = URL_SAFE_NO_PAD.encode(pair.public_key().exponent().big_endian_without_leading_zero());
        other.graph(given(200, json!({"issuer": "x", "jwks_uri": format!("{base}/common/discovery/v2.0/keys")})));
        other.graph(given(
            200,
            json!({"keys": [{"kty": "RSA", "use": "sig", "kid": "k-1", "n": n, "e": e}, {"kid": "odd"}]}),
        ));
    };
    other.graph(given(200, json!({"jwks_uri": "https://evil.example/keys"})));
    assert!(matches!(keys.verify(&with("x", json!(1))).await, Err(NotSigned::Keys(Fault::Malformed(_)))));
    read(&pair);
    assert_eq!(keys.verify(&with("x", json!(1))).await, Ok(()));
    let v2 = json!(format!("{base}/{DIRECTORY}/v2.0"));
    assert_eq!(keys.verify(&with("iss", v2)).await, Ok(()));
    assert_eq!(keys.verify(&[]).await, Err(NotSigned::NoToken));
    for (name, value) in [("aud", json!("another")), ("exp", json!(now - 600)), ("nbf", json!(now + 600))] {
        let told = keys.verify(&with(name, value)).await;
        assert!(matches!(told, Err(NotSigned::Token(_))), "{name}: {told:?}");
    }
    let foreign = json!("https://sts.windows.net/99999999-2222-3333-4444-555555555555/");
    assert!(matches!(keys.verify(&with("iss", foreign)).await, Err(NotSigned::Issuer(_))));
    assert_eq!(keys.verify(&with("appid", json!("another"))).await, Err(NotSigned::Sender));
    let unsigned = json!({"alg": "none", "kid": "k-1"});
    assert!(matches!(keys.verify(&[signed(unsigned, good.clone())]).await, Err(NotSigned::Token(_))));
    let asked = other.asked().len();
    let unknown = json!({"alg": "RS256", "kid": "k-2"});
    assert_eq!(keys.verify(&[signed(unknown, good.clone())]).await, Err(NotSigned::UnknownKey));
    assert_eq!(other.asked().len(), asked, "nobody can make the edge ask for keys over and over");
    let mut forged = with("x", json!(1));
    let length = forged[0].len();
    forged[0].truncate(length - 4);
    forged[0].push_str("AAAA");
    assert!(matches!(keys.verify(&forged).await, Err(NotSigned::Token(_))));
}
