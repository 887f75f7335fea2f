//! The table of dial plans at a million and ten million rules: build from CSV, memory, lookups and changes, beside a
//! hash map probed by length and a trie of pointers. `cargo bench --bench table [-- MILLIONS ...]` prints one table.
//!
//! The rules are random numbers of 8 to 15 digits in a file of `dialPlanName,prefix,tag,owner,active`; lookups ask for
//! random numbers, half of which begin with a rule. Every structure must give the same answers.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use trunkway::routing::{Batch, Edit, Plan, RowReader, Rule, Rules, Table};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LOOKUPS: usize = 1 << 20;
const TAGS: u64 = 5_000;
const ROUNDS: usize = 5;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }
}

fn main() {
    // The baseline of pointers takes gigabytes: it can be left out.
    let sizes: Vec<f64> = std::env::args().skip(1).filter_map(|size| size.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![1.0, 10.0] } else { sizes };
    for size in sizes {
        measure((size * 1e6) as usize);
    }
}

/// A random number, `+` and 8 to 15 digits: most of them long, as numbers of users are.
fn number(random: &mut Random, text: &mut String) {
    text.clear();
    let digits = match random.below(100) {
        0..5 => 8 + random.below(3),
        5..90 => 11 + random.below(2),
        _ => 13 + random.below(3),
    };
    text.push('+');
    for _ in 0..digits {
        text.push((b'0' + random.below(10) as u8) as char);
    }
}

fn measure(rules: usize) {
    println!("\n{rules} rules");
    let directory = tempfile::tempdir().expect("a directory for the file");
    let path = directory.path().join("plan.csv");
    let distinct = write_file(&path, rules);
    println!("  file: {} MB, {distinct} rows", std::fs::metadata(&path).map_or(0, |file| file.len()) / 1_000_000);
    let queries = queries(&path, rules);

    settle();
    let before = resident();
    forget_peak();
    let start = on_cpu();
    let (plan, parsing) = build(&path);
    let building = Duration::from_nanos(on_cpu() - start);
    let building_peak = peak() - before;
    settle();
    let grown = resident() - before;
    println!(
        "  table:   built in {:.2} s (rows read {:.2} s), {} rules, {:.1} MB by its own count, {:.1} MB grown, at most {:.1} MB more while building",
        building.as_secs_f64(),
        parsing.as_secs_f64(),
        plan.len(),
        plan.bytes() as f64 / 1e6,
        grown as f64 / 1e6,
        building_peak as f64 / 1e6,
    );
    let expected = lookups("table", &queries, |number| plan.find(number).map(|found| found.tag.len()));

    let table = Table::new(vec![plan]);
    changes(&table);

    settle();
    let before = resident();
    let start = on_cpu();
    let map = ByLength::read(&path);
    let building = Duration::from_nanos(on_cpu() - start);
    settle();
    println!(
        "  by length: built in {:.2} s, {:.1} MB grown",
        building.as_secs_f64(),
        (resident() - before) as f64 / 1e6
    );
    let found = lookups("by length", &queries, |number| map.longest(number).map(|tag| map.tags[tag as usize].len()));
    assert_eq!(found, expected);
    drop(map);

    settle();
    let before = resident();
    let start = on_cpu();
    let trie = Pointers::read(&path);
    let building = Duration::from_nanos(on_cpu() - start);
    settle();
    println!(
        "  pointers: built in {:.2} s, {:.1} MB grown",
        building.as_secs_f64(),
        (resident() - before) as f64 / 1e6
    );
    let found = lookups("pointers", &queries, |number| trie.longest(number).map(|tag| trie.tags[tag as usize].len()));
    assert_eq!(found, expected);
}

fn write_file(path: &Path, rules: usize) -> usize {
    let mut file = BufWriter::new(File::create(path).expect("a file"));
    let mut random = Random(42);
    let mut text = String::new();
    let mut seen: std::collections::HashSet<u64, foldhash::fast::RandomState> =
        std::collections::HashSet::with_capacity_and_hasher(rules, Default::default());
    writeln!(file, "dialPlanName,prefix,tag,owner,active").expect("a row");
    while seen.len() < rules {
        number(&mut random, &mut text);
        if seen.insert(packed(text.as_bytes())) {
            let tag = random.below(TAGS);
            writeln!(file, "main,{text},site-{tag}.customers.example.net,customer-{},1", tag / 4).expect("a row");
        }
    }
    file.flush().expect("the file");
    seen.len()
}

/// Digits and length in one word.
fn packed(number: &[u8]) -> u64 {
    number.iter().fold(1, |packed, digit| packed * 10 + u64::from(digit.wrapping_sub(b'0') % 10))
}

