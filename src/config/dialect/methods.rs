//! The methods and extensions that a peer knows. The keys of `[trunk.NAME]` for it.

use crate::config::reader::{Complaint, Table, quoted};
use crate::trunk::TrunkKind;
use crate::trunk::dialect::Methods;
use crate::trunk::dialect::methods::MethodSet;

pub(super) fn read(table: &mut Table<'_>, kind: TrunkKind) -> Methods {
    let default = Methods::of_kind(kind);
    let further = table.parsed_list("methods", |text| match MethodSet::is_further(text) {
        true => Ok(MethodSet::of([text.as_bytes()])),
        false => {
            let known: Vec<&str> = MethodSet::ALL.iter().filter(|method| MethodSet::is_further(method)).collect();
            let message = format!("{} is none of {}", quoted(text), known.join(", "));
            Err(Complaint::new(message).help("what every peer knows goes without saying"))
        }
    });
    let known = match further {
        Some(methods) => methods.into_iter().fold(MethodSet::BASIC, |set, method| set.or(method.value)),
        None => default.known,
    };
    let extensions = table.parsed_list("extensions", |text| match is_token(text) {
        true => Ok(Box::<str>::from(text)),
        false => Err(Complaint::new(format!("{} is no option tag", quoted(text)))),
    });
    let extensions = match extensions {
        Some(tags) => Some(tags.into_iter().map(|tag| tag.value).collect()),
        None => default.extensions,
    };
    Methods { known, extensions }
}

/// RFC 3261 section 25.1: what an option tag is made of.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte))
}
