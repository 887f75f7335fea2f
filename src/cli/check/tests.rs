//! Tests of what only `check` finds.

pub mod made;
mod teams;

use super::*;
use made::{Authority, Leaf};

const NO_RULES: &str = "[dialplan.main]\nrules = []\n";

/// Two tenants on one Teams trunk whose certificate carries the given names, with further text.
fn hosting(names: &[&str], more: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let root = Authority::root("Root");
    let leaf = Leaf { names, ..Leaf::default() };
    made::write(&directory.path().join("edge.pem"), &[&root.issue(&leaf)]);
    made::write(&directory.path().join("edge.key"), &[]);
    made::write(&directory.path().join("ca.pem"), &[&root.pem]);
    let file = directory.path().join("edge.toml");
    let text = "\
node = { name = 'edge-1', seal_key_file = 'seal.key' }

[[listen]]
name = 'teams'
bind = 'tls:127.0.0.1:5061'
advertise = 'sbc.example.net'
certificate = 'edge.pem'
key = 'edge.key'
client_ca = 'ca.pem'
[[listen]]
name = 'inside'
bind = 'udp:127.0.0.1:5060'
[tls_client]
ca = 'ca.pem'
certificate = 'edge.pem'
key = 'edge.key'
[trunk.teams]
kind = 'teams'
listen = 'teams'
targets = ['sip.pstnhub.example.net']
[trunk.carrier]
kind = 'carrier'
listen = 'inside'
targets = ['127.0.0.2']
[[tenant.contoso.site]]
fqdn = 'contoso.customers.example.net'
teams = 'teams'
trunk = 'carrier'
[[tenant.fabrikam.site]]
fqdn = 'emea.fabrikam.customers.example.net'
teams = 'teams'
trunk = 'carrier'
[emergency]
to = ['carrier']
";
    std::fs::write(&file, format!("{text}{more}[state]\ndir = 'state'\n")).unwrap();
    let name = file.to_str().unwrap().to_owned();
    (directory, name)
}

/// The warnings of a check, each as `line message | help`.
fn warnings(file: &str) -> Vec<String> {
    let file = ConfigFile { config: file.into() };
    let json = check(&Arguments { file, json: true }, false);
    assert_eq!(json.code, 0, "{}", json.out);
    let value: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    (value["faults"].as_array().unwrap().iter())
        .map(|fault| {
            let help = text(&fault["help"]).map_or(String::new(), |help| format!(" | {help}"));
            format!("{} {}{help}", fault["line"], text(&fault["message"]).unwrap())
        })
        .collect()
}

#[test]
fn check_warns_of_sites_that_no_certificate_covers() {
    let (directory, file) = hosting(&["sbc.example.net", "*.customers.example.net"], NO_RULES);
    let certificate = directory.path().join("edge.pem");
    let certificate = certificate.display();
    assert_eq!(
        warnings(&file),
        [format!(
            "30 the certificate {certificate} does not cover emea.fabrikam.customers.example.net | `*.customers.example.net` stands for one label only, and `emea.fabrikam` has 2"
        ),]
    );
    let names = ["*.customers.example.net", "EMEA.fabrikam.customers.example.net", "sbc.example.net"];
    assert_eq!(warnings(&hosting(&names, NO_RULES).1), [""; 0]);
    std::fs::write(directory.path().join("edge.pem"), "").unwrap();
    let told = warnings(&file);
    assert!(told.len() == 1 && told[0].starts_with("null certificates cannot be looked at: "), "{told:?}");
}

const COVERED: [&str; 3] = ["sbc.example.net", "contoso.customers.example.net", "emea.fabrikam.customers.example.net"];

