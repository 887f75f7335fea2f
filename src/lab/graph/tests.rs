//! The stand-in as its clients see it, over HTTPS.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;

const TENANT: &str = "72f988bf-0000-4000-8000-000000000001";
const CLIENT: &str = "11111111-0000-4000-8000-00000000000a";
const SECRET: &str = "a secret of the lab";

fn tenant(users: usize) -> EntraTenant {
    let user = |n: usize| GraphUser::new(&format!("user{n}@contoso.example"), &format!("User {n}"));
    EntraTenant {
        id: TENANT.into(),
        domains: vec!["contoso.example".into()],
        apps: vec![GraphApp::new(CLIENT, SECRET)],
        users: (0..users).map(user).collect(),
    }
}

/// A client that knows nothing of the stand-in's code.
struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

struct Reply {
    status: u16,
    retry_after: Option<String>,
    location: Option<String>,
    body: Value,
}

impl Client {
    async fn of(lab: &GraphStandIn) -> Self {
        let root = reqwest::Certificate::from_pem(lab.ca().as_bytes()).unwrap();
        let http = reqwest::Client::builder().tls_certs_only([root]).no_proxy().build().unwrap();
        let mut client = Self { http, url: lab.url(), token: String::new() };
        let reply = client.token(&[("client_secret", SECRET)]).await;
        client.token = reply.body["access_token"].as_str().unwrap_or_default().to_owned();
        client
    }

    async fn token(&self, more: &[(&str, &str)]) -> Reply {
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_id", CLIENT),
            ("scope", "https://graph.microsoft.com/.default"),
        ];
        form.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
        form.extend(more);
        let url = format!("{}/{TENANT}/oauth2/v2.0/token", self.url);
        reply(self.http.post(url).form(&form).send().await.unwrap()).await
    }

    async fn get(&self, path: &str) -> Reply {
        let url = if path.starts_with("https:") { path.to_owned() } else { format!("{}/v1.0/{path}", self.url) };
        reply(self.http.get(url).bearer_auth(&self.token).send().await.unwrap()).await
    }

    async fn post(&self, path: &str, body: Value) -> Reply {
        let url = format!("{}/v1.0/{path}", self.url);
        reply(self.http.post(url).bearer_auth(&self.token).json(&body).send().await.unwrap()).await
    }

    async fn set(&self, user: &str, pair: (&str, &str), life: &str) -> Reply {
        let body = json!({
            "sessionId": CLIENT, "availability": pair.0, "activity": pair.1, "expirationDuration": life,
        });
        self.post(&format!("users/{user}/presence/setPresence"), body).await
    }

    async fn clear(&self, user: &str) -> Reply {
        self.post(&format!("users/{user}/presence/clearPresence"), json!({ "sessionId": CLIENT })).await
    }
}

