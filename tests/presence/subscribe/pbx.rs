//! Kamailio (Debian packages `kamailio` and `kamailio-presence-modules`) as a PBX that tells of its lines' calls.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::SOON;
use crate::support::place::Place;
use crate::support::process::Process;
use crate::support::sockets::{self, Kind};

/// Where Debian has Kamailio's empty tables.
const TABLES: &str = "/usr/share/kamailio/dbtext/kamailio";

/// Where Debian and others put the server, which may be outside the search path of a user.
const PROGRAMS: [&str; 2] = ["/usr/sbin/kamailio", "kamailio"];

/// A PBX at a host of a place; all calls go to the phone at another.
pub struct Pbx {
    process: Process,
}

impl Pbx {
    /// Starts it; who subscribes must know the password.
    pub fn start(place: &Place, host: u8, phone: u8, password: &str) -> Self {
        let own = place.at(host);
        let config = include_str!("pbx.cfg")
            .replace("{{own}}", &own.to_string())
            .replace("{{host}}", &own.ip().to_string())
            .replace("{{phone}}", &place.at(phone).to_string())
            .replace("{{password}}", password)
            .replace("{{db}}", &tables(place).display().to_string());
        let config = place.write("pbx.cfg", &config);
        let program = PROGRAMS.into_iter().find(|path| Path::new(path).exists()).unwrap_or(PROGRAMS[1]);
        let mut command = Command::new(program);
        command.arg("-f").arg(config).arg("-w").arg(place.folder()).arg("-Y").arg(place.folder());
        // In the foreground with little memory.
        command.args(["-DD", "-E", "-m", "64", "-M", "8"]);
        let mut process = Process::start("pbx", place.folder(), &mut command);
        process.ready("it listens", |_| sockets::is_open(Kind::Udp, own).then_some(()));
        Self { process }
    }

    /// Asks it to end.
    pub fn stop(mut self) {
        self.process.terminate(SOON);
    }
}

/// Empty tables of its own.
fn tables(place: &Place) -> PathBuf {
    let folder = place.folder().join("pbx-tables");
    std::fs::create_dir_all(&folder).expect("a folder");
    for table in ["version", "presentity", "active_watchers", "watchers", "pua"] {
        let from = Path::new(TABLES).join(table);
        std::fs::copy(&from, folder.join(table)).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
    folder
}
