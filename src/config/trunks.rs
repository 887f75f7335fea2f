//! `[trunk.NAME]`: the peers, and whether they can be told apart.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::address::{self, TargetText};
use super::call_limits::{self, Profiles};
use super::listeners::Listeners;
use super::log::{At, Draft, Log, Place};
use super::login::{self, Login};
use super::model::{ClientTls, Listen, Node, Timers, TrunkTls};
use super::names::Names;
use super::rates;
use super::reader::{Table, quoted};
use super::settings::client_tls;
use super::sheets::Sheets;
use super::slots::{self, Slots, TrunkSlot};
use super::teams::{self, Cloud};
use super::translations;
use crate::routing::Rates;
use crate::routing::number::Form;
use crate::routing::translate::Translations;
use crate::sip::Transport;
use crate::trunk::health;
use crate::trunk::{Fork, ListenerId, Network, Target, Trunk, TrunkId, TrunkKind, Trunks};

/// How long a serial target may be silent before the next one is tried.
const NO_ANSWER: Duration = Duration::from_millis(4_000);

/// The trunks and what the other tables ask of them.
#[derive(Debug)]
pub(super) struct TrunkSet<'t> {
    pub names: Names<TrunkId>,
    pub trunks: Trunks,
    /// By [`TrunkId`].
    pub tls: Vec<TrunkTls>,
    /// By [`TrunkId`].
    pub translations: Vec<Translations>,
    /// By [`TrunkId`].
    pub notes: Vec<Note<'t>>,
}

/// What of a trunk's table is looked at again once the other tables are read.
#[derive(Debug)]
pub(super) struct Note<'t> {
    pub title: String,
    pub place: Place,
    pub dialplan: Option<At<&'t str>>,
    pub health: health::Settings,
    pub requests_per_second: Option<u32>,
    /// Whose trunk it is, as written.
    pub tenant: Option<At<&'t str>>,
    pub called: Form,
    pub calling: Form,
    pub rates: Option<Rates>,
    /// Who the edge is towards it.
    pub login: Option<Login>,
    /// Where each network of `allow_from` stands.
    networks: Vec<At<Network>>,
}

/// What the trunks are read with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings<'a> {
    pub node: &'a Node,
    pub timers: &'a Timers,
    pub listeners: &'a Listeners,
    pub slots: &'a Slots,
    pub tls_client: &'a ClientTls,
    pub profiles: &'a Profiles,
    /// How many rates a trunk may have.
    pub max_rates: usize,
}

impl TrunkSet<'_> {
    /// The trunks that a key names in order, none of them twice or of kind teams.
    pub(super) fn list(&self, log: &Log, table: &mut Table<'_>, key: &'static str) -> Vec<At<TrunkId>> {
        let mut list: Vec<At<TrunkId>> = Vec::new();
        for name in table.texts(key).unwrap_or_default() {
            let Some(id) = self.names.find(log, &table.title, &name) else { continue };
            if let Some(first) = list.iter().find(|known| known.value == id) {
                let message = format!("{}: `{key}` names {} twice", table.title, quoted(name.value));
                log.add(Draft::error(name.place, message).label("again").also(first.place, "first"));
            }
            if self.kind(id) == Some(TrunkKind::Teams) {
                let message = format!("{}: `{key}` must not name a trunk of kind teams", table.title);
                log.add(Draft::error(name.place, message).label("is one"));
            }
            list.push(At::new(id, name.place));
        }
        list
    }

    /// Those of the configuration, without what leaves, each with its note.
    pub(super) fn staying(&self) -> impl Iterator<Item = (&Trunk, &Note<'_>)> {
        self.trunks.0.iter().zip(&self.notes).filter(|(trunk, _)| !trunk.leaving)
    }

    /// Fills the place of a trunk that leaves.
    fn leave(&mut self, slots: &Slots, at: usize) {
        let Some(TrunkSlot { trunk, tls, health, translations }) = slots.leaving_trunk(at) else { return };
        self.notes.push(Note {
            title: format!("trunk `{}`", trunk.name),
            place: Place::default(),
            dialplan: None,
            health,
            tenant: None,
            called: Form::AsIs,
            calling: Form::AsIs,
            rates: None,
            login: None,
            networks: Vec::new(),
            requests_per_second: None,
        });
        self.trunks.0.push(trunk);
        self.tls.push(tls);
        self.translations.push(translations);
    }

    /// The kind of a trunk.
    pub(super) fn kind(&self, id: TrunkId) -> Option<TrunkKind> {
        self.trunks.get(id).map(|trunk| trunk.kind)
    }
}

