//! Questions to DNS servers: the only module that knows the DNS library.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::{NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tokio::task::JoinSet;

use super::cache::Key;
use super::order::{self, Answer, Destination, Destinations, Naptr, Question, Service};
use super::resolver::{Families, ResolveError, Settings, SetupError};
use crate::sip::Transport;
use crate::trunk::Target;

/// The DNS servers and what is asked of them.
#[derive(Clone)]
pub(super) struct Upstream {
    resolver: TokioResolver,
    timeout: Duration,
    families: Families,
    max_addresses: usize,
    min_ttl: Duration,
    max_ttl: Duration,
    negative_ttl: Duration,
}

impl Upstream {
    pub(super) fn new(settings: &Settings) -> Result<Self, SetupError> {
        let fault = |error: NetError| SetupError::Resolver(error.to_string());
        let mut builder = if settings.servers.is_empty() {
            TokioResolver::builder_tokio().map_err(fault)?
        } else {
            let servers = settings.servers.iter().copied().map(server).collect();
            TokioResolver::builder_with_config(
                ResolverConfig::from_parts(None, Vec::new(), servers),
                TokioRuntimeProvider::default(),
            )
        };
        let options = builder.options_mut();
        // Ours is the one cache: it obeys times to live and keeps stale answers.
        options.cache_size = 0;
        options.timeout = settings.timeout;
        options.attempts = 1;
        Ok(Self {
            resolver: builder.build().map_err(fault)?,
            timeout: settings.timeout,
            families: settings.families,
            max_addresses: settings.max_addresses.max(1),
            min_ttl: settings.min_ttl,
            max_ttl: settings.max_ttl,
            negative_ttl: settings.negative_ttl,
        })
    }

    /// Asks all that RFC 3263 wants to know about a target; with the time for which the answer holds.
    pub(super) async fn answer(&self, key: &Key) -> Result<(Answer, Duration), ResolveError> {
        let mut inquiry = Inquiry { upstream: self, host: &key.host, lowest_ttl: self.max_ttl, fault: None };
        let services = inquiry.services(key).await?;
        let answer = Answer::new(key.host.clone(), services, self.max_addresses);
        if answer.is_empty() {
            return Err(inquiry.nothing_found());
        }
        // An answer that lacks what a server failed to say is kept for a short while only.
        let ttl = match inquiry.fault {
            Some(_) => inquiry.lowest_ttl.min(self.negative_ttl),
            None => inquiry.lowest_ttl,
        };
        Ok((answer, ttl.clamp(self.min_ttl, self.max_ttl.max(self.min_ttl))))
    }

    /// The records of one kind, none when DNS says that there are none; with the time to live.
    async fn ask(&self, name: &str, kind: RecordType) -> Result<Records, Fault> {
        let absolute = Name::from_ascii(format!("{}.", name.trim_end_matches('.'))).map_err(|_| Fault::BadName)?;
        let reply = tokio::time::timeout(self.timeout, self.resolver.lookup(absolute, kind)).await;
        match reply {
            Err(_) => Err(Fault::NoReply(format!("no reply within {} ms", self.timeout.as_millis()))),
            Ok(Ok(lookup)) => Ok(Records {
                ttl: lookup.answers().iter().map(|record| record.ttl).min(),
                data: lookup
                    .answers()
                    .iter()
                    .map(|record| record.data.clone())
                    .filter(|data| data.record_type() == kind)
                    .collect(),
            }),
            Ok(Err(NetError::Dns(DnsError::NoRecordsFound(none))))
                if matches!(none.response_code, ResponseCode::NXDomain | ResponseCode::NoError) =>
            {
                Ok(Records { ttl: none.negative_ttl, data: Vec::new() })
            }
            Ok(Err(error)) => Err(Fault::NoReply(error.to_string())),
        }
    }

