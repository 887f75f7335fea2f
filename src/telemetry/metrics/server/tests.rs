use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

#[derive(Default)]
struct Fake {
    draining: AtomicBool,
    /// The one address that may read, by its last number; 0: all.
    only: u8,
}

impl Scraped for Fake {
    fn page(&self) -> String {
        "up 1\n".to_owned()
    }

    fn ready(&self) -> Result<(), String> {
        if self.draining.load(Ordering::Relaxed) { Err("it drains".to_owned()) } else { Ok(()) }
    }

    fn allows(&self, peer: IpAddr) -> bool {
        self.only == 0 || peer == IpAddr::from([127, 0, 0, self.only])
    }
}

/// Serves on a port of the system's choice.
fn open(only: u8) -> (SocketAddr, Arc<Fake>, tokio::task::JoinHandle<()>) {
    let endpoint = Endpoint::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let (at, fake) = (endpoint.local_addr().expect("it is bound"), Arc::new(Fake { only, ..Fake::default() }));
    let behind: Arc<dyn Scraped> = fake.clone();
    (at, fake, tokio::spawn(endpoint.serve(behind)))
}

async fn get(at: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(at).await.expect("it listens");
    let ask = format!("GET {path} HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    // One that is refused may be reset: then there is no answer.
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

#[tokio::test]
async fn pages_have_their_type_and_readiness_its_cause() {
    let (at, fake, _task) = open(0);
    let page = get(at, "/metrics").await;
    assert!(page.starts_with("HTTP/1.1 200") && page.ends_with("up 1\n"), "{page}");
    assert!(page.contains("content-type: text/plain; version=0.0.4"), "{page}");
    assert!(get(at, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(get(at, "/readyz").await.starts_with("HTTP/1.1 200"));
    fake.draining.store(true, Ordering::Relaxed);
    let ready = get(at, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 503") && ready.ends_with("not ready: it drains\n"), "{ready}");
    assert!(get(at, "/healthz").await.starts_with("HTTP/1.1 200"), "it lives all the same");
    assert!(get(at, "/else").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn strangers_get_no_answer() {
    let (at, _fake, _task) = open(1);
    assert!(get(at, "/metrics").await.contains("up 1"));
    let (at, _fake, _task) = open(2);
    assert_eq!(get(at, "/metrics").await, "");
}

#[tokio::test]
async fn connections_are_bounded_and_places_are_given_back() {
    let (at, _fake, _task) = open(0);
    let mut held = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        held.push(TcpStream::connect(at).await.expect("it listens"));
    }
    assert_eq!(get(at, "/healthz").await, "", "a connection too many");
    held.clear();
    let again = async {
        while get(at, "/healthz").await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again).await.expect("places are free again");
}

#[tokio::test]
async fn a_taken_address_is_told() {
    let endpoint = Endpoint::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let at = endpoint.local_addr().expect("it is bound");
    let fault = Endpoint::bind(at).expect_err("it is taken").to_string();
    assert!(fault.starts_with(&format!("the metrics endpoint cannot be opened on {at}: ")), "{fault}");
}
