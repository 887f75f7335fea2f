//! Kamailio (Debian packages `kamailio` and `kamailio-presence-modules`) as a PBX: one that is published to, and one that
//! publishes.

use std::path::Path;
use std::process::Command;

use crate::support::SOON;
use crate::support::place::Place;
use crate::support::process::Process;
use crate::support::sockets::{self, Kind};

/// Where Debian has the empty tables that its modules ask for when they start; nothing is kept there.
const TABLES: &str = "/usr/share/kamailio/dbtext/kamailio";

/// A running Kamailio.
pub struct Kamailio(Process);

impl Kamailio {
    /// A presence server at a host of a place, by UDP and TCP.
    pub fn presence_server(place: &Place, host: u8) -> Self {
        let tables = tables(place, &["version", "presentity", "active_watchers", "watchers", "xcap"]);
        let config = include_str!("presence.cfg").replace("{{tables}}", &tables);
        Self::start(place, host, &config, &[Kind::Udp, Kind::Stream])
    }

    /// A PBX at a host of a place, by UDP, that sends all calls to a callee and publishes them to the edge.
    pub fn pbx(place: &Place, host: u8, callee: u8) -> Self {
        let tables = tables(place, &["version", "pua", "dialog", "dialog_vars"]);
        let config = include_str!("calls.cfg")
            .replace("{{tables}}", &tables)
            .replace("{{edge}}", &place.at(1).to_string())
            .replace("{{callee}}", &place.at(callee).to_string());
        Self::start(place, host, &config, &[Kind::Udp])
    }

    fn start(place: &Place, host: u8, config: &str, kinds: &[Kind]) -> Self {
        let own = place.at(host);
        let config = place.write("kamailio.cfg", &config.replace("{{own}}", &own.to_string()));
        let program = ["/usr/sbin/kamailio", "kamailio"].into_iter().find(|path| Path::new(path).exists());
        let mut command = Command::new(program.unwrap_or("kamailio"));
        command.arg("-f").arg(config).arg("-w").arg(place.folder()).arg("-Y").arg(place.folder());
        // In the foreground with little memory and an allocator that keeps to it.
        command.args(["-DD", "-E", "-x", "tlsf", "-X", "tlsf", "-m", "64", "-M", "8"]);
        let mut process = Process::start("kamailio", place.folder(), &mut command);
        process.ready("it listens", |_| kinds.iter().all(|&kind| sockets::is_open(kind, own)).then_some(()));
        Self(process)
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        self.0.output()
    }

    /// Asks it to end.
    pub fn stop(mut self) {
        self.0.terminate(SOON);
    }
}

/// Copies empty tables into the place's folder.
fn tables(place: &Place, names: &[&str]) -> String {
    let folder = place.folder().join("tables");
    std::fs::create_dir(&folder).unwrap();
    for name in names {
        let from = Path::new(TABLES).join(name);
        std::fs::copy(&from, folder.join(name)).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
    folder.display().to_string()
}
