//! Reads presence documents liberally: activities count wherever they stand, what is unknown is skipped.

use super::model::{Activity, Basic, Document, PersonPart, Tuple};
use crate::presence::xml::{Element, Xml, XmlFault, text_of};

/// Tuples, persons, notes and activities of one place that are read; what follows is left out.
pub const MAX_EACH: usize = 64;

/// Reads a document of at most `max_bytes` bytes.
///
/// # Errors
/// [`XmlFault`] when it is no XML, or no presence document.
pub fn read(bytes: &[u8], max_bytes: usize) -> Result<Document, XmlFault> {
    let text = text_of(bytes, max_bytes)?;
    let mut xml = Xml::new(&text);
    let root = xml.root("presence")?;
    let mut document = Document { entity: root.attribute("entity").unwrap_or_default(), ..Document::default() };
    while let Some(child) = xml.child()? {
        match child.name() {
            "tuple" => {
                let tuple = tuple(&mut xml, &child)?;
                push(&mut document.tuples, tuple);
            }
            "person" => {
                let person = person(&mut xml, &child)?;
                push(&mut document.people, person);
            }
            "note" => push(&mut document.notes, xml.text()?),
            _ => xml.skip()?,
        }
    }
    Ok(document)
}

fn tuple(xml: &mut Xml<'_>, element: &Element<'_>) -> Result<Tuple, XmlFault> {
    let mut tuple = Tuple { id: element.attribute("id").unwrap_or_default(), ..Tuple::default() };
    while let Some(child) = xml.child()? {
        match child.name() {
            "status" => status(xml, &mut tuple)?,
            "contact" => tuple.contact = Some(xml.text()?),
            "activities" => activities(xml, &mut tuple.activities, &mut tuple.notes)?,
            "note" => push(&mut tuple.notes, xml.text()?),
            _ => xml.skip()?,
        }
    }
    Ok(tuple)
}

/// `basic`, and what older drafts and instant messengers put beside it.
fn status(xml: &mut Xml<'_>, tuple: &mut Tuple) -> Result<(), XmlFault> {
    while let Some(child) = xml.child()? {
        match child.name() {
            "basic" => tuple.basic = Basic::read(&xml.text()?),
            "activities" => activities(xml, &mut tuple.activities, &mut tuple.notes)?,
            "activity" | "show" => push(&mut tuple.activities, Activity::read(&xml.text()?)),
            "note" => push(&mut tuple.notes, xml.text()?),
            _ => xml.skip()?,
        }
    }
    Ok(())
}

fn person(xml: &mut Xml<'_>, element: &Element<'_>) -> Result<PersonPart, XmlFault> {
    let mut person = PersonPart { id: element.attribute("id").unwrap_or_default(), ..PersonPart::default() };
    while let Some(child) = xml.child()? {
        match child.name() {
            "activities" => activities(xml, &mut person.activities, &mut person.notes)?,
            "note" => push(&mut person.notes, xml.text()?),
            _ => xml.skip()?,
        }
    }
    Ok(person)
}

fn activities(xml: &mut Xml<'_>, list: &mut Vec<Activity>, notes: &mut Vec<String>) -> Result<(), XmlFault> {
    while let Some(child) = xml.child()? {
        match child.name() {
            "note" => push(notes, xml.text()?),
            // `activity` with its name as text is how drafts of RFC 4480 had it.
            "activity" => push(list, Activity::read(&xml.text()?)),
            "other" => push(list, Activity::Other(xml.text()?.into())),
            name => {
                push(list, Activity::read(name));
                xml.skip()?;
            }
        }
    }
    Ok(())
}

fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() < MAX_EACH {
        list.push(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_document_is_read() {
        let text = r#"<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model"
    xmlns:rpid="urn:ietf:params:xml:ns:pidf:rpid" entity="pres:alice@pbx.example">
  <tuple id="t1"><status><basic>open</basic></status><contact priority="0.8">sip:401@pbx.example</contact>
    <note xml:lang="en">Desk</note><timestamp>2026-01-01T00:00:00Z</timestamp></tuple>
  <note>Whole</note>
  <dm:person id="p1"><rpid:activities from="x"><rpid:on-the-phone/><rpid:other>coaching</rpid:other>
    <rpid:note>Busy till five</rpid:note></rpid:activities><dm:note>Person</dm:note></dm:person>
  <dm:device id="d1"><dm:deviceID>urn:x</dm:deviceID></dm:device>
</presence>"#;
        let wanted = Document {
            entity: "pres:alice@pbx.example".into(),
            tuples: vec![Tuple {
                id: "t1".into(),
                basic: Some(Basic::Open),
                contact: Some("sip:401@pbx.example".into()),
                activities: vec![],
                notes: vec!["Desk".into()],
            }],
            people: vec![PersonPart {
                id: "p1".into(),
                activities: vec![Activity::OnThePhone, Activity::Other("coaching".into())],
                notes: vec!["Busy till five".into(), "Person".into()],
            }],
            notes: vec!["Whole".into()],
        };
        assert_eq!(read(text.as_bytes(), 65_536), Ok(wanted));
    }

    #[test]
    fn activities_are_read_wherever_they_stand() {
        for inside in [
            "<status><basic>closed</basic><rpid:activities><rpid:away/></rpid:activities></status>",
            "<status><basic>Closed</basic><activity>Away</activity></status>",
            "<status><basic> closed </basic><show>away</show></status>",
            "<status><basic>closed</basic></status><activities><activity>away</activity></activities>",
        ] {
            let text = format!("<presence><tuple id='a'>{inside}</tuple></presence>");
            let document = read(text.as_bytes(), 4_096).unwrap();
            assert_eq!(document.tuples[0].activities, [Activity::Away], "{inside}");
            assert_eq!(document.tuples[0].basic, Some(Basic::Closed), "{inside}");
        }
    }

    #[test]
    fn what_is_read_is_bounded() {
        let text = format!("<presence>{}</presence>", "<tuple/><note/>".repeat(MAX_EACH * 2));
        let document = read(text.as_bytes(), 65_536).unwrap();
        assert_eq!((document.tuples.len(), document.notes.len()), (MAX_EACH, MAX_EACH));
        assert_eq!(read(b"<dialog-info/>", 64), Err(XmlFault::Root));
    }
}
