//! Translation rules: regular expressions that rewrite called and calling numbers, in the style of Teams.
//!
//! Rules are tried in order and the first that matches is the only one that is applied. The engine takes time linear in
//! the text whatever the pattern, so an operator's slip cannot stop the edge; look-around and back-references, which no
//! such engine has, are refused. Patterns see ASCII: `\d` is `0` to `9`. As in .NET, a pattern that is not anchored
//! replaces every stretch that it matches and leaves the rest.

mod replacement;

use std::borrow::Cow;
use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use thiserror::Error;

use self::replacement::Replacement;
pub use self::replacement::ReplacementError;

/// Rules in one list.
pub const MAX_RULES: usize = 400;
/// Characters of a rule's name.
pub const MAX_NAME: usize = 100;
/// Characters of a pattern.
pub const MAX_PATTERN: usize = 1024;
/// Characters of a replacement.
pub const MAX_REPLACEMENT: usize = 256;
/// Bytes of a number that rules look at, and of what they make of it.
pub const MAX_NUMBER: usize = 512;

/// Memory of one compiled pattern, and of its cache.
const PATTERN_BYTES: usize = 256 << 10;
/// Memory of the patterns of a list compiled together.
const LIST_BYTES: usize = 4 << 20;

/// Why a rule cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RuleError {
    #[error("a list has at most {MAX_RULES} rules")]
    TooMany,
    #[error("a rule's name has 1 to {MAX_NAME} characters")]
    Name,
    #[error("a pattern has 1 to {MAX_PATTERN} characters")]
    PatternLength,
    #[error("{0}")]
    Pattern(Box<str>),
    #[error("the pattern is too large once its repetitions are written out")]
    PatternSize,
    #[error("a replacement has at most {MAX_REPLACEMENT} characters")]
    ReplacementLength,
    #[error(transparent)]
    Replacement(#[from] ReplacementError),
}

impl RuleError {
    /// Whether the replacement is at fault.
    pub const fn is_of_replacement(&self) -> bool {
        matches!(self, Self::ReplacementLength | Self::Replacement(_))
    }

    /// Whether the name is at fault.
    pub const fn is_of_name(&self) -> bool {
        matches!(self, Self::Name)
    }
}

/// A compiled rule.
#[derive(Clone, Debug)]
pub struct Rule {
    name: Arc<str>,
    pattern: Regex,
    replacement: Replacement,
}

impl Rule {
    /// Compiles a rule.
    pub fn new(name: &str, pattern: &str, replacement: &str) -> Result<Self, RuleError> {
        let within = |text: &str, max| text.chars().nth(max).is_none();
        if name.is_empty() || !within(name, MAX_NAME) {
            return Err(RuleError::Name);
        }
        if pattern.is_empty() || !within(pattern, MAX_PATTERN) {
            return Err(RuleError::PatternLength);
        }
        if !within(replacement, MAX_REPLACEMENT) {
            return Err(RuleError::ReplacementLength);
        }
        let pattern = RegexBuilder::new(pattern)
            .unicode(false)
            .size_limit(PATTERN_BYTES)
            .dfa_size_limit(PATTERN_BYTES)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => RuleError::PatternSize,
                error => RuleError::Pattern(reason(&error.to_string()).into()),
            })?;
        let replacement = Replacement::parse(replacement, &pattern)?;
        Ok(Self { name: name.into(), pattern, replacement })
    }

    /// The name, for explanations.
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The pattern as it was written.
    pub fn pattern(&self) -> &str {
        self.pattern.as_str()
    }
}

/// What an error of the engine comes down to: its text draws the pattern first and ends in the reason.
fn reason(text: &str) -> &str {
    let last = text.lines().last().unwrap_or(text);
    last.trim().trim_start_matches("error: ")
}

/// Rules for one kind of number in one direction.
#[derive(Clone, Debug, Default)]
pub struct Translation {
    rules: Vec<Rule>,
    /// All patterns as one: most numbers match none. `None`: there are no rules, or too large ones.
    any: Option<RegexSet>,
}

/// What became of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translated<'a> {
    pub number: Cow<'a, [u8]>,
    /// The rule that was applied.
    pub rule: Option<&'a Arc<str>>,
}

/// A rule made a number longer than [`MAX_NUMBER`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("translation rule `{rule}` makes the number longer than {MAX_NUMBER} bytes")]
pub struct TooLong {
    pub rule: Arc<str>,
}

impl Translation {
    /// Puts rules into a list, in order.
    pub fn new(rules: Vec<Rule>) -> Result<Self, RuleError> {
        if rules.len() > MAX_RULES {
            return Err(RuleError::TooMany);
        }
        let any = (rules.len() > 1).then(|| {
            let patterns = rules.iter().map(|rule| rule.pattern.as_str());
            let mut builder = RegexSetBuilder::new(patterns);
            builder.unicode(false).size_limit(LIST_BYTES).dfa_size_limit(LIST_BYTES).build().ok()
        });
        Ok(Self { rules, any: any.flatten() })
    }

    /// The rules, in order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule that a number is translated by. Allocates nothing.
    pub fn rule_for(&self, number: &[u8]) -> Option<&Rule> {
        let hopeless = number.len() > MAX_NUMBER || self.any.as_ref().is_some_and(|any| !any.is_match(number));
        if hopeless {
            return None;
        }
        self.rules.iter().find(|rule| rule.pattern.is_match(number))
    }

    /// Translates a number by the first rule that matches; without one it stays as it is.
    ///
    /// The number is the user part of a URI, unescaped, with `;ext=` and without other parameters. Allocates only for
    /// a number that changes.
    pub fn apply<'a>(&'a self, number: &'a [u8]) -> Result<Translated<'a>, TooLong> {
        let Some(rule) = self.rule_for(number) else {
            return Ok(Translated { number: Cow::Borrowed(number), rule: None });
        };
        let too_long = || TooLong { rule: Arc::clone(&rule.name) };
        let written = rule.replacement.apply(&rule.pattern, number, MAX_NUMBER).ok_or_else(too_long)?;
        Ok(Translated { number: Cow::Owned(written), rule: Some(&rule.name) })
    }
}

/// The rules of a trunk.
#[derive(Clone, Debug, Default)]
pub struct Translations {
    /// For what comes from the trunk, before it is routed.
    pub inbound: Numbers,
    /// For what goes to the trunk, after it is routed.
    pub outbound: Numbers,
}

/// The rules of one direction.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// For the Request-URI.
    pub called: Translation,
    /// For From and P-Asserted-Identity.
    pub calling: Translation,
}

#[cfg(test)]
mod tests;
