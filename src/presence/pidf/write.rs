//! Presence documents as XML, in the order of elements that the schemas of RFC 3863, RFC 4479 and RFC 4480 ask for.

use super::model::{Activity, Document, PersonPart, Tuple};
use crate::presence::xml;

/// The document as XML. Activities of tuples are left out: only a person has them (RFC 4480 section 3.2).
pub fn write(document: &Document) -> String {
    let mut out = String::with_capacity(768);
    out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<presence xmlns=\"urn:ietf:params:xml:ns:pidf\"");
    if !document.people.is_empty() {
        out.push_str(" xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\"");
        out.push_str(" xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\"");
    }
    out.push_str(" entity=\"");
    xml::escape(&document.entity, &mut out);
    out.push_str("\">\n");
    document.tuples.iter().for_each(|tuple| write_tuple(tuple, &mut out));
    document.notes.iter().for_each(|note| element("note", note, &mut out));
    document.people.iter().for_each(|person| write_person(person, &mut out));
    out.push_str("</presence>\n");
    out
}

fn write_tuple(tuple: &Tuple, out: &mut String) {
    out.push_str("<tuple id=\"");
    xml::escape(&tuple.id, out);
    out.push_str("\"><status>");
    if let Some(basic) = tuple.basic {
        element("basic", basic.word(), out);
    }
    out.push_str("</status>");
    if let Some(contact) = &tuple.contact {
        element("contact", contact, out);
    }
    tuple.notes.iter().for_each(|note| element("note", note, out));
    out.push_str("</tuple>\n");
}

fn write_person(person: &PersonPart, out: &mut String) {
    out.push_str("<dm:person id=\"");
    xml::escape(&person.id, out);
    out.push_str("\">");
    if !person.activities.is_empty() {
        out.push_str("<rpid:activities>");
        write_activities(&person.activities, out);
        out.push_str("</rpid:activities>");
    }
    person.notes.iter().for_each(|note| element("dm:note", note, out));
    out.push_str("</dm:person>\n");
}

fn write_activities(activities: &[Activity], out: &mut String) {
    // The schema has `unknown` alone or others: beside others it says nothing.
    if activities.iter().all(|activity| *activity == Activity::Unknown) {
        out.push_str("<rpid:unknown/>");
        return;
    }
    for activity in activities {
        match (activity, activity.element()) {
            (Activity::Unknown, _) => {}
            (_, Some(name)) => {
                out.push_str("<rpid:");
                out.push_str(name);
                out.push_str("/>");
            }
            (Activity::Other(text), None) => element("rpid:other", text, out),
            // Every activity but `Other` has an element: `NAMED` has them all, as a test holds.
            (_, None) => {}
        }
    }
}

fn element(name: &str, text: &str, out: &mut String) {
    out.push('<');
    out.push_str(name);
    out.push('>');
    xml::escape(text, out);
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

#[cfg(test)]
mod tests {
    use super::super::model::Basic;
    use super::*;

    #[test]
    fn elements_stand_in_the_order_of_the_schemas() {
        let document = Document {
            entity: "sip:a&b@edge.example".to_owned(),
            tuples: vec![Tuple {
                id: "t1".to_owned(),
                basic: Some(Basic::Open),
                contact: Some("sip:a@edge.example".to_owned()),
                activities: vec![Activity::Away],
                notes: vec!["In <a> call".to_owned()],
            }],
            people: vec![PersonPart {
                id: "p1".to_owned(),
                activities: vec![Activity::OnThePhone, Activity::Unknown, Activity::Other("do-not-disturb".into())],
                notes: vec!["x".to_owned()],
            }],
            notes: vec!["whole".to_owned()],
        };
        let written = write(&document);
        let body = written.split_once("entity=").unwrap().1;
        assert_eq!(
            body,
            "\"sip:a&amp;b@edge.example\">\n<tuple id=\"t1\"><status><basic>open</basic></status>\
             <contact>sip:a@edge.example</contact><note>In &lt;a&gt; call</note></tuple>\n<note>whole</note>\
             <dm:person id=\"p1\"><rpid:activities><rpid:on-the-phone/><rpid:other>do-not-disturb</rpid:other>\
             </rpid:activities><dm:note>x</dm:note></dm:person>\n</presence>\n"
        );
    }
}
