//! The targets of trunks: their names, the connection, the certificate, and OPTIONS as the edge sends it.

use std::hash::{BuildHasher, RandomState};

use time::OffsetDateTime;

use super::Patient;
use super::report::{Report, Step};
use crate::call::probe::{self, ProbeId, Random};
use crate::daemon::{build, names};
use crate::dns::Resolver;
use crate::sip::{Framing, Limits, Message, Transport};
use crate::transport::trial::{self, Answered, Asked, Shaken, TrialFault};
use crate::trunk::{Hop, Target, Trunk, TrunkKind};

const AREA: &str = "targets";

/// Days before its end from which a peer's certificate is worth a word.
const NEAR_END_DAYS: i64 = 14;

/// Tries all targets that are to be looked at, each place of each of them.
pub(super) async fn look(patient: &Patient<'_>, resolver: &Resolver, report: &mut Report) {
    for trunk in patient.loaded.trunks.0.iter().filter(|trunk| patient.looks_at(trunk.id)) {
        for target in &trunk.targets {
            let subject = format!("{} {target}", trunk.name);
            let hops = names::look_up(resolver, &patient.edge, trunk.id, target).await;
            if hops.is_empty() {
                let text = "DNS has no place for it that a listener of the trunk can reach";
                let advice = "look the name up (NAPTR, SRV, A); a transport that no listener has is left out";
                report.add(Step::fail(AREA, &subject, text).advise(advice));
            }
            for hop in hops {
                report.add(try_out(patient, (trunk, target), &hop, &subject).await);
            }
        }
    }
}

async fn try_out(patient: &Patient<'_>, (trunk, target): (&Trunk, &Target), hop: &Hop, subject: &str) -> Step {
    let subject = format!("{subject} at {}:{}", hop.transport, hop.addr);
    let tls = match build::client_tls(patient.loaded, trunk.id, None) {
        Ok(tls) => tls,
        Err(error) => return Step::fail(AREA, &subject, error.to_string()).advise("see `trunkway check`"),
    };
    // Seeded by the system, anew in each process.
    let draw = |purpose: u8| RandomState::new().hash_one(purpose);
    let id = ProbeId { target: 0, number: draw(0) };
    let random = Random { call_id: draw(1), tag: draw(2) };
    let request = probe::request(&patient.edge, hop, target, id, random);
    let asked = Asked {
        transport: hop.transport,
        addr: hop.addr,
        name: hop.name.as_deref(),
        tls: tls.as_deref(),
        patience: patient.patience,
    };
    match trial::ask(asked, &request).await {
        Ok(answered) => of_answer(trunk, hop, &subject, &answered),
        Err(fault) => of_fault(trunk, hop, &subject, &fault),
    }
}

/// What an answer says.
fn of_answer(trunk: &Trunk, hop: &Hop, subject: &str, answered: &Answered) -> Step {
    let framing = if hop.transport == Transport::Udp { Framing::Datagram } else { Framing::Stream };
    let message = Message::parse(answered.bytes.clone().into(), framing, &Limits::default());
    let status = message.as_ref().map_or(0, Message::status);
    let link = answered.tls.as_ref().map(shown).unwrap_or_default();
    let text = format!("{link}OPTIONS were answered with {status} in {} ms", answered.took.as_millis());
    let ends_soon = answered.tls.as_ref().and_then(days_left).is_some_and(|days| days < NEAR_END_DAYS);
    match status {
        200..=299 if ends_soon => Step::warn(AREA, subject, text).advise("the peer's certificate ends soon: tell them"),
        200..=299 => Step::ok(AREA, subject, text),
        403 if trunk.kind == TrunkKind::Teams => Step::fail(AREA, subject, text).advise(
            "Teams does not know the name in the edge's Contact: add it as an SBC in the tenant (its domain must be \
             verified, with a licensed user in it), and show a certificate that has the name",
        ),
        401 | 403 | 407 => Step::warn(AREA, subject, text).advise(
            "the peer is there and refuses the edge: it may know the edge by its address and port only, which are \
             others for this trial",
        ),
        404 | 405 | 480 | 481 | 486 => Step::ok(AREA, subject, text + ": it is there, and refuses OPTIONS"),
        503 => Step::fail(AREA, subject, text).advise("the peer says that it takes no calls now"),
        _ => Step::warn(AREA, subject, text),
    }
}

/// Which step failed.
fn of_fault(trunk: &Trunk, hop: &Hop, subject: &str, fault: &TrialFault) -> Step {
    let link = match fault {
        TrialFault::Closed { tls: Some(shaken) } | TrialFault::Silence { tls: Some(shaken), .. } => shown(shaken),
        _ => String::new(),
    };
    let step = Step::fail(AREA, subject, format!("{link}{fault}"));
    let teams = trunk.kind == TrunkKind::Teams;
    step.advise(match fault {
        TrialFault::Connect(_) | TrialFault::ConnectTimeout(_) => {
            "is a firewall between, is the port right, does it listen? try `nc -vz` from this machine"
        }
        TrialFault::TlsTimeout(_) => "the peer takes the connection and no TLS: is this its TLS port?",
        TrialFault::Tls(_) if teams => {
            "`client_ca`/`ca` must have Microsoft's roots, and the certificate that the edge shows must be one that Teams takes \
             (`trunkway check` looks at both)"
        }
        TrialFault::Tls(_) => {
            "compare with `openssl s_client -connect HOST:PORT -servername NAME -CAfile CA`: the chain must lead to `ca`, \
             the certificate must have the name"
        }
        TrialFault::NoTls => "give `ca` in [tls_client] or in the trunk's `tls_client`",
        TrialFault::Closed { .. } if teams => {
            "Teams ends connections of an SBC that it does not know: is the name in Contact an SBC of the tenant, and in \
             the certificate?"
        }
        TrialFault::Silence { .. } if teams => {
            "Teams does not answer an SBC whose Contact has a name that the certificate lacks"
        }
        TrialFault::Silence { .. } if hop.transport == Transport::Udp => {
            "nobody is there, a firewall drops it, or the peer answers only known addresses and ports"
        }
        TrialFault::Send(_) | TrialFault::Closed { .. } | TrialFault::Silence { .. } => {
            "the peer takes the connection and gives no answer: does it know this edge as a peer?"
        }
    })
}

fn days_left(shaken: &Shaken) -> Option<i64> {
    Some(shaken.peer.as_ref()?.days_left(OffsetDateTime::now_utc()))
}

fn shown(shaken: &Shaken) -> String {
    match &shaken.peer {
        Some(peer) => {
            let days = peer.days_left(OffsetDateTime::now_utc());
            format!(
                "{}, certificate of {} by {} for {days} more days; ",
                shaken.version, peer.subject.shown, peer.issuer.shown
            )
        }
        None => format!("{}; ", shaken.version),
    }
}