async fn reply(response: reqwest::Response) -> Reply {
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (status, retry_after, location) = (response.status().as_u16(), header("retry-after"), header("location"));
    let body = response.bytes().await.unwrap();
    Reply { status, retry_after, location, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
}

fn started(users: usize) -> GraphStandIn {
    GraphStandIn::start(GraphStandInSettings { page: 3, ..GraphStandInSettings::with_tenant(tenant(users)) }).unwrap()
}

const USER: &str = "user0@contoso.example";
const BUSY: (&str, &str) = ("Busy", "InACall");

#[tokio::test]
async fn a_session_is_written_shown_and_cleared() {
    let lab = started(1);
    let client = Client::of(&lab).await;
    let id = lab.user_id(TENANT, USER).unwrap();
    assert_eq!(client.set(&id, BUSY, "PT1H").await.status, 200);
    let read = client.get(&format!("users/{id}/presence")).await;
    assert_eq!((read.body["availability"].as_str(), read.body["activity"].as_str()), (Some("Busy"), Some("InACall")));
    let list = client.post("communications/getPresencesByUserId", json!({ "ids": [&id, "unknown"] })).await;
    assert_eq!(list.body["value"].as_array().unwrap().len(), 1);
    assert_eq!(list.body["value"][0]["sequenceNumber"], read.body["sequenceNumber"]);
    assert_eq!(client.clear(&id).await.status, 200);
    assert_eq!(client.clear(&id).await.status, 404);
    assert_eq!(lab.shown(TENANT, USER), Some(Pair::OFFLINE));
    assert_eq!(lab.complaints(), []);
    assert_eq!((lab.count(Endpoint::ClearPresence, 404), lab.total(Endpoint::ClearPresence)), (1, 2));
}

#[tokio::test]
async fn what_graph_does_not_take_is_refused_and_held_against_the_client() {
    let lab = started(1);
    let client = Client::of(&lab).await;
    assert_eq!(client.set(USER, ("Busy", "Busy"), "PT1H").await.status, 400);
    assert_eq!(client.set(USER, BUSY, "PT4M").await.status, 400);
    assert_eq!(client.set("nobody", BUSY, "PT1H").await.status, 404);
    let foreign = json!({ "sessionId": "another", "availability": "Busy", "activity": "InACall" });
    assert_eq!(client.post(&format!("users/{USER}/presence/setPresence"), foreign).await.status, 400);
    let ids: Vec<String> = (0..651).map(|n| n.to_string()).collect();
    assert_eq!(client.post("communications/getPresencesByUserId", json!({ "ids": ids })).await.status, 400);
    assert_eq!(client.set(USER, ("Available", "Available"), "PT1H").await.status, 200);
    let about: Vec<Endpoint> = lab.complaints().iter().map(|complaint| complaint.endpoint).collect();
    let (set, list) = (Endpoint::SetPresence, Endpoint::Presences);
    assert_eq!(about, [set, set, set, list, set], "{:#?}", lab.complaints());
}

#[tokio::test]
async fn the_same_again_is_needless_before_half_of_its_life() {
    let lab = started(1);
    let client = Client::of(&lab).await;
    client.set(USER, BUSY, "PT1H").await;
    lab.advance(Duration::from_secs(20 * 60));
    client.set(USER, BUSY, "PT1H").await;
    assert_eq!(lab.complained(), 1, "{:?}", lab.complaints());
    lab.advance(Duration::from_secs(30 * 60));
    client.set(USER, BUSY, "PT1H").await;
    assert_eq!(lab.complained(), 1, "{:?}", lab.complaints());
    lab.advance(Duration::from_secs(60 * 60));
    assert_eq!(lab.session(TENANT, USER), None);
}

#[tokio::test]
async fn a_lost_answer_may_be_written_again() {
    let lab = started(1);
    let client = Client::of(&lab).await;
    lab.fault(Fault::new(Trouble::LostAnswer).at(Endpoint::SetPresence).times(1));
    let url = format!("{}/v1.0/users/{USER}/presence/setPresence", lab.url());
    let body = json!({ "sessionId": CLIENT, "availability": "Busy", "activity": "InACall" });
    assert!(client.http.post(url).bearer_auth(&client.token).json(&body).send().await.is_err());
    assert!(lab.session(TENANT, USER).is_some());
    assert_eq!(client.set(USER, BUSY, "PT5M").await.status, 200);
    assert_eq!(lab.complaints(), []);
}

#[tokio::test]
async fn two_writes_at_once_for_a_user_are_seen() {
    let lab = started(1);
    let client = Client::of(&lab).await;
    lab.fault(Fault::new(Trouble::Delay(Duration::from_millis(300))).at(Endpoint::SetPresence));
    let (one, other) = tokio::join!(client.set(USER, BUSY, "PT1H"), client.clear(USER));
    assert!(one.status == 200 && (other.status == 200 || other.status == 404));
    assert_eq!(lab.complained(), 1, "{:?}", lab.complaints());
}

#[tokio::test]
async fn the_login_service_says_what_is_wrong() {
    let lab = started(1);
    let client = Client::of(&lab).await;
    let number = |reply: &Reply| (reply.status, reply.body["error_codes"][0].as_u64().unwrap_or_default());
    assert_eq!(number(&client.token(&[("client_secret", "wrong")]).await), (401, 7_000_215));
    let other = [("client_id", "another"), ("client_secret", SECRET)];
    assert_eq!(number(&client.token(&other).await), (400, 700_016));
    let scope = [("scope", "https://vault.example/.default"), ("client_secret", SECRET)];
    assert_eq!(number(&client.token(&scope).await), (400, 500_011));
    lab.set_secrets_expired(TENANT, true);
    assert_eq!(number(&client.token(&[("client_secret", SECRET)]).await), (401, 7_000_222));
    assert_eq!(client.set(USER, BUSY, "PT1H").await.status, 401, "its token is worthless too");
    assert_eq!(lab.complaints(), []);
    for _ in 0..20 {
        client.token(&[("client_secret", SECRET)]).await;
    }
    assert_eq!(lab.complained(), 1, "hammering is one complaint");
}

#[tokio::test]
async fn tokens_end_and_permissions_are_asked_for() {
    let lab = started(1);
    let client = Client::of(&lab).await;
    lab.change_app(TENANT, CLIENT, |app| app.roles = vec!["Presence.Read.All".into()]);
    assert_eq!(client.set(USER, BUSY, "PT1H").await.status, 403);
    assert_eq!(client.get(&format!("users/{USER}/presence")).await.status, 200);
    let refused = client.get("users/delta").await;
    assert_eq!((refused.status, refused.body["error"]["code"].as_str()), (403, Some("Authorization_RequestDenied")));
    lab.advance(Duration::from_secs(3_600));
    assert_eq!(client.get(&format!("users/{USER}/presence")).await.status, 401);
}

#[tokio::test]
async fn the_limit_is_counted_and_who_comes_early_is_seen() {
    let settings = GraphStandInSettings {
        presence: Limit { units: 2, window: Duration::from_secs(30) },
        ..GraphStandInSettings::with_tenant(tenant(3))
    };
    let lab = GraphStandIn::start(settings).unwrap();
    let client = Client::of(&lab).await;
    let read = || client.get("users/user1@contoso.example/presence");
    assert_eq!((read().await.status, read().await.status), (200, 200));
    let throttled = read().await;
    assert_eq!((throttled.status, throttled.body["error"]["code"].as_str()), (429, Some("TooManyRequests")));
    let wait: f64 = throttled.retry_after.unwrap().parse().unwrap();
    assert!((1.0..=30.0).contains(&wait), "{wait}");
    assert_eq!(lab.complained(), 1, "the limit was exceeded");
    lab.advance(Duration::from_secs(1));
    read().await;
    assert_eq!(lab.complained(), 2, "{:?}", lab.complaints());
    lab.advance(Duration::from_secs(30));
    assert_eq!(read().await.status, 200);
    assert_eq!(lab.complained(), 2);
}

#[tokio::test]
async fn a_batch_answers_each_item_by_itself() {
    let lab = started(3);
    let client = Client::of(&lab).await;
    let busy = lab.user_id(TENANT, "user1@contoso.example").unwrap();
    lab.fault(Fault::throttled(2.128).at(Endpoint::SetPresence).of_user(&busy).times(1));
    let item = |n: usize| {
        json!({
            "id": n.to_string(),
            "method": "POST",
            "url": format!("/users/user{n}@contoso.example/presence/setPresence"),
            "headers": { "Content-Type": "application/json" },
            "body": { "sessionId": CLIENT, "availability": "Busy", "activity": "InACall", "expirationDuration": "PT1H" },
        })
    };
    let answer = client.post("$batch", json!({ "requests": [item(0), item(1), item(2)] })).await;
    let responses = answer.body["responses"].as_array().unwrap();
    let of = |id: &str| responses.iter().find(|response| response["id"] == id).unwrap();
    assert_eq!((answer.status, responses.len()), (200, 3));
    assert_eq!((of("0")["status"].as_u64(), of("2")["status"].as_u64()), (Some(200), Some(200)));
    assert_eq!((of("1")["status"].as_u64(), of("1")["headers"]["Retry-After"].as_str()), (Some(429), Some("2.128")));
    assert_ne!(responses[0]["id"], "0", "the order is another");
    assert_eq!(lab.sessions(TENANT).len(), 2);
    assert_eq!((lab.total(Endpoint::SetPresence), lab.total(Endpoint::Batch)), (3, 1));
    let many: Vec<Value> = (0..21).map(|_| item(0)).collect();
    assert_eq!(client.post("$batch", json!({ "requests": many })).await.status, 400);
    let mut bare = item(0);
    bare["headers"] = json!({});
    let bare = client.post("$batch", json!({ "requests": [bare] })).await;
    assert_eq!(bare.body["responses"][0]["status"], 400);
}

/// Walks a delta query to its end: what it told, pages, and the link for later.
async fn walk(client: &Client, first: &str) -> (Vec<Value>, usize, String) {
    let (mut told, mut pages, mut next) = (Vec::new(), 0, first.to_owned());
    loop {
        let page = client.get(&next).await;
        assert_eq!(page.status, 200, "{}", page.body);
        pages += 1;
        told.extend(page.body["value"].as_array().unwrap().iter().cloned());
        match page.body["@odata.nextLink"].as_str() {
            Some(link) => next = link.to_owned(),
            None => return (told, pages, page.body["@odata.deltaLink"].as_str().unwrap().to_owned()),
        }
    }
}

#[tokio::test]
async fn users_come_in_pages_and_then_only_what_changed() {
    let lab = started(8);
    let client = Client::of(&lab).await;
    let (told, pages, link) = walk(&client, "users/delta?$select=displayName,mail,accountEnabled").await;
    assert_eq!((told.len(), pages), (8, 3));
    assert_eq!(told[0]["accountEnabled"], true);
    assert!(told[0].get("userPrincipalName").is_none());
    let (told, _, link) = walk(&client, &link).await;
    assert_eq!(told, [] as [Value; 0]);
    lab.change_user(TENANT, "user1@contoso.example", |user| user.display_name = "Una".into());
    lab.remove_user(TENANT, "user2@contoso.example", Removal::Soft);
    lab.remove_user(TENANT, "user3@contoso.example", Removal::Hard);
    let (told, _, _) = walk(&client, &link).await;
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[0]["displayName"], "Una");
    assert_eq!(told[0]["mail"], "user1@contoso.example");
    assert_eq!(told[1]["@removed"]["reason"], "changed");
    assert_eq!(told[2]["@removed"]["reason"], "deleted");
    lab.expire_links(TENANT);
    let gone = client.get(&link).await;
    assert_eq!(gone.status, 410);
    let (again, ..) = walk(&client, &gone.location.unwrap()).await;
    assert_eq!(again.len(), 6);
    assert_eq!(client.get("users/delta?$top=5").await.status, 400);
}

