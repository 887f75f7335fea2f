//! Tenants, their sites, users and trunks: what is read, and what is said of faults.

use super::super::*;
use super::faults::{GROUND, directory, faults_in, on_ground, told};
use crate::routing::people::{Lives, UserKind};
use crate::routing::{Anonymous, TenantId};
use crate::trunk::TrunkId;

/// A Teams trunk and two tenants, the first with a PBX; 15 lines behind the 16 of the ground.
const TENANTS: &str = "\
[trunk.teams]
kind = 'teams'
listen = 'inside'
targets = ['192.0.2.9']
fqdn = 'sbc.example.net'
[[tenant.contoso.site]]
fqdn = 'contoso.example.net'
teams = 'teams'
trunk = 'pbx'
[[tenant.fabrikam.site]]
fqdn = 'fabrikam.example.net'
teams = 'teams'
trunk = 'carrier'
[tenant.fabrikam]
country = 'GB'
";

fn behind(text: &str) -> Vec<String> {
    on_ground(&format!("{TENANTS}{text}"))
}

fn loaded(text: &str, files: &[(&str, &str)]) -> Loaded {
    let directory = directory(files);
    load_str("edge.toml", &format!("{GROUND}{TENANTS}{text}"), directory.path())
        .unwrap_or_else(|faults| panic!("{faults}"))
}

#[test]
fn tenants_have_what_their_tables_say() {
    let text = "\
[tenant.contoso]
numbers = ['+4416327684[00-99]', '+33123']
unassigned = '+441632768400'
users_files = ['users/*.csv', 'users/a.csv']
emergency_to = ['carrier', 'pbx']
service_to = ['carrier']
between_tenants = true
anonymous = 'refuse'
numbering.extension_ranges = ['400-499']
[[tenant.contoso.user]]
id = 'desk'
extension = '401'
lives = 'both'
coverage_delay_s = 10
pbx_identity = '401.pbx1.example'
kind = 'resource'
[state]
dir = 'state'
[control]
socket = '/run/trunkway/control.sock'
[emergency]
numbers = ['+110']
to = ['carrier']
[limits]
max_users = 3
max_dialplan_changes = 7
";
    let csv = "\u{feff}Extension,id,number,register_user,register_password\r\n402,Anna@x.example,+44 1632 768402,reg,s3cret\r\n";
    let Loaded { routing, files, config, .. } = loaded(text, &[("users/a.csv", csv), ("users/b.csv", "id,number\n")]);
    assert_eq!((config.limits.max_users, config.limits.max_dialplan_changes), (3, 7));
    assert!(config.state.dir.is_some_and(|dir| dir.ends_with("state")));
    assert_eq!(config.control.socket.as_deref(), Some(Path::new("/run/trunkway/control.sock")));
    assert_eq!(files.len(), 2, "{files:?}");
    let numbers: Vec<String> = routing.emergency().numbers.iter().map(ToString::to_string).collect();
    assert_eq!((numbers, &*routing.emergency().to), (vec!["110".to_owned()], &[TrunkId(1)][..]));

    let id = routing.tenants().find("contoso").unwrap();
    let contoso = routing.tenants().get(id).unwrap();
    assert_eq!(contoso.unassigned.as_ref().map(ToString::to_string).as_deref(), Some("+441632768400"));
    assert_eq!((&*contoso.emergency, &*contoso.service), (&[TrunkId(1), TrunkId(0)][..], &[TrunkId(1)][..]));
    assert!(contoso.between_tenants && contoso.anonymous == Anonymous::Refuse);
    assert!(contoso.ranges.find(b"+441632768499").is_some() && contoso.ranges.find(b"+441632768500").is_none());
    let [anna, desk] = contoso.users() else { panic!("{:?}", contoso.users()) };
    assert_eq!((&*anna.record.id, anna.numbers[0].to_string()), ("Anna@x.example", "+441632768402;ext=402".to_owned()));
    assert_eq!((anna.record.lives, anna.site), (Lives::Teams, routing.sites().find(b"contoso.example.net")));
    assert_eq!((anna.site, desk.site), (Some(contoso.sites[0]), anna.site));
    assert_eq!(desk.numbers[0].to_string(), "401");
    assert_eq!(
        (desk.record.lives, desk.record.kind, desk.record.coverage_delay_s),
        (Lives::Both, UserKind::Resource, 10)
    );
    assert_eq!(desk.record.pbx_identity.as_deref(), Some("401.pbx1.example"));

    let fabrikam = routing.tenants().get(routing.tenants().find("fabrikam").unwrap()).unwrap();
    assert!(!fabrikam.between_tenants && fabrikam.anonymous == Anonymous::Accept && fabrikam.ranges.is_empty());
}

