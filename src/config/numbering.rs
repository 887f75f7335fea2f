//! `country` and `[tenant.ID.numbering]`: what digits mean to a tenant.

use super::log::{At, Draft};
use super::reader::{Complaint, Table, quoted};
use crate::routing::countries::Country;
use crate::routing::number::{Digits, ExtensionRange, MAX_RANGES, Number, NumberingPlan, PlanError};

/// The numbering plan of a tenant, from its table.
pub(super) fn read(tenant: &mut Table<'_>) -> NumberingPlan {
    let country = tenant.parsed("country", country);
    let mut plan = NumberingPlan::new(country.map(|country| country.value));
    let Some(mut table) = tenant.table("numbering", "tenant.ID.numbering") else {
        return plan;
    };
    let t = &mut table;
    t.parsed("international_prefix", |text| plan.set_international_prefix(text).map_err(complaint));
    t.parsed("national_prefix", |text| plan.set_national_prefix(text).map_err(complaint));
    if let Some(numbers) = t.parsed_list("emergency_numbers", service_number) {
        plan.set_emergency_numbers(numbers.into_iter().map(|number| number.value));
    }
    for number in t.parsed_list("service_numbers", service_number).unwrap_or_default() {
        plan.add_service_number(number.value);
    }
    extensions(t, &mut plan);
    if let Some(main) = t.parsed("main", |text| destination(text, &plan)) {
        plan.set_main(main.value);
    }
    table.finish();
    plan
}

fn country(text: &str) -> Result<&'static Country, Complaint> {
    Country::find(text).ok_or_else(|| {
        let named = Country::all().find(|country| country.name.eq_ignore_ascii_case(text));
        let complaint = Complaint::new(format!("{} is no country", quoted(text)));
        match named {
            Some(country) => complaint.help(format!("the code of {} is `{}`", country.name, country.iso)),
            None => complaint.help("use the two letters of ISO 3166, such as `GB` or `FR`"),
        }
    })
}

fn complaint(error: PlanError) -> Complaint {
    Complaint::new(error.to_string())
}

/// People write emergency numbers as Teams sends them, with and without `+`: one of both is enough.
pub(super) fn service_number(text: &str) -> Result<Digits, Complaint> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    Digits::new(digits.as_bytes()).ok_or_else(|| complaint(PlanError::Service))
}

fn extensions(table: &mut Table<'_>, plan: &mut NumberingPlan) {
    let parse = |text: &str| text.parse::<ExtensionRange>().map_err(complaint);
    let mut ranges = table.parsed_list("extension_ranges", parse).unwrap_or_default();
    if let Some(first) = ranges.get(MAX_RANGES) {
        let message = format!("{}: there are more than {MAX_RANGES} extension ranges", table.title);
        table.log().add(Draft::error(first.place, message).label("the first too many"));
        ranges.truncate(MAX_RANGES);
    }
    for (index, range) in ranges.iter().enumerate() {
        // As many warnings as ranges, however many others each of them overlaps.
        if let Some(first) = ranges.iter().take(index).find(|first| first.value.overlaps(range.value)) {
            overlap(table, first, range);
        }
        plan.add_extensions(range.value);
        for digits in plan.emergency_numbers().iter().filter_map(|number| Digits::new(number.as_bytes())) {
            if range.value.contains(digits) {
                let message = format!("{}: extension {digits} is never reached", table.title);
                table.log().add(
                    Draft::warning(range.place, message)
                        .label(format!("has the emergency number {digits}"))
                        .help("leave it out of the ranges, or say in `emergency_numbers` which numbers call for help"),
                );
            }
        }
    }
}

fn overlap(table: &Table<'_>, first: &At<ExtensionRange>, again: &At<ExtensionRange>) {
    let (one, other) = (quoted(&first.value.to_string()), quoted(&again.value.to_string()));
    let message = format!("{}: extension ranges {one} and {other} overlap", table.title);
    table.log().add(Draft::warning(again.place, message).label("and here").also(first.place, "here"));
}

/// A number that can be called, or a user's address.
pub(super) fn destination(text: &str, plan: &NumberingPlan) -> Result<Number, Complaint> {
    let number = Number::parse(text, plan);
    let good = match &number {
        Number::Telephone { .. } | Number::Extension(_) => true,
        Number::Service(_) => false,
        Number::Opaque(text) => text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty()),
    };
    good.then_some(number).ok_or_else(|| {
        Complaint::new(format!("{} is no number of this tenant", quoted(text)))
            .help("write it with `+`, or as one of its extensions, or as `user@host`")
    })
}
