//! The files that operators have, through the binary: imports, exports and differences.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A directory with a configuration.
struct Place(tempfile::TempDir);

/// What an invocation said.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }

    /// Everything that anybody could see.
    fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

const EDGE: &str = r#"
[node]
name = "edge-1"
[[listen]]
name = "inside"
bind = "udp:127.0.0.1:5060"
[trunk.teams]
kind = "teams"
listen = "inside"
fqdn = "sbc.example.net"
targets = ["udp:127.0.0.9:5071"]
[trunk.pbx1]
kind = "pbx"
listen = "inside"
targets = ["udp:127.0.0.1:5080"]
dialplan = "CustDialPlan"
[trunk."emergency.example.net"]
kind = "carrier"
listen = "inside"
targets = ["udp:127.0.0.2:5080"]
dialplan = "RegisteredUsers"
[trunk."402.pbx1.contoso.example"]
kind = "pbx"
listen = "inside"
targets = ["udp:127.0.0.3:5080"]
dialplan = "RegisteredUsers"
[tenant.contoso]
country = "US"
site = [
  { fqdn = "contoso.customers.example.net", teams = "teams", trunk = "pbx1" },
  { fqdn = "trnkpck01.customers.example.net", teams = "teams", trunk = "pbx1" },
]
[tenant.fabrikam]
site = [
  { fqdn = "fabrikam.customers.example.net", teams = "teams", trunk = "pbx1" },
  { fqdn = "fabrikam.onmicrosoft.com", teams = "teams", trunk = "pbx1" },
]
[dialplan.CustDialPlan]
files = ["rules/customers.csv", "more/*.csv"]
rules = [{ prefix = "+1425", tag = "contoso.customers.example.net" }]
[dialplan.RegisteredUsers]
files = ["rules/users.csv"]
"#;

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write("edge.toml", EDGE);
        fs::create_dir(place.path("rules")).unwrap();
        fs::create_dir(place.path("more")).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs in the directory of the configuration.
    fn run(&self, arguments: &[&str]) -> Said {
        let Output { status, stdout, stderr } =
            Command::new(env!("CARGO_BIN_EXE_trunkway")).args(arguments).current_dir(self.0.path()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
    }

    /// Runs with the configuration and these arguments, which blanks separate.
    fn edge(&self, arguments: &str) -> Said {
        let mut all: Vec<&str> = arguments.split(' ').collect();
        all.extend(["--config", "edge.toml"]);
        self.run(&all)
    }

    /// The names of all files in a directory.
    fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(directory)).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// A file of the data that is shared between projects, if it is there.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    let found = path.exists();
    if !found {
        eprintln!("{} is not there: nothing is tested with it", path.display());
    }
    found.then_some(path)
}

#[test]
fn rules_of_the_shared_file_go_to_the_files_of_their_plans() {
    let Some(file) = shared("dialplan-prefixes.csv") else { return };
    let place = Place::new();
    place.write("prefixes.csv", &fs::read_to_string(file).unwrap());
    let dry = place.edge("import dialplan prefixes.csv --dry-run");
    assert_eq!(dry.code, 0, "{}", dry.err);
    assert!(dry.out.contains("7 added, 0 removed, 0 changed, 0 unchanged\n"), "{}", dry.out);
    assert!(dry.out.ends_with("nothing is written: this is a dry run\n"), "{}", dry.out);
    assert!(place.names("rules").is_empty(), "a dry run writes nothing");

    let done = place.edge("import dialplan prefixes.csv");
    assert_eq!(done.code, 0, "{}", done.err);
    let customers = place.read("rules/customers.csv");
    assert!(customers.contains("\nCustDialPlan,551136184[4000-9999],fabrikam.customers.example.net\n"), "{customers}");
    assert_eq!(customers.lines().count(), 8);
    assert_eq!(place.read("rules/users.csv").lines().count(), 3);
    assert_eq!(place.names("rules"), ["customers.csv", "users.csv"], "nothing is left beside them");
    let check = place.edge("check");
    assert_eq!(check.code, 0, "{}", check.err);

    // Out and in again.
    let exported = place.edge("export --plan CustDialPlan --plan RegisteredUsers");
    assert_eq!(exported.code, 0, "{}", exported.err);
    place.write("again.csv", &exported.out);
    let same = place.run(&["diff", "again.csv", "edge.toml"]);
    assert_eq!((same.code, &*same.out), (0, "0 added, 0 removed, 0 changed, 10 unchanged\n"));
    let same = place.edge("import dialplan prefixes.csv --json").json();
    assert_eq!((&same["valid"], &same["written"]), (&true.into(), &false.into()));
    assert_eq!(same["files"][0]["unchanged"], 7);
}