#[test]
fn sites_and_trunks_know_whose_they_are() {
    let text = "\
[trunk.byoc]
kind = 'carrier'
listen = 'inside'
targets = ['192.0.2.10']
tenant = 'fabrikam'
called_form = 'e164-no-plus'
[trunk.pbx2]
kind = 'pbx'
listen = 'inside'
targets = ['192.0.2.11']
[[tenant.fabrikam.site]]
fqdn = 'two.example.net'
teams = 'teams'
trunk = 'byoc'
pbx = 'pbx2'
hairpin = true
";
    let routing = loaded(text, &[]).routing;
    let sites: Vec<_> =
        routing.sites().iter().map(|site| (&*site.tenant, site.owner, site.pbx, site.hairpin)).collect();
    assert_eq!(
        sites,
        [
            ("contoso", TenantId(0), Some(TrunkId(0)), false),
            ("fabrikam", TenantId(1), None, false),
            ("fabrikam", TenantId(1), Some(TrunkId(4)), true),
        ]
    );
    let origins: Vec<_> = (0..5).map(|trunk| routing.origin(TrunkId(trunk)).unwrap()).collect();
    let owners: Vec<_> = origins.iter().map(|origin| origin.tenant.map(|tenant| tenant.0)).collect();
    assert_eq!(owners, [Some(0), None, None, Some(1), Some(1)], "a carrier is shared, a PBX is its sites'");
    let forms: Vec<_> = origins.iter().map(|origin| (origin.called.name(), origin.calling.name())).collect();
    let as_is = ("as-is", "as-is");
    assert_eq!(forms, [as_is, as_is, ("e164", "e164"), ("e164-no-plus", "as-is"), as_is]);
    let usual: Vec<String> = routing.emergency().numbers.iter().map(ToString::to_string).collect();
    assert_eq!(usual, ["112", "911"]);

    let shared = "[[tenant.fabrikam.site]]\nfqdn = 'two.example.net'\nteams = 'teams'\ntrunk = 'pbx'\n";
    assert_eq!(loaded(shared, &[]).routing.origin(TrunkId(0)).unwrap().tenant, None, "two tenants name it");
}