/// A way of writing numbers, from a key that names one.
pub(super) fn form(table: &mut Table<'_>, key: &'static str) -> Option<Form> {
    let words = Form::ALL.map(|form| (form.name(), form));
    table.choice(key, &words).map(|form| form.value)
}

pub(super) fn read<'t>(
    log: &Log,
    tables: Vec<(At<&'t str>, Table<'t>)>,
    around: Surroundings<'_>,
    sheets: &mut Sheets,
) -> TrunkSet<'t> {
    let mut set = TrunkSet {
        names: Names::new("trunk"),
        trunks: Trunks::default(),
        tls: Vec::new(),
        translations: Vec::new(),
        notes: Vec::new(),
    };
    let slots = around.slots;
    let numbers = slots.of_trunks(tables.iter().map(|(name, _)| name.value));
    for (at, placed) in (0..).zip(slots::placed(tables, &numbers, slots.trunks.len())) {
        let Some((name, mut table)) = placed else {
            set.leave(slots, at);
            continue;
        };
        let Ok(index) = u16::try_from(at) else {
            let draft = Draft::error(name.place, "there are more than 65535 trunks, those before reloads counted");
            log.add(draft.help("restart the edge: what has left is forgotten then"));
            break;
        };
        let id = TrunkId(index);
        set.names.add(log, At::new(name.value, name.place), id);
        set.translations.push(translations::read(&mut table));
        let (trunk, tls, note) = trunk(log, id, &name, table, around, sheets);
        set.trunks.0.push(trunk);
        set.tls.push(tls);
        set.notes.push(note);
    }
    told_apart(log, &set, around.listeners);
    set
}

fn trunk<'t>(
    log: &Log,
    id: TrunkId,
    name: &At<&'t str>,
    mut table: Table<'t>,
    around: Surroundings<'_>,
    sheets: &mut Sheets,
) -> (Trunk, TrunkTls, Note<'t>) {
    let t = &mut table;
    t.must_have("kind");
    let kind =
        t.choice("kind", &[("teams", TrunkKind::Teams), ("carrier", TrunkKind::Carrier), ("pbx", TrunkKind::Pbx)]);
    let kind = kind.map(|kind| kind.value);
    let teams = kind == Some(TrunkKind::Teams);
    let listener = t.required("listen").and_then(|listen| around.listeners.names.find(log, &t.title, &listen));
    let listen = listener.and_then(|listener| around.listeners.get(listener));
    let cloud = teams::cloud(t, kind);
    let targets = targets(t, listen, cloud);
    let peer_names = peer_names(t, listen, &targets, cloud);
    let by_name = !peer_names.is_empty() && listen.is_some_and(|listen| listen.tls.is_some());
    let networks = allow_from(t, &targets, by_name, cloud);
    let fork = t.choice("fork", &[("serial", Fork::Serial), ("parallel", Fork::Parallel)]);
    let fork = fork.map_or_else(Fork::default, |fork| fork.value);
    let failover_codes = t.numbers("failover_codes", 300..=599).map_or_else(
        || {
            if teams { vec![503] } else { vec![408, 502, 503, 504] }
        },
        |codes| codes.into_iter().filter_map(|code| u16::try_from(code.value).ok()).collect(),
    );
    // Targets that ring together are not waited for one by one: they have as long as Timer B gives them.
    let no_answer = match fork {
        Fork::Serial => NO_ANSWER,
        Fork::Parallel => around.timers.t1 * 64,
    };
    let trunk = Trunk {
        id,
        name: name.value.into(),
        kind: kind.unwrap_or(TrunkKind::Pbx),
        listener: listener.unwrap_or(ListenerId(0)),
        targets: targets.into_iter().map(|target| resolved(target.value, listen, teams)).collect(),
        allow_from: networks.iter().map(|network| network.value).collect(),
        peer_names,
        fqdn: own_fqdn(t, teams, listen, around.node),
        fork,
        failover_codes,
        no_answer: t.millis("no_answer_ms", 100..=180_000, no_answer),
        stream_when_large: t.boolean("stream_when_large").is_none_or(|flag| flag.value),
        connection_reuse: t.boolean("connection_reuse").is_none_or(|flag| flag.value),
        transparent: transparent(t, teams, around.node),
        limits: call_limits::read(t, around.profiles),
        dialect: Arc::new(super::dialect::read(t, kind.unwrap_or(TrunkKind::Pbx))),
        leaving: false,
    };
    let tls = TrunkTls {
        client: client(t, listen, around.tls_client),
        accept_server_auth_only: t.boolean("accept_server_auth_only").map_or(teams, |flag| flag.value),
    };
    if teams
        && let Some(listen) = listen
        && listen.tls.is_none()
    {
        let message = format!("{}: Teams speaks TLS only, but listener `{}` does not", t.title, listen.listener.name);
        log.add(Draft::warning(t.place_of("listen"), message));
    }
    nobody_comes_in(t, &trunk, listen, cloud.is_some());
    let health = super::health::read(t, trunk.kind);
    let default = if teams { Form::E164 } else { Form::AsIs };
    let note = Note {
        title: t.title.clone(),
        place: name.place,
        dialplan: t.text("dialplan"),
        health,
        requests_per_second: super::guard::of_trunk(t),
        tenant: owner(t, teams),
        called: form(t, "called_form").unwrap_or(default),
        calling: form(t, "calling_form").unwrap_or(default),
        rates: rates::read(log, t, sheets, around.max_rates),
        login: login::read(t),
        networks,
    };
    table.finish();
    (trunk, tls, note)
}