#[test]
fn check_warns_of_rules_below_those_of_another_owner() {
    let plan = "\
[dialplan.main]
rules = [
  { prefix = '+44', tag = 'carrier' },
  { prefix = '+441632', tag = 'contoso.customers.example.net' },
  { prefix = '+44163276', tag = 'emea.fabrikam.customers.example.net' },
  { prefix = '+4416327[55-59]', tag = 'carrier', owner = 'tailspin' },
  { prefix = '+441632769', tag = 'contoso.customers.example.net', owner = 'other' },
  { prefix = '+441632768', tag = 'carrier' },
  { prefix = '+44163276[700-799]', tag = 'emea.fabrikam.customers.example.net' },
  { prefix = '+33[100-299]', tag = 'contoso.customers.example.net' },
  { prefix = '+33[200-205]#', tag = 'emea.fabrikam.customers.example.net' },
  { prefix = '+49', tag = 'contoso.customers.example.net' },
  { prefix = '+4930', tag = 'emea.fabrikam.customers.example.net', owner = 'contoso' },
  { prefix = '+491', tag = 'emea.fabrikam.customers.example.net', active = false },
]
";
    let (_directory, file) = hosting(&COVERED, plan);
    let mut told = warnings(&file);
    told.sort();
    let (contoso, fabrikam) = ("contoso.customers.example.net", "emea.fabrikam.customers.example.net");
    let pair = |line: usize, prefix: &str, owner: &str, tag: &str, below: &str, of: &str, other: &str| {
        format!(
            "{line} dial plan `main`: `{prefix}` of `{owner}` leads to `{tag}`, though `{below}` of `{of}` leads to `{other}`"
        )
    };
    assert_eq!(
        told,
        [
            pair(39, "+44163276", "fabrikam", fabrikam, "+441632", "contoso", contoso),
            pair(40, "+4416327[55-59]", "tailspin", "carrier", "+441632", "contoso", contoso),
            pair(41, "+441632769", "other", contoso, "+44163276", "fabrikam", fabrikam),
            pair(45, "+33[200-205]#", "fabrikam", fabrikam, "+33[100-299]", "contoso", contoso),
        ]
    );
}

#[test]
fn check_tells_twenty_pairs_and_users_and_counts_the_rest() {
    let mut rules = String::from("+44,contoso.customers.example.net\n");
    let mut users = String::from("id,number\n");
    for number in 100..200 {
        rules.push_str(&format!("+44{number},emea.fabrikam.customers.example.net\n"));
        users.push_str(&format!("{number},+331234567{}\n", number % 100 + 10_i32.pow(2)));
    }
    let more = "[dialplan.main]\nfiles = ['rules.csv']\n[tenant.contoso]\nusers_files = ['users.csv']\n";
    let (directory, file) = hosting(&COVERED, more);
    std::fs::write(directory.path().join("rules.csv"), &rules).unwrap();
    std::fs::write(directory.path().join("users.csv"), &users).unwrap();
    let told = warnings(&file);
    let shadows: Vec<&String> = told.iter().filter(|line| line.contains("leads to")).collect();
    let uncovered: Vec<&String> = told.iter().filter(|line| line.contains("of user")).collect();
    assert_eq!((shadows.len(), uncovered.len(), told.len()), (20, 20, 42));
    assert!(shadows.contains(&&"2 dial plan `main`: `+44100` of `fabrikam` leads to `emea.fabrikam.customers.example.net`, though `+44` of `contoso` leads to `contoso.customers.example.net`".to_owned()), "{shadows:?}");
    assert_eq!(*uncovered[0], "2 tenant `contoso`: no rule of any dial plan covers +331234567100 of user `100`");
    assert!(told.contains(&"null 80 more rules of dial plans lie below another owner's and lead elsewhere".to_owned()));
    assert!(told.contains(&"null no rule of any dial plan covers the numbers of 80 more users".to_owned()));
    // With a rule for them, with or without `+`, users are found.
    std::fs::write(directory.path().join("rules.csv"), "331234567,contoso.customers.example.net\n").unwrap();
    assert_eq!(warnings(&file), [""; 0]);
}
