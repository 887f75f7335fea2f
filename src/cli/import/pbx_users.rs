//! `trunkway import pbx-users`: users of Teams whom the edge registers at their PBX.
//!
//! Rows are taken only when they are exact: a value that is missing shifts all that follow, the password among them.
//! Hence faults hide everything that could be one, and no message tells a value behind the extension.

use std::net::IpAddr;
use std::ops::Range;

use super::super::Output;
use super::super::progress::Progress;
pub(super) use super::users::Arguments;
use super::users::{self, Imported, Surroundings};
use crate::config::Remark;
use crate::routing::people::line::{self, Brackets, Values};
use crate::routing::people::{Credentials, Lives, UserRecord};

/// The columns, in their order.
const HEADER: [&str; 7] = [
    "Email",
    "E164",
    "PbxExtension",
    "LocalUserName",
    "RegisteringUserName",
    "RegisteringPassword",
    "OnlineVoiceRoutingPolicy",
];

/// The most digits of a telephone number (ITU-T E.164 section 6) and of an extension.
const MAX_DIGITS: usize = 15;

/// Imports a file of PBX users.
pub(super) fn import(arguments: &Arguments, color: bool) -> Output {
    users::import(arguments, color, |text| Some(masked(text)), read)
}

/// The lines of a text that are not empty, and where each stands.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    let mut at = 0;
    text.split_inclusive('\n').filter_map(move |whole| {
        let begin = at;
        at += whole.len();
        let bare = if begin == 0 { whole.trim_start_matches('\u{feff}') } else { whole };
        let content = bare.trim_ascii();
        let start = begin + (whole.len() - bare.trim_ascii_start().len());
        (!content.is_empty()).then_some((start..start + content.len(), content))
    })
}

fn read(text: &str, around: Surroundings<'_>) -> Vec<Imported> {
    let Surroundings { file, faults, .. } = around;
    let mut rows = lines(text);
    let mut list = Vec::new();
    let Some((span, header)) = rows.next() else {
        faults.add(Remark::error_of(file, "the file is empty"));
        return list;
    };
    if !is_header(header) {
        let remark = Remark::error(file, span, "the first line is not the header");
        faults.add(remark.help(format!("it is {}", HEADER.join(","))));
        return list;
    }
    let mut progress = Progress::new("reading users", text.len());
    for (span, row) in rows {
        progress.at(span.end);
        list.extend(user(row, span, around));
    }
    if list.is_empty() && !faults.failed() {
        faults.add(Remark::error_of(file, "there is no user in the file"));
    }
    list
}

fn is_header(line: &str) -> bool {
    let values = line::split(line, Brackets::Plain);
    values.is_ok_and(|values| values.iter().map(|value| value.text.trim()).eq(HEADER))
}

fn is_digits(text: &str) -> bool {
    (1..=MAX_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn user(row: &str, span: Range<usize>, around: Surroundings<'_>) -> Option<Imported> {
    let Surroundings { file, faults, site, .. } = around;
    let whole = |message: String, help: &str| {
        faults.add(Remark::error(file, span.clone(), message).help(help));
        None
    };
    let values = match line::split(row, Brackets::Plain) {
        Ok(values) => values,
        Err(error) => return whole(error.to_string(), "write a quote inside a quoted value twice"),
    };
    let [email, number, extension, local, name, password, host] = &*values else {
        let message = format!("the row has {} values, and the header {}", values.len(), HEADER.len());
        return whole(message, "a value that is empty still has its comma; none stands behind the last");
    };
    let mut good = true;
    let mut complain = |value: &line::Value<'_>, message: &str| {
        good = false;
        let place = span.start + value.span.start..span.start + value.span.end;
        faults.add(Remark::error(file, place, message));
    };
    let id = email.text.trim();
    let sides = id.split_once('@').filter(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'));
    if sides.is_none() || id.contains(|c: char| c.is_whitespace() || c.is_control()) {
        complain(email, "`Email` is no address");
    }
    let digits = number.text.trim();
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    if !is_digits(digits) {
        complain(number, "`E164` has 1 to 15 digits");
    }
    if !is_digits(extension.text.trim()) {
        complain(extension, "`PbxExtension` has 1 to 15 digits");
    }
    let bad = |c: char| c.is_whitespace() || c.is_control();
    if local.text.trim().is_empty() || local.text.trim().contains(bad) {
        complain(local, "`LocalUserName` is empty or has a blank in it");
    }
    if name.text.trim().is_empty() || name.text.trim().contains(char::is_control) {
        complain(name, "`RegisteringUserName` is empty or has a control character");
    }
    if password.text.trim().is_empty() || password.text.contains(char::is_control) {
        complain(password, "`RegisteringPassword` is empty or has a control character");
    }
    let host_text = host.text.trim();
    let identity = match host_text {
        "" => None,
        text if is_host(text) => Some(format!("{}.{}", local.text.trim(), text.to_ascii_lowercase())),
        _ => {
            // Other products leave a policy's name here.
            let place = span.start + host.span.start..span.start + host.span.end;
            let message = format!("`OnlineVoiceRoutingPolicy` of {id} is no host of a PBX: it is left out");
            faults.add(Remark::warning(file, place, message).help("write the PBX's SIP domain or address there"));
            None
        }
    };
    let user = UserRecord {
        id: id.to_owned(),
        number: Some(format!("+{digits}")),
        extension: Some(extension.text.trim().to_owned()),
        lives: Lives::Both,
        site: site.map(str::to_owned),
        pbx_identity: identity,
        ..UserRecord::default()
    };
    let credentials = Credentials { user: name.text.trim().to_owned(), password: password.text.clone().into_owned() };
    good.then_some(Imported { user, credentials, span })
}

/// Whether a text is an address, or a name of two labels or more.
fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(allowed)
    };
    text.parse::<IpAddr>().is_ok() || (text.len() <= 253 && text.contains('.') && text.split('.').all(label))
}

