//! Kamailio (Debian packages `kamailio` and `kamailio-tls-modules`) as a record-routing proxy beside the edge.

use std::path::Path;
use std::process::Command;

use super::SOON;
use super::place::Place;
use super::process::Process;
use super::sockets::{self, Kind};

/// Where Debian and others put the server, which may be outside the search path of a user.
const PROGRAMS: [&str; 2] = ["/usr/sbin/kamailio", "kamailio"];

/// How Kamailio does TLS.
#[derive(Clone, Copy, Debug)]
pub struct Tls<'a> {
    /// Where the certificates lie.
    pub certificates: &'a Path,
    /// The certificate that it shows, as a server and as a client.
    pub identity: &'a str,
    /// `TLSv1.2` for that alone, `TLSv1.2+` for the best that both know.
    pub version: &'a str,
}

/// A proxy at a host of a place: what comes from the edge goes on to the callee, all else to the edge.
pub struct Kamailio {
    process: Process,
}

impl Kamailio {
    /// Starts it with UDP, and with TLS towards the edge where that is asked for.
    pub fn start(place: &Place, host: u8, callee: u8, tls: Option<Tls<'_>>) -> Self {
        let [own, edge, callee] = [host, 1, callee].map(|host| place.at(host));
        let mut listen = format!("listen=udp:{own}");
        let mut to_edge = format!("sip:{edge}");
        let mut command =
            Command::new(PROGRAMS.into_iter().find(|path| Path::new(path).exists()).unwrap_or(PROGRAMS[1]));
        if tls.is_some() {
            listen = format!("{listen}\nlisten=tls:{}", place.tls_at(host));
            to_edge = format!("sip:{};transport=tls", place.tls_at(1));
            command.args(["-A", "WITH_TLS"]);
        }
        let tls_file = tls.map(|tls| place.write("kamailio-tls.cfg", &domains(&tls)).display().to_string());
        let config = include_str!("../kamailio/proxy.cfg")
            .replace("{{listen}}", &listen)
            .replace("{{tls}}", &tls_file.unwrap_or_default())
            .replace("{{own}}", &own.ip().to_string())
            .replace("{{edge}}", &edge.ip().to_string())
            .replace("{{from_edge}}", &format!("sip:{callee};transport=udp"))
            .replace("{{to_edge}}", &to_edge);
        let config = place.write("kamailio.cfg", &config);
        command.arg("-f").arg(config).arg("-w").arg(place.folder()).arg("-Y").arg(place.folder());
        // In the foreground with little memory and an allocator that keeps to it.
        command.args(["-DD", "-E", "-x", "tlsf", "-X", "tlsf", "-m", "64", "-M", "8"]);
        let mut process = Process::start("kamailio", place.folder(), &mut command);
        process.ready("it listens", |_| {
            let open = sockets::is_open(Kind::Udp, own)
                && (tls.is_none() || sockets::is_open(Kind::Stream, place.tls_at(host)));
            open.then_some(())
        });
        Self { process }
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// Asks it to end.
    pub fn stop(mut self) {
        self.process.terminate(SOON);
    }
}

/// The file of its TLS module: the same for both roles, the other side is always verified.
fn domains(tls: &Tls<'_>) -> String {
    let file = |name: &str| tls.certificates.join(name).display().to_string();
    let domain = |role: &str| {
        format!(
            "[{role}:default]\nmethod = {}\ncertificate = {}\nprivate_key = {}\nca_list = {}\n\
             verify_certificate = yes\nrequire_certificate = yes\n\n",
            tls.version,
            file(&format!("{}.pem", tls.identity)),
            file(&format!("{}.key", tls.identity)),
            file("ca.pem"),
        )
    };
    domain("server") + &domain("client")
}
