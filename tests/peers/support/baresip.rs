//! baresip (Debian package `baresip-core`): a soft phone without sound devices, driven by its control socket.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

use super::SOON;
use super::place::Place;
use super::process::Process;
use super::sockets::{self, Kind};

/// Where its modules may lie.
const MODULES: [&str; 3] =
    ["/usr/lib/baresip/modules", "/usr/lib/x86_64-linux-gnu/baresip/modules", "/usr/local/lib/baresip/modules"];

/// A phone at a host of a place; it registers nowhere and sends everything to the edge.
pub struct Baresip {
    process: Process,
    control: BufReader<TcpStream>,
}

impl Baresip {
    /// Starts a phone with a user name; it answers calls by itself.
    pub fn start(place: &Place, host: u8, user: &str) -> Self {
        let (at, edge) = (place.at(host), place.at(1));
        let control = SocketAddr::new(at.ip(), place.port + 2);
        let modules = MODULES.into_iter().find(|path| Path::new(path).is_dir()).unwrap_or(MODULES[0]);
        let name = format!("baresip-{user}");
        let folder = place.folder().join(&name);
        std::fs::create_dir(&folder).expect("the temporary folder takes a folder");
        let config = format!(
            "poll_method epoll\nsip_listen {at}\nmodule_path {modules}\nctrl_tcp_listen {control}\n\
             audio_player aubridge,loop\naudio_source aubridge,loop\naudio_alert aubridge,loop\n\
             module g711.so\nmodule aubridge.so\nmodule ctrl_tcp.so\nmodule_app account.so\nmodule_app menu.so\n"
        );
        let account = format!(
            "<sip:{user}@{at};transport=udp>;regint=0;answermode=auto;audio_codecs=pcma;\
             outbound=\"sip:{edge};transport=udp\"\n"
        );
        for (file, text) in [("config", config.as_str()), ("accounts", &account), ("contacts", "")] {
            std::fs::write(folder.join(file), text).expect("the temporary folder takes a file");
        }
        let mut command = Command::new("baresip");
        // With a trace of what it sends and gets in its output.
        command.arg("-f").arg(&folder).args(["-s", "-n", &at.ip().to_string()]);
        let mut process = Process::start(&name, place.folder(), &mut command);
        process.ready("it listens", |_| {
            (sockets::is_open(Kind::Udp, at) && sockets::is_open(Kind::Stream, control)).then_some(())
        });
        let control = TcpStream::connect(control).expect("baresip can be controlled");
        control.set_read_timeout(Some(SOON)).expect("sockets have timeouts");
        Self { process, control: BufReader::new(control) }
    }

    /// Gives a command of baresip's menu.
    pub fn command(&mut self, command: &str, params: &str) {
        let text = json!({ "command": command, "params": params }).to_string();
        let framed = format!("{}:{text},", text.len());
        self.control.get_mut().write_all(framed.as_bytes()).expect("baresip takes a command");
    }

    /// Waits until baresip tells of an event, such as `CALL_ESTABLISHED`; gives its parameter.
    pub fn event(&mut self, kind: &str) -> String {
        let deadline = Instant::now() + SOON;
        loop {
            assert!(Instant::now() < deadline, "baresip tells of no {kind}");
            let message = self.message();
            if message["event"] == true && message["type"] == kind {
                return message["param"].as_str().unwrap_or_default().to_owned();
            }
            assert!(message["type"] != "CALL_CLOSED", "the call has ended before {kind}: {message}");
        }
    }

    /// The next message on the control socket: a netstring with JSON in it.
    fn message(&mut self) -> Value {
        let mut byte = || {
            let mut byte = [0];
            self.control.read_exact(&mut byte).expect("baresip tells no more");
            byte[0]
        };
        let mut len = 0;
        loop {
            match byte() {
                b':' => break,
                digit @ b'0'..=b'9' => len = len * 10 + usize::from(digit - b'0'),
                other => panic!("baresip sends no netstring but {other:#04x}"),
            }
        }
        let mut text: Vec<u8> = (0..=len).map(|_| byte()).collect();
        assert_eq!(text.pop(), Some(b','));
        serde_json::from_slice(&text).expect("baresip speaks JSON")
    }

    /// The trace so far.
    pub fn trace(&self) -> String {
        self.process.output()
    }
}
