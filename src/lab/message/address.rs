//! The few structured values that a stand-in reads: URIs, name-addrs and Via (RFC 3261 sections 19.1, 20.10, 20.42).

/// A parameter with its value, if any.
type Parameter = (String, Option<String>);

/// A `sip:` or `sips:` URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    pub scheme: String,
    pub user: Option<String>,
    /// Without the brackets of an IPv6 literal.
    pub host: String,
    pub port: Option<u16>,
    pub parameters: Vec<Parameter>,
}

impl Uri {
    /// Reads a URI without angle brackets; `None` when it is not a SIP URI.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        if !scheme.eq_ignore_ascii_case("sip") && !scheme.eq_ignore_ascii_case("sips") {
            return None;
        }
        let rest = rest.split('?').next().unwrap_or_default();
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, rest),
        };
        let (place, parameters) = rest.split_once(';').unwrap_or((rest, ""));
        let (host, port) = split_host(place)?;
        Some(Self { scheme: scheme.to_ascii_lowercase(), user, host, port, parameters: parse_parameters(parameters) })
    }

    /// The value of a parameter; empty for one without value.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        parameter(&self.parameters, name)
    }

    /// The user part without its own parameters, as a dialled number.
    pub fn number(&self) -> &str {
        let user = self.user.as_deref().unwrap_or_default();
        user.split([';', ':']).next().unwrap_or_default()
    }

    /// Whether the host is an IP address rather than a name.
    pub fn is_literal(&self) -> bool {
        self.host.parse::<std::net::IpAddr>().is_ok()
    }
}

/// A name-addr or addr-spec with its header parameters, as in From, To, Contact, Route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The display name without quotes.
    pub display: String,
    pub uri: String,
    pub parameters: Vec<Parameter>,
}

impl Address {
    /// Reads one value of the header; names glued to `<` and unquoted names are taken as they are.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let open = match text.strip_prefix('"') {
            Some(inner) => 2 + closing_quote(inner)? + text.get(2 + closing_quote(inner)?..)?.find('<')?,
            None => match text.find('<') {
                Some(open) => open,
                None => return Some(Self::bare(text)),
            },
        };
        let (display, rest) = text.split_at(open);
        let (uri, parameters) = rest.strip_prefix('<')?.split_once('>')?;
        Some(Self {
            display: display.trim().trim_matches('"').to_owned(),
            uri: uri.trim().to_owned(),
            parameters: parse_parameters(parameters.trim_start_matches([';', ' '])),
        })
    }

    /// An addr-spec: its parameters belong to the header (RFC 3261 section 20.10).
    fn bare(text: &str) -> Self {
        let (uri, parameters) = text.split_once(';').unwrap_or((text, ""));
        Self { display: String::new(), uri: uri.trim().to_owned(), parameters: parse_parameters(parameters) }
    }

    /// The value of a header parameter; empty for one without value.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        parameter(&self.parameters, name)
    }

    /// The value as Microsoft's proxy writes it: the name unquoted and glued to the URI.
    pub fn glued(&self) -> String {
        let mut out = format!("{}<{}>", self.display, self.uri);
        for (name, value) in &self.parameters {
            out.push(';');
            out.push_str(name);
            if let Some(value) = value {
                out.push('=');
                out.push_str(value);
            }
        }
        out
    }
}

/// One Via value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// `UDP`, `TCP` or `TLS` as written.
    pub transport: String,
    pub host: String,
    pub port: Option<u16>,
    pub parameters: Vec<Parameter>,
}

impl Via {
    /// Reads one value of a Via header.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, parameters) = text.split_once(';').unwrap_or((text, ""));
        let (protocol, place) = head.trim().split_once([' ', '\t'])?;
        let mut parts = protocol.split('/').map(str::trim);
        let (Some("SIP"), Some("2.0"), Some(transport)) = (parts.next(), parts.next(), parts.next()) else {
            return None;
        };
        let (host, port) = split_host(place.trim())?;
        Some(Self { transport: transport.to_owned(), host, port, parameters: parse_parameters(parameters) })
    }

    /// The value of a parameter; empty for one without value.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        parameter(&self.parameters, name)
    }
}

fn parameter<'a>(parameters: &'a [Parameter], name: &str) -> Option<&'a str> {
    let (_, value) = parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some(value.as_deref().unwrap_or_default())
}

fn parse_parameters(text: &str) -> Vec<Parameter> {
    text.split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| match part.split_once('=') {
            Some((name, value)) => (name.trim().to_owned(), Some(value.trim().to_owned())),
            None => (part.to_owned(), None),
        })
        .collect()
}

/// Host without brackets and port.
fn split_host(text: &str) -> Option<(String, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port.trim().parse().ok()?),
            None => None,
        };
        return Some((host.to_owned(), port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host.trim(), Some(port.trim().parse().ok()?)),
        None => (text.trim(), None),
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, char) in text.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uri_of_teams_contact_is_opaque_but_readable() {
        let uri = Uri::parse("sip:api-du-a-usea.pstnhub.microsoft.com:443;x-i=b712;x-c=a35a/s/1/4b30").unwrap();
        assert_eq!((uri.user.as_deref(), uri.port), (None, Some(443)));
        assert_eq!(uri.parameter("x-c"), Some("a35a/s/1/4b30"));
        assert!(!uri.is_literal());
        assert!(Uri::parse("sip:a@[::1]:5060").unwrap().is_literal());
        assert_eq!(Uri::parse("sip:+44;ext=1@h").unwrap().number(), "+44");
        assert_eq!(Uri::parse("tel:+44"), None);
        assert_eq!(Uri::parse("sip:h:notaport"), None);
    }

    #[test]
    fn addresses_glued_quoted_and_bare() {
        let glued = Address::parse("John Doe<sip:a@b;user=phone>;tag=1").unwrap();
        assert_eq!((glued.display.as_str(), glued.uri.as_str()), ("John Doe", "sip:a@b;user=phone"));
        assert_eq!(glued.parameter("tag"), Some("1"));
        let quoted = Address::parse("\"A <x> \\\" B\" <sip:a@b>;tag=2").unwrap();
        assert_eq!(quoted.uri, "sip:a@b");
        let bare = Address::parse("sip:a@b;tag=3").unwrap();
        assert_eq!((bare.uri.as_str(), bare.parameter("tag")), ("sip:a@b", Some("3")));
        assert_eq!(Address::parse("\"Bob\" <sip:a@b>;tag=1").unwrap().glued(), "Bob<sip:a@b>;tag=1");
    }

    #[test]
    fn via_with_flag_parameters() {
        let via = Via::parse("SIP/2.0/TLS sbc1.example:5061;alias;branch=z9hG4bK1;rport").unwrap();
        assert_eq!((via.transport.as_str(), via.port), ("TLS", Some(5061)));
        assert_eq!(via.parameter("alias"), Some(""));
        assert_eq!(via.parameter("received"), None);
        assert_eq!(Via::parse("SIP/3.0/TLS a"), None);
    }
}