#[tokio::test]
async fn an_awkward_walk_has_an_empty_page_and_repeats_itself() {
    let lab = started(5);
    lab.set_awkward(true);
    let client = Client::of(&lab).await;
    let (told, pages, _) = walk(&client, "users/delta").await;
    assert!(told.len() > 5 && pages > 2, "{} on {pages}", told.len());
    let mut ids: Vec<_> = told.iter().map(|user| user["id"].as_str().unwrap()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 5);
}

#[tokio::test]
async fn groups_tell_who_joined_and_who_left() {
    let lab = started(5);
    let client = Client::of(&lab).await;
    for n in 0..4 {
        lab.set_member(TENANT, "sales", "Sales", &format!("user{n}@contoso.example"), true);
    }
    lab.set_member(TENANT, "board", "Board", "user4@contoso.example", true);
    let only = "groups/delta?$select=displayName,members&$filter=id%20eq%20'sales'";
    let (told, pages, link) = walk(&client, only).await;
    let members: usize = told.iter().map(|group| group["members@delta"].as_array().unwrap().len()).sum();
    assert_eq!((members, pages), (4, 2), "{told:?}");
    assert!(told.iter().all(|group| group["id"] == "sales"));
    lab.set_member(TENANT, "sales", "Sales", "user0@contoso.example", false);
    lab.set_member(TENANT, "sales", "Sales", "user4@contoso.example", true);
    let (told, ..) = walk(&client, &link).await;
    let members = told[0]["members@delta"].as_array().unwrap();
    assert_eq!(members.len(), 2);
    assert_eq!(members[0]["@removed"]["reason"], "deleted");
    assert!(members[1].get("@removed").is_none());
    let page = client.get("groups/sales/members?$select=id,displayName").await;
    assert_eq!(page.body["value"].as_array().unwrap().len(), 3);
    let rest = client.get(page.body["@odata.nextLink"].as_str().unwrap()).await;
    assert_eq!(rest.body["value"].as_array().unwrap().len(), 1);
    let found = client.get("groups?$filter=displayName%20eq%20'Sales'").await;
    assert_eq!(found.body["value"][0]["id"], "sales");
}

