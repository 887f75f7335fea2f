//! Tests of numbers: the documented forms, what is refused, and that forms come back.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::routing::countries::Country;

fn plan(country: &str, ranges: &[&str]) -> NumberingPlan {
    let mut plan = NumberingPlan::new(Some(Country::find(country).unwrap()));
    for range in ranges {
        plan.add_extensions(range.parse().unwrap());
    }
    plan
}

/// The canonical text and how it was read.
fn read(plan: &NumberingPlan, text: &str) -> (String, How) {
    let Read { number, how } = plan.read(text);
    let kind = match number {
        Number::Telephone { .. } => "",
        Number::Extension(_) => "extension ",
        Number::Service(_) => "service ",
        Number::Opaque(_) => "opaque ",
    };
    (format!("{kind}{number}"), how)
}

fn telephone(e164: &str, extension: Option<&str>) -> Number {
    let digits = |text: &str| Digits::new(text.as_bytes()).unwrap();
    Number::Telephone { e164: digits(e164), extension: extension.map(digits) }
}

/// The forms of one user's number, as they are documented: interface, both, telephone, extension.
const FORMS: [[&str; 4]; 8] = [
    ["entra-admin", "+441632768402 x402", "+441632768402", "x402"],
    ["entra-admin-no-plus", "441632768402 x402", "441632768402", ""],
    ["entra-business-phones", "+441632768402;ext=402", "+441632768402", "x402"],
    ["teams-admin", "tel:441632768402;ext=402", "tel:441632768402", "402"],
    ["pbx-teams-uri", "+441632768402;ext=402", "+441632768402", "+402"],
    ["pbx-directory", "441632768402-402", "441632768402", "+402"],
    ["teams-client", "(1632) 768 402 extn 402", "(1632) 768 402", "+402"],
    [
        "sip-uri",
        "sip:+441632768402;ext=402@sip.pstnhub.microsoft.com:5061",
        "sip:+441632768402@sip.pstnhub.microsoft.com:5061",
        "",
    ],
];

#[test]
fn every_form_of_every_interface_is_read_and_written_back() {
    let plan = plan("GB", &["400-499"]);
    let extension = Number::Extension(Digits::new(b"402").unwrap());
    let meanings = [telephone("441632768402", Some("402")), telephone("441632768402", None), extension];
    for [name, forms @ ..] in FORMS {
        let interface: Interface = name.parse().unwrap();
        assert_eq!(interface.to_string(), name);
        for (form, number) in forms.iter().zip(&meanings) {
            assert_eq!(number.write(interface, &plan).as_deref().unwrap_or(""), *form, "{name}");
            if !form.is_empty() {
                assert_eq!(Number::parse(form, &plan), *number, "{name} {form}");
                assert_eq!(plan.read_as(interface, form).number, *number, "{name} {form}");
            }
        }
    }
    assert!("entra".parse::<Interface>().is_err());
}

#[test]
fn table_of_forms_beside_the_project_says_the_same() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/number-formats.tsv");
    // The data is no part of the project; the forms are in `FORMS` as well.
    let Ok(text) = std::fs::read_to_string(path) else { return };
    let rows: Vec<Vec<&str>> =
        text.lines().filter(|line| !line.starts_with('#')).skip(1).map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows, FORMS);
}

#[test]
fn five_forms_of_a_french_number_are_one() {
    let plan = plan("FR", &[]);
    for (text, how) in [
        ("01 23 45 67 89", How::NationalPrefix),
        ("33 1 23 45 67 89", How::CallingCode),
        ("011 33 1 23 45 67 89", How::InternationalPrefix),
        ("00 33 1 23 45 67 89", How::InternationalPrefix),
        ("+33 1 23 45 67 89", How::Plus),
        ("+33 (0)1 23 45 67 89", How::Plus),
        ("0033 (0) 123456789", How::InternationalPrefix),
        ("1 23 45 67 89", How::National),
        ("+3301.23.45.67.89", How::Plus),
        ("(01) 23/45-67 89", How::NationalPrefix),
    ] {
        assert_eq!(read(&plan, text), ("+33123456789".to_owned(), how), "{text}");
    }
}

