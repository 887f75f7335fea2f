//! What a text means to a tenant.
//!
//! Service numbers come first, then extensions, then telephone numbers: after `+`, behind a prefix for abroad, behind the
//! national prefix, with the country's own calling code, as they are dialled at home, and last whole foreign numbers
//! that lack their `+`. Lengths decide between these; where none fits, the text is opaque.

use smallvec::SmallVec;

use super::scan::{self, MAX_DIALLED, Scanned};
use super::{Digits, Interface, Number, NumberingPlan};
use crate::routing::countries::Country;

/// A number and what it was known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub number: Number,
    pub how: How,
}

/// What a number was known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum How {
    /// Digits without `+` that are a whole number of another country.
    Abroad,
    /// The calling code of the tenant's country, without `+`.
    CallingCode,
    /// `x`, `ext` or the like in front of it.
    ExtensionMark,
    /// The tenant's extension ranges.
    ExtensionRange,
    /// A prefix that is dialled for abroad.
    InternationalPrefix,
    /// The length of national numbers.
    National,
    /// The prefix of national numbers.
    NationalPrefix,
    /// It is no number.
    Nothing,
    /// `+` and a calling code.
    Plus,
    /// The tenant's service numbers or the country's emergency numbers.
    ServiceNumber,
}

impl How {
    /// The reason in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Abroad => "without +, but as long as a number of that country",
            Self::CallingCode => "the country's own calling code, without +",
            Self::ExtensionMark => "marked as an extension",
            Self::ExtensionRange => "in the tenant's extension ranges",
            Self::InternationalPrefix => "behind a prefix for abroad",
            Self::National => "as long as a national number",
            Self::NationalPrefix => "behind the national prefix",
            Self::Nothing => "no number by this tenant's plan",
            Self::Plus => "begins with + and a calling code",
            Self::ServiceNumber => "a service number of the tenant or an emergency number of the country",
        }
    }
}

impl NumberingPlan {
    /// Reads a URI, a user part or what a person wrote. Only opaque values allocate.
    pub fn read(&self, text: &str) -> Read {
        self.read_with(text, None)
    }

    /// Reads what an interface wrote: those that leave out `+` mean whole E.164 numbers by bare digits.
    pub fn read_as(&self, interface: Interface, text: &str) -> Read {
        self.read_with(text, Some(interface))
    }

    fn read_with(&self, text: &str, interface: Option<Interface>) -> Read {
        let parts = scan::unwrap(text);
        let found = if parts.host_only || parts.contradictory {
            None
        } else {
            let given = parts.extension.map(scan::extension);
            match (scan::scan(&parts.user), given) {
                (Some(scanned), None) => self.decide(&scanned, scanned.extension, parts.context, interface),
                (Some(scanned), Some(Some(given))) if scanned.extension.is_none_or(|marked| marked == given) => {
                    self.decide(&scanned, Some(given), parts.context, interface)
                }
                _ => None,
            }
        };
        match found {
            Some((number, how)) => Read { number, how },
            None => Read { number: Number::Opaque(parts.identity()), how: How::Nothing },
        }
    }

    fn decide(
        &self,
        scanned: &Scanned,
        extension: Option<Digits>,
        context: Option<&str>,
        interface: Option<Interface>,
    ) -> Option<(Number, How)> {
        let Scanned { plus, ref digits, begins_in_parentheses, group, .. } = *scanned;
        if digits.is_empty() {
            let marked = scanned.extension.filter(|_| !plus)?;
            return Some((Number::Extension(marked), How::ExtensionMark));
        }
        // What stands in parentheses in front is an area code.
        if let Some(short) = Digits::new(digits).filter(|_| !begins_in_parentheses) {
            if self.is_service(short) {
                return Some((Number::Service(short), How::ServiceNumber));
            }
            if self.is_extension(short) {
                let same = extension.is_none_or(|extension| extension == short);
                return same.then_some((Number::Extension(short), How::ExtensionRange));
            }
        }
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        if let Some(entry) = self.directory_entry(scanned, extension, interface) {
            return Some((entry, How::CallingCode));
        }
        let (e164, how) = if plus {
            (international(digits, group)?.0, How::Plus)
        } else if !self.is_home(context) {
            return None;
        } else if begins_in_parentheses {
            self.area_in_parentheses(digits, group)?
        } else if interface.is_some_and(Interface::omits_plus)
            && let Some((e164, _)) = international(digits, group)
        {
            (e164, How::CallingCode)
        } else {
            self.dialled(digits, group)?
        };
        Some((Number::Telephone { e164, extension }, how))
    }