#[test]
fn tenants_and_trunks_that_do_not_fit_are_told() {
    #[rustfmt::skip]
    let rows: &[(&str, &[&str])] = &[
        ("[tenant.Contoso2]\n[tenant.ab]\n[tenant.-abc]\n", &[
            "32:9 `Contoso2` is no name for a tenant: `C` cannot stand in a short name: it has lower-case letters, digits and hyphens | write it as `contoso2`",
            "33:9 `ab` is no name for a tenant: a short name has 3 to 15 characters | use a DNS label of 3 to 15 characters in lower case: it can be the first part of a site's FQDN",
            "34:9 `-abc` is no name for a tenant: a short name neither begins nor ends with a hyphen | use a DNS label of 3 to 15 characters in lower case: it can be the first part of a site's FQDN",
        ]),
        ("[[tenant.fabrikam.site]]\nfqdn = 'CONTOSO.example.net'\nteams = 'teams'\ntrunk = 'carrier'\npbx = 'carrier'\n", &[
            "33:8 site `contoso.example.net` is there twice",
            "36:7 site 2 of tenant `fabrikam`: `pbx` must be a trunk of kind pbx, and `carrier` is of kind carrier",
        ]),
        ("[trunk.x]\nkind = 'teams'\nlisten = 'inside'\nfqdn = 'x.example.net'\ntargets = ['192.0.2.10']\ntenant = 'contoso'\n", &[
            "37:10 trunk `x`: a trunk of kind teams belongs to no tenant | leave `tenant` out: a call from Teams is the tenant's whose site its Request-URI names",
        ]),
        ("[trunk.x]\nkind = 'pbx'\nlisten = 'inside'\ntargets = ['192.0.2.10']\ntenant = 'contosso'\ncalled_form = 'e.164'\n", &[
            "36:10 trunk `x`: there is no tenant `contosso` | did you mean `contoso`?",
            "37:15 trunk `x`: `called_form`: `e.164` is none of `as-is`, `e164`, `e164-no-plus`, `dialled`, `extension` | did you mean `e164`?",
        ]),
        ("[trunk.x]\nkind = 'carrier'\nlisten = 'inside'\ntargets = ['192.0.2.10']\ntenant = 'contoso'\n[[tenant.fabrikam.site]]\nfqdn = 'x.example.net'\nteams = 'teams'\ntrunk = 'x'\n[[route]]\ntenant = 'fabrikam'\nto = ['x']\n[emergency]\nto = ['x', 'teams']\n", &[
            "40:9 site 2 of tenant `fabrikam`: trunk `x` is that of tenant `contoso` | a trunk with a tenant of its own serves that tenant only",
            "43:7 route 1: trunk `x` is that of tenant `contoso` | a trunk with a tenant of its own serves that tenant only",
            "45:7 [emergency]: `to` is for all tenants, and this trunk is one tenant's | name it in `emergency_to` of that tenant",
            "45:12 [emergency]: `to` must not name a trunk of kind teams",
        ]),
        ("emergency_to = ['teams', 'carier', 'carrier', 'carrier']\nservice_to = ['pbx']\n", &[
            "32:17 tenant `fabrikam`: `emergency_to` must not name a trunk of kind teams",
            "32:26 tenant `fabrikam`: there is no trunk `carier` | did you mean `carrier`?",
            "32:47 tenant `fabrikam`: `emergency_to` names `carrier` twice",
            "33:15 tenant `fabrikam`: trunk `pbx` is that of tenant `contoso` | a trunk with a tenant of its own serves that tenant only",
        ]),
        ("numbers = ['441632', '+44[9-1]', '+44.fax', '+']\nunassigned = 'reception'\nanonymous = 'deny'\n", &[
            "32:12 tenant `fabrikam`: `numbers`: `441632` is no range: it does not begin with `+` and a digit | write E.164 numbers or their beginnings with `+`, such as \"+4416327684[00-99]\"",
            "32:22 tenant `fabrikam`: `numbers`: `+44[9-1]` is no range: a range is written `[first-last]`, both of the same width, the first not above the last | write E.164 numbers or their beginnings with `+`, such as \"+4416327684[00-99]\"",
            "32:34 tenant `fabrikam`: `numbers`: `+44.fax` is no range: it does not begin with `+` and a digit | write E.164 numbers or their beginnings with `+`, such as \"+4416327684[00-99]\"",
            "32:45 tenant `fabrikam`: `numbers`: `+` is no range: it does not begin with `+` and a digit | write E.164 numbers or their beginnings with `+`, such as \"+4416327684[00-99]\"",
            "33:14 tenant `fabrikam`: `unassigned`: `reception` is no number of this tenant | write it with `+`, or as one of its extensions, or as `user@host`",
            "34:13 tenant `fabrikam`: `anonymous`: `deny` is none of `accept`, `refuse`",
        ]),
        ("[emergency]\nnumbers = ['nine']\n[control]\nsocket = '/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'\n[state]\ndirectory = 'x'\n", &[
            "33:12 [emergency]: `numbers`: a service number has 1 to 16 digits, `*` and `#`, without `+`",
            "35:10 [control]: `socket`: the path of a socket has at most 107 bytes",
            "37:1 [state] has no key `directory` | known keys: dir",
        ]),
    ];
    for (text, expected) in rows {
        assert_eq!(behind(text), *expected, "{text}");
    }
}

