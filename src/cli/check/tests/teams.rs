//! What `check` says of a Teams trunk as a whole: of which file, where, and how often.

use super::*;

/// A Teams trunk on its own, with further keys; the edge shows `edge.pem` and `client.pem`, and trusts `ca.pem` and
/// `roots.pem`.
fn edge(site: &str, keys: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let (root, other) = (Authority::root("Root"), Authority::root("Other"));
    let leaf = root.issue(&Leaf { names: &["*.example.net"], ..Leaf::default() });
    let put = |name: &str, texts: &[&str]| made::write(&directory.path().join(name), texts);
    put("edge.pem", &[&leaf]);
    put("client.pem", &[&leaf, &root.pem]);
    put("ca.pem", &[&root.pem]);
    put("roots.pem", &[&other.pem]);
    put("edge.key", &[]);
    let file = directory.path().join("edge.toml");
    let text = format!(
        "\
node = {{ name = 'edge-1', seal_key_file = 'seal.key' }}
state = {{ dir = 'state' }}
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
[trunk.carrier]
kind = 'carrier'
listen = 'inside'
targets = ['127.0.0.2']
[emergency]
to = ['carrier']
[[tenant.contoso.site]]
fqdn = '{site}'
teams = 'teams'
trunk = 'carrier'
[trunk.teams]
kind = 'teams'
listen = 'teams'
{keys}{NO_RULES}"
    );
    std::fs::write(&file, text).unwrap();
    let name = file.to_str().unwrap().to_owned();
    (directory, name)
}

const STAND_IN: &str = "targets = ['teams.example.net:5061']\n";
const BOTH: &str = "[tls_client]\nca = 'roots.pem'\ncertificate = 'client.pem'\nkey = 'edge.key'\n";

/// The warnings without the directory of the files.
fn told(edge: &(tempfile::TempDir, String)) -> Vec<String> {
    let directory = format!("{}/", edge.0.path().display());
    warnings(&edge.1).into_iter().map(|line| line.replace(&directory, "")).collect()
}

#[test]
fn a_lasting_key_without_a_state_directory_is_told() {
    let edge = edge("contoso.example.net", &format!("{STAND_IN}{BOTH}"));
    let text = std::fs::read_to_string(&edge.1).unwrap().replace("state = { dir = 'state' }\n", "\n");
    std::fs::write(&edge.1, &text).unwrap();
    let warned = "null calls with very long Contacts, route sets or Call-IDs end with the process \
                  | give `dir` in [state]: what of them fits into no URI is then kept over a restart";
    assert_eq!(told(&edge), [warned]);
    // Without the key, or where all trunks are transparent, that is said or does not matter.
    for other in [
        text.replace(", seal_key_file = 'seal.key'", ""),
        text.replace("kind = 'teams'\n", "kind = 'teams'\ntransparent = true\n"),
    ] {
        std::fs::write(&edge.1, other).unwrap();
        assert!(!told(&edge).contains(&warned.to_owned()));
    }
}

#[test]
fn teams_side_in_order_is_not_spoken_of() {
    assert_eq!(told(&edge("contoso.example.net", &format!("{STAND_IN}{BOTH}"))), [""; 0]);
}

#[test]
fn trust_files_of_a_trunk_towards_microsoft_lack_its_roots() {
    let told = told(&edge("contoso.example.net", BOTH));
    assert_eq!(told.len(), 2, "{told:?}");
    for (line, file) in told.iter().zip(["ca.pem", "roots.pem"]) {
        let begin =
            format!("23 trunk `teams`: {file} has none of the 7 roots that Microsoft names | add DigiCert Global");
        assert!(line.starts_with(&begin), "{line}");
        assert!(
            line.ends_with("Microsoft RSA Root CA 2017 (SHA-1 73A5E64A3BFF8316FF0EDCCC618A906E4EAE4D74)"),
            "{line}"
        );
    }
}

#[test]
fn edge_without_a_client_certificate_is_told() {
    let keys = format!("{STAND_IN}[tls_client]\nca = 'ca.pem'\n");
    assert_eq!(
        told(&edge("contoso.example.net", &keys)),
        [
            "23 trunk `teams`: the edge has no certificate to show when it dials | give `certificate` and `key` in [tls_client], or in a `tls_client` table of the trunk"
        ]
    );
}

#[test]
fn certificate_of_each_role_is_looked_at_and_one_file_once() {
    let edge = edge("contoso.example.net", &format!("{STAND_IN}{BOTH}"));
    let put = |name: &str, leaf: Leaf<'_>| {
        let root = Authority::root("Elsewhere");
        made::write(&edge.0.path().join(name), &[&root.issue(&leaf), &root.pem]);
    };
    put("client.pem", Leaf { names: &["other.example.org"], is_rsa: false, ..Leaf::default() });
    assert_eq!(
        told(&edge),
        [
            "20 the certificate client.pem does not cover contoso.example.net | it carries `other.example.org`",
            "23 trunk `teams`: the certificate client.pem has an ECDSA key, and the suites that Teams offers are for RSA | order one for an RSA key of 2048 bits or more",
            "23 the certificate client.pem does not cover sbc.example.net | it carries `other.example.org`",
        ]
    );
    // The same file in both roles, and a second trunk that shows it.
    let text = std::fs::read_to_string(&edge.1).unwrap();
    let second = "[trunk.second]\nkind = 'teams'\nlisten = 'teams'\ntargets = ['second.example.net']\n";
    std::fs::write(&edge.1, text.replace("'edge.pem'", "'client.pem'") + second).unwrap();
    let told = told(&edge);
    assert_eq!(told.iter().filter(|line| line.contains("ECDSA")).count(), 1, "{told:?}");
    assert_eq!(told.iter().filter(|line| line.contains("cover contoso")).count(), 1, "{told:?}");
}

#[test]
fn names_that_teams_never_takes_are_told_at_their_place() {
    let site = "sbc.contoso.onmicrosoft.com";
    let edge = edge(site, &format!("fqdn = 'sbc.{}.example.net'\n{STAND_IN}{BOTH}", "a".repeat(50)));
    let root = Authority::root("Elsewhere");
    let names = [&*format!("*.{}.example.net", "a".repeat(50)), site];
    for name in ["edge.pem", "client.pem"] {
        made::write(&edge.0.path().join(name), &[&root.issue(&Leaf { names: &names, ..Leaf::default() }), &root.pem]);
    }
    let told = told(&edge);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with(&format!("20 trunk `teams`: {site} is under onmicrosoft.com | take a name under")),
        "{told:?}"
    );
    assert!(told[1].starts_with("23 trunk `teams`: sbc.aaa"), "{told:?}");
    assert!(told[1].contains(".example.net has 66 characters, and Teams takes 63 | shorten it"), "{told:?}");
}