#[test]
fn file_as_bad_as_they_come_is_taken() {
    let place = Place::new();
    let text = "\u{feff}\"dialPlanName\", Prefix ,TAG\r\n\r\n CustDialPlan , \"+1206\" , contoso.customers.example.net \r\n\
                CustDialPlan,+1206,contoso.customers.example.net\r\n   \r\n\
                CustDialPlan, +1[2,3]5,\"FABRIKAM.customers.example.net\"\r\nCustDialPlan,+1208\r\n\
                CustDialPlan,911#,emergency.example.net,acme\r\n\
                CustDialPlan,402\\.pbx.x,pbx1,,false";
    place.write("in.csv", text);
    place.write("rules/users.csv", "");
    let done = place.edge("import dialplan in.csv --tag pbx1 --owner me");
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.starts_with("in.csv: 5 rules, 1 rows are there again\n"), "{}", done.out);
    assert_eq!(
        place.read("rules/customers.csv"),
        "dialPlanName,prefix,tag,owner,active\n\
         CustDialPlan,+1206,contoso.customers.example.net,me,true\n\
         CustDialPlan,\"+1[2,3]5\",FABRIKAM.customers.example.net,me,true\n\
         CustDialPlan,+1208,pbx1,me,true\n\
         CustDialPlan,911#,emergency.example.net,acme,true\n\
         CustDialPlan,402\\.pbx.x,pbx1,me,false\n"
    );
    let route = place.edge("route --from-trunk pbx1 --called +12065550100");
    for line in ["tenant   contoso\n", "site     contoso.customers.example.net\n", "rules/customers.csv:2\n"] {
        assert!(route.out.contains(line), "{}", route.all());
    }
}

#[test]
fn all_faults_are_told_at_once_and_nothing_is_written() {
    let place = Place::new();
    place.write("more/other.csv", "+1425,pbx1\n\nCustDialPlan,+1253,pbx1\n");
    place.write("edge.toml", &EDGE.replace("rules = [{ prefix = \"+1425\"", "rules = [{ prefix = \"+1509\""));
    place.write("rules/customers.csv", "CustDialPlan,+1,pbx1\n");
    let text = "dialPlanName,prefix,tag\nCustDialPlan,+1[20-1],pbx1\nCustDialPln,+1,pbx1\nCustDialPlan,,pbx1\n\
                CustDialPlan,+1,pbx\nCustDialPlan,+12,pbx\nCustDialPlan,+13\nCustDialPlan,\"+1,pbx1\nCustDialPlan,+206,pbx1\n\
                CustDialPlan,+2[0]6,emergency.example.net\nCustDialPlan,+1253,emergency.example.net\n\
                CustDialPlan,+1509,emergency.example.net\nCustDialPlan,1,pbx1,x,y\n";
    place.write("in.csv", text);
    let said = place.edge("import dialplan in.csv --json");
    assert_eq!((said.code, &*said.err), (64, ""));
    let report = said.json();
    assert_eq!((&report["valid"], &report["written"]), (&false.into(), &false.into()));
    let faults: Vec<(u64, u64, String)> = report["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| {
            assert_eq!(fault["file"], "in.csv");
            let number = |key: &str| fault[key].as_u64().unwrap();
            (number("line"), number("column"), fault["message"].as_str().unwrap().to_owned())
        })
        .collect();
    let expected = [
        (
            2,
            14,
            "prefix `+1[20-1]`: a range is written `[first-last]`, both of the same width, the first not above the last",
        ),
        (3, 1, "there is no dial plan `CustDialPln` in the configuration"),
        (4, 1, "the row has no prefix"),
        (5, 17, "tag `pbx` is neither a site's FQDN nor a trunk"),
        (7, 1, "the row has no tag"),
        (8, 1, "a quoted value ends with a quote and a comma, on the line that it began on"),
        (10, 1, "dial plan `CustDialPlan`: one prefix with two tags"),
        (11, 1, "dial plan `CustDialPlan`: one prefix with two tags"),
        (12, 1, "dial plan `CustDialPlan`: one prefix with two tags"),
        (13, 1, "`active` is `true` or `false`"),
    ];
    let expected: Vec<(u64, u64, String)> =
        expected.into_iter().map(|(line, column, text)| (line, column, text.to_owned())).collect();
    assert_eq!(faults, expected);
    assert_eq!(report["faults"][1]["help"], "did you mean `CustDialPlan`?");
    assert_eq!(report["faults"][3]["label"], "the first of 2 rows");
    assert_eq!(report["faults"][6]["also"][0]["line"], 9);
    assert_eq!(place.read("rules/customers.csv"), "CustDialPlan,+1,pbx1\n");

    let said = place.edge("import dialplan in.csv");
    assert_eq!((said.code, &*said.out), (64, ""));
    for place in ["--> in.csv:11:1", "::: more/other.csv:3:1", "--> in.csv:12:1", "::: edge.toml:40:1"] {
        assert!(said.err.contains(place), "{place} in\n{}", said.err);
    }
    assert!(said.err.ends_with("in.csv cannot be taken: nothing is written\n"), "{}", said.err);
    assert_eq!(place.read("rules/customers.csv"), "CustDialPlan,+1,pbx1\n");
}

