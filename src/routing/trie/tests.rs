//! The trie against a map of keys.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use proptest::prelude::*;

use super::super::symbols::symbol;
use super::*;

fn key(text: &str) -> u128 {
    let shifted = |(index, byte)| u128::from(symbol(byte).unwrap()) << (124 - 4 * index);
    text.bytes().enumerate().map(shifted).sum()
}

fn packed(keys: &BTreeMap<String, u32>) -> Trie {
    let mut entries: Vec<Entry<u128>> =
        keys.iter().map(|(text, value)| Entry { key: key(text), value: *value, origin: value + 7 }).collect();
    entries.sort_unstable_by_key(|entry| entry.key);
    Trie::pack(&entries).unwrap()
}

fn check(keys: &BTreeMap<String, u32>, numbers: impl Iterator<Item = String>) {
    let trie = packed(keys);
    for number in numbers {
        let expected = (0..=number.len()).rev().find_map(|end| Some((end, *keys.get(&number[..end])?)));
        let found = trie.longest(key(&number));
        assert_eq!(found.map(|found| (found.symbols, found.value)), expected, "{number}");
        if let Some(found) = found {
            assert_eq!(trie.origin(found.spot), Some(found.value + 7));
        }
    }
    let mut all = Vec::new();
    trie.for_each(|key, found| {
        assert_eq!(trie.exact(key), Some(found));
        all.push((key, found.value));
    });
    let mut expected: Vec<_> = keys.iter().map(|(text, value)| (key(text), *value)).collect();
    expected.sort_unstable();
    assert_eq!(all, expected);
    for (beginning, symbols) in
        all.iter().step_by(all.len() / 9 + 1).flat_map(|(key, _)| (0..=key_length(*key)).map(|symbols| (*key, symbols)))
    {
        let goes_on = |key: u128| key_length(key) >= symbols && truncated(key ^ beginning, symbols) == 0;
        let expected: Vec<_> = all.iter().copied().filter(|(key, _)| goes_on(*key)).collect();
        let mut found = Vec::new();
        let end = trie.under(beginning, symbols, &mut |key, rule| {
            found.push((key, rule.value));
            if found.len() == 300 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(end.is_break(), expected.len() >= 300);
        assert_eq!(found, &expected[..expected.len().min(300)], "{beginning:x} {symbols}");
    }
}

#[test]
fn dense_sparse_long_and_nested_keys_are_found() {
    let mut keys = BTreeMap::new();
    let mut add = |text: String| {
        let value = keys.len() as u32;
        keys.entry(text).or_insert(value);
    };
    for number in 0..20_000_u32 {
        add(format!("+4416{number:05}"));
        if number % 7 == 0 {
            add(format!("+4416{number:05}{:014}", u64::from(number) * 123_456_789));
        }
        if number % 100 == 0 {
            add(format!("+4416{:03}", number / 100));
            add(format!("{:0>24}", number));
        }
    }
    for short in ["", "+", "+4", "+44", "+441", "*", "#", "00000000", "0"] {
        add(short.to_owned());
    }
    let numbers = (0..30_000_u32).flat_map(|number| {
        [format!("+4416{number:05}"), format!("+4416{number:07}"), format!("{number:023}"), number.to_string()]
    });
    let own: Vec<String> = keys.keys().cloned().collect();
    check(&keys, numbers.chain(own).filter(|number| number.len() <= 24));
}

proptest! {
    #[test]
    fn longest_key_is_found(
        keys in prop::collection::btree_map("[+*0-2]{0,6}[0-3]{0,4}|[01]{12,24}", 0_u32..1 << 24, 0..700),
        numbers in prop::collection::vec("[+*0-2]{0,6}[0-3]{0,8}|[01]{12,24}", 100),
    ) {
        check(&keys, numbers.into_iter());
    }
}
