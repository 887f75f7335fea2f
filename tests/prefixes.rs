//! 300,000 real prefixes: the places, carriers and time zones that the Python package `phonenumbers` knows, as dial
//! plans. For every number the plan must find what the package finds, whole at the start or changed rule by rule.

#[path = "tools/phonenumbers.rs"]
mod phonenumbers;

use std::collections::BTreeMap;

use trunkway::routing::{Batch, Edit, Plan, Rules, Table};

const MAX_RULES: usize = 1_000_000;

type Facts<'f> = BTreeMap<&'f str, Vec<(&'f str, &'f str)>>;

fn by_plan(facts: &[Vec<String>]) -> Facts<'_> {
    let mut plans = Facts::new();
    for fact in facts {
        plans.entry(&fact[0]).or_default().push((&fact[1], &fact[2]));
    }
    plans
}

fn packed<'r>(name: &str, rules: impl IntoIterator<Item = &'r (&'r str, &'r str)>) -> Plan {
    let mut set = Rules::new(MAX_RULES);
    for (origin, (prefix, tag)) in (0..).zip(rules) {
        set.add(prefix, tag, origin).unwrap();
    }
    let (plan, conflicts) = Plan::new(name.into(), set, |_| None);
    assert_eq!(conflicts, []);
    plan
}

fn compare(plan: &Plan, finds: &[(&str, &str)], what: &str) {
    for (number, tag) in finds {
        let found = plan.find(number.as_bytes()).map_or("", |found| found.tag);
        assert_eq!(found, *tag, "{what}: {number} in {}", plan.name());
    }
}

#[test]
fn real_prefixes_lead_where_another_library_finds_them() {
    let Some(facts) = phonenumbers::facts("phonenumbers_prefixes.py") else { return };
    let (rules, finds) = (by_plan(&facts["rule"]), by_plan(&facts["find"]));
    let mut compared = 0;
    for (name, rules) in &rules {
        let finds = &finds[name];
        compare(&packed(name, rules), finds, "packed");
        compared += finds.len();
    }
    let all: usize = rules.values().map(Vec::len).sum();
    let version = &facts["version"][0][0];
    phonenumbers::say(&format!("prefixes: {compared} numbers among {all} prefixes of phonenumbers {version}"));
    assert!(all > 300_000 && compared > 100_000, "the oracle has said too little");
}

#[test]
fn real_prefixes_may_come_and_go_at_run_time() {
    let Some(facts) = phonenumbers::facts("phonenumbers_prefixes.py") else { return };
    let (rules, finds) = (by_plan(&facts["rule"]), by_plan(&facts["find"]));
    let (rules, finds) = (&rules["carrier"], &finds["carrier"]);
    // Every third rule is there from the start, and every seventh is one that must go.
    let base: Vec<_> = rules.iter().step_by(3).copied().collect();
    let stale: Vec<_> = rules.iter().step_by(7).map(|(prefix, _)| (format!("{prefix}x"), "stale")).collect();
    let both: Vec<_> = base.iter().copied().chain(stale.iter().map(|(prefix, tag)| (prefix.as_str(), *tag))).collect();
    let mut table = Table::new(vec![packed("carrier", &both)]);
    let put = |(prefix, tag): &(&str, &str)| Edit::Put {
        plan: "carrier".into(),
        prefix: (*prefix).into(),
        owner: String::new(),
        tag: (*tag).into(),
        active: true,
    };
    let remove = |(prefix, _): &(String, &str)| Edit::Remove {
        plan: "carrier".into(),
        prefix: prefix.clone(),
        owner: String::new(),
    };
    let edits: Vec<Edit> = rules.iter().map(put).chain(stale.iter().map(remove)).collect();
    for (index, edits) in edits.chunks(3_000).enumerate() {
        let batch = Batch { id: format!("b{index}"), who: "test".into(), when: 0, edits: edits.to_vec() };
        (table, _) = table.apply(&batch, MAX_RULES, &|_| None).unwrap();
    }
    compare(&table.plans()[0], finds, "changed at run time");
    let folded = table.folded(&|_| None);
    assert_eq!(folded.len(), rules.len());
    compare(&folded.plans()[0], finds, "folded");
}
