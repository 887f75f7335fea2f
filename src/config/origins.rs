//! What routing knows of each trunk, put together from the tables that say something of it.

use std::sync::Arc;

use super::dialplans::PlanSet;
use super::fault::Severity;
use super::listeners::Listeners;
use super::log::{Draft, FileId, Log};
use super::owners::Owners;
use super::reader::quoted;
use super::trunks::TrunkSet;
use crate::routing::{Origin, Route};
use crate::trunk::{TrunkId, TrunkKind};

/// What routing knows of each trunk.
pub(super) fn read(
    log: &Log,
    trunks: &TrunkSet<'_>,
    listeners: &Listeners,
    plans: &PlanSet,
    owners: &Owners,
) -> Vec<Origin> {
    let mut origins = Vec::with_capacity(trunks.notes.len());
    for (trunk, note) in trunks.trunks.0.iter().zip(&trunks.notes) {
        let plan = match &note.dialplan {
            Some(name) => plans.names.find(log, &note.title, name),
            None if trunk.leaving => None,
            None => plans.names.only(),
        };
        let host = trunk
            .fqdn
            .clone()
            .or_else(|| listeners.get(trunk.listener).map(|listen| Arc::clone(&listen.listener.host)));
        origins.push(Origin {
            name: Arc::clone(&trunk.name),
            kind: trunk.kind,
            host: host.unwrap_or_else(|| "".into()),
            plan,
            tenant: owners.get(trunk.id).map(|owner| owner.tenant),
            called: note.called,
            calling: note.calling,
            rates: note.rates.clone(),
            leaving: trunk.leaving,
        });
    }
    origins
}

/// Warns of what nothing uses and of trunks whose calls go nowhere.
pub(super) fn idle(
    log: &Log,
    listeners: &Listeners,
    trunks: &TrunkSet<'_>,
    plans: &PlanSet,
    origins: &[Origin],
    routes: &[Route],
) {
    if trunks.staying().next().is_none() {
        let draft = Draft::of_file(Severity::Warning, FileId::default(), "there is no trunk");
        log.add(draft.help("every request is refused until a [trunk.NAME] table says who may send them"));
        return;
    }
    for (listen, place) in listeners.list.iter().zip(&listeners.places) {
        let mut staying = trunks.staying();
        if !listen.listener.leaving && !staying.any(|(trunk, _)| trunk.listener == listen.listener.id) {
            let message = format!("no trunk uses listener {}", quoted(&listen.listener.name));
            log.add(Draft::warning(*place, message));
        }
    }
    for (index, (plan, place)) in (0..).zip(plans.list.iter().zip(&plans.places)) {
        if !origins.iter().any(|origin| origin.plan == Some(index)) {
            let message = format!("no trunk asks dial plan {}", quoted(plan.name()));
            log.add(Draft::warning(*place, message).help("name it as `dialplan` of a trunk"));
        }
    }
    for (trunk, note) in trunks.staying() {
        let Some(origin) = origins.get(usize::from(trunk.id.0)) else { continue };
        // A tenant's own trunk reaches the tenant's users and sites.
        let placed = origin.plan.is_some() || origin.tenant.is_some();
        if trunk.kind != TrunkKind::Teams
            && !placed
            && !routes.iter().any(|route| takes(route, origin, trunk.id, origins))
        {
            let message = format!("{}: its calls go nowhere", note.title);
            let help = "give it a `dialplan`, or a [[route]] with `from`";
            log.add(Draft::warning(note.place, message).help(help));
        }
    }
}

/// Whether a route may take calls from a trunk. One without `from` takes none from a carrier to another.
fn takes(route: &Route, origin: &Origin, trunk: TrunkId, origins: &[Origin]) -> bool {
    let kind = |id: TrunkId| origins.get(usize::from(id.0)).map(|origin| origin.kind);
    match route.from {
        Some(from) => from == trunk,
        None => route.trunks().any(|to| {
            let transit = origin.kind == TrunkKind::Carrier && kind(to) == Some(TrunkKind::Carrier);
            (to != trunk || route.hairpin) && !transit
        }),
    }
}
