//! Reads dialog-info documents liberally: what PBXs leave out is left open, what they add is skipped.

use super::model::{Completeness, Dialog, DialogEnd, DialogInfo, DialogState, Direction, Party};
use crate::presence::xml::{Element, Xml, XmlFault, text_of};

/// Dialogs of one document that are read; what follows is left out.
pub const MAX_DIALOGS: usize = 256;

/// Reads a document of at most `max_bytes` bytes.
///
/// # Errors
/// [`XmlFault`] when it is no XML, or no dialog-info.
pub fn read(bytes: &[u8], max_bytes: usize) -> Result<DialogInfo, XmlFault> {
    let text = text_of(bytes, max_bytes)?;
    let mut xml = Xml::new(&text);
    let root = xml.root("dialog-info")?;
    let mut info = DialogInfo {
        version: root.attribute("version").and_then(|version| version.parse().ok()),
        completeness: completeness(root.attribute("state").as_deref()),
        entity: root.attribute("entity").unwrap_or_default(),
        dialogs: Vec::new(),
    };
    while let Some(child) = xml.child()? {
        if child.is("dialog") && info.dialogs.len() < MAX_DIALOGS {
            let number = info.dialogs.len();
            if let Some(dialog) = dialog(&mut xml, &child, number)? {
                info.dialogs.push(dialog);
            }
        } else {
            xml.skip()?;
        }
    }
    Ok(info)
}

/// A document that does not say how complete it is counts as full: it is nearly always from a notifier that knows no
/// other kind.
fn completeness(word: Option<&str>) -> Completeness {
    match word {
        Some(word) if word.eq_ignore_ascii_case("partial") => Completeness::Partial,
        _ => Completeness::Full,
    }
}

/// One dialog; `None`: it has no state that is known. Without an id the Call-ID names it, or its place.
fn dialog(xml: &mut Xml<'_>, element: &Element<'_>, number: usize) -> Result<Option<Dialog>, XmlFault> {
    let direction = match element.attribute("direction").as_deref() {
        Some(word) if word.eq_ignore_ascii_case("initiator") => Some(Direction::Initiator),
        Some(word) if word.eq_ignore_ascii_case("recipient") => Some(Direction::Recipient),
        _ => None,
    };
    let mut dialog = Dialog {
        call_id: element.attribute("call-id"),
        local_tag: element.attribute("local-tag"),
        remote_tag: element.attribute("remote-tag"),
        direction,
        ..Dialog::new(String::new(), DialogState::Terminated)
    };
    let named = element.attribute("id").filter(|id| !id.is_empty());
    dialog.id = named.or_else(|| dialog.call_id.clone()).unwrap_or_else(|| format!("#{number}"));
    let mut known = false;
    while let Some(child) = xml.child()? {
        match child.name() {
            "state" => {
                dialog.event = child.attribute("event").and_then(|word| end(&word));
                dialog.code = child.attribute("code").and_then(|code| code.parse().ok());
                if let Some(state) = state(&xml.text()?) {
                    dialog.state = state;
                    known = true;
                }
            }
            "local" => party(xml, &mut dialog.local)?,
            "remote" => party(xml, &mut dialog.remote)?,
            _ => xml.skip()?,
        }
    }
    Ok(known.then_some(dialog))
}

fn party(xml: &mut Xml<'_>, party: &mut Party) -> Result<(), XmlFault> {
    while let Some(child) = xml.child()? {
        match child.name() {
            "identity" => {
                party.display = child.attribute("display");
                party.identity = Some(xml.text()?).filter(|identity| !identity.is_empty());
            }
            "target" => {
                party.target = child.attribute("uri");
                while let Some(param) = xml.child()? {
                    if param.is("param") {
                        parameter(&param, party);
                    }
                    xml.skip()?;
                }
            }
            _ => xml.skip()?,
        }
    }
    Ok(())
}

/// `<param pname="+sip.rendering" pval="no"/>` and `isfocus`, with the names and values that are met in the field.
fn parameter(element: &Element<'_>, party: &mut Party) {
    let name = element.attribute("pname").or_else(|| element.attribute("name")).unwrap_or_default();
    let value = element.attribute("pval").or_else(|| element.attribute("value")).unwrap_or_default();
    let value = value.trim_matches('"');
    let no = ["no", "false", "0"].iter().any(|word| value.eq_ignore_ascii_case(word));
    let is = |known: &str| name.trim_start_matches('+').eq_ignore_ascii_case(known);
    if is("sip.rendering") {
        // `unknown` (RFC 4235 section 5.2) says nothing.
        let said = no || value.eq_ignore_ascii_case("yes") || value.eq_ignore_ascii_case("true");
        party.rendering = said.then_some(!no);
    } else if is("isfocus") || is("sip.isfocus") {
        party.focus = !no;
    }
}

fn state(word: &str) -> Option<DialogState> {
    use DialogState::{Confirmed, Early, Proceeding, Terminated, Trying};
    [Trying, Proceeding, Early, Confirmed, Terminated].into_iter().find(|state| word.eq_ignore_ascii_case(state.word()))
}

fn end(word: &str) -> Option<DialogEnd> {
    use DialogEnd::{Cancelled, Error, LocalBye, Rejected, RemoteBye, Replaced, Timeout};
    let all = [Cancelled, Rejected, Replaced, LocalBye, RemoteBye, Error, Timeout];
    all.into_iter().find(|end| word.eq_ignore_ascii_case(end.word()))
}

#[cfg(test)]
mod tests;
