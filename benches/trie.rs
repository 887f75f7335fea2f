//! A dial plan of 100,000 rules: looking numbers up and building it, a hash table probed by length beside it.

#[path = "support/allocations.rs"]
mod allocations;
#[path = "support/cases.rs"]
mod cases;

use std::collections::HashMap;
use std::rc::Rc;

use cases::Case;
use trunkway::routing::{Destination, Plan, Rules};
use trunkway::trunk::TrunkId;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

const RULES: usize = 100_000;
/// Numbers looked up in turn: enough that the caches do not hold the answers.
const NUMBERS: usize = 65_536;
const TAGS: u64 = 200;

/// The hash table that is there to be beaten: each prefix under its own text.
struct ByLength {
    table: HashMap<Box<[u8]>, u32, foldhash::fast::RandomState>,
    longest: usize,
}

impl ByLength {
    fn find(&self, number: &[u8]) -> Option<(usize, u32)> {
        let most = number.len().min(self.longest);
        (0..=most).rev().find_map(|length| self.table.get(&number[..length]).map(|&tag| (length, tag)))
    }
}

fn main() {
    // Numbers handed out in blocks, as dial plans have them, and prefixes without any order, the worst for a trie.
    let mut cases = Vec::new();
    cases.extend(cases_of(blocks(), ["blocks_lookup", "blocks_hash_lookup", "blocks_build", "blocks_hash_build"]));
    cases.extend(cases_of(
        scattered(),
        ["scattered_lookup", "scattered_hash_lookup", "scattered_build", "scattered_hash_build"],
    ));
    cases::measure("trie", cases);
}

fn cases_of(rules: Rc<Vec<(String, u32)>>, names: [&'static str; 4]) -> Vec<Case> {
    let numbers = Rc::new(numbers(&rules));
    let (before, plan) = (allocations::count().live_bytes, Rc::new(plan(&rules)));
    let plan_bytes = allocations::count().live_bytes - before;
    let (before, by_length) = (allocations::count().live_bytes, Rc::new(by_length(&rules)));
    let table_bytes = allocations::count().live_bytes - before;
    println!("{}: {} prefixes in {plan_bytes} bytes; hash table: {table_bytes} bytes", names[0], plan.len());
    for number in numbers.iter() {
        let found = plan.find(number.as_bytes()).map(|found| (found.symbols, found.tag.to_owned()));
        let other = by_length.find(number.as_bytes()).map(|(length, tag)| (length, format!("tag-{tag}")));
        assert_eq!(found, other, "{number}");
    }
    let mut next = turns(&numbers);
    let mut other = turns(&numbers);
    let build = rules.clone();
    let build_table = rules.clone();
    let [lookup, hash_lookup, build_plan, hash_build] = names;
    vec![
        Case::new(lookup, move || plan.find(next().as_bytes()).map(|found| found.symbols)),
        Case::new(hash_lookup, move || by_length.find(other().as_bytes())),
        Case::new(build_plan, move || self::plan(&build)),
        Case::new(hash_build, move || self::by_length(&build_table)),
    ]
}

fn turns(numbers: &Rc<Vec<String>>) -> impl FnMut() -> Rc<str> + use<> {
    let numbers: Vec<Rc<str>> = numbers.iter().map(|number| Rc::from(number.as_str())).collect();
    let mut at = 0;
    move || {
        at = (at + 1) % numbers.len();
        Rc::clone(&numbers[at])
    }
}

/// A hundred blocks of a thousand numbers each.
fn blocks() -> Rc<Vec<(String, u32)>> {
    let number =
        |index: usize| (format!("+4930{:03}{:03}", 100 + 7 * (index / 1_000), index % 1_000), (index / 1_000) as u32);
    Rc::new((0..RULES).map(number).collect())
}

/// Prefixes of 5 to 12 digits behind `+`, no two alike.
fn scattered() -> Rc<Vec<(String, u32)>> {
    let mut random = Random(1);
    let mut seen = std::collections::HashSet::new();
    let mut rules = Vec::with_capacity(RULES);
    while rules.len() < RULES {
        let digits = 5 + random.below(8) as usize;
        let prefix = format!("+{}", &format!("{:012}", 100_000_000_000 + random.below(899_999_999_999))[..digits]);
        if seen.insert(prefix.clone()) {
            rules.push((prefix, random.below(TAGS) as u32));
        }
    }
    Rc::new(rules)
}

/// Numbers of which most begin with a rule's prefix.
fn numbers(rules: &[(String, u32)]) -> Vec<String> {
    let mut random = Random(2);
    (0..NUMBERS)
        .map(|index| {
            let (prefix, _) = &rules[random.below(rules.len() as u64) as usize];
            let prefix = if index % 8 == 0 { "+7" } else { prefix };
            let rest = random.below(1_000_000_000_000).to_string();
            format!("{prefix}{rest}").chars().take(14).collect()
        })
        .collect()
}

fn plan(rules: &[(String, u32)]) -> Plan {
    let mut set = Rules::new(RULES);
    for (index, (prefix, tag)) in rules.iter().enumerate() {
        set.add(prefix, &format!("tag-{tag}"), index as u32).expect("a readable prefix");
    }
    let (plan, conflicts) = Plan::new("bench".into(), set, |_| Some(Destination::Trunk(TrunkId(0))));
    assert!(conflicts.is_empty());
    plan
}

fn by_length(rules: &[(String, u32)]) -> ByLength {
    let table = rules.iter().map(|(prefix, tag)| (prefix.as_bytes().into(), *tag)).collect();
    ByLength { table, longest: rules.iter().map(|(prefix, _)| prefix.len()).max().unwrap_or(0) }
}

/// A generator that gives the same numbers in each run (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
