//! Rules of dial plans that take numbers from under another owner's.
//!
//! Each rule is asked for a number of its own what would answer if it were not there: as many lookups as rules, however
//! many of them lie below one another. Of a rule with ranges the lowest and the highest number are tried.

use smallvec::SmallVec;

use crate::config::{Finding, Loaded, Review, Spot};
use crate::routing::{Destination, Found, Listed, Plan, Routing, Source};

use super::MAX_TOLD;

/// Warns of rules that lie below another owner's and lead elsewhere.
pub(super) fn look(loaded: &Loaded, review: &Review<'_>) {
    let routing = &loaded.routing;
    let mut count = 0_usize;
    routing.table().for_each(|rule| {
        let Some(pair) = shadowed(routing, &rule) else { return };
        count += 1;
        if count <= MAX_TOLD {
            tell(review, &rule, &pair);
        }
    });
    if let Some(more) = count.checked_sub(MAX_TOLD).filter(|more| *more > 0) {
        let message = format!("{more} more rules of dial plans lie below another owner's and lead elsewhere");
        review.warn(Finding { at: Spot::Whole, message, label: "", also: None, help: None });
    }
}

/// The rule that would answer without another.
struct Below {
    owner: String,
    of: String,
    prefix: String,
    tag: String,
    source: Source,
}

fn tell(review: &Review<'_>, rule: &Listed, below: &Below) {
    let Below { owner, of, prefix, tag, source } = below;
    let message = format!(
        "dial plan `{}`: `{}` of `{owner}` leads to `{}`, though `{prefix}` of `{of}` leads to `{tag}`",
        rule.plan, rule.prefix, rule.tag
    );
    review.warn(Finding {
        at: Spot::Rule(&rule.source),
        message,
        label: "takes numbers",
        also: Some((Spot::Rule(source), "of these")),
        help: None,
    });
}

fn shadowed(routing: &Routing, rule: &Listed) -> Option<Below> {
    if !rule.active {
        return None;
    }
    let plan = routing.table().plan(&rule.plan)?;
    let (low, high) = (sample(&rule.prefix, End::Low)?, sample(&rule.prefix, End::High)?);
    let found = below(routing, plan, rule, &low);
    if found.is_some() || high == low { found } else { below(routing, plan, rule, &high) }
}

/// The next rule below that belongs to somebody, when it is another's and leads elsewhere.
fn below(routing: &Routing, plan: &Plan, rule: &Listed, number: &str) -> Option<Below> {
    let user = number.as_bytes();
    let matches: SmallVec<[Found<'_>; 4]> = plan.matches(user).collect();
    if matches.len() < 2 {
        return None;
    }
    let is_own = |found: &Found<'_>| {
        found.owner() == rule.owner && found.tag == rule.tag && plan.rule(user, found).0 == rule.prefix
    };
    let at = matches.iter().position(is_own)?;
    let (own, less) = matches.get(at..)?.split_first()?;
    let owner_of = |found: &Found<'_>| owner(routing, found.owner(), found.destination).map(str::to_owned);
    let owner = owner_of(own)?;
    let (found, of) = less.iter().find_map(|found| Some((found, owner_of(found)?)))?;
    if of == owner || found.destination == own.destination {
        return None;
    }
    let (prefix, source) = plan.rule(user, found);
    Some(Below { owner, of, prefix, tag: found.tag.to_owned(), source })
}

/// Whose a rule is: who is named as its owner, else the tenant whose site or trunk it leads to.
fn owner<'a>(routing: &'a Routing, named: &'a str, lead: Option<Destination>) -> Option<&'a str> {
    if !named.is_empty() {
        return Some(named);
    }
    let tenant = match lead? {
        Destination::Site(site) => routing.sites().get(site)?.owner,
        Destination::Trunk(trunk) => routing.origin(trunk)?.tenant?,
    };
    routing.tenants().get(tenant).map(|tenant| &*tenant.id)
}

/// Which number of a prefix with ranges.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Low,
    High,
}

/// The lowest or the highest number of a prefix, so written that nothing is said of what follows; `None`: the prefix is
/// an identity, which no other rule contains.
fn sample(prefix: &str, end: End) -> Option<String> {
    let mut number = String::with_capacity(prefix.len() + 1);
    let mut characters = prefix.chars();
    let mut over = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' => number.push(characters.next()?),
            'x' | 'X' => number.push(if end == End::Low { '0' } else { '9' }),
            '#' if characters.as_str().is_empty() => over = true,
            '[' => {
                let (inside, rest) = characters.as_str().split_once(']')?;
                number.push_str(match end {
                    End::Low => inside.split([',', '-']).next()?.trim(),
                    End::High => inside.rsplit([',', '-']).next()?.trim(),
                });
                characters = rest.chars();
            }
            other => number.push(other),
        }
    }
    if number.contains(|c: char| !c.is_ascii_digit() && !matches!(c, '+' | '*' | '#')) {
        return None;
    }
    if !over {
        // A character that cannot be dialled: the number is not known to be over.
        number.push('_');
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_is_a_number_of_the_prefix() {
        for (prefix, low, high) in [
            ("+44", "+44_", "+44_"),
            ("5[4000-9999]", "54000_", "59999_"),
            ("5[1,3,5-7]x#", "510", "579"),
            ("\\#31", "#31_", "#31_"),
            ("911#", "911", "911"),
        ] {
            assert_eq!(sample(prefix, End::Low).as_deref(), Some(low));
            assert_eq!(sample(prefix, End::High).as_deref(), Some(high));
        }
        assert_eq!(sample("402.pbx1.example", End::Low), None);
        assert_eq!(sample("\\x1", End::Low), None);
    }
}
