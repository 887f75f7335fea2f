//! What `--help` shows at its end. A test reads each line as a command line.

pub const RUN: &str = "\
Examples:
  trunkway run
  trunkway run --config edge.toml --log trunkway::transport=debug,info";

pub const CHECK: &str = "\
Examples:
  trunkway check
  trunkway check --config edge.toml --json";

pub const ROUTE: &str = "\
Examples:
  trunkway route --from-trunk pbx1 --called +441632760001
  trunkway route --from-trunk pbx1 --called 402 --socket /run/trunkway/control.sock     of the edge that runs
  trunkway route --batch questions.ndjson";

pub const NUMBER: &str = "\
Examples:
  trunkway number '(01632) 760001' --tenant contoso
  trunkway number 'tel:+441632760001;ext=402' --json";

pub const IMPORT: &str = "\
Examples:
  trunkway import dialplan rules.csv --plan main --dry-run
  trunkway import dialplan rules.csv --plan main --owner contoso --merge
  trunkway import pbx-users users.csv --tenant contoso
  trunkway import bulk-assignment licences.csv --tenant contoso";

pub const EXPORT: &str = "\
Examples:
  trunkway export --plan main > main.csv
  trunkway export --owner contoso --columns 5 --output contoso.csv";

pub const DIFF: &str = "\
Examples:
  trunkway diff before.csv after.csv
  trunkway diff edge.toml new/edge.toml --json";

pub const RULES: &str = "\
Examples:
  trunkway rules list main --owner contoso
  trunkway rules find main +441632760001             the rule that a number meets
  trunkway rules add main '+4416327600[00-49]' contoso.customers.example.net --owner contoso
  trunkway rules remove main +44163276 --owner contoso
  trunkway rules apply batch.json                    many changes: all of them or none
  trunkway rules changes                             who changed what, the newest first
  trunkway rules show cli-63f1c2                     old and new of each
  trunkway rules revert cli-63f1c2                   unless what it did has changed since";

pub const USERS: &str = "\
Examples:
  trunkway users list contoso --all
  trunkway users set-lives contoso anna@contoso.example pbx
  trunkway users put contoso bob@contoso.example --number +441632760402 --lives both --coverage-delay-s 10
  trunkway users remove contoso bob@contoso.example";

pub const TENANTS: &str = "\
Examples:
  trunkway tenants list
  trunkway tenants remove contoso                    with its users and rules, in one change
  trunkway tenants restore contoso                   without them; `trunkway rules revert` brings all back";

pub const TRUNKS: &str = "\
Examples:
  trunkway trunks
  trunkway trunks --json | jq '.trunks[].targets[] | select(.state != \"up\")'";

pub const KEYS: &str = "\
Examples:
  trunkway keys list
  trunkway keys rotate                               new calls are sealed with a new key
  trunkway keys reload                               on another node, when the file was copied there";

pub const DEMO: &str = "\
Examples:
  trunkway demo
  trunkway demo --ladder 2 --ascii";

pub const LAB_GRAPH: &str = "\
Examples:
  trunkway lab graph --users 100                     prints what to paste into the configuration
  trunkway lab graph --domain contoso.example --domain fabrikam.example --folder /tmp/lab

While it runs it is told what happens, and asked what it saw:
  curl -k https://127.0.0.1:8443/lab/user?tenant=contoso.example\\&user=user1@contoso.example
  curl -k https://127.0.0.1:8443/lab/complaints
  curl -k https://127.0.0.1:8443/lab/client -d '{\"tenant\":\"contoso.example\",\"user\":\"user1@contoso.example\",\"state\":\"busy\"}'
  curl -k https://127.0.0.1:8443/lab/prefer -d '{\"tenant\":\"contoso.example\",\"user\":\"user1@contoso.example\",\"availability\":\"DoNotDisturb\",\"activity\":\"DoNotDisturb\"}'
  curl -k https://127.0.0.1:8443/lab/fault -d '{\"endpoint\":\"set-presence\",\"status\":429,\"retry_after\":2.128,\"times\":3}'
  curl -k https://127.0.0.1:8443/lab/secrets -d '{\"tenant\":\"contoso.example\",\"expired\":true}'
  curl -k https://127.0.0.1:8443/lab/advance -d '{\"seconds\":1800}'
  curl -k -X DELETE https://127.0.0.1:8443/lab/faults";

pub const LAB: &str = "\
Examples:
  trunkway lab --pbx udp:127.0.0.2:5060 --edge udp:127.0.0.1:5060 --call +441632760001
  trunkway lab teams --ca certs/ca.pem --cert certs/teams.pem --key certs/teams.key --edge tls:127.0.0.1:5061 --fqdn edge.example.net";

pub const CERTS: &str = "\
Examples:
  trunkway certs dev --dir certs --name sbc.example.net";

pub const VERSION: &str = "\
Examples:
  trunkway version";
