//! Dialog-info documents as XML, in the order of elements that the schema of RFC 4235 asks for.

use super::model::{Dialog, DialogInfo, Party};
use crate::presence::xml;

/// The document as XML; a missing version is written as 0.
pub fn write(document: &DialogInfo) -> String {
    let mut out = String::with_capacity(512);
    out.push_str(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\"",
    );
    attribute("version", &document.version.unwrap_or(0).to_string(), &mut out);
    attribute("state", document.completeness.word(), &mut out);
    attribute("entity", &document.entity, &mut out);
    out.push_str(">\n");
    document.dialogs.iter().for_each(|dialog| write_dialog(dialog, &mut out));
    out.push_str("</dialog-info>\n");
    out
}

fn write_dialog(dialog: &Dialog, out: &mut String) {
    out.push_str("<dialog");
    attribute("id", &dialog.id, out);
    let named = [("call-id", &dialog.call_id), ("local-tag", &dialog.local_tag), ("remote-tag", &dialog.remote_tag)];
    for (name, value) in named {
        if let Some(value) = value {
            attribute(name, value, out);
        }
    }
    if let Some(direction) = dialog.direction {
        attribute("direction", direction.word(), out);
    }
    out.push_str("><state");
    if let Some(event) = dialog.event {
        attribute("event", event.word(), out);
    }
    if let Some(code) = dialog.code {
        attribute("code", &code.to_string(), out);
    }
    out.push('>');
    out.push_str(dialog.state.word());
    out.push_str("</state>");
    write_party("local", &dialog.local, out);
    write_party("remote", &dialog.remote, out);
    out.push_str("</dialog>\n");
}

fn write_party(name: &str, party: &Party, out: &mut String) {
    if *party == Party::default() {
        return;
    }
    out.push('<');
    out.push_str(name);
    out.push('>');
    if let Some(identity) = &party.identity {
        out.push_str("<identity");
        if let Some(display) = &party.display {
            attribute("display", display, out);
        }
        out.push('>');
        xml::escape(identity, out);
        out.push_str("</identity>");
    }
    if let Some(target) = &party.target {
        out.push_str("<target");
        attribute("uri", target, out);
        out.push('>');
        if let Some(rendering) = party.rendering {
            parameter("+sip.rendering", if rendering { "yes" } else { "no" }, out);
        }
        if party.focus {
            parameter("+sip.isfocus", "true", out);
        }
        out.push_str("</target>");
    }
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

fn parameter(name: &str, value: &str, out: &mut String) {
    out.push_str("<param");
    attribute("pname", name, out);
    attribute("pval", value, out);
    out.push_str("/>");
}

fn attribute(name: &str, value: &str, out: &mut String) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    xml::escape(value, out);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::super::model::{DialogEnd, DialogState, Direction};
    use super::*;

    #[test]
    fn all_that_the_model_has_is_written() {
        let mut dialog = Dialog::new("d1", DialogState::Terminated);
        dialog.call_id = Some("c\"1".to_owned());
        dialog.direction = Some(Direction::Initiator);
        dialog.event = Some(DialogEnd::RemoteBye);
        dialog.code = Some(200);
        dialog.local.identity = Some("sip:401@edge.example".to_owned());
        dialog.remote = Party {
            identity: Some("sip:bob@edge.example".to_owned()),
            display: Some("B & B".to_owned()),
            target: Some("sip:bob@192.0.2.1".to_owned()),
            rendering: Some(false),
            focus: true,
        };
        let document = DialogInfo {
            version: Some(7),
            entity: "sip:401@edge.example".to_owned(),
            dialogs: vec![dialog],
            ..DialogInfo::default()
        };
        let written = write(&document);
        assert_eq!(
            written.split_once("dialog-info\"").unwrap().1,
            " version=\"7\" state=\"full\" entity=\"sip:401@edge.example\">\n\
             <dialog id=\"d1\" call-id=\"c&quot;1\" direction=\"initiator\"><state event=\"remote-bye\" code=\"200\">\
             terminated</state><local><identity>sip:401@edge.example</identity></local><remote>\
             <identity display=\"B &amp; B\">sip:bob@edge.example</identity><target uri=\"sip:bob@192.0.2.1\">\
             <param pname=\"+sip.rendering\" pval=\"no\"/><param pname=\"+sip.isfocus\" pval=\"true\"/></target></remote>\
             </dialog>\n</dialog-info>\n"
        );
    }
}
