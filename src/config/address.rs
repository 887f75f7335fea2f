//! The small grammars of addresses: `bind`, `advertise`, targets, networks and host names.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use super::reader::{Complaint, quoted};
use crate::sip::Transport;
use crate::trunk::{Network, NoNetwork};

/// A host and maybe a port, before it is known what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPort {
    /// Without brackets.
    pub host: Arc<str>,
    /// The host as an address, if it is a literal.
    pub literal: Option<IpAddr>,
    pub port: Option<u16>,
}

impl HostPort {
    /// The host as it stands in a Via or a URI: an IPv6 literal in brackets.
    pub(super) fn bracketed(&self) -> Arc<str> {
        match self.literal {
            Some(IpAddr::V6(_)) => format!("[{}]", self.host).into(),
            _ => Arc::clone(&self.host),
        }
    }
}

/// A target as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TargetText {
    pub transport: Option<Transport>,
    pub at: HostPort,
}

/// `udp:192.0.2.1:5060`, `tls:[::]:5061`.
pub(super) fn bind(text: &str) -> Result<(Transport, SocketAddr), Complaint> {
    const HELP: &str =
        "write `udp:`, `tcp:` or `tls:`, an address and a port, such as \"udp:192.0.2.1:5060\" or \"tls:[::]:5061\"";
    let wrong = || Complaint::new(format!("{} is no address to listen on", quoted(text))).help(HELP);
    let (transport, address) = text.split_once(':').ok_or_else(wrong)?;
    let transport = Transport::from_token(transport.as_bytes()).ok_or_else(wrong)?;
    Ok((transport, address.parse().map_err(|_| wrong())?))
}

/// An address and a port, `127.0.0.1:9090`; without a port, `default` is meant if there is one.
pub(super) fn socket(text: &str, default: Option<u16>) -> Result<SocketAddr, Complaint> {
    let wrong = || {
        let port = default.unwrap_or(9090);
        Complaint::new(format!("{} is no address with a port", quoted(text)))
            .help(format!("write an address and a port, such as \"192.0.2.1:{port}\" or \"[2001:db8::1]:{port}\""))
    };
    let at = host_port(text).map_err(|_| wrong())?;
    let (Some(address), Some(port)) = (at.literal, at.port.or(default)) else {
        return Err(wrong());
    };
    Ok(SocketAddr::new(address, port))
}

/// `host`, `host:port`, `192.0.2.1`, `[2001:db8::1]:5060`; a bare `2001:db8::1` is taken as well.
pub(super) fn host_port(text: &str) -> Result<HostPort, Complaint> {
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok(literal(IpAddr::V6(address), None));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or_else(|| Complaint::new("`[` without `]`"))?;
        let address: Ipv6Addr =
            address.parse().map_err(|_| Complaint::new(format!("{} is no IPv6 address", quoted(address))))?;
        let rest = match rest {
            "" => None,
            _ => {
                Some(rest.strip_prefix(':').ok_or_else(|| Complaint::new("only `:` and a port may stand behind `]`"))?)
            }
        };
        return Ok(literal(IpAddr::V6(address), rest.map(port).transpose()?));
    }
    let (host, number) = match text.split_once(':') {
        Some((host, number)) => (host, Some(port(number)?)),
        None => (text, None),
    };
    match host.parse::<IpAddr>() {
        Ok(address) => Ok(literal(address, number)),
        Err(_) => Ok(HostPort { host: host_name(host)?, literal: None, port: number }),
    }
}

fn literal(address: IpAddr, port: Option<u16>) -> HostPort {
    HostPort { host: address.to_string().into(), literal: Some(address), port }
}

fn port(text: &str) -> Result<u16, Complaint> {
    text.parse::<u16>()
        .ok()
        .filter(|port| *port > 0 && !text.starts_with('+'))
        .ok_or_else(|| Complaint::new(format!("{} is no port", quoted(text))))
}

/// A DNS name, in lower case.
pub(super) fn host_name(text: &str) -> Result<Arc<str>, Complaint> {
    let wrong = |why: &str| Complaint::new(format!("{} is no host name: {why}", quoted(text)));
    if text.is_empty() {
        return Err(wrong("it is empty"));
    }
    if text.len() > 253 {
        return Err(wrong("it is longer than 253 characters"));
    }
    for label in text.split('.') {
        if label.is_empty() || label.len() > 63 {
            return Err(wrong("each part between dots has 1 to 63 characters"));
        }
        // An underscore is no host name by RFC 952, but inner networks have such names.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !label.bytes().all(allowed) || label.starts_with('-') || label.ends_with('-') {
            return Err(wrong("letters, digits and inner hyphens only"));
        }
    }
    if text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(wrong("it ends in a number, but is no IPv4 address"));
    }
    Ok(text.to_ascii_lowercase().into())
}

/// A name that certificates carry: a DNS name or one with `*` as its first part.
pub(super) fn peer_name(text: &str) -> Result<Arc<str>, Complaint> {
    match text.strip_prefix("*.") {
        Some(rest) => Ok(format!("*.{}", host_name(rest)?).into()),
        None => host_name(text),
    }
}