#[test]
fn uris_escapes_and_invisible_marks_are_taken_off() {
    let plan = plan("GB", &["400-499"]);
    for text in [
        "sip:+441632768402@sbc.example.net;user=phone",
        "SIPS:%2B441632768402@sbc.example.net:5061;transport=tls?Subject=x@y",
        "sip:+44-1632-768-402:secret@[2001:db8::1]",
        "tel:+44-1632-768402;cpc=ordinary",
        "TEL:01632768402;phone-context=+44",
        "<sip:01632768402@pbx1.example.net;user=phone>;tag=1",
        "\"Reception, 2nd floor\" <tel:+441632768402>",
        "%2b44 1632 768402",
        "01632768402@pbx1.example.net",
        "\u{feff}+44\u{a0}1632\u{202f}768402\u{202c}",
        "+44 (0)1632 768402",
        "+44(01632)768402",
        "+44 01632 768402",
        "+44\u{2013}1632\u{2010}768402",
    ] {
        assert_eq!(read(&plan, text).0, "+441632768402", "{text}");
    }
    for text in [
        "sip:+14255388701;ext=1001@sip.pstnhub.microsoft.com:5061;user=phone;transport=tls",
        "+1 (425) 538-8701 ext. 1001",
        "+14255388701 EXTENSION:1001",
        "tel:+1-425-538-8701;isub=1;EXT=10-01",
        "sip:+14255388701@pbx1.example.net;ext=1001",
        "+14255388701x1001;ext=1001",
    ] {
        assert_eq!(read(&plan, text).0, "+14255388701;ext=1001", "{text}");
    }
}

#[test]
fn extension_with_plus_needs_the_tenants_ranges() {
    let with = plan("GB", &["400-499", "0200-0299"]);
    let without = plan("GB", &[]);
    for (text, inside, outside) in [
        ("+402", "extension 402", "opaque +402"),
        ("402", "extension 402", "opaque 402"),
        ("sip:402@pbx1.example.net", "extension 402", "opaque 402@pbx1.example.net"),
        ("0201", "extension 0201", "opaque 0201"),
        ("+402;ext=402", "extension 402", "opaque +402;ext=402"),
        ("402 x403", "opaque 402 x403", "opaque 402 x403"),
        ("500", "opaque 500", "opaque 500"),
        ("x402", "extension 402", "extension 402"),
        ("ext 7777", "extension 7777", "extension 7777"),
    ] {
        assert_eq!(read(&with, text).0, inside, "{text}");
        assert_eq!(read(&without, text).0, outside, "{text}");
    }
    // Romania's calling code is 40: seven more digits are a telephone number all the same.
    assert_eq!(read(&with, "+40213456789").0, "+40213456789");
}

#[test]
fn emergency_numbers_come_with_and_without_plus_and_before_extensions() {
    let mut plan = plan("US", &["100-999"]);
    for text in ["911", "+911", "sip:911@sbc.example.net;user=phone", "sip:+911@sbc.example.net", "tel:911", "112"] {
        assert_eq!(
            read(&plan, text),
            (format!("service {}", if text == "112" { text } else { "911" }), How::ServiceNumber)
        );
    }
    assert!(plan.is_emergency(Digits::new(b"911").unwrap()));
    plan.add_service_number(Digits::new(b"*97").unwrap());
    plan.add_service_number(Digits::new(b"811").unwrap());
    assert_eq!(read(&plan, "*97").0, "service *97");
    assert_eq!(read(&plan, "sip:%2A97@pbx").0, "service *97");
    assert_eq!(read(&plan, "*98").0, "opaque *98");
    assert_eq!(read(&plan, "+811").0, "service 811");
    assert!(!plan.is_emergency(Digits::new(b"811").unwrap()));
    assert_eq!(read(&plan, "999").0, "extension 999");
    plan.set_emergency_numbers([Digits::new(b"999").unwrap()]);
    assert_eq!(read(&plan, "999").0, "service 999");
    assert_eq!(read(&plan, "911").0, "extension 911");
    for (country, number) in [("GB", "999"), ("GB", "112"), ("AU", "000"), ("NZ", "111"), ("JP", "119"), ("FR", "15")] {
        assert_eq!(read(&self::plan(country, &[]), &format!("+{number}")).0, format!("service {number}"));
    }
    let nowhere = NumberingPlan::default();
    assert_eq!(read(&nowhere, "+112").0, "service 112");
    assert_eq!(read(&nowhere, "999").0, "opaque 999");
}

