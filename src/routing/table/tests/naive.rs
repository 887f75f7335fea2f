//! A matcher that tries every rule, to compare the table with, and random rules and numbers for both.

use std::cmp::Ordering;

use proptest::prelude::*;

/// What a naive matcher knows of a prefix: what may stand at each position, as alternatives written out.
///
/// It reads the text on its own, character by character, and shares no code with the table.
#[derive(Clone, Debug)]
pub(super) struct Naive {
    pub(super) parts: Vec<Part>,
    pub(super) ended: bool,
    pub(super) identity: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) enum Part {
    /// Any of these texts, all of one width.
    OneOf(Vec<String>),
    Any,
}

pub(super) fn naive(text: &str) -> Naive {
    if text.chars().any(|character| character.is_ascii_alphabetic() && character != 'x') {
        return Naive { parts: Vec::new(), ended: false, identity: Some(text.to_lowercase()) };
    }
    let (mut parts, mut ended) = (Vec::new(), false);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        match first {
            '\\' => {
                parts.push(Part::OneOf(vec![rest[1..2].to_owned()]));
                rest = &rest[2..];
            }
            'x' => {
                parts.push(Part::Any);
                rest = &rest[1..];
            }
            '#' if rest.len() == 1 => {
                ended = true;
                rest = "";
            }
            '[' => {
                let close = rest.find(']').unwrap();
                let mut all = Vec::new();
                for piece in rest[1..close].split(',') {
                    let (low, high) = piece.split_once('-').unwrap_or((piece, piece));
                    let width = low.len();
                    let bounds = (low.parse::<u32>().unwrap(), high.parse::<u32>().unwrap());
                    all.extend((bounds.0..=bounds.1).map(|number| format!("{number:0width$}")));
                }
                parts.push(Part::OneOf(all));
                rest = &rest[close + 1..];
            }
            other => {
                parts.push(Part::OneOf(vec![other.to_string()]));
                rest = &rest[1..];
            }
        }
    }
    Naive { parts, ended, identity: None }
}

/// How specific a match is: for each position how many symbols were allowed there and which; ten digits by `x` are worse.
pub(super) type Specific = (Vec<(usize, Vec<char>)>, u128);

impl Naive {
    /// How specifically a number fits, and how many symbols of it.
    pub(super) fn fit(&self, number: &str) -> Option<(Specific, usize)> {
        if let Some(identity) = &self.identity {
            return (*identity == number.to_lowercase()).then(|| ((Vec::new(), 0), number.len()));
        }
        let (mut positions, mut rest, mut size) = (Vec::new(), number, 1_u128);
        for part in &self.parts {
            match part {
                Part::Any => {
                    if !rest.starts_with(|first: char| first.is_ascii_digit()) {
                        return None;
                    }
                    positions.push((16, Vec::new()));
                    rest = &rest[1..];
                    size *= 10;
                }
                Part::OneOf(all) => {
                    let width = all[0].len();
                    let here = rest.get(..width)?;
                    if !all.iter().any(|one| one == here) {
                        return None;
                    }
                    for index in 0..width {
                        let mut allowed: Vec<char> = all
                            .iter()
                            .filter(|one| one[..index] == here[..index])
                            .map(|one| one[index..].chars().next().unwrap())
                            .collect();
                        allowed.sort_unstable();
                        allowed.dedup();
                        // Compared from the highest symbol down.
                        allowed.reverse();
                        positions.push((allowed.len(), allowed));
                    }
                    let mut all = all.clone();
                    all.sort_unstable();
                    all.dedup();
                    size *= all.len() as u128;
                    rest = &rest[width..];
                }
            }
        }
        let symbols = number.len() - rest.len();
        if self.ended {
            if !rest.is_empty() {
                return None;
            }
            positions.push((1, vec!['$']));
        }
        Some(((positions, size), symbols))
    }
}

/// Less is more specific.
pub(super) fn order(a: &Specific, b: &Specific) -> Ordering {
    for index in 0..a.0.len().max(b.0.len()) {
        let order = match (a.0.get(index), b.0.get(index)) {
            (Some(a), Some(b)) => a.0.cmp(&b.0).then_with(|| symbols(&a.1).cmp(&symbols(&b.1))),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    a.1.cmp(&b.1)
}

/// The order of symbols: digits, then the others as `symbols` has them.
pub(super) fn symbols(set: &[char]) -> Vec<usize> {
    set.iter().map(|symbol| "0123456789+*#$".find(*symbol).unwrap()).collect()
}

/// The best rules of a number: all those that nothing tells apart, in order.
pub(super) fn best<'a>(rules: &'a [(String, String)], number: &str) -> Vec<(&'a str, usize)> {
    let mut fits: Vec<_> = rules
        .iter()
        .filter_map(|(prefix, tag)| {
            let naive = naive(prefix);
            let (specific, symbols) = naive.fit(number)?;
            Some((naive.identity.is_none(), specific, tag.as_str(), symbols))
        })
        .collect();
    // Stable: of equals the first comes first.
    fits.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| order(&a.1, &b.1)));
    let first = fits.first().cloned();
    fits.into_iter()
        .take_while(|fit| first.as_ref().is_some_and(|first| first.0 == fit.0 && order(&first.1, &fit.1).is_eq()))
        .map(|fit| (fit.2, fit.3))
        .collect()
}

/// A range of a width, a set, or a single symbol.
pub(super) fn part() -> impl Strategy<Value = String> {
    let range = |width: usize| {
        let top = 10_u32.pow(width as u32);
        (0..top, 0..top).prop_map(move |(a, b)| format!("[{:0width$}-{:0width$}]", a.min(b), a.max(b)))
    };
    prop_oneof![
        8 => "[0-2]".prop_map(String::from),
        2 => prop::sample::select(vec!["+", "*", "\\#", "\\1", "#1"]).prop_map(String::from),
        2 => Just("x".to_owned()),
        2 => prop::collection::vec(0..4_u8, 1..4).prop_map(|set| {
            let set: Vec<String> = set.iter().map(u8::to_string).collect();
            format!("[{}]", set.join(","))
        }),
        1 => Just("[0-9]".to_owned()),
        3 => (1..4_usize).prop_flat_map(range),
    ]
}

pub(super) fn prefix() -> impl Strategy<Value = String> {
    let number = (prop::collection::vec(part(), 1..5), prop::bool::weighted(0.2))
        .prop_map(|(parts, ended)| parts.concat() + if ended { "#" } else { "" });
    prop_oneof![9 => number, 1 => "[aBx][01]\\.?h".prop_map(|text| text.replace('\\', ""))]
}

pub(super) fn number() -> impl Strategy<Value = String> {
    prop_oneof![9 => "[0-3+*#]{0,2}[0-39]{0,5}", 1 => "[Abx][01]\\.?H"]
}