fn for_rows(path: &Path, mut call: impl FnMut(&str, &str, &str, bool)) {
    let mut file = File::open(path).expect("the file");
    let mut reader = RowReader::default();
    let mut buffer = vec![0; 1 << 20];
    let mut filled = 0;
    loop {
        let read = file.read(&mut buffer[filled..]).expect("bytes");
        filled += read;
        let end = match read {
            0 => filled,
            _ => memchr::memrchr(b'\n', &buffer[..filled]).map_or(0, |at| at + 1),
        };
        for row in reader.rows(std::str::from_utf8(&buffer[..end]).expect("text")) {
            let fields = row.fields.expect("a row");
            call(fields.prefix, fields.tag, fields.owner, fields.active);
        }
        if read == 0 {
            return;
        }
        buffer.copy_within(end..filled, 0);
        filled -= end;
    }
}

fn build(path: &Path) -> (Plan, Duration) {
    let start = on_cpu();
    let mut rules = Rules::new(usize::MAX);
    let mut origin = 0;
    for_rows(path, |prefix, tag, owner, active| {
        rules.add_rule(Rule { prefix, tag, owner, active }, origin).expect("a rule");
        origin += 1;
    });
    let parsing = Duration::from_nanos(on_cpu() - start);
    let (plan, conflicts) = Plan::new("main".into(), rules, |_| None);
    assert_eq!(conflicts, []);
    (plan, parsing)
}

/// Numbers side by side, as they would come out of a message that was just read.
#[derive(Default)]
struct Queries {
    numbers: Vec<([u8; 23], u8)>,
}

impl Queries {
    fn push(&mut self, text: &str) {
        let mut number = [0; 23];
        number[..text.len()].copy_from_slice(text.as_bytes());
        self.numbers.push((number, text.len() as u8));
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.numbers.iter().map(|(number, length)| &number[..usize::from(*length)])
    }
}

/// Numbers, half of which begin with a rule.
fn queries(path: &Path, rules: usize) -> Queries {
    let mut random = Random(7);
    let mut queries = Queries::default();
    let mut text = String::new();
    let share = rules as u64 / (LOOKUPS as u64 / 2) + 1;
    for_rows(path, |prefix, _, _, _| {
        if random.below(share) == 0 && queries.numbers.len() < LOOKUPS / 2 {
            text.clear();
            text.push_str(prefix);
            while text.len() < 12 {
                let _ = write!(text, "{}", random.below(10));
            }
            queries.push(&text);
        }
    });
    while queries.numbers.len() < LOOKUPS {
        number(&mut random, &mut text);
        queries.push(&text);
    }
    for index in (1..LOOKUPS).rev() {
        queries.numbers.swap(index, random.below(index as u64 + 1) as usize);
    }
    queries
}

/// Asks for all numbers some times over, and says how long one took; what was found comes back.
fn lookups(name: &str, queries: &Queries, find: impl Fn(&[u8]) -> Option<usize>) -> (usize, usize) {
    let mut times = Vec::new();
    let mut found = (0, 0);
    for _ in 0..ROUNDS {
        found = (0, 0);
        let start = on_cpu();
        for query in queries.iter() {
            if let Some(length) = black_box(find(query)) {
                found = (found.0 + 1, found.1 + length);
            }
        }
        times.push((on_cpu() - start) as f64 / LOOKUPS as f64);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "  {name}: {:.0} ns a lookup (median of {ROUNDS} rounds, least {:.0}), {:.0} % found",
        times[ROUNDS / 2],
        times[0],
        found.0 as f64 * 100.0 / LOOKUPS as f64
    );
    found
}

/// What a change costs while few and while many are pending, and folding them in.
fn changes(table: &Table) {
    let mut random = Random(99);
    let mut text = String::new();
    let mut table = table.clone();
    let mut made = 0;
    for pending in [1, 100, 4_000] {
        while table.pending() + 20 < pending {
            let mut edits = Vec::new();
            for _ in 0..(pending - table.pending()).min(1000) {
                number(&mut random, &mut text);
                edits.push(put(&text));
            }
            table = apply(&table, edits, &mut made);
        }
        let mut times = Vec::new();
        for _ in 0..21 {
            number(&mut random, &mut text);
            let edits = vec![put(&text)];
            let start = Instant::now();
            let next = apply(&table, edits, &mut made);
            times.push(start.elapsed().as_secs_f64() * 1e6);
            table = next;
        }
        times.sort_by(f64::total_cmp);
        println!("  change of one rule with {} pending: {:.0} us", table.pending(), times[times.len() / 2]);
    }
    let mut queries = Queries::default();
    for _ in 0..LOOKUPS {
        number(&mut random, &mut text);
        queries.push(&text);
    }
    lookups("table with changes pending", &queries, |number| {
        table.plans()[0].find(number).map(|found| found.tag.len())
    });
    let start = Instant::now();
    let folded = table.folded(&|_| None);
    println!("  fold of {} changes: {:.2} s, beside the running table", table.pending(), start.elapsed().as_secs_f64());
    assert_eq!((folded.len(), folded.pending()), (table.len(), 0));
    let start = Instant::now();
    let swapped = table.rebased(&folded, &|_| None).expect("nothing is in conflict");
    println!("  swap: {:.0} us", start.elapsed().as_secs_f64() * 1e6);
    assert_eq!(swapped.len(), table.len());
}