    /// `441632768402-402`: the number with its calling code but without `+`, and the extension. Behind `+` a `-` is
    /// there for the eye (RFC 3966 section 5.1.1).
    fn directory_entry(
        &self,
        scanned: &Scanned,
        extension: Option<Digits>,
        interface: Option<Interface>,
    ) -> Option<Number> {
        let at = scanned.dash.filter(|_| !scanned.plus && extension.is_none())?;
        let (head, tail) = (scanned.digits.get(..at)?, Digits::new(scanned.digits.get(at..)?)?);
        let (e164, exact) = international(head, None)?;
        let written_so = interface == Some(Interface::PbxDirectory);
        let home = self.country().is_some_and(|country| head.starts_with(country.calling_code.as_bytes()));
        let known = written_so || home && exact && self.is_extension(tail);
        known.then_some(Number::Telephone { e164, extension: Some(tail) })
    }

    /// Whether local digits are meant to be dialled in the tenant's country (RFC 3966 section 5.1.5).
    fn is_home(&self, context: Option<&str>) -> bool {
        let Some(code) = context.and_then(|context| context.trim().strip_prefix('+')) else {
            return true;
        };
        let code: SmallVec<[u8; MAX_DIALLED]> = code.bytes().filter(u8::is_ascii_digit).take(MAX_DIALLED).collect();
        self.country().is_some_and(|country| code.starts_with(country.calling_code.as_bytes()))
    }

    /// `(1632) 768 402`: a national number, with or without its prefix.
    fn area_in_parentheses(&self, digits: &[u8], group: Group) -> Option<(Digits, How)> {
        let Some(country) = self.country() else {
            return self.dialled(digits, group);
        };
        let at_home = |rest: &[u8], how| Some((joined(country.calling_code, rest)?, how));
        if digits.first() == Some(&b'0')
            && let Some(found) = self.dialled_by_plan(digits, group)
        {
            return Some(found);
        }
        if country.has_length(digits.len()) {
            return at_home(digits, How::National);
        }
        let behind = |prefix| strip(digits, prefix).filter(|rest| country.has_length(rest.len()));
        if let Some(rest) = self.national_prefixes().find_map(behind) {
            return at_home(rest, How::NationalPrefix);
        }
        if digits.len() < shortest(Country::of_number(country.calling_code.as_bytes())) {
            return None;
        }
        at_home(digits, How::National)
    }

    fn dialled(&self, digits: &[u8], group: Group) -> Option<(Digits, How)> {
        self.dialled_by_plan(digits, group).or_else(|| {
            let exactly = |prefix| abroad(digits, prefix, group).filter(|(_, exact)| *exact);
            let (e164, _) = USUAL_INTERNATIONAL.into_iter().find_map(exactly)?;
            Some((e164, How::InternationalPrefix))
        })
    }

    fn dialled_by_plan(&self, digits: &[u8], group: Group) -> Option<(Digits, How)> {
        let abroad = |prefix| abroad(digits, prefix, group);
        let exactly = |prefix| abroad(prefix).filter(|(_, exact)| *exact);
        if let Some((e164, _)) = self.international_prefixes().find_map(exactly) {
            return Some((e164, How::InternationalPrefix));
        }
        if let Some(country) = self.country()
            && let Some(found) = self.at_home(country, digits, group)
        {
            return Some(found);
        }
        if let Some((e164, _)) = self.international_prefixes().find_map(abroad) {
            return Some((e164, How::InternationalPrefix));
        }
        // Without a country, ten digits could be anybody's national number.
        if self.country().is_some()
            && digits.len() >= SHORTEST_ABROAD
            && digits.first() != Some(&b'0')
            && let Some((e164, true)) = international(digits, group)
        {
            return Some((e164, How::Abroad));
        }
        None
    }

    fn at_home(&self, country: &Country, digits: &[u8], group: Group) -> Option<(Digits, How)> {
        let behind = |prefix| strip(digits, prefix).filter(|rest| country.has_length(rest.len()));
        if let Some(rest) = self.national_prefixes().find_map(behind) {
            return Some((joined(country.calling_code, rest)?, How::NationalPrefix));
        }
        // Where national numbers have a prefix, fewer digits without it are dialled within an area: whose, nobody knows.
        if !country.dials_bare() && digits.len() < SHORTEST_WITH_AREA {
            return None;
        }
        let national = country.has_length(digits.len()) && !self.begins_with_zero_prefix(digits);
        if digits.starts_with(country.calling_code.as_bytes())
            && !(national && dialled_more_often(country, digits))
            && let Some((e164, true)) = international(digits, group)
        {
            return Some((e164, How::CallingCode));
        }
        if !national {
            return None;
        }
        Some((joined(country.calling_code, digits)?, How::National))
    }