    /// The addresses of a name in the order of the families; fails only when no family was answered.
    async fn addresses(&self, name: &str) -> Result<Addresses, Fault> {
        let kinds: &[RecordType] = match self.families {
            Families::Ipv4First => &[RecordType::A, RecordType::AAAA],
            Families::Ipv4Only => &[RecordType::A],
            Families::Ipv6First => &[RecordType::AAAA, RecordType::A],
            Families::Ipv6Only => &[RecordType::AAAA],
        };
        let mut found = Addresses::default();
        let replies = match kinds {
            [one] => vec![self.ask(name, *one).await],
            [first, second, ..] => {
                let (first, second) = tokio::join!(self.ask(name, *first), self.ask(name, *second));
                vec![first, second]
            }
            [] => Vec::new(),
        };
        for reply in replies {
            match reply {
                Ok(records) => {
                    found.note_ttl(records.ttl);
                    found.addrs.extend(records.data.iter().filter_map(ip_of));
                }
                Err(fault) => found.fault = Some(fault),
            }
        }
        found.addrs.truncate(self.max_addresses);
        match found.fault.take() {
            Some(fault) if found.addrs.is_empty() => Err(fault),
            fault => {
                found.fault = fault;
                Ok(found)
            }
        }
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

fn server(addr: SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(addr.ip());
    for connection in &mut server.connections {
        connection.port = addr.port();
    }
    server
}

#[derive(Clone, Debug)]
enum Fault {
    BadName,
    NoReply(String),
}

impl Fault {
    fn about(self, host: &Arc<str>) -> ResolveError {
        match self {
            Self::BadName => ResolveError::BadName { host: host.clone() },
            Self::NoReply(reason) => ResolveError::NoReply { host: host.clone(), reason: Arc::from(reason) },
        }
    }
}

struct Records {
    ttl: Option<u32>,
    data: Vec<RData>,
}

#[derive(Default)]
struct Addresses {
    addrs: Vec<IpAddr>,
    ttl: Option<u32>,
    fault: Option<Fault>,
}

impl Addresses {
    fn note_ttl(&mut self, ttl: Option<u32>) {
        self.ttl = self.ttl.into_iter().chain(ttl).min();
    }
}

fn ip_of(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
        _ => None,
    }
}

/// The questions about one target, and what must be remembered between them.
struct Inquiry<'a> {
    upstream: &'a Upstream,
    host: &'a Arc<str>,
    lowest_ttl: Duration,
    /// The last question that was not answered, when the others suffice for an answer.
    fault: Option<Fault>,
}