#[test]
fn merge_keeps_what_is_there_and_replace_does_not() {
    let place = Place::new();
    place.write(
        "rules/customers.csv",
        "dialPlanName,prefix,tag,owner\nCustDialPlan,+1,pbx1,\nCustDialPlan,+2,pbx1,a\nRegisteredUsers,3,pbx1,\n",
    );
    place.write("in.csv", "CustDialPlan,+2,emergency.example.net,a\nCustDialPlan,+4,pbx1\n");
    let merged = place.edge("import dialplan in.csv --merge --json").json();
    let file = &merged["files"][0];
    assert_eq!((&file["unchanged"], file["added"].as_array().unwrap().len()), (&2.into(), 1));
    assert_eq!(file["changed"][0]["new"]["tag"], "emergency.example.net");
    assert_eq!(
        place.read("rules/customers.csv"),
        "dialPlanName,prefix,tag,owner,active\nCustDialPlan,+1,pbx1,,true\nRegisteredUsers,3,pbx1,,true\n\
         CustDialPlan,+2,emergency.example.net,a,true\nCustDialPlan,+4,pbx1,,true\n"
    );
    // Of another owner, and elsewhere.
    place.write("in.csv", "CustDialPlan,+2,pbx1,b\n");
    let refused = place.edge("import dialplan in.csv --merge");
    assert_eq!(refused.code, 64);
    assert!(refused.err.contains("of another owner"), "{}", refused.err);

    let replaced = place.edge("import dialplan in.csv");
    assert_eq!(replaced.code, 0, "{}", replaced.err);
    assert!(
        replaced.err.contains("1 rules of other dial plans, such as `RegisteredUsers`, go away"),
        "{}",
        replaced.err
    );
    let rules = "dialPlanName,prefix,tag,owner,active\nCustDialPlan,+2,pbx1,b,true\n";
    assert_eq!(place.read("rules/customers.csv"), rules);
    let again = place.edge("import dialplan in.csv");
    assert!(again.out.ends_with("nothing is written: the files are as they should be\n"), "{}", again.out);
}

#[test]
fn rules_over_and_under_those_of_another_tenant_are_a_warning_that_names_both() {
    let place = Place::new();
    place.write("more/a.csv", "CustDialPlan,+4416,fabrikam.customers.example.net\n");
    place.write(
        "in.csv",
        "CustDialPlan,+441632,contoso.customers.example.net\nCustDialPlan,+4,contoso.customers.example.net\n\
         CustDialPlan,+14255,contoso.customers.example.net\n",
    );
    let done = place.edge("import dialplan in.csv --dry-run --json").json();
    let messages: Vec<_> =
        done["faults"].as_array().unwrap().iter().map(|fault| (&fault["line"], &fault["message"])).collect();
    assert_eq!(
        serde_json::to_value(&messages).unwrap(),
        serde_json::json!([
            [
                1,
                "dial plan `CustDialPlan`: `+441632` of tenant `contoso` takes numbers out of `+4416` of tenant `fabrikam`"
            ],
            [2, "dial plan `CustDialPlan`: `+4416` of tenant `fabrikam` takes numbers out of `+4` of tenant `contoso`"],
        ])
    );
    assert_eq!(done["faults"][0]["help"], "the other stands in more/a.csv:1");
}