/// The text with all hidden that is or may be a password; as long as it was.
fn masked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (index, (span, row)) in lines(text).enumerate() {
        shown.push_str(text.get(shown.len()..span.start).unwrap_or_default());
        if index == 0 && is_header(row) {
            shown.push_str(row);
            continue;
        }
        let hidden = hidden(row);
        for (at, character) in row.char_indices() {
            if hidden.iter().any(|span| span.contains(&at)) {
                shown.extend(std::iter::repeat_n('*', character.len_utf8()));
            } else {
                shown.push(character);
            }
        }
    }
    shown.push_str(text.get(shown.len()..).unwrap_or_default());
    shown
}

/// What is hidden of a row: the credentials where it is sure where they stand, else all from where they could begin.
fn hidden(row: &str) -> [Range<usize>; 2] {
    let from = |start: usize| [start..row.len(), 0..0];
    let Ok(values) = line::split(row, Brackets::Plain) else {
        return from(row.find(',').map_or(0, |comma| comma + 1));
    };
    let start = |values: &Values<'_>, index: usize| values.get(index).map_or(row.len(), |value| value.span.start);
    match &*values {
        [_, number, extension, _, name, password, _] => {
            let number = number.text.trim();
            if !is_digits(number.strip_prefix('+').unwrap_or(number)) {
                from(start(&values, 2))
            } else if !is_digits(extension.text.trim()) {
                from(start(&values, 3))
            } else {
                [name.span.clone(), password.span.clone()]
            }
        }
        few if few.len() < 5 => from(start(&values, 1)),
        _ => from(start(&values, 2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_is_hidden_wherever_it_may_stand() {
        let header = HEADER.join(",");
        for (row, shown) in [
            ("a@x,1,2,3,reg,s3cret,p.x", "a@x,1,2,3,***,******,p.x"),
            ("a@x,1,2,3,reg,\"s3,\"\"cret\",p.x", "a@x,1,2,3,***,\"*********\",p.x"),
            ("a@x,1,3,reg,s3cret,p.x,", "a@x,1,3,reg,******,***,"),
            ("a@x,1,anna,reg,s3cret,p.x,", "a@x,1,anna,***************"),
            ("a@x,anna,reg,s3cret,p.x,,", "a@x,anna,****************"),
            ("a@x,1,2,3,reg,s3cret,p.x,", "a@x,1,*******************"),
            ("a@x,1,reg,s3cret", "a@x,************"),
            ("a@x,s3cret", "a@x,******"),
            ("\"a@x,1,2,3,reg,s3cret,p.x", "\"a@x,********************"),
        ] {
            let text = format!("\u{feff}{header}\r\n\r\n {row} \r\n");
            assert_eq!(masked(&text), format!("\u{feff}{header}\r\n\r\n {shown} \r\n"), "{row}");
        }
        assert_eq!(masked("a@x,1,2,3,reg,s3cret,p.x\n"), "a@x,1,2,3,***,******,p.x\n");
    }

    #[test]
    fn host_has_two_labels_or_is_an_address() {
        for good in ["pbx1.contoso.example", "10.0.0.5", "2001:db8::1"] {
            assert!(is_host(good), "{good}");
        }
        for bad in ["Unrestricted", "a..b", "a b.c", ".", "pbx.x:5060"] {
            assert!(!is_host(bad), "{bad}");
        }
    }
}