#[test]
fn users_are_checked_all_at_once() {
    let text = "\
[tenant.contoso]
numbering.extension_ranges = ['400-499']
[[tenant.contoso.user]]
id = 'a'
number = '01632 768402'
[[tenant.contoso.user]]
id = 'A'
number = '+441632768403'
site = 'contosso.example.net'
lives = 'phone'
[[tenant.contoso.user]]
id = ''
number = 7
[[tenant.contoso.user]]
id = 'b'
number = '+441632768404;ext=404'
extension = '405'
site = 'fabrikam.example.net'
[[tenant.contoso.user]]
id = 'c'
[[tenant.contoso.user]]
id = 'd'
number = '+441632768403'
extension = '4x'
[[tenant.contoso.user]]
id = 'e'
number = '+441632768403'
coverage_delay_s = 65536
[[tenant.fabrikam.user]]
id = 'a'
number = '768402'
[[tenant.fabrikam.user]]
id = 'b'
number = '999'
[[tenant.fabrikam.user]]
id = 'f'
number = '+441632768403'
lives = 'both'
";
    assert_eq!(
        behind(text),
        [
            "36:10 tenant `contoso`: user `a`: `01632 768402` is no number of this tenant | write it with `+` and its calling code, or set `country` of the tenant",
            "38:6 tenant `contoso`: user `A` is there twice | ids are compared without regard to case",
            "40:8 tenant `contoso`: user `A`: there is no site `contosso.example.net` | did you mean `contoso.example.net`?",
            "41:9 user 2 of tenant `contoso`: `lives`: `phone` is none of `teams`, `pbx`, `both`",
            "43:6 user 3 of tenant `contoso`: `id` is empty",
            "44:10 user 3 of tenant `contoso`: `number` must be a string",
            "47:10 tenant `contoso`: user `b`: `number` says extension 404, `extension` another",
            "49:8 tenant `contoso`: user `b`: `fabrikam.example.net` is a site of tenant `fabrikam`",
            "50:1 user 5 of tenant `contoso` has neither `number` nor `extension`",
            "55:13 tenant `contoso`: user `d`: `4x` is no extension | write at most 16 digits, `*` or `#`",
            "58:10 tenant `contoso`: user `e`: another user has +441632768403 as well | users who share a number differ by `extension`",
            "59:20 user 7 of tenant `contoso`: `coverage_delay_s` must be from 0 to 65535",
            "62:10 tenant `fabrikam`: user `a`: `768402` is no number of this tenant | write it with `+` and its calling code, or add it to `extension_ranges` if it is an extension",
            "65:10 tenant `fabrikam`: user `b`: `999` is a service number",
            "69:9 tenant `fabrikam`: user `f`: lives = \"both\", but there is no PBX | give the site a `pbx`, or a `trunk` of kind pbx",
        ]
    );
}

#[test]
fn users_beside_their_ranges_are_warned_of() {
    let text = "\
numbers = ['+4416327684']
numbering.extension_ranges = ['400-499', '99-99']
numbering.service_numbers = ['99']
emergency_to = ['carrier']
[[tenant.fabrikam.user]]
id = 'a'
number = '+441632768402'
extension = '502'
[[tenant.fabrikam.user]]
id = 'b'
number = '+441632768502'
extension = '99'
";
    let warnings: Vec<String> = behind(text).into_iter().filter(|line| line.contains("user")).collect();
    assert_eq!(
        warnings,
        [
            "39:13 tenant `fabrikam`: user `a`: extension 502 is in none of the `extension_ranges` | only calls to the number with `;ext=` find it: add it to the ranges in `numbering`",
            "42:10 tenant `fabrikam`: user `b`: +441632768502 is in none of the tenant's `numbers`",
            "43:13 tenant `fabrikam`: user `b`: extension 99 is never reached: it is a service number",
        ]
    );
    let unused: Vec<String> =
        behind("unassigned = '+441632768400'\n").into_iter().filter(|line| line.contains("32:")).collect();
    assert_eq!(
        unused,
        [
            "32:14 tenant `fabrikam`: `unassigned` is never used | say in `numbers` or `extension_ranges` which numbers are this tenant's"
        ]
    );
    let nobodys: Vec<String> =
        behind("numbers = ['+4416327685']\n").into_iter().filter(|line| line.contains("404")).collect();
    let help = "name its users, say in `unassigned` where calls to nobody go, or leave `numbers` to the dial plan";
    assert_eq!(
        nobodys,
        [format!("32:11 tenant `fabrikam`: calls to its `numbers` get 404, since there are no users | {help}")]
    );
}

