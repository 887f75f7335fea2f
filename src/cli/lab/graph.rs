//! `trunkway lab graph`: the stand-in for Microsoft Graph, alone, in front of an edge of one's own.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::{FAILED, LabError, TICK};
use crate::lab::graph::{
    EntraTenant, Fault, GraphApp, GraphComplaint, GraphStandIn, GraphStandInSettings, GraphUser, Limit, RequestRecord,
    Trouble,
};

/// The client id of the application in each tenant.
const CLIENT: &str = "5e55104e-0000-4000-8000-00000000c11e";

/// What `trunkway lab graph` can be told.
#[derive(Args, Clone, Debug)]
pub struct GraphArguments {
    /// Where it listens with HTTPS, as Graph and as the login service
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8443")]
    pub listen: SocketAddr,
    /// A domain, which makes an Entra tenant; may stand more than once
    #[arg(long, value_name = "DOMAIN", default_values_t = ["contoso.example".to_owned()])]
    pub domain: Vec<String>,
    /// Users of each tenant: user1@DOMAIN and so on
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub users: usize,
    /// Where to write its root certificate and the secrets
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub folder: PathBuf,
    /// Presence requests that a tenant may make in 30 s
    #[arg(long, value_name = "N", default_value_t = Limit::PRESENCE.units)]
    pub limit: u32,
    /// How long an access token lives, in seconds
    #[arg(long, value_name = "S", default_value_t = 3_599)]
    pub token_s: u64,
    /// How much later each answer comes
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub latency_ms: u64,
    /// Print requests and complaints as JSON, one object a line
    #[arg(long)]
    pub json: bool,
    /// Print no requests, only what is to be configured and what is to be complained about
    #[arg(long)]
    pub quiet: bool,
}

/// Runs until Ctrl-C; the exit code says whether there is something to complain about.
pub async fn run(arguments: &GraphArguments) -> Result<u8, LabError> {
    let tenants: Vec<EntraTenant> =
        arguments.domain.iter().enumerate().map(|(place, domain)| tenant(place, domain, arguments.users)).collect();
    let lab = GraphStandIn::start(GraphStandInSettings {
        listen: arguments.listen,
        tenants: tenants.clone(),
        presence: Limit { units: arguments.limit, ..Limit::PRESENCE },
        token_life: Duration::from_secs(arguments.token_s),
        ..GraphStandInSettings::default()
    })?;
    if arguments.latency_ms > 0 {
        lab.fault(Fault::new(Trouble::Delay(Duration::from_millis(arguments.latency_ms))));
    }
    let folder = std::path::absolute(&arguments.folder).unwrap_or_else(|_| arguments.folder.clone());
    write(&folder.join("graph-ca.pem"), lab.ca())?;
    for (tenant, domain) in tenants.iter().zip(&arguments.domain) {
        let secret = tenant.apps.first().and_then(|app| app.secrets.first());
        write(&folder.join(secret_name(domain)), secret.map_or("", |secret| &secret.value))?;
        if !arguments.json {
            println!("{}", config_lines(&lab, tenant, domain, &folder));
        }
    }
    let mut printed = Printed::default();
    loop {
        let ended = tokio::select! {
            _ = tokio::signal::ctrl_c() => true,
            () = tokio::time::sleep(TICK) => false,
        };
        printed.print(&lab, arguments);
        if ended {
            let complained = lab.complained();
            if !arguments.json {
                println!("{} requests, {complained} complaints", printed.requests);
            }
            return Ok(if complained > 0 { FAILED } else { 0 });
        }
    }
}

/// How far the journal was printed.
#[derive(Default)]
struct Printed {
    requests: u64,
    complaints: usize,
}

impl Printed {
    fn print(&mut self, lab: &GraphStandIn, arguments: &GraphArguments) {
        let (requests, total) = lab.requests_since(self.requests);
        self.requests = total;
        if !arguments.quiet {
            requests.iter().for_each(|request| println!("{}", request_line(request, arguments.json)));
        }
        let complaints = lab.complaints();
        for complaint in complaints.iter().skip(self.complaints) {
            println!("{}", complaint_line(complaint, arguments.json));
        }
        self.complaints = complaints.len();
    }
}

fn request_line(request: &RequestRecord, json: bool) -> String {
    if json {
        return serde_json::to_string(request).unwrap_or_default();
    }
    let place = if request.batched { "  in a batch" } else { "" };
    let at = Duration::from_millis(request.at_ms).as_secs_f64();
    let (user, detail) = (request.user.as_deref().unwrap_or("-"), request.detail.as_deref().unwrap_or(""));
    format!("{at:>9.3}  {}  {:?}  {user}  {detail}{place}", request.status, request.endpoint)
}

fn complaint_line(complaint: &GraphComplaint, json: bool) -> String {
    if json {
        return serde_json::to_string(complaint).unwrap_or_default();
    }
    let user = complaint.user.as_deref().map(|user| format!(" ({user})")).unwrap_or_default();
    format!("complaint: the client {} at {:?}{user}", complaint.text, complaint.endpoint)
}

fn tenant(place: usize, domain: &str, users: usize) -> EntraTenant {
    let user = |number: usize| GraphUser::new(&format!("user{number}@{domain}"), &format!("User {number}"));
    EntraTenant {
        id: format!("e27a0000-0000-4000-8000-{:012x}", place + 1),
        domains: vec![domain.to_owned()],
        apps: vec![GraphApp::with_new_secret(CLIENT)],
        users: (1..=users).map(user).collect(),
    }
}

/// What an edge needs to know of a tenant here, to be pasted into its configuration.
fn config_lines(lab: &GraphStandIn, tenant: &EntraTenant, domain: &str, folder: &Path) -> String {
    let name = domain.split('.').next().unwrap_or(domain);
    let (url, ca, secret) = (lab.url(), folder.join("graph-ca.pem"), folder.join(secret_name(domain)));
    format!(
        "[tenant.{name}.graph]\n\
         directory = \"{}\"\n\
         client = \"{CLIENT}\"\n\
         secret_file = {:?}\n\
         login_url = \"{url}\"\n\
         graph_url = \"{url}\"\n\
         ca = {:?}\n",
        tenant.id,
        secret.display().to_string(),
        ca.display().to_string(),
    )
}

fn secret_name(domain: &str) -> String {
    format!("graph-secret-{domain}")
}

fn write(path: &Path, text: &str) -> Result<(), LabError> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| LabError::Write { path: path.display().to_string(), source })
}