#[test]
fn what_is_no_number_stays_what_it_is() {
    let plan = plan("GB", &["400-499"]);
    for (text, expected) in [
        ("", ""),
        ("anonymous", "anonymous"),
        ("sip:anonymous@anonymous.invalid", "anonymous@anonymous.invalid"),
        ("\"Alice\" <sips:alice%20b@contoso.example:5061;transport=tls>;tag=a", "alice b@contoso.example:5061"),
        ("alice@contoso.example", "alice@contoso.example"),
        ("sip:10.1.2.3", "10.1.2.3"),
        ("sip:sip.pstnhub.microsoft.com:5061;transport=tls", "sip.pstnhub.microsoft.com:5061"),
        ("+999123456789", "+999123456789"),
        ("+1234567890123456", "+1234567890123456"),
        ("+44++1632768402", "+44++1632768402"),
        ("+441632768402;ext=abc", "+441632768402;ext=abc"),
        ("+441632768402;ext=1;ext=2", "+441632768402;ext=1;ext=2"),
        ("+441632768402 x401;ext=402", "+441632768402 x401;ext=402"),
        ("1-800-FLOWERS", "1-800-FLOWERS"),
        ("tel:123456789;phone-context=+33", "123456789;phone-context=+33"),
        ("12345678901234567890123456789012345678901234567890", "12345678901234567890123456789012345678901234567890"),
        ("+", "+"),
        ("()", "()"),
    ] {
        assert_eq!(read(&plan, text), (format!("opaque {expected}"), How::Nothing), "{text}");
    }
}

#[test]
fn dash_is_an_extension_in_a_directory_only() {
    let plan = plan("GB", &["400-499"]);
    for (text, expected) in [
        ("441632768402-402", "+441632768402;ext=402"),
        ("+441632768402-402", "+441632768402402"),
        ("441632768402-502", "opaque 441632768402-502"),
        ("44-1632-768-402", "+441632768402"),
        ("01632-768402", "+441632768402"),
        ("01632768402-402", "opaque 01632768402-402"),
    ] {
        assert_eq!(read(&plan, text).0, expected, "{text}");
    }
    let as_directory = |text: &str| plan.read_as(Interface::PbxDirectory, text).number.to_string();
    assert_eq!(as_directory("441632768402-502"), "+441632768402;ext=502");
    assert_eq!(as_directory("33123456789-7"), "+33123456789;ext=7");
}

#[test]
fn prefixes_of_the_tenant_replace_those_of_the_country() {
    let mut plan = plan("GB", &[]);
    plan.set_international_prefix("900").unwrap();
    plan.set_national_prefix("9").unwrap();
    assert_eq!(read(&plan, "90033123456789"), ("+33123456789".to_owned(), How::InternationalPrefix));
    assert_eq!(read(&plan, "91632768402"), ("+441632768402".to_owned(), How::NationalPrefix));
    assert_eq!(telephone("441632768402", None).dialled(&plan).as_deref(), Some("91632768402"));
    assert_eq!(telephone("33123456789", Some("7")).dialled(&plan).as_deref(), Some("90033123456789"));
    plan.set_national_prefix("").unwrap();
    assert_eq!(telephone("441632768402", None).dialled(&plan).as_deref(), Some("1632768402"));
    for wrong in ["+", "00 ", "123456789", "", "0a"] {
        assert_eq!(plan.set_international_prefix(wrong), Err(PlanError::Prefix), "{wrong}");
    }
}

