//! What is said of faulty configurations.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::super::*;

/// Tables that stand before what a test adds; 16 lines.
pub(super) const GROUND: &str = r#"[node]
name = "edge-1"

[[listen]]
name = "inside"
bind = "udp:127.0.0.1:5060"

[trunk.pbx]
kind = "pbx"
listen = "inside"
targets = ["udp:127.0.0.1:5080"]

[trunk.carrier]
kind = "carrier"
listen = "inside"
targets = ["udp:127.0.0.2:5080"]
"#;

pub(super) fn faults_in(text: &str, base: &Path) -> Faults {
    match load_str("edge.toml", text, base) {
        Ok(loaded) => loaded.warnings,
        Err(faults) => faults,
    }
}

/// The text as a whole.
fn rendered(text: &str) -> String {
    faults_in(text, Path::new("/nonexistent")).to_string()
}

fn lines(text: &str) -> Vec<String> {
    told(&faults_in(text, Path::new("/nonexistent")))
}

/// Each error, and each warning when there is no error, in one line: `line:column message | help`.
pub(super) fn told(faults: &Faults) -> Vec<String> {
    let failed = faults.errors().next().is_some();
    let wanted = faults.faults.iter().filter(|fault| !failed || fault.severity == Severity::Error);
    wanted
        .map(|fault| {
            let place = fault.at.as_ref().and_then(|at| at.position.as_ref());
            let place = place.map_or("-".to_owned(), |at| format!("{}:{}", at.line, at.column));
            let help = fault.help.as_ref().map_or(String::new(), |help| format!(" | {help}"));
            format!("{place} {}{help}", fault.message)
        })
        .collect()
}

/// The same of the ground with `text` behind it, whose first line is line 17.
pub(super) fn on_ground(text: &str) -> Vec<String> {
    lines(&format!("{GROUND}{text}"))
}

pub(super) fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

#[test]
fn unknown_key_is_drawn_with_a_caret_and_a_guess() {
    assert_eq!(
        rendered(&format!("{GROUND}alow_from = []\n")),
        "\
error: trunk `carrier` has no key `alow_from`
  --> edge.toml:17:1
   |
17 | alow_from = []
   | ^^^^^^^^^ unknown key
   |
   = help: did you mean `allow_from`?

"
    );
}

#[test]
fn toml_fault_is_drawn_and_does_not_hide_the_others() {
    let text = GROUND.replace("name = \"edge-1\"", "name = \"edge-1").replace("kind = \"pbx\"", "kind = \"pbxx\"");
    assert_eq!(
        rendered(&text),
        "\
error: this is no TOML: invalid basic string, expected `\"`
 --> edge.toml:2:15
  |
2 | name = \"edge-1
  |               ^

error: trunk `pbx`: `kind`: `pbxx` is none of `teams`, `carrier`, `pbx`
 --> edge.toml:9:8
  |
9 | kind = \"pbxx\"
  |        ^^^^^^
  |
  = help: did you mean `pbx`?

"
    );
}

#[test]
fn faults_of_two_files_are_told_at_once() {
    let directory = directory(&[
        ("edge.toml", &format!("include = [\"tenants/*.toml\"]\n{GROUND}max_lines = 100\n")),
        (
            "tenants/a.toml",
            "[trunk.pbx]\nkind = 'pbx'\nlisten = 'inside'\ntargets = ['127.0.0.3']\n[[route]]\nto = ['carier']\n",
        ),
        ("tenants/b.toml", "[node]\nname = 'x'\n"),
    ]);
    let faults = load(&directory.path().join("edge.toml")).unwrap_err();
    let base = format!("{}/", directory.path().display());
    let mut text = faults.to_string().replace(&base, "");
    // The keys themselves are those of the reference; here it is enough that they are told.
    let keys = text.split_once("known keys: ").and_then(|(_, rest)| rest.lines().next()).unwrap_or_default().to_owned();
    assert!(keys.split(", ").is_sorted() && keys.contains("listen") && keys.contains("transparent"), "{keys}");
    text = text.replace(&keys, "...");
    assert_eq!(
        text,
        "\
error: trunk `carrier` has no key `max_lines`
  --> edge.toml:18:1
   |
18 | max_lines = 100
   | ^^^^^^^^^ unknown key
   |
   = help: known keys: ...

error: trunk `pbx` is there twice
 --> tenants/a.toml:1:8
  |
1 | [trunk.pbx]
  |        ^^^ again
  |
 ::: edge.toml:9:8
  |
9 | [trunk.pbx]
  |        --- first

error: route 1: there is no trunk `carier`
 --> tenants/a.toml:6:7
  |
6 | to = ['carier']
  |       ^^^^^^^^
  |
  = help: did you mean `carrier`?

error: an included file cannot have `node`
 --> tenants/b.toml:1:1
  |
1 | [node]
  | ^^^^^^
  |
  = help: it belongs in the first file

"
    );
}