/// Whose trunk it is. That Teams is everybody's, nobody can change.
fn owner<'t>(table: &mut Table<'t>, teams: bool) -> Option<At<&'t str>> {
    let tenant = table.text("tenant")?;
    if teams {
        let message = format!("{}: a trunk of kind teams belongs to no tenant", table.title);
        table.log().add(
            Draft::error(tenant.place, message)
                .help("leave `tenant` out: a call from Teams is the tenant's whose site its Request-URI names"),
        );
        return None;
    }
    Some(tenant)
}

fn targets(table: &mut Table<'_>, listen: Option<&Listen>, cloud: Option<&Cloud>) -> Vec<At<TargetText>> {
    if let (Some(cloud), false) = (cloud, table.has("targets")) {
        table.know("targets");
        return cloud.targets().map(|target| At::new(target, table.place)).collect();
    }
    table.must_have("targets");
    if table.is_empty_list("targets") {
        let message = format!("{}: `targets` is empty", table.title);
        table.log().add(Draft::error(table.place_of("targets"), message));
    }
    let targets = table.parsed_list("targets", address::target).unwrap_or_default();
    for target in &targets {
        if let (Some(transport), Some(listen)) = (target.value.transport, listen)
            && transport != listen.listener.transport
        {
            let own = listen.listener.transport;
            let name = &listen.listener.name;
            let message = format!("{}: a `{transport}:` target on listener `{name}`, which is `{own}:`", table.title);
            table.log().add(
                Draft::error(target.place, message)
                    .label(format!("goes out by {transport}"))
                    .also(table.place_of("listen"), format!("listens by {own}"))
                    .help("a trunk sends by the transport of its listener"),
            );
        }
    }
    targets
}

/// Who is to be reached by TLS is never reached otherwise, whatever other listeners there are. Teams' names have address
/// records alone: without a port the usual one is meant, and SRV is not asked.
fn resolved(target: TargetText, listen: Option<&Listen>, teams: bool) -> Target {
    let TargetText { transport, at } = target;
    let own = transport.or(listen.map(|listen| listen.listener.transport)).unwrap_or(Transport::Udp);
    let literal = at.literal.map(|addr| SocketAddr::new(addr, at.port.unwrap_or_else(|| own.default_port())));
    let port = at.port.or_else(|| (teams && literal.is_none()).then(|| own.default_port()));
    let transport = transport.or((own == Transport::Tls).then_some(own));
    Target { transport, host: at.host, port, literal }
}

