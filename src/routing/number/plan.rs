//! A tenant's numbering plan: what digits mean to its people.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::{Digits, Number};
use crate::routing::countries::Country;

/// The longest extension, in digits: longer ones could be telephone numbers.
pub const MAX_EXTENSION: usize = 10;

/// Extension ranges of one tenant.
pub const MAX_RANGES: usize = 1000;

/// Extensions of one width, from the first to the last: `400-499`, or a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExtensionRange {
    first: Digits,
    last: Digits,
}

/// Why a text of a numbering plan cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlanError {
    #[error("the extension range has no digits, or something that is none")]
    NotDigits,
    #[error("an extension has at most 10 digits")]
    TooLong,
    #[error("both ends of an extension range have the same number of digits")]
    Widths,
    #[error("the extension range ends before it begins")]
    Order,
    #[error("a dialling prefix has 1 to 8 digits, and `x` for any digit")]
    Prefix,
    #[error("a service number has 1 to 16 digits, `*` and `#`, without `+`")]
    Service,
}

impl ExtensionRange {
    /// The first extension.
    pub const fn first(self) -> Digits {
        self.first
    }

    /// The last extension, which belongs to the range.
    pub const fn last(self) -> Digits {
        self.last
    }

    /// Whether an extension is in the range; leading zeros count.
    pub fn contains(self, extension: Digits) -> bool {
        // Digits order like text: among equal widths that is the order of numbers.
        extension.len() == self.first.len() && (self.first..=self.last).contains(&extension) && extension.is_decimal()
    }

    /// Whether an extension is in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.first.len() == other.first.len() && self.first <= other.last && other.first <= self.last
    }

    /// How many extensions there are.
    pub fn count(self) -> u64 {
        // Both ends are decimal.
        self.last.value().unwrap_or(0) - self.first.value().unwrap_or(0) + 1
    }
}

