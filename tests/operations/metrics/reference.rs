//! Families on a page, and the table of them in config/metrics.md.

use std::collections::{BTreeMap, BTreeSet};

/// A family: its type, its labels, and what is said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Family {
    pub kind: String,
    pub labels: BTreeSet<String>,
    pub help: String,
}

pub type Families = BTreeMap<String, Family>;

/// The families of a page in Prometheus' text format.
pub fn of_page(page: &str) -> Families {
    let mut families = Families::new();
    for line in page.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            families.entry(name.to_owned()).or_default().help = help.to_owned();
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            families.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if let Some((series, _)) = line.rsplit_once(' ') {
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let endings = ["", "_bucket", "_sum", "_count"];
            let base = endings.iter().find_map(|ending| {
                name.strip_suffix(ending).filter(|base| families.contains_key(*base)).map(str::to_owned)
            });
            let base = base.unwrap_or_else(|| panic!("{name} has neither help nor type"));
            let family = families.get_mut(&base).expect("it was found");
            // A quotation mark that ends a label's value stands before a comma or the bracket.
            let names = labels.split("=\"").filter_map(|part| part.rsplit([',', '{', '}']).next());
            family.labels.extend(names.filter(|name| !name.is_empty() && !name.contains('"')).map(str::to_owned));
            family.labels.remove("le");
        }
    }
    families
}

/// The rows of the reference: `| name | type | labels | meaning |`.
pub fn of_reference(text: &str) -> Families {
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.strip_suffix(" |")?.splitn(4, " | ").collect();
        let [name, kind, labels, help] = cells[..] else { panic!("{line}: four cells are wanted") };
        let labels = labels.split(", ").map(|label| label.trim_matches('`').to_owned()).filter(|label| label != "-");
        let family = Family { kind: kind.to_owned(), labels: labels.collect(), help: help.to_owned() };
        Some((name.trim_end_matches('`').to_owned(), family))
    });
    rows.collect()
}

/// A family as a row of the reference.
pub fn row(name: &str, family: &Family) -> String {
    let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
    let labels = if labels.is_empty() { "-".to_owned() } else { labels.join(", ") };
    format!("| `{name}` | {} | {labels} | {} |", family.kind, family.help.replace('|', "/"))
}
