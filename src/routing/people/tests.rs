//! Tests of user files.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Vec<Result<(UserRecord, Credentials), String>> {
    UserRows::new(text).map(|row| row.user.map_err(|error| error.to_string())).collect()
}

fn user(id: &str) -> UserRecord {
    UserRecord { id: id.to_owned(), ..UserRecord::default() }
}

#[test]
fn columns_come_in_any_order_and_case() {
    let text = "\u{feff}Extension , ID,lives\r\n\r\n 402 ,\"anna@x.example\",BOTH\r\n403,b,\n";
    let anna = UserRecord { extension: Some("402".into()), lives: Lives::Both, ..user("anna@x.example") };
    let other = UserRecord { extension: Some("403".into()), ..user("b") };
    let expected = [Ok((anna, Credentials::default())), Ok((other, Credentials::default()))];
    assert_eq!(read(text), expected);
    let spans: Vec<_> = UserRows::new(text).map(|row| (row.line, &text[row.span])).collect();
    assert_eq!(spans, [(2, "402 ,\"anna@x.example\",BOTH"), (3, "403,b,")]);
}

#[test]
fn fault_points_to_its_value() {
    let header = "id,number,extension,lives,kind,coverage_delay_s,register_user,register_password\n";
    for (row, at, message) in [
        (" ,1,,,,,,", "", "`id` is empty"),
        ("a,,,,,,,", "a,,,,,,,", "the user has neither a number nor an extension"),
        ("a,1,4x,,,,,", "4x", "`extension` has up to 16 digits, `*` or `#`"),
        ("a,1,,home,,,,", "home", "write `teams`, `pbx` or `both`"),
        ("a,1,,,robot,,,", "robot", "write `person` or `resource`"),
        ("a,1,,,,65536,,", "65536", "`coverage_delay_s` is a number of seconds, 65535 at most"),
        ("a,1,,,,,u,", "a,1,,,,,u,", "`register_user` and `register_password` are both given or both empty"),
        ("a,1", "a,1", "the row has 2 values and the header 8"),
        ("a,\"1", "\"1", "a quoted value ends with a quote and a comma, on the line that it began on"),
        ("a,1\u{7}2,,,,,,", "1\u{7}2", "`number` has a control character"),
    ] {
        let text = format!("{header}{row}\nb,1,,,,,,");
        let mut rows = UserRows::new(&text);
        let error = rows.next().unwrap().user.unwrap_err();
        assert_eq!((text[error.span.clone()].trim(), &*error.to_string()), (at, message), "{row}");
        assert!(rows.next().unwrap().user.is_ok(), "the next row is read");
        assert!(rows.next().is_none());
    }
}

#[test]
fn header_that_is_no_good_is_told_and_nothing_else() {
    let unknown = |name: &str| Err(format!("there is no column `{name}` in user files"));
    assert_eq!(
        read("id,number,phone,ID,fax\na,1,2,3,4\n"),
        [unknown("phone"), Err("column `id` is there twice".to_owned()), unknown("fax"),]
    );
    let none = "the first line names the columns, `id` and `number` or `extension` at least";
    for text in ["a,1,s3cret\n", "id,name\na,b", "number\n1", "\"id\n"] {
        assert_eq!(read(text), [Err(none.to_owned())], "{text}");
    }
    assert_eq!(read(""), []);
    assert_eq!(read("\u{feff}\r\n \n"), []);
}

#[test]
fn password_is_shown_nowhere() {
    let credentials = Credentials { user: "reg".into(), password: "s3cret".into() };
    assert_eq!(format!("{credentials:?}"), "Credentials { user: \"reg\", password: \"***\" }");
    for (text, shown) in [
        (
            "\u{feff}id,number,register_password,register_user\r\na,1, \"s3c,ret\" ,u\r\n",
            Some("\u{feff}id,number,register_password,register_user\r\na,1, \"*******\" ,u\r\n"),
        ),
        ("id,number,register_password\na,1,2,s3cret\n", Some("id,number,register_password\na,**********\n")),
        ("id,number,password\na,1,s3cret\n", Some("id,number,password\na,********\n")),
        ("a,1,s3cret\n", Some("a,********\n")),
        ("id,number\n\"a,1,é\n", Some("id,number\n\"a,****\n")),
        ("id,number\na,1\n", None),
    ] {
        assert_eq!(masked(text).as_deref(), shown, "{text}");
    }
}

