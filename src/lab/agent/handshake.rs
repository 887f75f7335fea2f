//! The handshake by OPTIONS as a judging profile keeps it: only after the SBC's own, to its Contact, as long as they come
//! (section A3).

use tokio::time::Instant;

use super::core::Core;
use super::timers::Timer;
use crate::lab::journal::{TRUNK_LIMIT, TrunkHealth, TrunkStatus};
use crate::lab::message::{Address, Message, Uri};
use crate::lab::wire::Destination;

/// After how many intervals without OPTIONS of the SBC its trunk is no longer healthy (section A3: three minutes).
const PATIENCE: u32 = 3;

/// One name of an SBC.
#[derive(Debug)]
pub struct Trunk {
    health: TrunkHealth,
    /// Where its Contact leads.
    to: Destination,
    /// Host and port of its Contact.
    host: String,
    seen: Instant,
    /// Own OPTIONS go out.
    ticking: bool,
}

impl Core {
    /// OPTIONS of an SBC were answered with 200.
    pub fn note_trunk(&mut self, request: &Message) {
        let contact = request.list("Contact").first().and_then(|contact| Address::parse(contact));
        let Some(uri) = contact.and_then(|contact| Uri::parse(&contact.uri)) else {
            return;
        };
        let port = uri.port.unwrap_or(5061);
        let host = format!("{}:{port}", uri.host);
        let to = match self.resolve(&format!("sip:{host};transport=tls")) {
            Ok(to) => to,
            Err(reason) => {
                return self.complain_about(request, vec![format!("Contact of OPTIONS leads nowhere: {reason}")]);
            }
        };
        let fqdn = uri.host.to_ascii_lowercase();
        if !self.trunks.contains_key(&fqdn) && self.trunks.len() >= TRUNK_LIMIT {
            return;
        }
        let trunk = self.trunks.entry(fqdn.clone()).or_insert_with(|| Trunk {
            health: TrunkHealth { fqdn: fqdn.clone(), status: TrunkStatus::Pending, received: 0, sent: 0, answered: 0 },
            to: to.clone(),
            host: host.clone(),
            seen: Instant::now(),
            ticking: false,
        });
        trunk.health.received += 1;
        (trunk.to, trunk.host, trunk.seen) = (to, host, Instant::now());
        if trunk.health.status == TrunkStatus::Warning {
            trunk.health.status = TrunkStatus::Pending;
        }
        self.journal.set_trunk(&trunk.health);
        let idle = !std::mem::replace(&mut trunk.ticking, true);
        if idle {
            self.beat(&fqdn);
        }
    }

    /// Time for OPTIONS to a name, if its own still come.
    pub fn beat(&mut self, fqdn: &str) {
        let every = self.settings.options.as_ref().map(|options| options.every);
        let Some(trunk) = self.trunks.get_mut(fqdn) else {
            return;
        };
        let Some(every) = every else {
            trunk.ticking = false;
            return;
        };
        if trunk.seen.elapsed() > every * PATIENCE {
            trunk.ticking = false;
            trunk.health.status = TrunkStatus::Warning;
            self.journal.set_trunk(&trunk.health);
            return;
        }
        trunk.health.sent += 1;
        self.journal.set_trunk(&trunk.health);
        let (to, host) = (trunk.to.clone(), trunk.host.clone());
        self.send_options(to, &host, None);
        self.timers.set(every, Timer::Heartbeat(fqdn.to_owned()));
    }

    /// The answer to own OPTIONS, or that there was none.
    pub fn note_heartbeat(&mut self, request: &Message, success: bool) {
        let Some(host) = request.uri().and_then(Uri::parse).map(|uri| uri.host.to_ascii_lowercase()) else {
            return;
        };
        let Some(trunk) = self.trunks.get_mut(&host) else {
            return;
        };
        if success {
            trunk.health.answered += 1;
        }
        if trunk.ticking {
            trunk.health.status = if success { TrunkStatus::Active } else { TrunkStatus::Pending };
        }
        self.journal.set_trunk(&trunk.health);
    }
}