/// `[transport:]host[:port]` or `sip:host[:port][;transport=transport]`.
pub(super) fn target(text: &str) -> Result<TargetText, Complaint> {
    const HELP: &str = "write a target as \"host\", \"host:port\", \"udp:192.0.2.1:5060\", \"tls:[2001:db8::1]:5061\" or \"sip:host;transport=tcp\"";
    let helped = |complaint: Complaint| complaint.help(HELP);
    let lower = text.to_ascii_lowercase();
    if let Some(uri) = lower.strip_prefix("sip:") {
        return uri_target(uri, None).map_err(helped);
    }
    if let Some(uri) = lower.strip_prefix("sips:") {
        return uri_target(uri, Some(Transport::Tls)).map_err(helped);
    }
    let (transport, at) = match lower.split_once(':') {
        Some((token, rest)) if Transport::from_token(token.as_bytes()).is_some() => {
            (Transport::from_token(token.as_bytes()), rest)
        }
        _ => (None, &*lower),
    };
    Ok(TargetText { transport, at: host_port(at).map_err(helped)? })
}

fn uri_target(uri: &str, secure: Option<Transport>) -> Result<TargetText, Complaint> {
    let (at, parameters) = uri.split_once(';').map_or((uri, None), |(at, rest)| (at, Some(rest)));
    if at.contains('@') {
        return Err(Complaint::new("a target has no user part"));
    }
    let mut transport = secure;
    for parameter in parameters.into_iter().flat_map(|parameters| parameters.split(';')) {
        let token = parameter
            .strip_prefix("transport=")
            .ok_or_else(|| Complaint::new(format!("{} means nothing in a target", quoted(parameter))))?;
        let named = Transport::from_token(token.as_bytes())
            .ok_or_else(|| Complaint::new(format!("{} is no transport", quoted(token))))?;
        // `sips:` with `transport=tcp` is TLS over TCP (RFC 3261 section 26.2.2).
        transport = match secure {
            Some(secure) if named == Transport::Udp => {
                return Err(Complaint::new(format!("`sips:` goes over {secure}, not over {named}")));
            }
            Some(secure) => Some(secure),
            None => Some(named),
        };
    }
    Ok(TargetText { transport, at: host_port(at)? })
}

/// `192.0.2.0/24`, `2001:db8::/32`, or one address.
pub(super) fn network(text: &str) -> Result<Network, Complaint> {
    let wrong = |help: NoNetwork| Complaint::new(format!("{} is no network", quoted(text))).help(help.to_string());
    text.parse().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_is_read_in_every_form() {
        use Transport::{Tcp, Tls, Udp};
        for (text, transport, host, port) in [
            ("udp:1.2.3.4:5080", Some(Udp), "1.2.3.4", Some(5080)),
            ("tls:host.example:5061", Some(Tls), "host.example", Some(5061)),
            ("Host.Example", None, "host.example", None),
            ("host:5070", None, "host", Some(5070)),
            ("tcp:host", Some(Tcp), "host", None),
            ("udp.example", None, "udp.example", None),
            ("sip:host.example;transport=tcp", Some(Tcp), "host.example", None),
            ("sip:host.example:5070", None, "host.example", Some(5070)),
            ("sips:host.example;transport=tcp", Some(Tls), "host.example", None),
            ("tls:[2001:db8::1]:5061", Some(Tls), "2001:db8::1", Some(5061)),
            ("2001:db8::1", None, "2001:db8::1", None),
            ("sip:[::1]", None, "::1", None),
        ] {
            let found = target(text).unwrap();
            assert_eq!((found.transport, &*found.at.host, found.at.port), (transport, host, port), "{text}");
            assert_eq!(found.at.literal.is_some(), host.parse::<IpAddr>().is_ok(), "{text}");
        }
        for text in [
            "",
            "host:0",
            "host:99999",
            "host:",
            "a b",
            "-a.example",
            "1.2.3.4.5",
            "1.2.3",
            "[::1",
            "[::1]5060",
            "[x]",
            "sip:user@host",
            "sip:host;lr",
            "sip:host;transport=sctp",
            "sips:host;transport=udp",
            "a..b",
            "sctp:host:1",
        ] {
            assert!(target(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bind_has_a_transport_an_address_and_a_port() {
        assert_eq!(bind("udp:127.0.0.1:5060").unwrap(), (Transport::Udp, "127.0.0.1:5060".parse().unwrap()));
        assert_eq!(bind("tls:[::1]:0").unwrap(), (Transport::Tls, "[::1]:0".parse().unwrap()));
        for text in
            ["udp:5060", "127.0.0.1:5060", "udp:host:5060", "udp:127.0.0.1", "udp:::1:5060", "sctp:127.0.0.1:1", ""]
        {
            assert!(bind(text).is_err(), "{text}");
        }
    }

    #[test]
    fn network_is_an_address_or_a_prefix() {
        assert_eq!(network("192.0.2.0/24").unwrap().bits, 24);
        assert_eq!(network("192.0.2.1").unwrap().bits, 32);
        assert_eq!(network("2001:db8::1").unwrap().bits, 128);
        for text in ["192.0.2.0/33", "192.0.2.0/", "192.0.2/24", "host", "", "2001:db8::/129", "1.2.3.4/-1"] {
            assert!(network(text).is_err(), "{text}");
        }
    }

    #[test]
    fn socket_may_leave_its_usual_port_out() {
        assert_eq!(socket("192.0.2.1", Some(53)).unwrap(), "192.0.2.1:53".parse().unwrap());
        assert_eq!(socket("[::1]:5353", Some(53)).unwrap(), "[::1]:5353".parse().unwrap());
        assert!(socket("192.0.2.1", None).is_err());
        assert!(socket("host:53", None).is_err());
    }

    #[test]
    fn certificate_name_may_begin_with_a_star() {
        assert_eq!(&*peer_name("*.PSTNhub.microsoft.com").unwrap(), "*.pstnhub.microsoft.com");
        assert!(peer_name("sip*.example").is_err());
        assert!(peer_name("*").is_err());
    }
}