fn put(number: &str) -> Edit {
    let (plan, owner) = ("main".to_owned(), "bench".to_owned());
    Edit::Put {
        plan,
        prefix: format!("{number}7"),
        owner,
        tag: "site-1.customers.example.net".to_owned(),
        active: true,
    }
}

fn apply(table: &Table, edits: Vec<Edit>, made: &mut u64) -> Table {
    *made += 1;
    let batch = Batch { id: made.to_string(), who: "bench".to_owned(), when: 0, edits };
    // A random number may be a rule with another tag already; then nothing changes.
    table.apply(&batch, usize::MAX, &|_| None).map_or_else(|_| table.clone(), |(table, _)| table)
}

/// Baseline: one hash map, probed with every length from the longest down.
struct ByLength {
    map: HashMap<u64, u16, foldhash::fast::RandomState>,
    longest: usize,
    tags: Vec<String>,
}

impl ByLength {
    fn read(path: &Path) -> Self {
        let mut this = Self { map: HashMap::default(), longest: 0, tags: Vec::new() };
        let mut index = HashMap::new();
        for_rows(path, |prefix, tag, _, _| {
            let tag = intern(&mut this.tags, &mut index, tag);
            this.longest = this.longest.max(prefix.len());
            this.map.insert(packed(prefix.as_bytes()), tag);
        });
        this
    }

    fn longest(&self, number: &[u8]) -> Option<u16> {
        (1..=number.len().min(self.longest)).rev().find_map(|length| self.map.get(&packed(&number[..length])).copied())
    }
}

/// Baseline: a node for each digit, each an allocation of its own.
#[derive(Default)]
struct PointerNode {
    children: [Option<Box<PointerNode>>; 11],
    tag: Option<u16>,
}

struct Pointers {
    root: PointerNode,
    tags: Vec<String>,
}

impl Pointers {
    fn read(path: &Path) -> Self {
        let mut this = Self { root: PointerNode::default(), tags: Vec::new() };
        let mut index = HashMap::new();
        for_rows(path, |prefix, tag, _, _| {
            let tag = intern(&mut this.tags, &mut index, tag);
            let mut node = &mut this.root;
            for digit in prefix.bytes() {
                node = node.children[slot(digit)].get_or_insert_default();
            }
            node.tag = Some(tag);
        });
        this
    }

    fn longest(&self, number: &[u8]) -> Option<u16> {
        let mut node = &self.root;
        let mut best = None;
        for digit in number {
            let Some(child) = &node.children[slot(*digit)] else { break };
            node = child;
            best = node.tag.or(best);
        }
        best
    }
}

fn slot(digit: u8) -> usize {
    if digit == b'+' { 10 } else { usize::from(digit - b'0') }
}

fn intern(tags: &mut Vec<String>, index: &mut HashMap<String, u16>, tag: &str) -> u16 {
    if let Some(known) = index.get(tag) {
        return *known;
    }
    let id = tags.len() as u16;
    tags.push(tag.to_owned());
    index.insert(tag.to_owned(), id);
    id
}

/// Nanoseconds that this thread has run: other programs on the machine do not count.
fn on_cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|time| time.parse().ok()).unwrap_or(0)
}

fn status(key: &str) -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.split_whitespace().next()?.parse::<i64>().ok()).unwrap_or(0) * 1024
}

/// Gives the allocator the time after which it hands memory back to the system.
fn settle() {
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(20));
        drop(black_box(vec![1_u8; 1 << 22]));
    }
}

/// How much memory of the process is in use.
fn resident() -> i64 {
    status("VmRSS:")
}

/// Lets [`peak`] begin anew (Linux: `5` in `clear_refs`).
fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The most there was since [`forget_peak`].
fn peak() -> i64 {
    status("VmHWM:")
}