impl Inquiry<'_> {
    async fn services(&mut self, key: &Key) -> Result<Vec<Destinations>, ResolveError> {
        let target = Target { transport: key.transport, host: key.host.clone(), port: key.port, literal: None };
        let asked = order::question(&target, key.allowed)
            .map_err(|refused| ResolveError::not_allowed(self.host, refused, key.allowed))?;
        match asked {
            Question::Nothing { transport, addr } => Ok(vec![Destinations {
                transport,
                targets: vec![Destination { priority: 0, weight: 0, port: addr.port(), addrs: vec![addr.ip()] }],
            }]),
            Question::Addresses { transport, port } => self.plain(transport, port).await,
            Question::Srv(transport) => {
                let service = order::service_of_host(self.host, transport);
                self.by_srv(&[service], transport).await
            }
            Question::Naptr => {
                let mut services = self.naptr(key).await?;
                // `question` has refused a target for which no transport is allowed.
                let mut preset = key.allowed.preset().unwrap_or(Transport::Udp);
                match services.first() {
                    Some(first) => preset = first.transport,
                    None => services
                        .extend(key.allowed.by_safety().map(|transport| order::service_of_host(self.host, transport))),
                }
                self.by_srv(&services, preset).await
            }
        }
    }

    async fn naptr(&mut self, key: &Key) -> Result<Vec<Service>, ResolveError> {
        let reply = self.upstream.ask(self.host, RecordType::NAPTR).await;
        let records = reply.map_err(|fault| fault.about(self.host))?;
        self.note_ttl(records.ttl);
        let records: Vec<_> = records.data.iter().filter_map(naptr_of).collect();
        let mut services = order::services_of_naptr(&records, key.allowed);
        services.truncate(self.upstream.max_addresses);
        Ok(services)
    }

    /// The destinations of SRV records, or the host's own addresses where there are no such records.
    async fn by_srv(&mut self, services: &[Service], preset: Transport) -> Result<Vec<Destinations>, ResolveError> {
        let mut found = Vec::new();
        let mut is_published = false;
        for service in services {
            let reply = self.upstream.ask(&service.name, RecordType::SRV).await;
            let records = reply.map_err(|fault| fault.about(self.host))?;
            self.note_ttl(records.ttl);
            is_published |= !records.data.is_empty();
            let records = records.data.iter().filter_map(|data| match data {
                RData::SRV(srv) => Some(srv.clone()),
                _ => None,
            });
            found.push(Destinations { transport: service.transport, targets: self.targets(records.collect()).await });
        }
        if !is_published {
            return self.plain(preset, preset.default_port()).await;
        }
        let is_offered = found.iter().any(|service| !service.targets.is_empty());
        match (is_offered, self.fault.take()) {
            (false, None) => Err(ResolveError::NotOffered { host: self.host.clone() }),
            (false, Some(fault)) => Err(fault.about(self.host)),
            (true, fault) => {
                self.fault = fault;
                Ok(found)
            }
        }
    }

    /// The addresses of SRV targets, asked side by side; the root as target means "not here" (RFC 2782).
    async fn targets(&mut self, mut records: Vec<SRV>) -> Vec<Destination> {
        records.retain(|record| !record.target.is_root());
        records.sort_by_key(|record| record.priority);
        records.truncate(self.upstream.max_addresses);
        let mut asking = JoinSet::new();
        let names: HashSet<_> = records.iter().map(|record| record.target.clone()).collect();
        for name in names {
            let upstream = self.upstream.clone();
            asking.spawn(async move {
                let reply = upstream.addresses(&name.to_ascii()).await;
                (name, reply)
            });
        }
        let mut targets = Vec::new();
        while let Some(asked) = asking.join_next().await {
            let Ok((name, reply)) = asked else { continue };
            let Some(addresses) = self.accept(reply) else {
                continue;
            };
            for record in records.iter().filter(|record| record.target == name) {
                targets.push(Destination {
                    priority: record.priority,
                    weight: record.weight,
                    port: record.port,
                    addrs: addresses.clone(),
                });
            }
        }
        // Replies come in any order; without weights the list is to stay the same from use to use.
        targets.sort_by_key(|target| (target.priority, target.port, target.addrs.first().copied()));
        targets
    }

    /// The host's own addresses.
    async fn plain(&mut self, transport: Transport, port: u16) -> Result<Vec<Destinations>, ResolveError> {
        let reply = self.upstream.addresses(self.host).await;
        let addrs = self.accept(reply).unwrap_or_default();
        if let (true, Some(fault)) = (addrs.is_empty(), self.fault.take()) {
            return Err(fault.about(self.host));
        }
        Ok(vec![Destinations { transport, targets: vec![Destination { priority: 0, weight: 0, port, addrs }] }])
    }

    /// Takes addresses in and remembers how long they hold and what failed; `None` without an address.
    fn accept(&mut self, reply: Result<Addresses, Fault>) -> Option<Vec<IpAddr>> {
        match reply {
            Ok(found) => {
                self.note_ttl(found.ttl);
                self.fault = found.fault.or(self.fault.take());
                (!found.addrs.is_empty()).then_some(found.addrs)
            }
            Err(fault) => {
                self.fault = Some(fault);
                None
            }
        }
    }

    fn note_ttl(&mut self, seconds: Option<u32>) {
        if let Some(seconds) = seconds {
            self.lowest_ttl = self.lowest_ttl.min(Duration::from_secs(u64::from(seconds)));
        }
    }

    fn nothing_found(self) -> ResolveError {
        match self.fault {
            Some(fault) => fault.about(self.host),
            None => ResolveError::NotFound { host: self.host.clone() },
        }
    }
}

fn naptr_of(data: &RData) -> Option<Naptr> {
    let RData::NAPTR(NAPTR { order, preference, flags, services, regexp, replacement, .. }) = data else {
        return None;
    };
    Some(Naptr {
        order: *order,
        preference: *preference,
        flags: flags.to_vec(),
        services: services.to_vec(),
        regexp: regexp.to_vec(),
        replacement: replacement.to_ascii(),
    })
}
