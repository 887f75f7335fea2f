//! Numbers as each interface and each far side wants them.

use std::fmt::Write;

use super::{Digits, Interface, Number, NumberingPlan, TEAMS_HOST};
use crate::routing::countries::Country;

impl Number {
    /// The number as an interface writes it; `None`: the interface has no form for it.
    pub fn write(&self, interface: Interface, plan: &NumberingPlan) -> Option<String> {
        use Interface::{
            EntraAdmin, EntraAdminNoPlus, EntraBusinessPhones, PbxDirectory, PbxTeamsUri, SipUri, TeamsAdmin,
            TeamsClient,
        };
        if interface == SipUri {
            return self.sip_uri(TEAMS_HOST);
        }
        match *self {
            Self::Telephone { e164, extension } => {
                let mut text = match interface {
                    EntraAdmin | EntraBusinessPhones | PbxTeamsUri | SipUri => format!("+{e164}"),
                    EntraAdminNoPlus | PbxDirectory => e164.to_string(),
                    TeamsAdmin => format!("tel:{e164}"),
                    TeamsClient => grouped(e164, plan.country()),
                };
                if let Some(extension) = extension {
                    text.push_str(match interface {
                        EntraAdmin | EntraAdminNoPlus => " x",
                        EntraBusinessPhones | TeamsAdmin | PbxTeamsUri | SipUri => ";ext=",
                        PbxDirectory => "-",
                        TeamsClient => " extn ",
                    });
                    push(&mut text, extension);
                }
                Some(text)
            }
            Self::Extension(extension) => match interface {
                EntraAdmin | EntraBusinessPhones => Some(format!("x{extension}")),
                TeamsAdmin => Some(extension.to_string()),
                PbxTeamsUri | PbxDirectory | TeamsClient => Some(format!("+{extension}")),
                EntraAdminNoPlus | SipUri => None,
            },
            // Directories keep users' numbers only.
            Self::Service(number) => matches!(interface, PbxTeamsUri | TeamsClient).then(|| number.to_string()),
            Self::Opaque(_) => None,
        }
    }

    /// A SIP URI at a host, which may have a port; extensions alone and opaque values have none.
    pub fn sip_uri(&self, host: &str) -> Option<String> {
        match self {
            Self::Telephone { .. } => Some(format!("sip:{self}@{host}")),
            // `#` must be escaped in a user part (RFC 3261 section 25.1).
            Self::Service(number) => Some(format!("sip:{}@{host}", number.to_string().replace('#', "%23"))),
            Self::Extension(_) | Self::Opaque(_) => None,
        }
    }

    /// The number as it is dialled in the plan's country: nationally at home, with the prefix for abroad elsewhere.
    ///
    /// Extensions and service numbers are dialled as they are; an extension behind an E.164 number cannot be dialled
    /// along with it. `None`: opaque, or a foreign number where the plan knows no prefix for abroad.
    pub fn dialled(&self, plan: &NumberingPlan) -> Option<String> {
        match self {
            Self::Telephone { e164, .. } => match national(*e164, plan.country()) {
                Some(rest) => Some(plan.usual_national_prefix().to_owned() + &rest),
                None => fixed(plan.international_prefixes()).map(|prefix| format!("{prefix}{e164}")),
            },
            Self::Extension(digits) | Self::Service(digits) => Some(digits.to_string()),
            Self::Opaque(_) => None,
        }
    }
}

/// The first prefix that has no choice in it.
fn fixed<'p>(mut prefixes: impl Iterator<Item = &'p str>) -> Option<String> {
    prefixes.find(|prefix| !prefix.contains('x')).map(str::to_owned)
}

fn push(text: &mut String, digits: Digits) {
    // Writing to a string does not fail.
    let _ = write!(text, "{digits}");
}

/// The number without its calling code, when that is the country's.
fn national(e164: Digits, country: Option<&Country>) -> Option<String> {
    let text = e164.to_string();
    text.strip_prefix(country?.calling_code).map(str::to_owned)
}

/// `(1632) 768 402` at home, `+33 123 456 789` elsewhere: groups of three from the right, the rest in front.
fn grouped(e164: Digits, country: Option<&Country>) -> String {
    let (mut text, national, at_home) = match national(e164, country) {
        Some(national) => (String::new(), national, true),
        None => {
            let all = e164.to_string();
            let code = Country::of_number(all.as_bytes()).first().map_or("", |country| country.calling_code);
            (format!("+{code}"), all.strip_prefix(code).unwrap_or(&all).to_owned(), false)
        }
    };
    // A first group of one digit would be no area code.
    let first = match national.len() {
        10 if country.is_some_and(|country| at_home && country.calling_code == "1") => 3,
        length @ 0..=4 => length,
        length => (length - 2) % 3 + 2,
    };
    for (index, digit) in national.chars().enumerate() {
        let starts = index == 0 || index >= first && (index - first) % 3 == 0 && national.len() - index >= 3;
        if starts && !(at_home && index == 0) {
            text.push(' ');
        }
        if at_home && index == 0 {
            text.push('(');
        }
        text.push(digit);
        if at_home && index + 1 == first {
            text.push(')');
        }
    }
    text
}
