//! Kamailio's presence server (Debian package `kamailio-presence-modules`) as the PBX that is published to.

use std::path::Path;
use std::process::Command;

use crate::support::SOON;
use crate::support::place::Place;
use crate::support::process::Process;
use crate::support::sockets::{self, Kind};

/// Where Debian has the empty tables that the server asks for when it starts; it keeps nothing there.
const TABLES: &str = "/usr/share/kamailio/dbtext/kamailio";

/// A presence server at a host of a place, by UDP and TCP.
pub struct PresenceServer(Process);

impl PresenceServer {
    /// Starts it.
    pub fn start(place: &Place, host: u8) -> Self {
        let own = place.at(host);
        let tables = place.folder().join("tables");
        std::fs::create_dir(&tables).unwrap();
        for table in ["version", "presentity", "active_watchers", "watchers", "xcap"] {
            let from = Path::new(TABLES).join(table);
            std::fs::copy(&from, tables.join(table)).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        }
        let config = include_str!("server.cfg")
            .replace("{{own}}", &own.to_string())
            .replace("{{tables}}", &tables.display().to_string());
        let config = place.write("server.cfg", &config);
        let program = ["/usr/sbin/kamailio", "kamailio"].into_iter().find(|path| Path::new(path).exists());
        let mut command = Command::new(program.unwrap_or("kamailio"));
        command.arg("-f").arg(config).arg("-w").arg(place.folder()).arg("-Y").arg(place.folder());
        command.args(["-DD", "-E", "-x", "tlsf", "-X", "tlsf", "-m", "64", "-M", "8"]);
        let mut process = Process::start("presence-server", place.folder(), &mut command);
        process.ready("it listens", |_| {
            (sockets::is_open(Kind::Udp, own) && sockets::is_open(Kind::Stream, own)).then_some(())
        });
        Self(process)
    }

    /// All that it has logged: a line for each request.
    pub fn log(&self) -> String {
        self.0.output()
    }

    /// Asks it to end.
    pub fn stop(mut self) {
        self.0.terminate(SOON);
    }
}
