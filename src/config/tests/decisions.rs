//! Routes, their groups and windows, and rates: what is read, and what is said of faults.

use super::super::*;
use super::faults::{GROUND, directory, faults_in, on_ground, told};
use crate::routing::{Group, Member, Order, Window};
use crate::trunk::TrunkId;

const PBX: TrunkId = TrunkId(0);
const CARRIER: TrunkId = TrunkId(1);

#[test]
fn route_has_what_its_table_says() {
    let text = "\
[[route]]
from = 'pbx'
tenant = 'contoso'
prefix = '+44'
groups = [
  { order = 'cost', members = [{ trunk = 'pbx', priority = 1, weight = 70 }, { trunk = 'carrier' }] },
  { members = [{ trunk = 'carrier' }] },
]
open = [{ days = 'mon-fri', from = '08:00', to = '18:00', zone = 'Europe/London' }, { days = 'sat' }]
failover_codes = [486, 603]
called_form = 'dialled'
calling_form = 'e164'
hairpin = true
[[route]]
to = ['carrier', 'pbx']
[tenant.contoso]
";
    let loaded = load_str("edge.toml", &format!("{GROUND}{text}"), Path::new("/nonexistent"));
    let loaded = loaded.unwrap_or_else(|faults| panic!("{faults}"));
    let [first, second] = loaded.routing.routes() else { panic!("{:?}", loaded.routing.routes()) };
    assert_eq!((first.from, first.tenant.map(|tenant| tenant.0), &*first.prefix), (Some(PBX), Some(0), "+44"));
    let member = |trunk, priority, weight| Member { trunk, priority, weight };
    assert_eq!(
        first.groups,
        [
            Group { order: Order::Cost, members: vec![member(PBX, 1, 70), member(CARRIER, 0, 1)] },
            Group { order: Order::Priority, members: vec![member(CARRIER, 0, 1)] },
        ]
    );
    let zone = jiff::tz::TimeZone::get("Europe/London").unwrap();
    let office = Window { days: 0b1_1111, from: 480, to: 1080, zone };
    let saturday = Window { days: 0b10_0000, from: 0, to: 1440, zone: jiff::tz::TimeZone::UTC };
    assert_eq!(first.windows, [office, saturday]);
    assert_eq!(first.failover_codes.as_deref(), Some(&[486, 603][..]));
    assert_eq!(
        (first.called.map(|form| form.name()), first.calling.map(|form| form.name())),
        (Some("dialled"), Some("e164"))
    );
    assert!(first.hairpin);
    assert_eq!(*second, crate::routing::Route::serial(None, "", &[CARRIER, PBX]));
}