/// The networks of `allow_from`; without the key, those of the cloud, or else the addresses among the targets.
///
/// Of a trunk that certificates prove, targets that are names may have any address: then it has no networks.
fn allow_from(
    table: &mut Table<'_>,
    targets: &[At<TargetText>],
    by_name: bool,
    cloud: Option<&Cloud>,
) -> Vec<At<Network>> {
    let Some(networks) = table.parsed_list("allow_from", address::network) else {
        if let Some(cloud) = cloud {
            return cloud.allow_from().map(|network| At::new(network, table.place)).collect();
        }
        if by_name && targets.iter().any(|target| target.value.at.literal.is_none()) {
            return Vec::new();
        }
        let literal =
            |target: &At<TargetText>| target.value.at.literal.map(|addr| At::new(Network::host(addr), target.place));
        return targets.iter().filter_map(literal).collect();
    };
    for network in &networks {
        let (first, bits) = network.value.prefix();
        if Network::host(network.value.addr).prefix().0 != first {
            let first = std::net::Ipv6Addr::from(first);
            let first = first.to_ipv4_mapped().map_or(IpAddr::V6(first), IpAddr::V4);
            let bits = if first.is_ipv4() { bits - 96 } else { bits };
            let message = format!("{}: {} is not the first address of its network", table.title, network.value.addr);
            table.log().add(Draft::warning(network.place, message).label(format!("means {first}/{bits}")));
        }
    }
    networks
}

/// The names of `peer_names`; without the key, on a TLS listener, those of the cloud, or else the names among the targets.
fn peer_names(
    table: &mut Table<'_>,
    listen: Option<&Listen>,
    targets: &[At<TargetText>],
    cloud: Option<&Cloud>,
) -> Vec<Arc<str>> {
    let given = table.parsed_list("peer_names", address::peer_name);
    if let Some(names) = given {
        return names.into_iter().map(|name| name.value).collect();
    }
    if listen.is_none_or(|listen| listen.tls.is_none()) {
        return Vec::new();
    }
    if let Some(cloud) = cloud {
        return cloud.peer_names();
    }
    let mut names: Vec<Arc<str>> = Vec::new();
    for target in targets.iter().filter(|target| target.value.at.literal.is_none()) {
        if !names.contains(&target.value.at.host) {
            names.push(Arc::clone(&target.value.at.host));
        }
    }
    names
}

/// The edge's own name towards the trunk, where it differs from the listener's. Teams knows an edge by name only.
fn own_fqdn(table: &mut Table<'_>, teams: bool, listen: Option<&Listen>, node: &Node) -> Option<Arc<str>> {
    let wrong = table.has("fqdn");
    let given = table.parsed("fqdn", |text| {
        if !teams {
            return address::host_port(text).map(|at| at.bracketed());
        }
        address::host_name(text).map_err(|complaint| {
            complaint.help("Teams knows an edge by a name that its certificate carries, never by an address")
        })
    });
    if given.is_some() || wrong || !teams {
        return given.map(|fqdn| fqdn.value);
    }
    let listen = listen?;
    if address::host_name(&listen.listener.host).is_ok() {
        return None;
    }
    if node.fqdn.is_none() {
        let message = format!("{}: the edge has no name towards Teams, only {}", table.title, listen.listener.host);
        table.log().add(
            Draft::error(table.place, message)
                .label("in this table")
                .help("give `fqdn` here or in [node], or a name as `advertise` of the listener"),
        );
    }
    node.fqdn.clone()
}

/// Whether the edge is a textbook proxy towards the trunk. Teams takes no calls from one, and reads its tenant from a
/// Contact that only owned legs have.
fn transparent(table: &mut Table<'_>, teams: bool, node: &Node) -> bool {
    let given = table.boolean("transparent");
    let (transparent, place) = given.map_or((!teams, table.place), |flag| (flag.value, flag.place));
    if transparent && teams {
        let message = format!("{}: Teams refuses calls whose Contact is not of the edge", table.title);
        let help = "leave `transparent` out: of kind teams it is false";
        table.log().add(Draft::warning(place, message).label("leaves Contact as it came").help(help));
    }
    if !transparent && node.seal_key_file.is_none() {
        let message = format!("{}: calls of a trunk that is not transparent end with the process", table.title);
        let help = "give `seal_key_file` in [node]: calls then go on after a restart";
        table.log().add(Draft::warning(place, message).label("there is no lasting key to seal with").help(help));
    }
    transparent
}