#[test]
fn same_prefix_with_two_tags_names_both_places() {
    let directory =
        directory(&[("numbers.csv", "dialPlanName,prefix,tag\nmain,+4416,pbx\nmain,+4417,pbx\nother,1,x\n")]);
    let text = format!(
        "{GROUND}[dialplan.main]\nfiles = [\"numbers.csv\"]\nrules = [{{ prefix = \"+4417\", tag = \"carrier\" }}]\n"
    );
    let base = format!("{}/", directory.path().display());
    assert_eq!(
        faults_in(&text, directory.path()).to_string().replace(&base, ""),
        "\
error: dial plan `main`: one prefix with two tags
  --> edge.toml:19:21
   |
19 | rules = [{ prefix = \"+4417\", tag = \"carrier\" }]
   |                     ^^^^^^^ leads elsewhere
   |
  ::: numbers.csv:3:1
   |
 3 | main,+4417,pbx
   | -------------- first

warning: dial plan `main`: 1 rows are for a dial plan `other` that is not configured
 --> numbers.csv:4:1
  |
4 | other,1,x
  | ^^^^^^^^^ the first of them

"
    );
}

#[test]
fn fault_as_json_has_its_place_and_what_to_do() {
    let faults = faults_in(&format!("{GROUND}[[route]]\nto = ['pbs']\n"), Path::new("/nonexistent"));
    assert_eq!(
        serde_json::to_value(&faults).unwrap(),
        serde_json::json!({
            "faults": [{
                "severity": "error",
                "message": "route 1: there is no trunk `pbs`",
                "file": "edge.toml",
                "line": 18,
                "column": 7,
                "help": "did you mean `pbx`?",
            }],
            "more": 0,
        })
    );
}

#[test]
fn missing_file_is_a_fault_of_the_file() {
    let faults = load(Path::new("/nonexistent/edge.toml")).unwrap_err();
    let text = faults.to_string();
    assert!(text.starts_with("error: cannot read the configuration: No such file"), "{text}");
    assert!(text.contains("--> /nonexistent/edge.toml"), "{text}");
}

#[test]
fn secrets_are_not_shown() {
    let text = format!("{GROUND}password = \"hunter2\"\n[tls_client]\nkey = \"-----BEGIN PRIVATE KEY----- abc\"\n");
    let faults = faults_in(&text, Path::new("/nonexistent"));
    assert_eq!(faults.errors().count(), 3);
    for shown in [faults.to_string(), serde_json::to_string(&faults).unwrap(), format!("{faults:?}")] {
        assert!(shown.contains("password"), "{shown}");
        assert!(!shown.contains("hunter2") && !shown.contains("abc"), "{shown}");
    }
}

#[test]
fn flood_of_faults_is_counted() {
    let rules: String = (0..500).map(|number| format!("{{ prefix = '?{number}', tag = 'pbx' }},")).collect();
    let faults = faults_in(&format!("{GROUND}[dialplan.main]\nrules = [{rules}]\n"), Path::new("/nonexistent"));
    assert_eq!((faults.errors().count(), faults.more), (100, 400));
    assert!(faults.to_string().ends_with("... and 400 more\n"));
}

#[test]
fn every_table_complains_of_what_it_cannot_take() {
    #[rustfmt::skip]
    let rows: &[(&str, &[&str])] = &[
        ("[[route]]\nto = []", &["18:6 route 1: `to` is empty"]),
        ("[[route]]\nprefix = '+44'", &["17:1 route 1 has no `to`"]),
        ("[[route]]\nto = ['pbx', 'pbx']", &["18:14 route 1: `to` names `pbx` twice"]),
        ("[[route]]\nto = ['pbx']\nprefix = '+44?'", &["19:10 route 1: prefix `+44?`: `?` cannot stand in a prefix | a prefix has digits, `+`, `*`, `#`, `x`, ranges `[000-999]` and sets `[1,3,5-7]`"]),
        ("[[route]]\nto = ['pbx']\n[[route]]\nto = ['carrier']", &["19:1 two routes with the same `from`, `tenant` and `prefix` | write one route and all its trunks in `to`, in order, or say when the first is `open`"]),
        ("[[route]]\nto = ['pbx']\ninclude = ['x']", &["19:1 route 1 has no key `include` | `include` belongs above the first table header"]),
        ("[routes]\nto = 1", &["17:2 a configuration has no key `routes` | did you mean `route`?"]),
        ("[route]\nto = 1", &["17:1 the configuration: `route` must be a list of tables"]),
        ("[limits]\nmax_branches = 0\nmax_headers = 'x'\nmax_message_bytes = 70000", &[
            "18:16 [limits]: `max_branches` must be from 1 to 64",
            "19:15 [limits]: `max_headers` must be a whole number",
            "20:21 [limits]: `max_message_bytes` must be from 1300 to 65535",
        ]),
        ("[timers]\ntimer_c_s = 180\nt1_ms = 500\nt2_ms = 400", &[
            "18:13 [timers]: `timer_c_s` must be from 181 to 3600",
            "20:9 [timers]: `t2_ms` (400) is below `t1_ms` (500)",
        ]),
        ("[dns]\nservers = ['host']", &["18:12 [dns]: `servers`: `host` is no address with a port | write an address and a port, such as \"192.0.2.1:53\" or \"[2001:db8::1]:53\""]),
        ("[metrics]\nmax_tenants = 100001", &["18:15 [metrics]: `max_tenants` must be from 0 to 100000"]),
        ("[metrics]\nallow_from = ['127.0.0.1/33']", &["18:15 [metrics]: `allow_from`: `127.0.0.1/33` is no network | write an address or a network, such as \"192.0.2.1\", \"192.0.2.0/24\" or \"2001:db8::/32\""]),
        ("[metrics]\nbind = '127.0.0.1'", &["18:8 [metrics]: `bind`: `127.0.0.1` is no address with a port | write an address and a port, such as \"192.0.2.1:9090\" or \"[2001:db8::1]:9090\""]),
        ("[dialplan.a]\nrules = [{ prefix = '', tag = 'pbx' }, { prefix = '1' }]", &[
            "18:21 dial plan `a`: the rule's prefix is empty | a rule for every number is a [[route]] without a prefix",
            "18:40 a rule of dial plan `a` has no `tag`",
        ]),
        ("[dialplan.a]\nrules = [{ prefix = '1', tag = 'pbk' }]", &["18:32 dial plan `a`: tag `pbk` is neither a site's FQDN nor a trunk | did you mean `pbx`?"]),
        ("[limits]\nmax_dialplan_prefixes = 1\n[dialplan.a]\nrules = [{ prefix = '1', tag = 'pbx' }, { prefix = '2', tag = 'pbx' }]", &["20:52 dial plan `a`: prefix `2`: there is no room for more prefixes: the limit is 1 | raise `max_dialplan_prefixes` in [limits]"]),
        ("dialplan = 'b'\n[dialplan.a]\nrules = []", &["17:12 trunk `carrier`: there is no dial plan `b` | known: `a`"]),
        ("[dialplan.a]\nfiles = ['none.csv']", &["18:10 dial plan `a`: cannot read `/nonexistent/none.csv`: No such file or directory (os error 2) | paths are relative to the directory of the file that names them"]),
        ("[tenant.one]\n[[tenant.one.site]]\nfqdn = 'a.example'\nteams = 'pbx'\ntrunk = 'carier'", &[
            "20:9 site 1 of tenant `one`: `teams` must be a trunk of kind teams, and `pbx` is of kind pbx",
            "21:9 site 1 of tenant `one`: there is no trunk `carier` | did you mean `carrier`?",
        ]),
        ("[tenant.one]\nplanet = 'Earth'\n[[tenant.one.site]]\nfqdn = '1.2.3'", &[
            "18:1 tenant `one` has no key `planet` | known keys: anonymous, between_tenants, country, directory, emergency_to, graph, limits, max_calls, max_calls_burst, max_calls_in, max_calls_out, max_calls_per_second, numbering, numbers, over_limit_code, presence, retry_after_s, service_to, site, soft_percent, unassigned, user, user_limits, users_files",
            "19:1 site 1 of tenant `one` has no `teams`",
            "19:1 site 1 of tenant `one` has no `trunk`",
            "20:8 site 1 of tenant `one`: `fqdn`: `1.2.3` is no host name: it ends in a number, but is no IPv4 address",
        ]),
        ("transparent = 'no'", &["17:15 trunk `carrier`: `transparent` must be true or false"]),
        ("session_timer = 'peer'", &["17:17 trunk `carrier`: `session_timer`: `peer` is none of `edge`, `pass`, `off`"]),
        ("offerless = 'drop'", &["17:13 trunk `carrier`: `offerless`: `drop` is none of `insert`, `pass`, `refuse`"]),
        ("session_expires_s = 89", &["17:21 trunk `carrier`: `session_expires_s` must be from 90 to 86400"]),
        ("session_expires_s = 600\nmin_session_expires_s = 900", &[
            "18:25 trunk `carrier`: `min_session_expires_s` is 900, more than the edge itself asks for | let `session_expires_s` be the same or more",
        ]),
        ("early = 'loud'\nreliable_early = true\nprogress_after_ms = 180001", &[
            "17:9 trunk `carrier`: `early`: `loud` is none of `pass`, `first`, `183-to-180`, `180-only`",
            "18:18 trunk `carrier`: `reliable_early` must be a string",
            "19:21 trunk `carrier`: `progress_after_ms` must be from 0 to 180000",
        ]),
        ("methods = ['INFO', 'BYE']\nextensions = ['100 rel']\nanswers_to = ['401>503']", &[
            "17:20 trunk `carrier`: `methods`: `BYE` is none of REFER, INFO, UPDATE, PRACK, MESSAGE, SUBSCRIBE, PUBLISH | what every peer knows goes without saying",
            "18:15 trunk `carrier`: `extensions`: `100 rel` is no option tag",
            "19:15 trunk `carrier`: `answers_to`: `401>503` is not two codes | write `401=503`, or `5xx=503` for all from 500 to 599",
        ]),
        ("failover_codes = [503, 603]\nno_answer_ms = true\nfork = 'all'", &[
            "17:24 trunk `carrier`: `failover_codes` must be from 300 to 599",
            "18:16 trunk `carrier`: `no_answer_ms` must be a whole number",
            "19:8 trunk `carrier`: `fork`: `all` is none of `serial`, `parallel`",
        ]),
        ("allow_from = ['10.0.0.0/33', 7]", &[
            "17:15 trunk `carrier`: `allow_from`: `10.0.0.0/33` is no network | write an address or a network, such as \"192.0.2.1\", \"192.0.2.0/24\" or \"2001:db8::/32\"",
            "17:30 trunk `carrier`: `allow_from` must be a list of strings",
        ]),
        ("[trunk.x]\nkind = 'pbx'\nlisten = 'insid'\ntargets = []", &[
            "19:10 trunk `x`: there is no listener `insid` | did you mean `inside`?",
            "20:11 trunk `x`: `targets` is empty",
        ]),
        ("[trunk.x]\ntargets = ['tcp:127.0.0.9']\nlisten = 'inside'", &[
            "17:1 trunk `x` has no `kind`",
            "18:12 trunk `x`: a `tcp:` target on listener `inside`, which is `udp:` | a trunk sends by the transport of its listener",
        ]),
        ("[trunk.'a b']\nkind = 'pbx'\nlisten = 'inside'\ntargets = ['127.0.0.9']", &["17:8 `a b` is no name for a trunk | use 1 to 64 letters, digits, `-`, `_` and `.`"]),
        ("[trunk.teams]\nkind = 'teams'\nlisten = 'inside'\ntargets = ['127.0.0.9']", &["17:1 trunk `teams`: the edge has no name towards Teams, only 127.0.0.1 | give `fqdn` here or in [node], or a name as `advertise` of the listener"]),
        ("[trunk.teams]\nkind = 'teams'\nlisten = 'inside'\ntargets = ['127.0.0.9']\nfqdn = '127.0.0.1'", &["21:8 trunk `teams`: `fqdn`: `127.0.0.1` is no host name: it ends in a number, but is no IPv4 address | Teams knows an edge by a name that its certificate carries, never by an address"]),
        ("[trunk.x]\nkind = 'pbx'\nlisten = 'inside'\ntargets = ['127.0.0.2:5090']", &["20:12 trunks `carrier` and `x` cannot be told apart | give them listeners of their own, or networks (`allow_from`) or certificate names (`peer_names`) that differ"]),
        ("[[listen]]\nname = 'inside'\nbind = 'udp:127.0.0.1:5060'", &[
            "18:8 listener `inside` is there twice",
            "19:8 127.0.0.1:5060 is listened on twice",
        ]),
        ("[[listen]]\nname = 'all'\nbind = 'udp:0.0.0.0:5070'", &["19:8 listener `all`: 0.0.0.0 is no address that others can send to | give `advertise` here or `fqdn` in [node]: it stands in Via and Record-Route"]),
        ("[[listen]]\nname = 'x'\nbind = 'tcp:127.0.0.1:5070'\nsockets = 4\nkey = 'k'", &[
            "20:11 listener `x`: `sockets` is for `udp:` only, this is `tcp:`",
            "21:7 listener `x`: `key` is for `tls:` only, this is `tcp:`",
        ]),
        ("[[listen]]\nname = 'x'\nbind = 'tls:127.0.0.1:5061'\nkey = 'k.key'", &[
            "17:1 listener `x` has no `certificate`",
            "17:1 listener `x` has no `client_ca` | name the roots that client certificates must lead to, or say `client_certificate = \"none\"`",
            "20:7 listener `x`: `key`: cannot read `/nonexistent/k.key`: No such file or directory (os error 2) | paths are relative to the directory of the file that names them",
        ]),
        ("[[listen]]\nname = 'x'\nbind = 'udp:5061'\nkey = 'k.key'", &["19:8 listener `x`: `bind`: `udp:5061` is no address to listen on | write `udp:`, `tcp:` or `tls:`, an address and a port, such as \"udp:192.0.2.1:5060\" or \"tls:[::]:5061\""]),
        ("[[listen]]\nname = 'x'\nbind = 'tls:127.0.0.1:5061'\ncertificate = '/dev/null'\nkey = '/dev/null'\nclient_certificate = 'none'\n[trunk.x]\nkind = 'pbx'\nlisten = 'x'\ntargets = ['127.0.0.9']", &["23:1 trunk `x` dials over TLS, but there are no roots to check its peer with | give `ca` in [tls_client], or in a `tls_client` table of the trunk"]),
        ("[[listen]]\nname = 'x'\nbind = 'tls:127.0.0.1:5061'\ncertificate = '/dev/null'\nkey = '/dev/null'\nclient_certificate = 'none'\n[trunk.x]\nkind = 'pbx'\nlisten = 'x'\ntargets = ['127.0.0.9']\n[tls_client]\nca = '/none'", &["28:6 [tls_client]: `ca`: cannot read `/none`: No such file or directory (os error 2)"]),
        ("[tls_client]\ncertificate = '/dev/null'", &["18:15 [tls_client]: `certificate` without `key`"]),
    ];
    for (text, expected) in rows {
        assert_eq!(on_ground(text), *expected, "{text}");
    }
}

#[test]
fn configuration_without_a_node_or_trunk_says_so() {
    assert_eq!(lines(""), ["- there is no [node] table | begin with: [node] and name = \"edge-1\""]);
    assert_eq!(
        lines("[node]\nname = 'edge-1'\n"),
        ["- there is no trunk | every request is refused until a [trunk.NAME] table says who may send them"]
    );
    assert_eq!(lines("[node]\n"), ["1:1 [node] has no `name`"]);
}

#[test]
fn warnings_tell_what_the_operator_may_not_want() {
    let nowhere = |line: usize, name: &str| {
        format!("{line}:8 trunk `{name}`: its calls go nowhere | give it a `dialplan`, or a [[route]] with `from`")
    };
    assert_eq!(on_ground(""), [nowhere(8, "pbx"), nowhere(13, "carrier")]);
    let pbx_route = "[[route]]\nfrom = 'pbx'\nto = ['carrier']\n[[route]]\nfrom = 'carrier'\nto = ['pbx']\n";
    assert_eq!(on_ground(pbx_route), [""; 0]);
    #[rustfmt::skip]
    let rows: &[(&str, &[&str])] = &[
        ("[[listen]]\nname = 'x'\nbind = 'udp:127.0.0.1:5070'", &["24:8 no trunk uses listener `x`"]),
        ("[trunk.x]\nkind = 'pbx'\nlisten = 'inside'\ntargets = ['host']\n[[route]]\nfrom = 'x'\nto = ['pbx']", &[
            "23:1 trunk `x`: requests from `host` are refused, since `allow_from` is not given | a name says nothing of addresses: give those it sends from, or `allow_from = []` when it only takes calls",
        ]),
        ("[trunk.x]\nkind = 'carrier'\nlisten = 'inside'\ntargets = ['127.0.0.9']\n[[route]]\nto = ['x']", &[
            "23:8 trunk `x`: its calls go nowhere | give it a `dialplan`, or a [[route]] with `from`",
        ]),
        ("[trunk.x]\nkind = 'pbx'\nlisten = 'inside'\ntargets = ['127.0.0.9']\nallow_from = ['10.1.2.3/8']\n[[route]]\nfrom = 'x'\nto = ['pbx']", &[
            "27:15 trunk `x`: 10.1.2.3 is not the first address of its network",
        ]),
        ("[dialplan.a]\nrules = []\n[dialplan.b]\nrules = []", &[
            "23:11 no trunk asks dial plan `a` | name it as `dialplan` of a trunk",
            "25:11 no trunk asks dial plan `b` | name it as `dialplan` of a trunk",
        ]),
        ("[trunk.x]\nkind = 'pbx'\nlisten = 'inside'\ntargets = ['127.0.0.9']\ntransparent = false\n[[route]]\nfrom = 'x'\nto = ['pbx']", &[
            "27:15 trunk `x`: calls of a trunk that is not transparent end with the process | give `seal_key_file` in [node]: calls then go on after a restart",
        ]),
        ("[tenant.one]", &["23:1 tenant `one` has no site"]),
        ("[trunk.t]\nkind = 'teams'\nfqdn = 'sbc.example'\nlisten = 'inside'\ntargets = ['127.0.0.9']\ndialplan = 'a'\n[dialplan.a]\nrules=[]", &[
            "23:1 trunk `t`: calls of a trunk that is not transparent end with the process | give `seal_key_file` in [node]: calls then go on after a restart",
            "26:10 trunk `t`: Teams speaks TLS only, but listener `inside` does not",
        ]),
    ];
    for (text, expected) in rows {
        let mut expected: Vec<&str> = expected.to_vec();
        let mut found = on_ground(&format!("{pbx_route}{text}"));
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn numbering_plan_is_checked_key_by_key() {
    let text = "\
[tenant.contoso]
country = 'UK'
[tenant.contoso.numbering]
international_prefix = '+'
national_prefix = '123456789'
extension_ranges = ['400-49', '4xx']
service_numbers = ['10 1']
emergency_numbers = ['+nine']
main = 'reception'
[tenant.fabrikam]
country = 'france'
numbering.main = '999'
";
    assert_eq!(
        on_ground(text),
        [
            "18:11 tenant `contoso`: `country`: `UK` is no country | use the two letters of ISO 3166, such as `GB` or `FR`",
            "20:24 tenant `contoso`: `numbering`: `international_prefix`: a dialling prefix has 1 to 8 digits, and `x` for any digit",
            "21:19 tenant `contoso`: `numbering`: `national_prefix`: a dialling prefix has 1 to 8 digits, and `x` for any digit",
            "22:21 tenant `contoso`: `numbering`: `extension_ranges`: both ends of an extension range have the same number of digits",
            "22:31 tenant `contoso`: `numbering`: `extension_ranges`: the extension range has no digits, or something that is none",
            "23:20 tenant `contoso`: `numbering`: `service_numbers`: a service number has 1 to 16 digits, `*` and `#`, without `+`",
            "24:22 tenant `contoso`: `numbering`: `emergency_numbers`: a service number has 1 to 16 digits, `*` and `#`, without `+`",
            "25:8 tenant `contoso`: `numbering`: `main`: `reception` is no number of this tenant | write it with `+`, or as one of its extensions, or as `user@host`",
            "27:11 tenant `fabrikam`: `country`: `france` is no country | the code of France is `FR`",
            "28:18 tenant `fabrikam`: `numbering`: `main`: `999` is no number of this tenant | write it with `+`, or as one of its extensions, or as `user@host`",
        ]
    );
}

#[test]
fn extension_ranges_that_overlap_or_hide_help_are_warned_of() {
    let text = "\
[trunk.teams]
kind = 'teams'
listen = 'inside'
targets = ['192.0.2.9']
fqdn = 'sbc.example.net'
[[tenant.contoso.site]]
fqdn = 'contoso.example.net'
teams = 'teams'
trunk = 'pbx'
[tenant.contoso]
country = 'GB'
[tenant.contoso.numbering]
extension_ranges = ['1000-1100', '900-999', '1099-1200', '00-99', '1000-1000']
main = '1000'
";
    let warnings: Vec<String> = on_ground(text).into_iter().filter(|line| line.contains("extension")).collect();
    assert_eq!(
        warnings,
        [
            "29:34 tenant `contoso`: `numbering`: extension 999 is never reached | leave it out of the ranges, or say in `emergency_numbers` which numbers call for help",
            "29:45 tenant `contoso`: `numbering`: extension ranges `1000-1100` and `1099-1200` overlap",
            "29:67 tenant `contoso`: `numbering`: extension ranges `1000-1100` and `1000` overlap",
        ]
    );
}

#[test]
fn translation_rule_is_drawn_with_a_caret_at_its_pattern() {
    let text = "\
[[trunk.carrier.translate]]
direction = 'in'
number = 'called'
name = 'national'
pattern = '^0(\\d{9}$'
replacement = '+44$1'
";
    let drawn = rendered(&format!("{GROUND}{text}"));
    let expected = "\
error: translation rule 1 of trunk `carrier`: `pattern`: unclosed group
  --> edge.toml:21:11
   |
21 | pattern = '^0(\\d{9}$'
   |           ^^^^^^^^^^^
";
    assert!(drawn.starts_with(expected), "{drawn}");
}

#[test]
fn translation_rules_are_checked_all_at_once() {
    let rule = |keys: &str| format!("[[trunk.carrier.translate]]\n{keys}\n");
    let text = [
        rule("direction = 'inn'\nnumber = 'callee'"),
        rule("direction = 'in'\nnumber = 'called'\nname = 'a'\npattern = '^(1)(?=2)'\nreplacement = ''"),
        rule("direction = 'in'\nnumber = 'called'\nname = 'a'\npattern = '^1'\nreplacement = '$10'"),
        rule(&format!(
            "direction = 'in'\nnumber = 'called'\nname = '{}'\npattern = '^1'\nreplacement = '2'",
            "n".repeat(101)
        )),
        rule(&format!(
            "direction = 'in'\nnumber = 'called'\nname = 'b'\npattern = '{}'\nreplacement = '2'",
            "1".repeat(1025)
        )),
    ];
    assert_eq!(
        on_ground(&text.concat()),
        [
            "17:1 translation rule 1 of trunk `carrier` has no `name`",
            "17:1 translation rule 1 of trunk `carrier` has no `pattern`",
            "17:1 translation rule 1 of trunk `carrier` has no `replacement`",
            "18:13 translation rule 1 of trunk `carrier`: `direction`: `inn` is none of `in`, `out` | did you mean `in`?",
            "19:10 translation rule 1 of trunk `carrier`: `number`: `callee` is none of `called`, `calling` | did you mean `called`?",
            "24:11 translation rule 2 of trunk `carrier`: `pattern`: look-around, including look-ahead and look-behind, is not supported",
            "29:8 translation rule 3 of trunk `carrier`: the name `a` is there twice",
            "31:15 translation rule 3 of trunk `carrier`: `replacement`: `$10`: the pattern has no such group",
            "35:8 translation rule 4 of trunk `carrier`: `name`: a rule's name has 1 to 100 characters",
            "42:11 translation rule 5 of trunk `carrier`: `pattern`: a pattern has 1 to 1024 characters",
        ]
    );
}

#[test]
fn list_of_translation_rules_is_bounded_and_repeats_are_warned_of() {
    let rules = |count: usize| -> String {
        let rule = |index| {
            format!(
                "[[trunk.carrier.translate]]\ndirection = 'in'\nnumber = 'called'\nname = '{index}'\npattern = '^{index}$'\nreplacement = '1'\n"
            )
        };
        (0..count).map(rule).collect()
    };
    let faults = on_ground(&rules(402));
    assert_eq!(
        faults,
        [
            "2417:1 translation rule 401 of trunk `carrier`: a list has at most 400 rules | the limit holds for each direction and kind of number"
        ]
    );
    let again = rules(400).replace("pattern = '^399$'", "pattern = '^0$'");
    let warned: Vec<String> = on_ground(&again).into_iter().filter(|line| line.contains("rule")).collect();
    assert_eq!(warned, ["2415:11 translation rule 400 of trunk `carrier`: an earlier rule has the same pattern"]);
}