#[test]
fn countries_with_other_habits_are_read_by_them() {
    for (country, text, expected) in [
        ("US", "206 555 0100", "+12065550100"),
        ("US", "1 (206) 555-0100", "+12065550100"),
        ("US", "011 44 1632 768402", "+441632768402"),
        ("US", "33123456789", "+33123456789"),
        ("CA", "+1 1 416 555 0100", "+14165550100"),
        ("IT", "06 698 12345", "+390669812345"),
        ("IT", "+39 (0)6 698 12345", "+390669812345"),
        ("IT", "391 234 5678", "+393912345678"),
        ("IT", "39 333 123 4567", "+393331234567"),
        ("HU", "06 1 234 5678", "+3612345678"),
        ("RU", "8 (495) 123-45-67", "+74951234567"),
        ("RU", "810 44 1632 768402", "+441632768402"),
        ("AU", "0011 44 1632 768402", "+441632768402"),
        ("AU", "(02) 9876 5432", "+61298765432"),
        ("JP", "010 44 1632 768402", "+441632768402"),
        ("JP", "03-1234-5678", "+81312345678"),
        ("BR", "0 15 11 91234-5678", "+5511912345678"),
        ("BR", "00 21 44 1632 768402", "+441632768402"),
        ("DE", "(0201) 12345", "+4920112345"),
        ("DE", "+49 (0) 201 / 12345-67", "+492011234567"),
        ("DK", "45 12 34 56", "+4545123456"),
        ("DK", "45 45 12 34 56", "+4545123456"),
        ("ES", "612 345 678", "+34612345678"),
    ] {
        assert_eq!(read(&plan(country, &[]), text).0, expected, "{country} {text}");
    }
    let nowhere = NumberingPlan::default();
    assert_eq!(read(&nowhere, "+44 (0)1632 768402").0, "+441632768402");
    assert_eq!(read(&nowhere, "0044 1632 768402").0, "+441632768402");
    assert_eq!(read(&nowhere, "2065550100").0, "opaque 2065550100");
}

#[test]
fn extension_ranges_count_leading_zeros_and_each_extension_once() {
    let range = |text: &str| text.parse::<ExtensionRange>();
    let contains = |text: &str, digits: &str| range(text).unwrap().contains(Digits::new(digits.as_bytes()).unwrap());
    assert!(contains("000-099", "007") && !contains("000-099", "07") && !contains("0-9", "*"));
    assert!(contains("402", "402") && !contains("402", "4021"));
    assert_eq!(range("4-499"), Err(PlanError::Widths));
    assert_eq!(range("499-400"), Err(PlanError::Order));
    assert_eq!(range("12345678901"), Err(PlanError::TooLong));
    for wrong in ["", "-", "4x0-499", "+400", "400-"] {
        assert_eq!(range(wrong), Err(PlanError::NotDigits), "{wrong}");
    }
    assert_eq!(range(" 1000 - 1999 ").unwrap().count(), 1000);
    assert_eq!(range("402").unwrap().to_string(), "402");
    let plan = plan("GB", &["1099-1200", "1000-1100", "1150-1160", "20-29"]);
    assert_eq!(plan.extension_count(), 201 + 10);
    assert_eq!(plan.extensions().len(), 2);
    assert!(plan.is_extension(Digits::new(b"1200").unwrap()), "past a shorter range inside");
    assert!(!plan.is_extension(Digits::new(b"1201").unwrap()));
    assert!(range("1000-1100").unwrap().overlaps(range("1099-1200").unwrap()));
    assert!(!range("100-199").unwrap().overlaps(range("1000-1999").unwrap()));
}

fn countries() -> impl Strategy<Value = &'static Country> {
    prop::sample::select(Country::all().collect::<Vec<_>>())
}