#[test]
fn values_that_are_not_said_stay_out_of_json() {
    let plain = UserRecord { number: Some("+441632768402".into()), ..user("a") };
    assert_eq!(serde_json::to_string(&plain).unwrap(), r#"{"id":"a","number":"+441632768402"}"#);
    assert_eq!(serde_json::from_str::<UserRecord>(r#"{"id":"a","number":"+441632768402"}"#).unwrap(), plain);
    assert!(serde_json::from_str::<UserRecord>(r#"{"id":"a","register_password":"x"}"#).is_err());
    assert_eq!("PBX".parse::<Lives>().map(|lives| lives.to_string()).as_deref(), Ok("pbx"));
}

#[test]
fn line_break_in_a_value_is_not_written() {
    let record = UserRecord { number: Some("1".into()), ..user("a\nb") };
    let error = user_file([(&record, &Credentials::default())]).unwrap_err();
    assert_eq!((&*error.id, error.column), ("a\nb", "id"));
}

fn any_user() -> impl Strategy<Value = (UserRecord, Credentials)> {
    let word = || "[a-z@. \",é]{0,6}[a-z]";
    let optional = |text: &'static str| proptest::option::of(text);
    let lives = prop::sample::select(vec![Lives::Teams, Lives::Pbx, Lives::Both]);
    let kind = prop::sample::select(vec![UserKind::Person, UserKind::Resource]);
    let names = ("[a-z]", word(), word(), "[0-9]{1,8}", optional("\\+[0-9 ]{1,9}[0-9]"));
    let rest = (lives, kind, optional("[a-z]{1,3}\\.x"), any::<u16>(), optional("[0-9]{3}\\.[a-z\"]{1,4}"));
    let secret = proptest::option::of(("[a-z]{1,4}", "[a-z, \"]{0,6}[!-~]"));
    (names, rest, secret).prop_map(|(names, rest, secret)| {
        let (first, id, name, extension, number) = names;
        let (lives, kind, site, coverage_delay_s, pbx_identity) = rest;
        let (id, name) = (format!("{first}{id}"), name.trim().to_owned());
        let extension = Some(extension);
        let user = UserRecord { id, name, number, extension, lives, kind, site, coverage_delay_s, pbx_identity };
        let (name, password) = secret.unwrap_or_default();
        (user, Credentials { user: name, password })
    })
}

proptest! {
    #[test]
    fn file_that_was_written_is_read_again(users in prop::collection::vec(any_user(), 0..5)) {
        let text = user_file(users.iter().map(|(user, credentials)| (user, credentials))).unwrap();
        let read: Vec<_> = UserRows::new(&text).map(|row| row.user.unwrap()).collect();
        prop_assert_eq!(&read, &users);
        let shown = masked(&text).unwrap_or_else(|| text.clone());
        prop_assert_eq!(shown.len(), text.len());
        for (row, (_, credentials)) in UserRows::new(&shown).zip(&users) {
            let password = row.user.unwrap().1.password;
            prop_assert!(password.bytes().all(|byte| byte == b'*'));
            prop_assert_eq!(password.is_empty(), credentials.password.is_empty());
        }
    }

    #[test]
    fn no_file_is_too_odd(text in "(id|number|,|\"|\n|a|é){0,20}") {
        for row in UserRows::new(&text) {
            prop_assert!(text.get(row.span).is_some());
            if let Err(error) = row.user {
                prop_assert!(text.get(error.span).is_some());
            }
        }
        prop_assert!(masked(&text).is_none_or(|shown| shown.len() == text.len()));
    }
}
