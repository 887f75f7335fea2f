//! Commands to a running edge: what its door for operators is asked, and how the answers are shown.

pub mod bans;
pub mod calls;
pub mod certificates;
pub mod connections;
pub mod directory;
pub mod drain;
pub mod health;
pub mod history;
pub mod keys;
pub mod log;
pub mod presence;
pub mod reload;
pub mod rules;
pub mod status;
pub mod tenants;
pub mod trace;
pub mod trunks;
pub mod users;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::http::request::Builder;
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpStream, UnixStream};

use super::run::EXIT_UNAVAILABLE;
use super::{ConfigFile, EXIT_FAULTS, EXIT_NO, Output};
use crate::routing::Edit;
use crate::transport::tls::stream::{self, Duplex};
use crate::transport::tls::{ClientSettings, ClientTls};

/// Bytes of an answer; a page has fewer, a record of many changes may have as many.
const MAX_ANSWER: usize = 1 << 30;

/// Bytes of a line of an answer that goes on.
const MAX_LINE: usize = 1 << 20;

/// How long an answer may take: a tenant with a million rules is removed in seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// The usual port of [control.http].
const CONTROL_PORT: u16 = 8_443;

/// Entries that are asked for at once.
const PAGE: usize = 1_000;

/// The running edge that is asked.
#[derive(Debug, Args)]
pub struct Door {
    /// The control socket of the running edge. Default: `socket` of [control] in the configuration.
    #[arg(long, value_name = "PATH", conflicts_with = "url")]
    pub socket: Option<PathBuf>,

    /// An edge of another machine, `https://HOST:PORT`: [control.http] there.
    #[arg(long, value_name = "URL", requires = "token_file")]
    pub url: Option<String>,

    /// The file with the token for it.
    #[arg(long, value_name = "FILE", requires = "url")]
    pub token_file: Option<PathBuf>,

    /// The authorities that may have issued its certificate.
    #[arg(long, value_name = "FILE", default_value = "/etc/ssl/certs/ca-certificates.crt", requires = "url")]
    pub ca: PathBuf,

    #[command(flatten)]
    pub file: ConfigFile,

    /// Print the answer as JSON.
    #[arg(long)]
    pub json: bool,
}

/// What a change is known by.
#[derive(Debug, Default, Args)]
pub struct Signature {
    /// The id of the change. One that was made before under this id is not made again. Default: a new one.
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,

    /// Who makes it, beside the user id that the edge sees.
    #[arg(long, value_name = "NAME")]
    pub who: Option<String>,
}

/// How much of a list is shown.
#[derive(Debug, Args)]
pub struct Extent {
    /// How many at most.
    #[arg(long, value_name = "N", default_value = "100", value_parser = at_least_one)]
    pub limit: usize,

    /// All of them.
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
}

impl Extent {
    const fn most(&self) -> usize {
        if self.all { usize::MAX } else { self.limit }
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|error| format!("{error}"))?;
    if number == 0 { Err("there is nothing to see: write 1 or more".to_owned()) } else { Ok(number) }
}

/// Why there is no answer to be shown.
#[derive(Debug)]
pub enum Failure {
    /// An argument or the configuration is at fault.
    Fault(String),
    /// Nobody answers.
    Unreachable(String),
    /// The edge said no.
    Refused { status: u16, answer: Value },
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fault(text) | Self::Unreachable(text) => f.write_str(text),
            Self::Refused { answer, .. } => {
                f.write_str(answer.get("detail").and_then(Value::as_str).unwrap_or("the edge says no"))
            }
        }
    }
}

impl Failure {
    /// What is printed: for people a sentence, for programs what the edge said.
    fn output(self, as_json: bool) -> Output {
        let err = format!("{self}\n");
        match self {
            Self::Fault(_) => Output::fault(err),
            Self::Unreachable(_) => Output { code: EXIT_UNAVAILABLE, ..Output::fault(err) },
            Self::Refused { status, answer } => {
                let code = if status == 400 { EXIT_FAULTS } else { EXIT_NO };
                let out = if as_json { super::json(&answer) } else { String::new() };
                Output { out, err, code }
            }
        }
    }
}

