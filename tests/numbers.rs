//! Numbers of every country, read by trunkway and by the Python package `phonenumbers`, and the table of countries
//! against what that package knows. Says on standard error how many were compared, or that none were.

#[path = "../benches/support/allocations.rs"]
mod allocations;
#[path = "tools/phonenumbers.rs"]
mod phonenumbers;

use std::collections::BTreeSet;

use trunkway::routing::countries::Country;
use trunkway::routing::number::{Digits, Interface, Lookup, Number, NumberingPlan, Users};
use trunkway::routing::translate::{Rule, Translation};

use phonenumbers::say;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

#[test]
fn numbers_are_read_found_and_left_alone_without_allocating() {
    let mut plan = plan("GB");
    plan.add_extensions("400-499".parse().unwrap());
    let shared = [("+441632768400;ext=401", 1), ("+441632768400;ext=402", 2)];
    let shared = shared.map(|(text, user)| (Number::parse(text, &plan), user));
    let users = Users::new(shared.iter().map(|(number, user)| (number, *user)));
    let texts = [
        ("sip:+441632768400;ext=402@sip.pstnhub.microsoft.com:5061;user=phone", Lookup::User(2)),
        ("(1632) 768 400", Lookup::Ambiguous),
        ("00 44 (0)1632 768400 x401", Lookup::User(1)),
        ("+401", Lookup::User(1)),
        ("+999", Lookup::Nobody),
    ];
    for (text, expected) in texts {
        let (count, ()) = allocations::during(|| assert_eq!(users.find(&plan.read(text).number), expected, "{text}"));
        assert_eq!(count, 0, "{text}");
    }
    let rules = (0..400).map(|index| Rule::new("r", &format!(r"^\+{index}(\d{{4}})$"), "$1").unwrap());
    let translation = Translation::new(rules.collect()).unwrap();
    let unchanged = b"+441632768400;ext=402";
    let apply = || assert_eq!(translation.apply(unchanged).unwrap().rule, None);
    apply();
    assert_eq!(allocations::during(apply).0, 0, "once the engine has its cache");
    let changed = || assert_eq!(&*translation.apply(b"+3991234").unwrap().number, b"1234");
    changed();
    assert!(allocations::during(changed).0 <= 4, "the result and its groups");
}

/// How many differences are shown.
const MAX_SHOWN: usize = 200;

/// What differs and is meant to: the beginnings of the messages, and why.
const EXCUSED: [(&str, &str); 13] = [
    ("AR MOBILE", "`15` behind the area code stands for `9` in front of it; where that code ends is not in the table"),
    ("BR PREMIUM_RATE", "as long as a mobile number without its area code"),
    ("BR: PREMIUM_RATE", "the same"),
    ("CA UAN", "as long as a number without its area code, and of no use abroad"),
    ("CA: UAN", "the same"),
    ("CN PREMIUM_RATE", "as long as a number without its area code"),
    ("CN: PREMIUM_RATE", "the same"),
    ("DE PAGER", "written without the national prefix, which no caller may leave out"),
    ("KR UAN", "dialled without the national prefix, and no longer than numbers within an area"),
    ("MO TOLL_FREE", "begins with what is dialled for abroad"),
    ("MO: TOLL_FREE", "the same"),
    ("UY UAN", "shorter than any number of a person"),
    ("UY: UAN", "the same"),
];

/// The reason for a difference, by its index.
fn excuse(fault: &str) -> Option<usize> {
    EXCUSED.iter().position(|(beginning, _)| fault.starts_with(beginning))
}

fn plan(region: &str) -> NumberingPlan {
    NumberingPlan::new(Some(Country::find(region).unwrap_or_else(|| panic!("no country {region}"))))
}

fn digits(text: &str) -> Digits {
    Digits::new(text.as_bytes()).unwrap()
}

#[test]
fn numbers_and_countries_are_those_of_another_library() {
    let Some(facts) = phonenumbers::facts("phonenumbers_oracle.py") else { return };
    let mut faults = Vec::new();
    let compared = [
        ("forms of numbers", forms(&facts["number"], &mut faults)),
        ("countries", countries(&facts["meta"], &mut faults)),
        ("lengths", lengths(&facts["number"], &mut faults)),
        ("emergency numbers", emergencies(&facts["emergency"], &mut faults)),
    ];
    let counts: Vec<String> = compared.iter().map(|(what, count)| format!("{count} {what}")).collect();
    let version = &facts["version"][0][0];
    say(&format!("numbers: compared with phonenumbers {version}: {}", counts.join(", ")));
    let excused = faults.iter().filter(|fault| excuse(fault).is_some()).count();
    say(&format!("numbers: {} differ, {excused} of them for known reasons", faults.len()));
    assert!(compared[0].1 > 50_000 && compared[1].1 > 240, "the oracle has said too little");
    let (known, faults): (Vec<_>, Vec<_>) = faults.iter().partition(|fault| excuse(fault).is_some());
    let used: BTreeSet<Option<usize>> = known.iter().map(|fault| excuse(fault)).collect();
    assert_eq!(used.len(), EXCUSED.len(), "an excuse that nothing needs: {used:?}");
    let shown: Vec<&str> = faults.iter().map(|fault| fault.as_str()).take(MAX_SHOWN).collect();
    assert!(faults.is_empty(), "{} differ:\n{}", faults.len(), shown.join("\n"));
}

