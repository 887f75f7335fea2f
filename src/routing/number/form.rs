//! How a far side wants numbers in the user part of a URI.

use std::str::FromStr;

use super::interface::UnknownInterface;
use super::{Number, NumberingPlan};

/// A way of writing numbers on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// As the number came.
    #[default]
    AsIs,
    /// `+441632768402;ext=402`.
    E164,
    /// `441632768402`.
    E164NoPlus,
    /// As it is dialled in the tenant's country: `01632768402`, `0033123456789`.
    Dialled,
    /// The extension where there is one, else as `E164`.
    Extension,
}

impl Form {
    pub const ALL: [Self; 5] = [Self::AsIs, Self::E164, Self::E164NoPlus, Self::Dialled, Self::Extension];

    /// The name in configurations and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AsIs => "as-is",
            Self::E164 => "e164",
            Self::E164NoPlus => "e164-no-plus",
            Self::Dialled => "dialled",
            Self::Extension => "extension",
        }
    }

    /// The number in this form; `None`: it has none, and stays as it came.
    pub fn write(self, number: &Number, plan: &NumberingPlan) -> Option<String> {
        match (self, number) {
            (Self::AsIs, _) | (_, Number::Opaque(_)) => None,
            (Self::E164 | Self::Extension, Number::Extension(_) | Number::Service(_)) => Some(number.to_string()),
            (Self::Extension, Number::Telephone { extension: Some(extension), .. }) => Some(extension.to_string()),
            (Self::E164 | Self::Extension, Number::Telephone { .. }) => Some(number.to_string()),
            (Self::E164NoPlus, _) => Some(match number.e164() {
                Some(e164) => e164.to_string(),
                None => number.to_string(),
            }),
            (Self::Dialled, _) => number.dialled(plan),
        }
    }
}

impl FromStr for Form {
    type Err = UnknownInterface;

    fn from_str(name: &str) -> Result<Self, UnknownInterface> {
        Self::ALL.into_iter().find(|form| form.name() == name).ok_or(UnknownInterface)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::countries::Country;

    #[test]
    fn numbers_are_written_as_the_far_side_wants_them() {
        let mut plan = NumberingPlan::new(Country::find("GB"));
        plan.add_extensions("400-499".parse().unwrap());
        let number = |text: &str| Number::parse(text, &plan);
        for (text, wanted) in [
            // as-is, e164, e164-no-plus, dialled, extension
            (
                "+441632768402;ext=402",
                [None, Some("+441632768402;ext=402"), Some("441632768402"), Some("01632768402"), Some("402")],
            ),
            (
                "+33123456789",
                [None, Some("+33123456789"), Some("33123456789"), Some("0033123456789"), Some("+33123456789")],
            ),
            ("+402", [None, Some("402"), Some("402"), Some("402"), Some("402")]),
            ("+999", [None, Some("999"), Some("999"), Some("999"), Some("999")]),
            ("alice@contoso.example", [None; 5]),
        ] {
            for (form, wanted) in Form::ALL.into_iter().zip(wanted) {
                assert_eq!(form.write(&number(text), &plan).as_deref(), wanted, "{text} {}", form.name());
                assert_eq!(form.name().parse(), Ok(form));
            }
        }
    }
}