/// A number of a country, mostly as long as its numbers are, and sometimes one with an extension.
fn numbers() -> impl Strategy<Value = (&'static Country, Number)> {
    (countries(), "[0-9]{15}", prop::option::of("[0-9]{1,10}"), 0..20usize).prop_filter_map(
        "no number of that length",
        |(country, digits, extension, extra)| {
            let lengths: Vec<usize> = (1..=15).filter(|length| country.has_length(*length)).collect();
            let length = lengths.get(extra).copied().unwrap_or(lengths[0] + extra % 3);
            let national = digits.get(..length)?;
            let text = format!("+{}{national}", country.calling_code);
            let plan = NumberingPlan::default();
            let extension = extension.map(|extension| format!(";ext={extension}")).unwrap_or_default();
            let number = Number::parse(&(text + &extension), &plan);
            number.e164().is_some().then_some((country, number))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn what_an_interface_writes_it_reads_as_the_same_number(
        (home, number) in numbers(),
        elsewhere in countries(),
        is_home in any::<bool>(),
    ) {
        let plan = plan(if is_home { home.iso } else { elsewhere.iso }, &["400-499", "7000-7999"]);
        for interface in Interface::ALL {
            let form = number.write(interface, &plan).unwrap();
            prop_assert_eq!(&plan.read_as(interface, &form).number, &number, "{} {}", interface, form);
            // Without its `+` a number may look like another at home: only who knows the interface can tell.
            if !interface.omits_plus() {
                prop_assert_eq!(&Number::parse(&form, &plan), &number, "{} {}", interface, form);
            }
        }
        let canonical = number.to_string();
        prop_assert_eq!(&Number::parse(&canonical, &plan), &number);
        prop_assert_eq!(&Number::parse(&canonical, &NumberingPlan::default()), &number);
    }

    #[test]
    fn extension_of_the_ranges_comes_back_from_every_interface(extension in "4[0-9]{2}|7[0-9]{3}", country in countries()) {
        let plan = plan(country.iso, &["400-499", "7000-7999"]);
        let digits = Digits::new(extension.as_bytes()).unwrap();
        prop_assume!(!plan.is_service(digits));
        let number = Number::Extension(digits);
        for interface in Interface::ALL {
            if let Some(form) = number.write(interface, &plan) {
                prop_assert_eq!(&Number::parse(&form, &plan), &number, "{} {}", interface, form);
            }
        }
    }

    #[test]
    fn service_number_comes_back_from_every_interface(country in countries()) {
        let plan = plan(country.iso, &["100-999"]);
        for emergency in country.emergency_numbers() {
            let number = Number::Service(Digits::new(emergency.as_bytes()).unwrap());
            for form in Interface::ALL.into_iter().filter_map(|interface| number.write(interface, &plan)) {
                prop_assert_eq!(&Number::parse(&form, &plan), &number, "{}", form);
            }
        }
    }

    #[test]
    fn any_text_is_read_and_its_canonical_form_means_the_same(
        text in prop_oneof![any::<String>(), "(sip:|tel:|<)?[+(]?[0-9x*#%;=e@ ().-]{0,40}"],
        country in prop::option::of(countries()),
    ) {
        let mut plan = NumberingPlan::new(country);
        plan.add_extensions("400-499".parse().unwrap());
        let number = plan.read(&text).number;
        for interface in Interface::ALL {
            let _ = number.write(interface, &plan);
            let _ = plan.read_as(interface, &text);
        }
        let _ = number.dialled(&plan);
        if number.e164().is_some() {
            prop_assert_eq!(Number::parse(&number.to_string(), &plan), number);
        }
    }
}

proptest! {
    #[test]
    fn extensions_are_those_of_the_ranges_however_they_overlap(
        ranges in prop::collection::vec((0u32..120, 0u32..40, 2usize..4), 0..12),
        asked in prop::collection::vec("[0-9]{1,4}", 20),
    ) {
        let mut plan = NumberingPlan::default();
        let mut naive = std::collections::BTreeSet::new();
        for (first, more, width) in ranges {
            let last = (first + more).min(10_u32.pow(width as u32) - 1);
            if first > last {
                continue;
            }
            let range = format!("{first:0width$}-{last:0width$}");
            plan.add_extensions(range.parse().unwrap());
            naive.extend((first..=last).map(|extension| format!("{extension:0width$}")));
        }
        prop_assert_eq!(plan.extension_count(), naive.len() as u64);
        for text in asked.iter().chain(&naive) {
            let digits = Digits::new(text.as_bytes()).unwrap();
            prop_assert_eq!(plan.is_extension(digits), naive.contains(text), "{}", text);
        }
    }
}