/// Every form of every number is read as that number.
fn forms(numbers: &[Vec<String>], faults: &mut Vec<String>) -> usize {
    let (france, states) = (plan("FR"), plan("US"));
    let mut compared = 0;
    for fields in numbers {
        let [region, kind, e164, national, international, significant, from_france, from_states] = fields.as_slice()
        else {
            panic!("{fields:?}");
        };
        let home = plan(region);
        let mut expect = |what: &str, text: &str, found: Number| {
            compared += 1;
            if found.to_string() != *e164 || found.e164().is_none() {
                faults.push(format!("{region} {kind} {e164}: {what} `{text}` is read as {found}"));
            }
        };
        expect("e164", e164, Number::parse(e164, &home));
        expect("national", national, Number::parse(national, &home));
        expect("international", international, Number::parse(international, &home));
        expect("from France", from_france, Number::parse(from_france, &france));
        expect("from the United States", from_states, Number::parse(from_states, &states));
        let without_plus = &e164[1..];
        expect("without plus", without_plus, Number::parse(without_plus, &home));
        if home.country().unwrap().national_prefixes().next().is_none() {
            expect("as dialled at home", significant, Number::parse(significant, &home));
        }
        let number = Number::parse(e164, &home);
        for plan in [&home, &france, &states] {
            let dialled = number.dialled(plan).unwrap_or_default();
            expect("dialled", &dialled, Number::parse(&dialled, plan));
        }
        for interface in Interface::ALL {
            let form = number.write(interface, &home).unwrap_or_default();
            expect(interface.name(), &form, Number::parse(&form, &home));
        }
    }
    compared
}

/// Calling codes and dialling prefixes.
fn countries(metas: &[Vec<String>], faults: &mut Vec<String>) -> usize {
    let theirs: BTreeSet<&str> = metas.iter().map(|fields| &*fields[0]).collect();
    let ours: BTreeSet<&str> = Country::all().map(|country| country.iso).collect();
    faults.extend(theirs.symmetric_difference(&ours).map(|region| format!("{region}: in one table only")));
    for fields in metas {
        let [region, code, international, national] = fields.as_slice() else { panic!("{fields:?}") };
        let Some(country) = Country::find(region) else { continue };
        let mut expect = |what: &str, good: bool, theirs: &str| {
            if !good {
                faults.push(format!("{region}: {what} should be {theirs}"));
            }
        };
        expect("calling code", country.calling_code == code, code);
        let fits = |pattern: &str, prefix: &str| {
            pattern.len() == prefix.len() && pattern.bytes().zip(prefix.bytes()).all(|(p, d)| p == b'x' || p == d)
        };
        let abroad = country.international_prefixes().any(|pattern| fits(pattern, international));
        expect("prefix for abroad", international == "-" || abroad, international);
        let known = country.national_prefixes().any(|pattern| fits(pattern, national));
        let none = national == "-" && country.national_prefixes().next().is_none();
        expect("national prefix", known || none, national);
    }
    metas.len()
}

/// Every number is as long as numbers of its country may be.
fn lengths(numbers: &[Vec<String>], faults: &mut Vec<String>) -> usize {
    let all: BTreeSet<(&str, &str, usize)> =
        numbers.iter().map(|fields| (&*fields[0], &*fields[1], fields[5].len())).collect();
    for (region, kind, length) in &all {
        if !Country::find(region).is_some_and(|country| country.has_length(*length)) {
            faults.push(format!("{region}: {kind} numbers have {length} digits"));
        }
    }
    all.len()
}

/// Numbers that call for help are taken for that; there may be more here than there.
fn emergencies(known: &[Vec<String>], faults: &mut Vec<String>) -> usize {
    let theirs: BTreeSet<(&str, &str)> = known.iter().map(|fields| (&*fields[0], &*fields[1])).collect();
    for (region, number) in &theirs {
        for text in [(*number).to_owned(), format!("+{number}")] {
            if Number::parse(&text, &plan(region)) != Number::Service(digits(number)) {
                faults.push(format!("{region}: `{text}` is no emergency number"));
            }
        }
    }
    let ours: usize = Country::all().map(|country| country.emergency_numbers().count()).sum();
    say(&format!("numbers: {ours} emergency numbers here, {} there", theirs.len()));
    theirs.len()
}
