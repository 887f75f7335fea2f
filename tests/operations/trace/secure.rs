//! A callee over TLS that shows its keys: sipp as Debian has it knows no TLS.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Answers calls over TLS until the test is over.
pub struct Callee {
    at: SocketAddr,
    refuses: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    listens: Option<JoinHandle<()>>,
}

impl Callee {
    /// Listens with the certificate `pbx` of a folder.
    pub fn start(at: SocketAddr, certs: &Path) -> Self {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certs.join("pbx.pem")).expect("a file").collect();
        let key = PrivateKeyDer::from_pem_file(certs.join("pbx.key")).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions of TLS").with_no_client_auth();
        let config = Arc::new(config.with_single_cert(chain.expect("certificates"), key).expect("they fit"));
        let listener = TcpListener::bind(at).expect("the address is free");
        let (refuses, ends) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (refused, ended) = (Arc::clone(&refuses), Arc::clone(&ends));
        let listens = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ended.load(Relaxed) {
                    return;
                }
                let (config, refuses) = (Arc::clone(&config), Arc::clone(&refused));
                std::thread::spawn(move || converse(stream, at, config, &refuses));
            }
        });
        Self { at, refuses, ends, listens: Some(listens) }
    }

    /// The line is busy.
    pub fn refuse_from_now_on(&self) {
        self.refuses.store(true, Relaxed);
    }
}

impl Drop for Callee {
    /// The address is another test's then.
    fn drop(&mut self) {
        self.ends.store(true, Relaxed);
        let woken = TcpStream::connect(self.at);
        if let Some(listens) = self.listens.take().filter(|_| woken.is_ok()) {
            let _ = listens.join();
        }
    }
}

/// Answers what comes on one connection, until it ends.
fn converse(stream: TcpStream, at: SocketAddr, config: Arc<ServerConfig>, refuses: &AtomicBool) {
    let Ok(connection) = ServerConnection::new(config) else { return };
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    while let Some(request) = read(&mut stream) {
        let answers = match request.split(' ').next() {
            Some("INVITE") if refuses.load(Relaxed) => {
                vec![answer(&request, at, "486 Busy Here", "Reason: Q.850;cause=17;text=\"User busy\"\r\n", "")]
            }
            Some("INVITE") => {
                vec![answer(&request, at, "180 Ringing", "", ""), answer(&request, at, "200 OK", "", &session(at))]
            }
            Some("ACK") => Vec::new(),
            _ => vec![answer(&request, at, "200 OK", "", "")],
        };
        for answer in answers {
            if stream.get_mut().write_all(answer.as_bytes()).and_then(|()| stream.get_mut().flush()).is_err() {
                return;
            }
        }
    }
}

/// The next message; `None`: there is none.
fn read(stream: &mut impl BufRead) -> Option<String> {
    let mut message = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some((name, value)) = line.split_once(':')
            && (name.eq_ignore_ascii_case("content-length") || name == "l")
        {
            length = value.trim().parse().ok()?;
        }
        // Blank lines before a message keep the connection alive.
        if line.trim().is_empty() && message.is_empty() {
            continue;
        }
        message += &line;
        if line.trim().is_empty() {
            let mut body = vec![0; length];
            stream.read_exact(&mut body).ok()?;
            return Some(message + &String::from_utf8_lossy(&body));
        }
    }
}

fn answer(request: &str, at: SocketAddr, status: &str, more: &str, body: &str) -> String {
    let mut answer = format!("SIP/2.0 {status}\r\n");
    for line in request.lines().skip(1).take_while(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
        match name.as_str() {
            "to" | "t" if !line.contains(";tag=") => answer += &format!("{line};tag=callee\r\n"),
            "to" | "t" | "via" | "v" | "from" | "f" | "call-id" | "i" | "cseq" | "record-route" => {
                answer += &format!("{line}\r\n");
            }
            _ => {}
        }
    }
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    answer + &format!("Contact: <sip:{at};transport=tls>\r\n{more}{kind}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// A session with a key that nobody else may see.
fn session(at: SocketAddr) -> String {
    let (ip, key) = (at.ip(), super::KEY);
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 8\r\n\
         a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}\r\na=ice-pwd:{key}\r\n"
    )
}