#[tokio::test]
async fn teams_own_numbers_are_listed() {
    let lab = started(3);
    let client = Client::of(&lab).await;
    lab.change_user(TENANT, USER, |user| user.teams_numbers = vec!["+441632960001".into(), "+441632960002".into()]);
    let list = client.get("admin/teams/telephoneNumberManagement/numberAssignments").await;
    let numbers = list.body["value"].as_array().unwrap();
    assert_eq!(numbers.len(), 2);
    assert_eq!(numbers[0]["assignmentTargetId"].as_str(), lab.user_id(TENANT, USER).as_deref());
    let list = client.get("admin/teams/userConfigurations").await;
    assert_eq!(list.body["value"][0]["telephoneNumbers"][1]["telephoneNumber"], "+441632960002");
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let lab = started(1);
    let mut other = tenant(0);
    (other.id, other.domains) = ("another".into(), vec!["fabrikam.example".into()]);
    other.users = vec![GraphUser::new("bob@fabrikam.example", "Bob")];
    lab.add_tenant(other);
    let client = Client::of(&lab).await;
    let bob = lab.user_id("fabrikam.example", "bob@fabrikam.example").unwrap();
    assert_ne!(Some(&bob), lab.user_id(TENANT, USER).as_ref());
    assert_eq!(client.set(&bob, BUSY, "PT1H").await.status, 404);
}

#[tokio::test]
async fn faults_hit_the_wire() {
    let lab = started(1);
    let client = Client::of(&lab).await;
    let path = format!("users/{USER}/presence");
    let read = || client.get(&path);
    lab.fault(Fault::status(503).at(Endpoint::Presence).times(1));
    assert_eq!(read().await.status, 503);
    lab.fault(Fault::new(Trouble::WrongJson).at(Endpoint::Presence).times(1));
    let wrong = read().await;
    assert_eq!((wrong.status, wrong.body), (200, Value::Null));
    lab.fault(Fault::new(Trouble::Hang).at(Endpoint::Presence));
    let waited = tokio::time::timeout(Duration::from_millis(200), read()).await;
    assert!(waited.is_err(), "it hangs");
    lab.clear_faults();
    assert_eq!(read().await.status, 200);
    assert_eq!(lab.count(Endpoint::Presence, 0), 2);
}