#[test]
fn file_that_no_plan_reads_is_a_warning_and_one_that_a_pattern_finds_is_not() {
    let place = Place::new();
    place.write("in.csv", "+44,pbx1\n");
    let unnamed = place.edge("import dialplan in.csv");
    assert_eq!(unnamed.code, 64);
    assert!(unnamed.err.contains("say which is meant with --plan"), "{}", unnamed.err);
    let unread = place.edge("import dialplan in.csv --plan CustDialPlan --to elsewhere.csv");
    assert_eq!(unread.code, 0, "{}", unread.err);
    assert!(unread.err.contains("no dial plan of the configuration reads elsewhere.csv"), "{}", unread.err);
    let read = place.edge("import dialplan in.csv --plan CustDialPlan --to more/new.csv");
    assert_eq!((read.code, &*read.err), (0, ""), "{}", read.all());
    let twice = place.edge("import dialplan in.csv --plan CustDialPlan --to rules/customers.csv --tag nowhere");
    assert!(twice.err.contains("--tag: `nowhere` is neither a site's FQDN nor a trunk"), "{}", twice.err);
    let other = "+44,emergency.example.net\n";
    place.write("in.csv", other);
    let against = place.edge("import dialplan in.csv --plan CustDialPlan");
    assert!(against.code == 64 && against.err.contains("more/new.csv:2:1"), "{}", against.all());
    place.write("in.csv", "\n\n");
    assert!(place.edge("import dialplan in.csv").err.contains("there is no rule in the file"));
    fs::write(place.path("in.csv"), b"CustDialPlan,+44,caf\xe9\n").unwrap();
    let latin = place.edge("import dialplan in.csv --json").json();
    let fault = &latin["faults"][0];
    assert_eq!((&fault["line"], &fault["column"]), (&1.into(), &21.into()), "{latin}");
    assert_eq!(place.edge("import dialplan missing.csv").code, 64);
}

#[test]
fn export_chooses_and_says_what_it_leaves_out() {
    let place = Place::new();
    place.write("rules/customers.csv", "CustDialPlan,+2[00-19],pbx1,acme\nCustDialPlan,\\#3,pbx1,,false\n");
    place.write("rules/users.csv", "");
    let all = place.edge("export");
    assert_eq!(
        all.out,
        "dialPlanName,prefix,tag,owner,active\nCustDialPlan,+1425,contoso.customers.example.net,,true\n\
         CustDialPlan,+2[00-19],pbx1,acme,true\nCustDialPlan,\\#3,pbx1,,false\n"
    );
    let three = place.edge("export --columns 3 --owner acme");
    assert_eq!(three.out, "dialPlanName,prefix,tag\nCustDialPlan,+2[00-19],pbx1\n");
    assert_eq!(three.err, "the owners of rules are left out: 5 columns have room for them\n");
    assert_eq!(place.edge("export --columns 3").code, 64, "an inactive rule would answer");
    assert_eq!(place.edge("export --plan Nowhere").code, 64);
    let file = place.edge("export --output out.csv");
    assert_eq!((file.code, &*file.out), (0, "out.csv: 3 rules\n"));
    assert_eq!(place.read("out.csv"), all.out);
}

#[test]
fn diff_tells_what_is_different_by_its_exit_code_too() {
    let place = Place::new();
    place.write("a.csv", "\u{feff}prefix,tag\r\n2[0-1],x\r\n1,x\r\n1,x\r\n");
    place.write("b.csv", "dialPlanName,prefix,tag\nA,1,x\nA,2[0,1],x\n");
    let same = place.run(&["diff", "a.csv", "b.csv"]);
    assert_eq!(
        (same.code, &*same.out),
        (0, "0 added, 0 removed, 0 changed, 2 unchanged\na.csv: 1 rows are there again\n")
    );
    place.write("b.csv", "dialPlanName,prefix,tag,owner\nA,1,y,me\nA,3,x,\n");
    let other = place.run(&["diff", "a.csv", "b.csv"]);
    assert_eq!(other.code, 1);
    assert_eq!(other.out.lines().next(), Some("1 added, 1 removed, 1 changed, 0 unchanged"));
    assert!(other.out.contains("\n  ~ A 1: tag x -> y, owner none -> me\n"), "{}", other.out);
    let json = place.run(&["diff", "a.csv", "b.csv", "--json"]);
    assert_eq!((json.code, &json.json()["equal"], &json.json()["duplicates"]["old"]), (1, &false.into(), &1.into()));
    place.write("b.csv", "A,1[,x\n");
    let bad = place.run(&["diff", "a.csv", "b.csv"]);
    assert!(bad.code == 64 && bad.err.contains("--> b.csv:1:3"), "{}", bad.all());
}