/// Where the edge listens.
#[derive(Clone, Debug)]
pub struct Client {
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Socket(PathBuf),
    Remote(Arc<Remote>),
}

/// An edge of another machine.
struct Remote {
    host: String,
    port: u16,
    token: String,
    tls: ClientTls,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Remote(remote) => write!(f, "https://{}:{}", remote.host, remote.port),
        }
    }
}

impl Place {
    /// An edge that is known by URL, token and authorities.
    fn remote(url: &str, token_file: &Path, ca: &Path) -> Result<Self, Failure> {
        let fault = || Failure::Fault(format!("--url: {url} is not of the form https://HOST:PORT"));
        let authority = url.strip_prefix("https://").map(|rest| rest.trim_end_matches('/')).ok_or_else(fault)?;
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| fault())?),
            _ => (authority, CONTROL_PORT),
        };
        if host.is_empty() || host.contains(['/', '@']) {
            return Err(fault());
        }
        let unreadable = |error| Failure::Fault(format!("{}: {error}", token_file.display()));
        let token = std::fs::read_to_string(token_file).map_err(unreadable)?.trim().to_owned();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::Fault(format!("{}: there is no token in it", token_file.display())));
        }
        let settings = ClientSettings { ca: Some(ca.to_owned()), ..ClientSettings::default() };
        let tls = ClientTls::load(&settings).map_err(|error| Failure::Fault(format!("--ca: {error}")))?;
        Ok(Self::Remote(Arc::new(Remote { host: host.to_owned(), port, token, tls })))
    }

    async fn connect(&self) -> std::io::Result<Box<dyn Duplex>> {
        match self {
            Self::Socket(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            Self::Remote(remote) => {
                let host = remote.host.trim_start_matches('[').trim_end_matches(']');
                let stream = TcpStream::connect((host, remote.port)).await?;
                stream::connect(&remote.tls, &remote.host, stream).await
            }
        }
    }

    /// What stands in `Host`, and who asks.
    fn sign(&self, request: Builder) -> Builder {
        match self {
            Self::Socket(_) => request.header(header::HOST, "localhost"),
            Self::Remote(remote) => request
                .header(header::HOST, format!("{}:{}", remote.host, remote.port))
                .header(header::AUTHORIZATION, format!("Bearer {}", remote.token)),
        }
    }
}

impl Door {
    /// Who is asked.
    pub fn client(&self) -> Result<Client, Failure> {
        let place = match (&self.url, &self.token_file, &self.socket) {
            (Some(url), Some(token), _) => Place::remote(url, token, &self.ca)?,
            (_, _, Some(socket)) => Place::Socket(socket.clone()),
            _ => Place::Socket(configured(&self.file.config)?),
        };
        Ok(Client { place })
    }

    /// Asks, and shows the answer as JSON or in words.
    fn show(
        &self,
        ask: impl FnOnce(&Client) -> Result<Value, Failure>,
        words: impl FnOnce(&Value) -> String,
    ) -> Output {
        match self.client().and_then(|client| ask(&client)) {
            Ok(answer) if self.json => Output::said(super::json(&answer)),
            Ok(answer) => Output::said(words(&answer)),
            Err(failure) => failure.output(self.json),
        }
    }

    /// Makes a change of these edits, and shows its record.
    fn change(&self, signature: &Signature, edits: &[Edit]) -> Output {
        self.show(|client| client.post("/v1/changes", &signed(signature, json!({ "edits": edits }))), changed)
    }
}

impl Client {
    /// Who listens at this socket.
    pub const fn new(socket: PathBuf) -> Self {
        Self { place: Place::Socket(socket) }
    }

