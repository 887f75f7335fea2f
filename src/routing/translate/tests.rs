//! Tests of translation rules: the documented examples, the notation of .NET, and the limits.

use proptest::prelude::*;

use super::*;

fn list(rules: &[(&str, &str)]) -> Translation {
    let rule = |(index, (pattern, replacement)): (usize, &(&str, &str))| {
        Rule::new(&format!("rule {index}"), pattern, replacement).unwrap()
    };
    Translation::new(rules.iter().enumerate().map(rule).collect()).unwrap()
}

fn applied(list: &Translation, number: &str) -> String {
    String::from_utf8(list.apply(number.as_bytes()).unwrap().number.into_owned()).unwrap()
}

#[test]
fn examples_of_teams_do_what_they_say() {
    let rules = list(&[(r"^(\d{10})$", "+1$1"), (r"^(\d{4})$", "+1206555$1"), (r"^\+1(\d{10})$", "$1")]);
    for (number, expected, rule) in [
        ("2065550100", "+12065550100", Some("rule 0")),
        ("0100", "+12065550100", Some("rule 1")),
        ("+12065550100", "2065550100", Some("rule 2")),
        ("+442065550100", "+442065550100", None),
        ("20655501001", "20655501001", None),
        ("", "", None),
    ] {
        let translated = rules.apply(number.as_bytes()).unwrap();
        assert_eq!(&*translated.number, expected.as_bytes(), "{number}");
        assert_eq!(translated.rule.map(|name| &**name), rule, "{number}");
        assert_eq!(matches!(translated.number, Cow::Borrowed(_)), rule.is_none());
    }
}

#[test]
fn examples_of_normalization_rules_do_what_they_say() {
    for (pattern, replacement, number, expected) in [
        (r"^9(\d{5}\d+)$", "+9723$1", "91234567", "+97231234567"),
        (r"^9(\d{5}\d+)$", "+9723$1", "912345", "912345"),
        (r"^(\d{5,})$", "+613$1", "98765432", "+61398765432"),
        (r"^390810902(\d{3,})$", "+390810905$1", "390810902123", "+390810905123"),
        (r"^33(564371501\d{3})$", "0$1", "33564371501123", "0564371501123"),
        (r"^\+?911$", "911", "+911", "911"),
        (r"^(\d{3})$", "+441632768$1;ext=$1", "402", "+441632768402;ext=402"),
    ] {
        assert_eq!(applied(&list(&[(pattern, replacement)]), number), expected, "{pattern} {number}");
    }
}

#[test]
fn first_match_is_the_only_one_applied() {
    let rules = list(&[("^1", "2"), ("^2", "3"), ("^(12)", "never")]);
    assert_eq!(applied(&rules, "12"), "22");
    assert_eq!(rules.rule_for(b"2").unwrap().name().as_ref(), "rule 1");
}

#[test]
fn pattern_without_anchors_replaces_each_match_and_leaves_the_rest() {
    assert_eq!(applied(&list(&[(r"^\+44", "0")]), "+441632"), "01632");
    assert_eq!(applied(&list(&[("[-. ]", "")]), "16-32.76 8"), "1632768");
    assert_eq!(applied(&list(&[(r"(\d)(\d)", "$2$1")]), "12345"), "21435");
}

#[test]
fn groups_are_written_as_in_dotnet() {
    for (pattern, replacement, number, expected) in [
        (r"^(\d)(\d)$", "$2$1$0$&", "12", "211212"),
        (r"^(?<area>\d{3})(?<rest>\d+)$", "${rest}-${area}", "206555", "555-206"),
        (r"^(\d)$", "${1}0$$", "7", "70$"),
        (r"^(0)?(\d+)$", "+44$1$2", "1632", "+441632"),
        (r"^(1)(2)(3)(4)(5)(6)(7)(8)(9)(a)$", "$10$1", "123456789a", "a1"),
        (r"^(?i)ANONYMOUS$", "0", "Anonymous", "0"),
    ] {
        assert_eq!(applied(&list(&[(pattern, replacement)]), number), expected, "{pattern} {replacement}");
    }
}

#[test]
fn replacement_that_dotnet_would_write_out_as_text_is_refused() {
    let error = |replacement| Rule::new("r", r"^(\d{4})(\d)$", replacement).unwrap_err().to_string();
    assert_eq!(error("$10"), "`$10`: the pattern has no such group; for group 1 and then digits write `${1}0`");
    assert_eq!(error("$2555"), "`$2555`: the pattern has no such group; for group 2 and then digits write `${2}555`");
    assert_eq!(error("$3"), "`$3`: the pattern has no such group");
    assert_eq!(error("${name}"), "`${name}`: the pattern has no such group");
    for dollar in ["$", "a$b", "${1", "$ 1"] {
        assert_eq!(error(dollar), "a `$` begins a group, as in `$1` or `${1}`; write `$$` for the sign itself");
    }
    assert_eq!(error("+1 $1"), "`+1 $1`".replace("`+1 $1`", "` ` cannot stand in a number"));
    assert!(error("$1\r\nEvil: 1").ends_with("cannot stand in a number"));
    assert!(error("$1\r\n").ends_with("cannot stand in a number"));
}