#[test]
fn users_file_is_told_by_row_and_column_and_never_by_its_passwords() {
    let users = "\
number,lives,id,register_user,register_password
+441632768402,home,a,u,hunter2
+441632768403,pbx,b,u,hunter2
12,teams,c,u,hunter2
+441632768404,teams,B,u,hunter2,more
";
    let directory = directory(&[("users.csv", users)]);
    let text = format!("{GROUND}{TENANTS}users_files = ['users.csv', 'none.csv']\n");
    let faults = faults_in(&text, directory.path());
    let base = format!("{}/", directory.path().display());
    let told: Vec<String> = told(&faults).into_iter().map(|line| line.replace(&base, "")).collect();
    assert_eq!(
        told,
        [
            "32:29 tenant `fabrikam`: cannot read `none.csv`: No such file or directory (os error 2) | paths are relative to the directory of the file that names them",
            "2:15 tenant `fabrikam`: write `teams`, `pbx` or `both`",
            "3:15 tenant `fabrikam`: user `b`: lives = \"pbx\", but there is no PBX | give the site a `pbx`, or a `trunk` of kind pbx",
            "4:1 tenant `fabrikam`: user `c`: `12` is no number of this tenant | write it with `+` and its calling code, or add it to `extension_ranges` if it is an extension",
            "5:1 tenant `fabrikam`: the row has 6 values and the header 5",
        ]
    );
    for shown in [faults.to_string(), serde_json::to_string(&faults).unwrap(), format!("{faults:?}")] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    assert!(faults.to_string().contains("+441632768403,pbx,b,u,*******"), "{faults}");
}

#[test]
fn users_are_bounded_once_for_all_tenants() {
    let users = "id,number\na,+441632768401\nb,+441632768402\nc,+441632768403\n";
    let directory = directory(&[("users.csv", users)]);
    let text = format!(
        "{GROUND}{TENANTS}users_files = ['users.csv']\n[tenant.contoso]\nusers_files = ['users.csv']\n[limits]\nmax_users = 4\n"
    );
    assert_eq!(
        told(&faults_in(&text, directory.path())),
        ["3:1 there are more than 4 users | raise `max_users` in [limits]"]
    );
}

#[test]
fn calls_for_help_that_go_anywhere_are_warned_of() {
    let user = "[[tenant.fabrikam.user]]\nid = 'a'\nnumber = '+441632768402'\n";
    let warned = |text: &str| -> Vec<String> {
        behind(text).into_iter().filter(|line| line.contains("calls for help")).collect()
    };
    assert_eq!(
        warned(user),
        [
            "30:9 tenant `fabrikam`: calls for help (`112`, `999`) go where other calls go | name trunks for them in `emergency_to` of the tenant or in `to` of [emergency]"
        ]
    );
    let rule = |prefix: &str| {
        format!(
            "{user}[dialplan.p]\nrules = [{{ prefix = '112', tag = 'carrier' }}, {{ prefix = '{prefix}', tag = 'carrier' }}]\n"
        )
    };
    assert_eq!(warned(&rule("+999#")), [""; 0]);
    assert_eq!(warned(&rule("99")).len(), 1, "a rule for other numbers as well is none for calls for help");
    assert_eq!(warned(""), [""; 0], "no users");
    assert_eq!(warned(&format!("emergency_to = ['carrier']\n{user}")), [""; 0]);
    assert_eq!(warned(&format!("{user}[emergency]\nto = ['carrier']\n")), [""; 0]);
}