    /// Asks for something.
    pub fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::GET, path, Bytes::new())
    }

    /// Sends something.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask(Method::POST, path, body.to_string().into())
    }

    /// Sets something.
    pub fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask(Method::PUT, path, body.to_string().into())
    }

    /// All entries of a list that comes in pages, up to so many; and whether there are more.
    fn pages(&self, path: &str, query: &str, key: &str, most: usize) -> Result<Value, Failure> {
        let mut entries: Vec<Value> = Vec::new();
        let mut after = String::new();
        loop {
            let limit = most.saturating_sub(entries.len()).min(PAGE);
            let mut page = self.get(&format!("{path}?limit={limit}{query}{after}"))?;
            if let Some(Value::Array(more)) = page.get_mut(key).map(Value::take) {
                entries.extend(more);
            }
            let next = page.get("next").and_then(Value::as_str).map(str::to_owned);
            match &next {
                Some(next) if entries.len() < most => after = format!("&after={}", encoded(next)),
                _ => return Ok(json!({ key: entries, "next": next })),
            }
        }
    }

    /// What is no JSON, such as a capture.
    pub fn bytes(&self, path: &str) -> Result<Bytes, Failure> {
        let (status, bytes) = self.ask_raw(Method::GET, path, Bytes::new())?;
        if (200..300).contains(&status) { Ok(bytes) } else { Err(self.refused(status, &bytes)) }
    }

    /// Reads lines as they come, for as long as `each` wants more; whether it was the edge that ended.
    pub fn lines(&self, path: &str, each: &mut dyn FnMut(&[u8]) -> bool) -> Result<bool, Failure> {
        let broken = |error: &dyn std::fmt::Display| self.broken(error);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| broken(&error))?.block_on(async {
            let mut response = self.send(Method::GET, path, Bytes::new()).await.map_err(|error| broken(&error))?;
            let status = response.status().as_u16();
            if !(200..300).contains(&status) {
                let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
                return Err(self.refused(status, &body.map_err(|error| broken(&error))?.to_bytes()));
            }
            let mut text = Vec::new();
            while let Some(frame) = response.body_mut().frame().await {
                let Ok(Ok(data)) = frame.map(hyper::body::Frame::into_data) else { return Ok(true) };
                text.extend_from_slice(&data);
                while let Some(end) = memchr::memchr(b'\n', &text) {
                    let line: Vec<u8> = text.drain(..=end).collect();
                    if !each(line.trim_ascii_end()) {
                        return Ok(false);
                    }
                }
                if text.len() > MAX_LINE {
                    return Err(broken(&"a line is too long"));
                }
            }
            Ok(true)
        })
    }

    fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Value, Failure> {
        let (status, bytes) = self.ask_raw(method, path, body)?;
        if !(200..300).contains(&status) {
            return Err(self.refused(status, &bytes));
        }
        serde_json::from_slice(&bytes).map_err(|error| self.broken(&format!("not understood: {error}")))
    }

    fn ask_raw(&self, method: Method, path: &str, body: Bytes) -> Result<(u16, Bytes), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| self.broken(&error))?;
        let answer =
            runtime.block_on(async { tokio::time::timeout(PATIENCE, self.exchange(method, path, body)).await });
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.broken(&error)),
            Err(_) => Err(self.broken(&"no answer in time")),
        }
    }

    fn broken(&self, why: &dyn std::fmt::Display) -> Failure {
        Failure::Unreachable(format!("{}: {why}", self.place))
    }

    fn refused(&self, status: u16, answer: &[u8]) -> Failure {
        match serde_json::from_slice(answer) {
            Ok(answer) => Failure::Refused { status, answer },
            Err(error) => self.broken(&format!("not understood: {error}")),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(u16, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let response = self.send(method, path, body).await?;
        let status = response.status().as_u16();
        let bytes = Limited::new(response.into_body(), MAX_ANSWER).collect().await?.to_bytes();
        Ok((status, bytes))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, Box<dyn std::error::Error + Send + Sync>> {
        let stream = self.place.connect().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the runtime.
        tokio::spawn(connection);
        let request = self
            .place
            .sign(Request::builder().method(method).uri(path))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        Ok(sender.send_request(request).await?)
    }
}

/// The control socket that a configuration names. Only that is read of it: dial plans may be large.
fn configured(config: &Path) -> Result<PathBuf, Failure> {
    let shown = config.display();
    let text = std::fs::read_to_string(config)
        .map_err(|error| Failure::Fault(format!("cannot read {shown}: {error}; give --socket or --config")))?;
    let table: toml::Table = text.parse().map_err(|error| Failure::Fault(format!("{shown}: {error}")))?;
    let socket = table.get("control").and_then(|control| control.get("socket")).and_then(toml::Value::as_str);
    let none = || Failure::Fault(format!("{shown} has no `socket` in [control]: give --socket"));
    Ok(config.parent().unwrap_or(Path::new("")).join(socket.ok_or_else(none)?))
}

/// A body with the id and the name that it is signed with.
fn signed(signature: &Signature, mut body: Value) -> Value {
    if let Some(map) = body.as_object_mut() {
        if let Some(id) = &signature.id {
            map.insert("id".to_owned(), id.as_str().into());
        } else {
            map.entry("id").or_insert_with(|| new_id().into());
        }
        if let Some(who) = &signature.who {
            map.insert("who".to_owned(), who.as_str().into());
        }
    }
    body
}

/// An id that no other change has.
fn new_id() -> String {
    // Seeded by the system, anew in each process.
    format!("cli-{:016x}", RandomState::new().build_hasher().finish())
}

/// A time such as `90s`, `30m`, `2h`, `7d`, in seconds.
fn seconds(text: &str) -> Option<u64> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// A text as part of a URI (RFC 3986 section 2.1).
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A record in words.
fn changed(record: &Value) -> String {
    let mut text = format!("change {} by {}\n", field(record, "id"), field(record, "who"));
    let list = |key: &str| record.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut rows = Vec::new();
    for change in list("changes") {
        let what = format!("{} {} of `{}`", field(&change, "plan"), field(&change, "prefix"), field(&change, "owner"));
        rows.push(vec![
            "rule".to_owned(),
            what,
            rule_state(&change, "old"),
            "->".to_owned(),
            rule_state(&change, "new"),
        ]);
    }
    for change in list("users") {
        let what = format!("{} of {}", field(&change, "user"), field(&change, "tenant"));
        rows.push(vec![
            "user".to_owned(),
            what,
            user_state(&change, "old"),
            "->".to_owned(),
            user_state(&change, "new"),
        ]);
    }
    for change in list("tenants") {
        let removed = change.get("removed").and_then(Value::as_bool).unwrap_or_default();
        rows.push(vec![
            "tenant".to_owned(),
            field(&change, "tenant"),
            if removed { "removed" } else { "back" }.to_owned(),
        ]);
    }
    if rows.is_empty() {
        text.push_str("nothing had to be changed\n");
    }
    text + &columns(&[], &rows)
}

fn rule_state(change: &Value, key: &str) -> String {
    match change.get(key).filter(|state| state.is_object()) {
        Some(state) if state.get("active") == Some(&Value::Bool(false)) => {
            format!("{} (inactive)", field(state, "tag"))
        }
        Some(state) => field(state, "tag"),
        None => "none".to_owned(),
    }
}

fn user_state(change: &Value, key: &str) -> String {
    let Some(user) = change.get(key).filter(|user| user.is_object()) else { return "none".to_owned() };
    let number = [field(user, "number"), field(user, "extension")].join(" ");
    let lives = user.get("lives").and_then(Value::as_str).unwrap_or("teams");
    format!("{} in {lives}", number.trim())
}

/// A value of an object, as text; empty when it is not there.
fn field(object: &Value, key: &str) -> String {
    match object.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

/// The rows of a list, in columns.
fn columns(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|name| (*name).to_owned()).collect();
    let all: Vec<&Vec<String>> = (!head.is_empty()).then_some(&head).into_iter().chain(rows).collect();
    let count = all.iter().map(|row| row.len()).max().unwrap_or(0);
    let width = |column: usize| all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in all {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// The entries of a list in columns, and a word when there are more.
fn listed(answer: &Value, key: &str, names: &[&str]) -> String {
    let entries = answer.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let rows: Vec<Vec<String>> =
        entries.iter().map(|entry| names.iter().map(|name| field(entry, name)).collect()).collect();
    columns(names, &rows) + more(answer)
}

/// The word when there are more.
fn more(answer: &Value) -> &'static str {
    match answer.get("next") {
        Some(Value::String(_)) => "... and more: raise --limit, or use --all\n",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