#[test]
fn pbx_users_of_the_shared_file_are_registered_and_their_passwords_shown_nowhere() {
    let Some(file) = shared("pbx-users.csv") else { return };
    let place = Place::new();
    place.write("in.csv", &fs::read_to_string(file).unwrap());
    let dry = place
        .edge("import pbx-users in.csv --tenant contoso --site contoso.customers.example.net --to users.csv --dry-run");
    assert_eq!(dry.code, 0, "{}", dry.err);
    assert!(dry.out.contains("+ alex@contoso.example, +191912, extension 222, both\n"), "{}", dry.out);
    assert!(!place.path("users.csv").exists());
    let done = place.edge("import pbx-users in.csv --tenant contoso --to users.csv");
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(
        place.read("users.csv"),
        "id,name,number,extension,lives,kind,site,coverage_delay_s,pbx_identity,register_user,register_password\n\
         alex@contoso.example,,+191912,222,both,person,,0,222.pbx1.contoso.example,reg222,s3cret-222\n\
         rani@contoso.example,,+34000,223,both,person,,0,223.pbx1.contoso.example,reg223,s3cret-223\n\
         bradb@contoso.example,,+40736376,9898,both,person,,0,,reg9898,s3cret-9898\n"
    );
    let mode = fs::metadata(place.path("users.csv")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // The whole list is replaced, and a new password is told by its column.
    let text = place.read("in.csv").replace("s3cret-222", "s3cret-new").replace("34000", "34001");
    let text: String =
        text.lines().filter(|line| !line.starts_with("bradb")).map(|line| format!("{line}\r\n")).collect();
    place.write("in.csv", &text);
    let changed = place.edge("import pbx-users in.csv --tenant contoso --to users.csv --json");
    let report = changed.json();
    assert_eq!(
        report["changed"][0],
        serde_json::json!({"id": "alex@contoso.example", "fields": ["register_password"]})
    );
    assert_eq!(report["changed"][1]["fields"], serde_json::json!(["number"]));
    assert_eq!(report["removed"][0]["id"], "bradb@contoso.example");
    let mode = fs::metadata(place.path("users.csv")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for said in [dry, done, changed] {
        assert!(!said.all().contains("s3cret"), "{}", said.all());
    }
}

#[test]
fn pbx_user_rows_that_are_not_exact_are_refused_without_their_secrets() {
    let place = Place::new();
    let header =
        "Email,E164,PbxExtension,LocalUserName,RegisteringUserName,RegisteringPassword,OnlineVoiceRoutingPolicy\n";
    let rows = "a@x.example,1,2,3,reg,s3cret,pbx.x.example,\na@x.example,1,anna,reg,s3cret,Unrestricted,\nb@x.example,1,22,3,reg,,\n\
                nobody,+1 2,22,3,reg,s3cret,\nc@x.example,1,2,3,reg,\"s3cret,\nc@x.example,1,5,3,reg,s3cret,\n\
                c@x.example,2,6,3,reg,s3cret,\nd@x.example,2,5,3,reg,s3cret,\nd@x.example,2,5,3,reg,s3cret,\ne@x.example,2,7,3,reg,s3cret,Unrestricted\n";
    place.write("in.csv", &format!("{header}{rows}"));
    for arguments in ["", " --json"] {
        let said = place.edge(&format!("import pbx-users in.csv --tenant contoso --to users.csv{arguments}"));
        assert_eq!(said.code, 64, "{}", said.all());
        assert!(!said.all().contains("s3cret"), "{}", said.all());
        assert!(!place.path("users.csv").exists());
    }
    let report = place.edge("import pbx-users in.csv --tenant contoso --to users.csv --json").json();
    let faults: Vec<_> = report["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| (&fault["line"], &fault["column"], &fault["message"]))
        .collect();
    assert_eq!(
        serde_json::to_value(&faults).unwrap(),
        serde_json::json!([
            [2, 1, "the row has 8 values, and the header 7"],
            [3, 15, "`PbxExtension` has 1 to 15 digits"],
            [4, 24, "`RegisteringPassword` is empty or has a control character"],
            [5, 1, "`Email` is no address"],
            [5, 8, "`E164` has 1 to 15 digits"],
            [6, 1, "a quoted value ends with a quote and a comma, on the line that it began on"],
            [8, 1, "user `c@x.example` is there twice"],
            [9, 1, "extension 5 has two users"],
            [null, null, "1 rows are there again and count once"],
            [11, 30, "`OnlineVoiceRoutingPolicy` of e@x.example is no host of a PBX: it is left out"],
        ])
    );
    // Without its header a file is no such file, and its rows are none of anybody's business.
    place.write("in.csv", "e@x.example,1,2,3,reg,s3cret,\n");
    let bare = place.edge("import pbx-users in.csv --tenant contoso --to users.csv");
    assert!(bare.code == 64 && bare.err.contains("the first line is not the header"), "{}", bare.all());
    assert!(!bare.all().contains("s3cret"), "{}", bare.all());
    for arguments in
        ["--to users.csv", "--tenant nobody --to users.csv", "--tenant contoso --site nowhere --to users.csv"]
    {
        assert_eq!(place.edge(&format!("import pbx-users in.csv {arguments}")).code, 64, "{arguments}");
    }
}

#[test]
fn assignments_of_the_shared_file_say_where_users_live() {
    let Some(file) = shared("bulk-assignment.csv") else { return };
    let place = Place::new();
    place.write("in.csv", &fs::read_to_string(file).unwrap());
    let done = place.edge("import bulk-assignment in.csv --tenant contoso --to users.csv");
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(
        place.read("users.csv"),
        "id,name,number,extension,lives,kind,site,coverage_delay_s,pbx_identity,register_user,register_password\n\
         101,John,+16567891230,101,both,person,,0,,,\n102,Alice,+16567891231,102,both,person,,0,,,\n\
         104,Resource Account,+16567891232,104,teams,resource,,0,,,\n109,Hallie,+16567891233,109,pbx,person,,0,,,\n"
    );
    let stateless = place.edge("import bulk-assignment in.csv --tenant fabrikam --to users.csv");
    assert_eq!(stateless.code, 64);
    assert!(stateless.err.contains("set `country` of [tenant.fabrikam]"), "{}", stateless.err);
    assert!(stateless.err.contains("--> in.csv:2:5"), "{}", stateless.err);
}

#[test]
fn assignments_that_say_too_little_or_too_much_are_refused() {
    let place = Place::new();
    let rows = "101,2065550101,A,call_recording\n10x,2065550102,B,device_ip_phone\n103,911,C,device_ip_phone\n\
                104,,D,device_ip_phone\n105,2065550105,E,device_ip_phone,,x\n106,2065550106\n\
                107,2065550107,F,device_import_msteams_OC,device_import_msteams_OC_resource\n\
                108,2065550108,G,device_ip_phone,device_fax\n108,2065550109,H,device_ip_phone\n";
    place.write("in.csv", &format!("Ext Key,Number,User,Addon license 1,Addon license 2\n{rows}"));
    let report = place.edge("import bulk-assignment in.csv --tenant contoso --to users.csv --json").json();
    let faults: Vec<_> = report["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| (&fault["line"], &fault["column"], &fault["message"]))
        .collect();
    assert_eq!(
        serde_json::to_value(&faults).unwrap(),
        serde_json::json!([
            [2, 1, "no add-on says where the user lives"],
            [3, 1, "`Ext Key` is an extension, of digits only"],
            [4, 5, "`911` is a service number of tenant `contoso`"],
            [5, 5, "the user has no number"],
            [6, 35, "the row has 6 values, and the header 5"],
            [7, 1, "the row has 2 values, and the header 5"],
            [8, 1, "a row is either a Teams user or a Teams resource"],
            [10, 1, "user `108` is there twice"],
            [9, 34, "add-on `device_fax` means nothing to the edge"],
        ])
    );
    assert!(!place.path("users.csv").exists());
}