    /// Whether digits begin with a national prefix that no national number begins with.
    fn begins_with_zero_prefix(&self, digits: &[u8]) -> bool {
        let country = self.country().into_iter().flat_map(Country::national_prefixes);
        country.filter(|prefix| prefix.starts_with('0')).any(|prefix| strip(digits, prefix).is_some())
    }
}

/// Italian mobile numbers, of ten digits, may begin like the calling code: `391`. A subscriber's number of eight digits
/// behind that code begins with zero.
fn dialled_more_often(country: &Country, digits: &[u8]) -> bool {
    country.calling_code == "39" && digits.len() == 10 && digits.get(2) != Some(&b'0')
}

/// Where among digits a later group in parentheses is.
type Group = Option<(usize, usize)>;

/// The two prefixes for abroad that people write wherever they are.
const USUAL_INTERNATIONAL: [&str; 2] = ["00", "011"];

/// No local number, dialled within an area, has so many digits; nine of Brazil's are no length of its national numbers.
const SHORTEST_WITH_AREA: usize = 9;

/// Foreign numbers of everyday use have so many digits, calling code included.
const SHORTEST_ABROAD: usize = 10;

/// The longest E.164 number, in digits (ITU-T E.164 section 6.2).
const MAX_E164: usize = 15;

/// The number behind a prefix for abroad, and whether it is as long as numbers of its country are.
fn abroad(digits: &[u8], prefix: &str, group: Group) -> Option<(Digits, bool)> {
    let rest = strip(digits, prefix)?;
    let shift = digits.len() - rest.len();
    let group = group.and_then(|(from, to)| Some((from.checked_sub(shift)?, to.checked_sub(shift)?)));
    international(rest, group)
}

/// An E.164 number that begins with its calling code, and whether it is as long as numbers of that country are.
///
/// A national prefix that stands there by mistake, in parentheses or not, is left out.
fn international(digits: &[u8], group: Group) -> Option<(Digits, bool)> {
    let countries = Country::of_number(digits);
    let country = countries.first()?;
    let code = country.calling_code.len();
    let mut national = digits.get(code..)?;
    let has_length = |length| countries.iter().any(|country| country.has_length(length));
    if let Some((from, to)) = group
        && from == code
        && country.national_prefixes().any(|prefix| prefix.len() == to - from && strip(national, prefix).is_some())
    {
        national = digits.get(to..)?;
    }
    let would_be_abroad = |digits: &[u8]| {
        country.international_prefixes().any(|prefix| prefix.starts_with('0') && strip(digits, prefix).is_some())
    };
    if would_be_abroad(national) {
        return None;
    }
    // Where the prefix is a zero, no number begins with one.
    let by_mistake = |prefix: &str, national: &[u8], rest: &[u8]| {
        prefix == "0" || has_length(rest.len()) && !has_length(national.len())
    };
    while let Some(rest) = country
        .national_prefixes()
        .find_map(|prefix| strip(national, prefix).filter(|rest| by_mistake(prefix, national, rest)))
    {
        national = rest;
    }
    if national.len() < shortest(countries) || would_be_abroad(national) {
        return None;
    }
    Some((joined(country.calling_code, national)?, has_length(national.len())))
}

/// The length of the shortest numbers behind a calling code.
fn shortest(countries: &[Country]) -> usize {
    countries.iter().map(Country::shortest).min().unwrap_or(0)
}

fn joined(calling_code: &str, national: &[u8]) -> Option<Digits> {
    let mut all = SmallVec::<[u8; MAX_DIALLED]>::from_slice(calling_code.as_bytes());
    all.extend_from_slice(national);
    Digits::new(&all).filter(|_| all.len() <= MAX_E164)
}

/// What stands behind a prefix, in which `x` is any digit.
fn strip<'d>(digits: &'d [u8], prefix: &str) -> Option<&'d [u8]> {
    let (head, rest) = digits.split_at_checked(prefix.len())?;
    head.iter().zip(prefix.bytes()).all(|(digit, wanted)| wanted == b'x' || *digit == wanted).then_some(rest)
}
