//! Tests of user records as their tenant means them.

use super::*;
use crate::routing::Site;
use crate::routing::countries::Country;
use crate::trunk::TrunkId;

fn site(owner: u32, fqdn: &str) -> Site {
    let (teams, trunk) = (TrunkId(0), TrunkId(1));
    let tenant = format!("t{owner}").into();
    Site { tenant, owner: TenantId(owner), fqdn: fqdn.into(), teams, trunk, pbx: None, hairpin: false, limits: None }
}

fn sites() -> Sites {
    Sites::new(vec![site(0, "one.contoso.example"), site(1, "a.fabrikam.example"), site(1, "b.fabrikam.example")])
}

fn tenant(id: &str, sites: &[u32]) -> Tenant {
    let mut numbering = NumberingPlan::new(Country::find("GB"));
    numbering.add_extensions("400-499".parse().unwrap());
    Tenant { sites: sites.to_vec(), ..Tenant::new(id, numbering) }
}

fn record(number: &str, extension: &str, site: &str) -> UserRecord {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (number, extension, site) = (given(number), given(extension), given(site));
    UserRecord { id: "anna".to_owned(), number, extension, site, ..UserRecord::default() }
}

fn numbers(number: &str, extension: &str) -> String {
    match compile(record(number, extension, ""), &tenant("contoso", &[0]), &sites()) {
        Ok(user) => user.numbers.iter().map(Number::to_string).collect::<Vec<_>>().join(" "),
        Err(error) => error.to_string(),
    }
}

#[test]
fn record_comes_to_one_number() {
    for (number, extension, expected) in [
        ("+44 1632 768402", "", "+441632768402"),
        ("01632 768402", " 402 ", "+441632768402;ext=402"),
        ("+441632768402;ext=402", "402", "+441632768402;ext=402"),
        ("", "402", "402"),
        ("402", "", "402"),
        ("", "", "user `anna` has neither a number nor an extension"),
        (
            "+441632768402;ext=403",
            "402",
            "user `anna`: extension `402` is not the one in number `+441632768402;ext=403`",
        ),
        ("402", "403", "user `anna`: extension `403` is not the one in number `402`"),
        ("999", "", "user `anna`: `999` is a service number"),
        ("anna@contoso", "", "user `anna`: `anna@contoso` is no number by the numbering plan of tenant `contoso`"),
        ("", "4o2", "user `anna`: `4o2` is no extension: write 1 to 10 digits"),
        ("", "40212345678", "user `anna`: `40212345678` is no extension: write 1 to 10 digits"),
    ] {
        assert_eq!(numbers(number, extension), expected, "{number} {extension}");
    }
}

#[test]
fn site_is_the_named_or_the_only_one() {
    let place = |tenant: &Tenant, site: &str| compile(record("", "402", site), tenant, &sites()).map(|user| user.site);
    let (contoso, fabrikam) = (tenant("contoso", &[0]), tenant("fabrikam", &[1, 2]));
    assert_eq!(place(&contoso, ""), Ok(Some(0)));
    assert_eq!(place(&fabrikam, ""), Ok(None), "none is meant more than the other");
    assert_eq!(place(&fabrikam, "B.fabrikam.example"), Ok(Some(2)));
    let error = place(&contoso, "a.fabrikam.example").unwrap_err();
    assert_eq!(error.to_string(), "user `anna`: tenant `contoso` has no site `a.fabrikam.example`");
}

#[test]
fn user_without_an_id_is_none() {
    let nameless = UserRecord { id: " ".to_owned(), ..record("", "402", "") };
    assert_eq!(compile(nameless, &tenant("contoso", &[0]), &sites()), Err(UserError::NoId));
}