#[test]
fn patterns_that_cannot_be_matched_in_linear_time_are_refused_with_a_reason() {
    let error = |pattern| Rule::new("r", pattern, "$0").unwrap_err();
    for (pattern, reason) in [
        (r"^(\d{3", "unclosed counted repetition"),
        (r"^(\d", "unclosed group"),
        (r"^(?!911)\d+$", "look-around, including look-ahead and look-behind, is not supported"),
        (r"^(\d)\1$", "backreferences are not supported"),
    ] {
        assert_eq!(error(pattern), RuleError::Pattern(reason.into()), "{pattern}");
    }
    assert_eq!(error(r"((\d{100}){100}){100}"), RuleError::PatternSize);
}

#[test]
fn limits_hold_to_the_character() {
    let new = |name: usize, pattern: usize, replacement: usize| {
        Rule::new(&"ñ".repeat(name), &"1".repeat(pattern), &"2".repeat(replacement)).map(|_| ())
    };
    assert_eq!(new(100, 1024, 256), Ok(()));
    assert_eq!(new(1, 1, 0), Ok(()));
    assert_eq!(new(101, 1, 1), Err(RuleError::Name));
    assert_eq!(new(0, 1, 1), Err(RuleError::Name));
    assert_eq!(new(1, 1025, 1), Err(RuleError::PatternLength));
    assert_eq!(new(1, 0, 1), Err(RuleError::PatternLength));
    assert_eq!(new(1, 1, 257), Err(RuleError::ReplacementLength));
    let rule = Rule::new("r", "1", "2").unwrap();
    assert!(Translation::new(vec![rule.clone(); 400]).is_ok());
    assert_eq!(Translation::new(vec![rule; 401]).unwrap_err(), RuleError::TooMany);
}

#[test]
fn full_list_of_long_patterns_still_finds_the_last_rule() {
    let pattern = |index: usize| format!(r"^\+{index:04}(\d{{4}}){}$", "(?:[0-9]|x)?".repeat(80));
    let rules = (0..400).map(|index| Rule::new("r", &pattern(index), &format!("{index}-$1")).unwrap());
    let rules = Translation::new(rules.collect()).unwrap();
    assert_eq!(applied(&rules, "+03991234"), "399-1234");
    assert_eq!(applied(&rules, "+04001234"), "+04001234");
}

#[test]
fn number_that_would_grow_too_long_is_told_and_not_cut() {
    let rules = list(&[("1", "$0$0$0$0$0$0$0$0")]);
    assert_eq!(
        rules.apply(&[b'1'; 65]).unwrap_err().to_string(),
        "translation rule `rule 0` makes the number longer than 512 bytes"
    );
    assert_eq!(rules.apply(&[b'1'; 64]).unwrap().number.len(), MAX_NUMBER);
    assert_eq!(rules.apply(&[b'1'; 513]).unwrap().rule, None, "nobody's number is that long");
}

proptest! {
    #[test]
    fn any_text_as_pattern_replacement_and_number_is_taken_or_refused(
        pattern in r"[\\^$(){}\[\]0-9a-z?*+.|-]{0,20}",
        replacement in r"[$0-9{}&a;=+]{0,12}",
        number in any::<Vec<u8>>(),
    ) {
        if let Ok(rule) = Rule::new("r", &pattern, &replacement) {
            let list = Translation::new(vec![rule]).unwrap();
            let matched = list.rule_for(&number).is_some();
            if let Ok(translated) = list.apply(&number) {
                prop_assert_eq!(translated.rule.is_some(), matched);
            }
        }
    }

    #[test]
    fn translation_is_that_of_the_first_rule_that_matches_alone(
        numbers in prop::collection::vec("[+0-9]{1,6}", 1..8),
        rules in prop::collection::vec(("[0-9]{1,2}", "[0-9]{0,3}"), 1..12),
    ) {
        let all: Vec<(&str, &str)> = rules.iter().map(|(p, r)| (p.as_str(), r.as_str())).collect();
        let together = list(&all);
        for number in &numbers {
            let naive = all.iter().find(|(pattern, _)| number.contains(pattern));
            let expected = naive.map_or_else(|| number.clone(), |(p, r)| number.replace(p, r));
            prop_assert_eq!(applied(&together, number), expected);
        }
    }
}