#[test]
fn routes_that_do_not_fit_are_told() {
    #[rustfmt::skip]
    let rows: &[(&str, &[&str])] = &[
        ("[[route]]\nto = ['pbx']\ngroups = [{ members = [{ trunk = 'pbx' }] }]\n", &[
            "19:10 route 1: `to` and `groups` exclude each other | `to` is short for one group whose members have the priorities 0, 1, ...",
        ]),
        ("[[route]]\nfrom = 'pbx'\n[[route]]\ngroups = []\n", &[
            "17:1 route 1 has no `to`",
            "20:10 route 2: `groups` is empty",
        ]),
        ("[[route]]\ngroups = [{}, { members = [], order = 'price' }]\n", &[
            "18:11 group 1 of route 1 has no `members`",
            "18:27 group 2 of route 1: `members` is empty",
            "18:39 group 2 of route 1: `order`: `price` is none of `priority`, `cost`",
        ]),
        ("[[route]]\n[[route.groups]]\nmembers = [{ trunk = 'pbx' }, { trunk = 'pbs' }, { trunk = 'pbx', priority = 65536, weight = -1 }, { wait = 1 }]\n", &[
            "19:41 member 2 of group 1 of route 1: there is no trunk `pbs` | did you mean `pbx`?",
            "19:60 group 1 of route 1: `pbx` is there twice",
            "19:78 member 3 of group 1 of route 1: `priority` must be from 0 to 65535",
            "19:94 member 3 of group 1 of route 1: `weight` must be from 0 to 65535",
            "19:100 member 4 of group 1 of route 1 has no `trunk`",
            "19:102 member 4 of group 1 of route 1 has no key `wait` | known keys: priority, trunk, weight",
        ]),
        ("[[route]]\nto = ['pbx']\nopen = [{ days = 'mon-fry', from = '24:00', to = '8:00', zone = 'Europe/Lodon' }, { hours = '8' }]\nfailover_codes = [200, 699]\nhairpin = 'yes'\ncalling_form = 'E164'\ntenant = 'nobody'\n", &[
            "19:18 window 1 of route 1: `days`: `fry` is no day | did you mean `fri`?",
            "19:36 window 1 of route 1: `from`: `24:00` is no time of the day | write hours and minutes, from \"00:00\" to \"23:59\"",
            "19:50 window 1 of route 1: `to`: `8:00` is no time of the day | write hours and minutes, from \"00:00\" to \"24:00\"",
            "19:65 window 1 of route 1: `zone`: there is no time zone `Europe/Lodon` | did you mean `Europe/London`?",
            "19:85 window 2 of route 1 has no key `hours` | known keys: days, from, to, zone",
            "20:19 route 1: `failover_codes` must be from 300 to 699",
            "21:11 route 1: `hairpin` must be true or false",
            "22:16 route 1: `calling_form`: `E164` is none of `as-is`, `e164`, `e164-no-plus`, `dialled`, `extension` | did you mean `e164`?",
            "23:10 route 1: there is no tenant `nobody` | there is no tenant at all",
        ]),
        ("[[route]]\nto = ['pbx']\nopen = []\n", &[
            "19:8 route 1: `open` is empty | leave it out: the route is always open then",
        ]),
    ];
    for (text, expected) in rows {
        assert_eq!(on_ground(text), *expected, "{text}");
    }
}

#[test]
fn rates_are_read_with_and_without_plus() {
    let directory =
        directory(&[("rates/a.csv", "\u{feff}Prefix,Price\r\n\r\n +44 , \"0.0125\"\r\n4420[0-5],0.02\r\n")]);
    let text = format!("{GROUND}rates_files = ['rates/*.csv']\nrates = [{{ prefix = '1', price = '3' }}]\n");
    let loaded = load_str("edge.toml", &text, directory.path()).unwrap_or_else(|faults| panic!("{faults}"));
    let rates = loaded.routing.origin(CARRIER).unwrap().rates.as_ref().unwrap();
    for (number, price) in
        [("+441632", Some(12_500)), ("44203", Some(20_000)), ("+12065550100", Some(3_000_000)), ("+33", None)]
    {
        assert_eq!(rates.price(number.as_bytes()), price, "{number}");
    }
    assert!(loaded.routing.origin(PBX).unwrap().rates.is_none());
    assert_eq!(loaded.files.len(), 1);
}

#[test]
fn rates_that_cannot_be_read_are_told_by_row_and_column() {
    let rates = "prefix,price\n+44,0,0125\n+44x!,1\n+45,\"1\n+46, 1.2345678\n+47,1\n47,1.0\n";
    let directory = directory(&[("a.csv", rates)]);
    let text = format!("{GROUND}rates_files = ['a.csv', 'b.csv']\nrates = [{{ prefix = '+47' }}]\n");
    let base = format!("{}/", directory.path().display());
    let told: Vec<String> =
        told(&faults_in(&text, directory.path())).into_iter().map(|line| line.replace(&base, "")).collect();
    assert_eq!(
        told,
        [
            "17:25 trunk `carrier`: cannot read `b.csv`: No such file or directory (os error 2) | paths are relative to the directory of the file that names them",
            "18:10 a rate of trunk `carrier` has no `price`",
            "2:1 trunk `carrier`: a row of rates has the columns `prefix,price`",
            "3:1 trunk `carrier`: prefix `+44x!`: `!` cannot stand in a prefix | a prefix has digits, `+`, `*`, `#`, `x`, ranges `[000-999]` and sets `[1,3,5-7]`",
            "4:5 trunk `carrier`: a quoted value ends with a quote and a comma, on the line that it began on",
            "5:6 trunk `carrier`: `1.2345678` is no price | write a decimal with at most six places, such as \"0.0125\"",
            "7:1 trunk `carrier`: one prefix with two prices",
        ]
    );
}