impl FromStr for ExtensionRange {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let end = |text: &str| {
            let digits = Digits::new(text.trim().as_bytes()).filter(|digits| digits.is_decimal());
            match digits {
                Some(digits) if digits.len() <= MAX_EXTENSION => Ok(digits),
                None if text.trim().is_empty() || !text.trim().bytes().all(|b| b.is_ascii_digit()) => {
                    Err(PlanError::NotDigits)
                }
                _ => Err(PlanError::TooLong),
            }
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (end(first)?, end(last)?);
        if first.len() != last.len() {
            return Err(PlanError::Widths);
        }
        if first > last {
            return Err(PlanError::Order);
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for ExtensionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// What digits mean to a tenant.
#[derive(Clone, Debug, Default)]
pub struct NumberingPlan {
    country: Option<&'static Country>,
    international: Option<Box<str>>,
    national: Option<Box<str>>,
    /// Sorted by width and first extension; none overlaps another.
    extensions: Vec<ExtensionRange>,
    /// Sorted.
    services: Vec<Digits>,
    /// Sorted; `None`: those of the country.
    emergency: Option<Vec<Digits>>,
    main: Option<Number>,
}

impl NumberingPlan {
    /// The plan of a country, without extensions; without a country only numbers that say `+` are telephone numbers.
    pub fn new(country: Option<&'static Country>) -> Self {
        Self { country, ..Self::default() }
    }

    /// Dials abroad by another prefix than the country does.
    pub fn set_international_prefix(&mut self, prefix: &str) -> Result<(), PlanError> {
        self.international = Some(dialling_prefix(prefix)?);
        Ok(())
    }

    /// Dials national numbers by another prefix than the country does; an empty one means none.
    pub fn set_national_prefix(&mut self, prefix: &str) -> Result<(), PlanError> {
        self.national = Some(if prefix.is_empty() { "".into() } else { dialling_prefix(prefix)? });
        Ok(())
    }

    /// Adds extensions; ranges that overlap become one.
    pub fn add_extensions(&mut self, range: ExtensionRange) {
        let before = |known: &ExtensionRange| key(known.last) < key(range.first);
        let from = self.extensions.partition_point(before);
        let to = self.extensions.partition_point(|known| before(known) || known.overlaps(range));
        let mut joined = range;
        for known in self.extensions.drain(from..to) {
            joined = ExtensionRange { first: joined.first.min(known.first), last: joined.last.max(known.last) };
        }
        self.extensions.insert(from, joined);
    }

    /// Adds a service number.
    pub fn add_service_number(&mut self, number: Digits) {
        self.services.push(number);
        self.services.sort_unstable();
    }

    /// Replaces the emergency numbers of the country.
    pub fn set_emergency_numbers(&mut self, numbers: impl IntoIterator<Item = Digits>) {
        let mut all: Vec<Digits> = numbers.into_iter().collect();
        all.sort_unstable();
        self.emergency = Some(all);
    }

    /// Where calls go whose number is not one user's alone.
    pub fn set_main(&mut self, main: Number) {
        self.main = Some(main);
    }

    /// The tenant's country.
    pub const fn country(&self) -> Option<&'static Country> {
        self.country
    }

    /// Where calls go whose number is not one user's alone.
    pub const fn main(&self) -> Option<&Number> {
        self.main.as_ref()
    }

    /// The extension ranges, by width and first extension; no two of them overlap.
    pub fn extensions(&self) -> &[ExtensionRange] {
        &self.extensions
    }

    /// How many extensions there are.
    pub fn extension_count(&self) -> u64 {
        self.extensions.iter().map(|range| range.count()).sum()
    }

    /// Whether the tenant has an extension.
    pub fn is_extension(&self, digits: Digits) -> bool {
        let at = self.extensions.partition_point(|range| key(range.last) < key(digits));
        self.extensions.get(at).is_some_and(|range| range.contains(digits))
    }

    /// Whether digits are a service number, for emergencies or other.
    pub fn is_service(&self, digits: Digits) -> bool {
        self.services.binary_search(&digits).is_ok() || self.is_emergency(digits)
    }

    /// Whether digits call for help.
    pub fn is_emergency(&self, digits: Digits) -> bool {
        match (&self.emergency, self.country) {
            (Some(own), _) => own.binary_search(&digits).is_ok(),
            (None, Some(country)) => country.emergency_numbers().any(|number| digits.bytes().eq(number.bytes())),
            // The two that every mobile network knows (3GPP TS 22.101 section 10.1).
            (None, None) => EVERYWHERE.iter().any(|number| digits.bytes().eq(number.bytes())),
        }
    }

    /// Emergency numbers, as text.
    pub fn emergency_numbers(&self) -> Vec<String> {
        match (&self.emergency, self.country) {
            (Some(own), _) => own.iter().map(Digits::to_string).collect(),
            (None, Some(country)) => country.emergency_numbers().map(str::to_owned).collect(),
            (None, None) => EVERYWHERE.iter().map(|number| (*number).to_owned()).collect(),
        }
    }

    /// What is dialled for abroad; `x` is any digit.
    pub(super) fn international_prefixes(&self) -> impl Iterator<Item = &str> {
        let own = self.international.as_deref();
        let countrys = self.country.filter(|_| own.is_none()).into_iter();
        let countrys = countrys.flat_map(|country| country.international_prefixes().map(|prefix| -> &str { prefix }));
        own.into_iter().chain(countrys)
    }

    /// What is dialled in front of national numbers; `x` is any digit.
    pub(super) fn national_prefixes(&self) -> impl Iterator<Item = &str> {
        let own = self.national.as_deref();
        let countrys = self.country.filter(|_| own.is_none()).into_iter();
        let countrys = countrys.flat_map(|country| country.national_prefixes().map(|prefix| -> &str { prefix }));
        own.filter(|prefix| !prefix.is_empty()).into_iter().chain(countrys)
    }

    /// What is written in front of national numbers; may be empty.
    pub(super) fn usual_national_prefix(&self) -> &str {
        let countrys = || self.country.filter(|country| !country.dials_bare())?.national_prefixes().next();
        self.national.as_deref().or_else(countrys).unwrap_or("")
    }
}

const EVERYWHERE: [&str; 2] = ["112", "911"];

/// The longest dialling prefix, in digits.
const MAX_PREFIX: usize = 8;

/// Shorter extensions first, those of one width in the order of numbers.
fn key(digits: Digits) -> (usize, Digits) {
    (digits.len(), digits)
}

fn dialling_prefix(text: &str) -> Result<Box<str>, PlanError> {
    let good = (1..=MAX_PREFIX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit() || b == b'x');
    good.then(|| text.into()).ok_or(PlanError::Prefix)
}