/// The trunk's own client identity over that of `[tls_client]`.
fn client(table: &mut Table<'_>, listen: Option<&Listen>, common: &ClientTls) -> ClientTls {
    let own = table.table("tls_client", "trunk.NAME.tls_client").map(client_tls).unwrap_or_default();
    let tls = listen.is_some_and(|listen| listen.tls.is_some());
    if !tls {
        return own;
    }
    let ca = own.ca.or_else(|| common.ca.clone());
    if ca.is_none() && !table.has("tls_client") {
        let message = format!("{} dials over TLS, but there are no roots to check its peer with", table.title);
        table.log().add(
            Draft::error(table.place, message)
                .label("in this table")
                .help("give `ca` in [tls_client], or in a `tls_client` table of the trunk"),
        );
    }
    // A certificate and its key go together: both from one table.
    let (certificate, key) = match own.certificate {
        Some(certificate) => (Some(certificate), own.key),
        None => (common.certificate.clone(), common.key.clone()),
    };
    ClientTls { ca, certificate, key }
}

/// Warns when requests of the trunk's own targets could never be the trunk's, though nobody said so.
fn nobody_comes_in(table: &Table<'_>, trunk: &Trunk, listen: Option<&Listen>, has_cloud: bool) {
    let Some(listen) = listen else { return };
    let by_name = listen.tls.is_some() && !trunk.peer_names.is_empty();
    if let (true, Some(tls)) = (by_name, &listen.tls)
        && tls.client_certificate == super::ClientCertificate::None
    {
        let name = &listen.listener.name;
        let message = format!("{} is known by certificate, but listener `{name}` asks for none", table.title);
        table.log().add(Draft::warning(table.place_of("listen"), message).help(
            "set `client_certificate` of the listener to \"require\" or \"optional\", or requests of this trunk are refused",
        ));
    }
    let named = trunk.targets.iter().find(|target| target.literal.is_none());
    if let Some(named) = named.filter(|_| !by_name && !has_cloud && !table.has("allow_from")) {
        let message = format!(
            "{}: requests from {} are refused, since `allow_from` is not given",
            table.title,
            quoted(&named.host)
        );
        table.log().add(Draft::warning(table.place, message).label("in this table").help(
            "a name says nothing of addresses: give those it sends from, or `allow_from = []` when it only takes calls",
        ));
    }
}

/// How a request is told to be a trunk's: what two trunks must not have in common.
type Mark = (ListenerId, Option<(u128, u8)>, Option<Arc<str>>);

/// Complains of trunks that the same requests could come from.
fn told_apart(log: &Log, set: &TrunkSet<'_>, listeners: &Listeners) {
    let mut marks: BTreeMap<Mark, (TrunkId, Place)> = BTreeMap::new();
    for (trunk, note) in set.staying() {
        let tls = listeners.get(trunk.listener).is_some_and(|listen| listen.tls.is_some());
        let names: Vec<Option<Arc<str>>> = match trunk.peer_names.as_slice() {
            names @ [_, ..] if tls => names.iter().cloned().map(Some).collect(),
            _ => vec![None],
        };
        let anywhere = [(None, note.place)];
        let networks: Vec<(Option<(u128, u8)>, Place)> =
            note.networks.iter().map(|at| (Some(at.value.prefix()), at.place)).collect();
        let networks = if networks.is_empty() && names != [None] { &anywhere[..] } else { &networks[..] };
        for (network, place) in networks {
            // One complaint for a pair of networks, however many names both trunks share.
            let clash = names.iter().find_map(|name| {
                let mark = (trunk.listener, *network, name.clone());
                let (first, at) = *marks.entry(mark).or_insert((trunk.id, *place));
                (first != trunk.id).then_some((first, at, name))
            });
            let Some((first, at, name)) = clash else {
                continue;
            };
            let other = set.trunks.get(first).map_or("", |trunk| &trunk.name);
            let message = format!("trunks {} and {} cannot be told apart", quoted(other), quoted(&trunk.name));
            let reason = match name {
                Some(name) => format!("both are known by certificate name `{name}` from here"),
                None => "both are known by this network".to_owned(),
            };
            log.add(
                Draft::error(*place, message).label(reason).also(at, "and here").help(
                    "give them listeners of their own, or networks (`allow_from`) or certificate names (`peer_names`) that differ",
                ),
            );
        }
    }
}
