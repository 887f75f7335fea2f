//! XML as presence documents use it: elements by their local name, attributes, text. Bounded in depth and size.
//!
//! Namespaces are not looked at: PBXs bind prefixes wrongly or not at all, and the few documents that are read share no
//! names. Entities other than the five of XML and characters by number are a fault, as is a document type: there is
//! nothing to expand.

use std::borrow::Cow;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

/// Why a document cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlFault {
    #[error("the document is no XML")]
    Malformed,
    #[error("the document is nested more than {MAX_DEPTH} deep")]
    Deep,
    #[error("the document is larger than max_document_bytes")]
    Large,
    #[error("the document has an entity or a document type")]
    Entity,
    #[error("the document ends too early")]
    Cut,
    #[error("the document's outermost element is another")]
    Root,
}

/// The deepest nesting that is read.
pub const MAX_DEPTH: usize = 24;

/// Goes through a document; make one with [`text_of`] and [`Xml::new`].
#[derive(Debug)]
pub struct Xml<'a> {
    reader: Reader<&'a [u8]>,
    depth: usize,
}

/// An element's beginning: its name and attributes.
#[derive(Clone, Debug)]
pub struct Element<'a>(BytesStart<'a>);

/// A document's bytes as text. Bytes that are no UTF-8 are replaced, since some PBXs write names in other encodings.
///
/// # Errors
/// [`XmlFault::Large`] when there are more than `max` bytes.
pub fn text_of(bytes: &[u8], max: usize) -> Result<Cow<'_, str>, XmlFault> {
    if bytes.len() > max {
        return Err(XmlFault::Large);
    }
    Ok(String::from_utf8_lossy(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)))
}

impl<'a> Xml<'a> {
    /// Starts at the front of a document.
    pub fn new(text: &'a str) -> Self {
        // Blank lines before the declaration are common.
        let mut reader = Reader::from_str(text.trim_start());
        reader.config_mut().expand_empty_elements = true;
        Self { reader, depth: 0 }
    }

    /// The outermost element, which must have this local name.
    ///
    /// # Errors
    /// As [`Self::child`]; [`XmlFault::Root`] when it has another name.
    pub fn root(&mut self, name: &str) -> Result<Element<'a>, XmlFault> {
        let root = self.child()?.ok_or(XmlFault::Malformed)?;
        if root.is(name) { Ok(root) } else { Err(XmlFault::Root) }
    }

    /// The next child of the element that was entered last; `None`: that element has ended. A child that is given out
    /// is entered: it is left by reading its children to the end, by [`Self::text`] or by [`Self::skip`].
    ///
    /// # Errors
    /// [`XmlFault`].
    pub fn child(&mut self) -> Result<Option<Element<'a>>, XmlFault> {
        loop {
            match self.event()? {
                Event::Start(start) => {
                    self.depth += 1;
                    return if self.depth > MAX_DEPTH { Err(XmlFault::Deep) } else { Ok(Some(Element(start))) };
                }
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(None);
                }
                _ => {}
            }
        }
    }

    /// Leaves the element that was entered last, whatever is in it.
    ///
    /// # Errors
    /// [`XmlFault`].
    pub fn skip(&mut self) -> Result<(), XmlFault> {
        let outside = self.depth.saturating_sub(1);
        while self.depth > outside {
            self.child()?;
        }
        Ok(())
    }

    /// Leaves the element that was entered last, with the text that stands directly in it, blanks cut off both ends.
    ///
    /// # Errors
    /// [`XmlFault`].
    pub fn text(&mut self) -> Result<String, XmlFault> {
        let mut text = String::new();
        loop {
            match self.event()? {
                Event::Start(_) => {
                    self.depth += 1;
                    if self.depth > MAX_DEPTH {
                        return Err(XmlFault::Deep);
                    }
                    self.skip()?;
                }
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(text.trim().to_owned());
                }
                Event::Text(part) => text.push_str(&part.xml10_content()),
                Event::CData(part) => text.push_str(&part.xml10_content()),
                Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                    Ok(Some(character)) => text.push(character),
                    Ok(None) => text.push(predefined(&reference).ok_or(XmlFault::Entity)?),
                    Err(_) => return Err(XmlFault::Entity),
                },
                _ => {}
            }
        }
    }

    fn event(&mut self) -> Result<Event<'a>, XmlFault> {
        match self.reader.read_event() {
            Ok(Event::Eof) => Err(XmlFault::Cut),
            Ok(Event::DocType(_)) => Err(XmlFault::Entity),
            Ok(event) => Ok(event),
            Err(_) => Err(XmlFault::Malformed),
        }
    }
}

impl Element<'_> {
    /// The name without its prefix.
    pub fn name(&self) -> &str {
        let name: &str = self.0.name().0;
        name.rsplit_once(':').map_or(name, |(_, local)| local)
    }

    /// Whether the element has this local name.
    pub fn is(&self, name: &str) -> bool {
        self.name() == name
    }

    /// The value of an attribute by its local name; one that cannot be read counts as absent.
    pub fn attribute(&self, name: &str) -> Option<String> {
        let mut attributes = self.0.attributes();
        // Of two of the same name the first counts.
        attributes.with_checks(false);
        let found = attributes.filter_map(Result::ok).find(|attribute| {
            let key: &str = attribute.key.0;
            key.rsplit_once(':').map_or(key, |(_, local)| local) == name
        })?;
        Some(found.normalized_value(XmlVersion::Implicit1_0).ok()?.trim().to_owned())
    }
}

/// Writes text so that it can stand in an element or an attribute's value. What XML 1.0 has no place for is left out.
pub fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push(' '),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            other => out.push(other),
        }
    }
}

fn predefined(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(text: &str) -> Result<String, XmlFault> {
        fn walk(xml: &mut Xml<'_>, out: &mut String) -> Result<(), XmlFault> {
            while let Some(child) = xml.child()? {
                out.push_str(child.name());
                if child.is("leaf") {
                    let text = xml.text()?;
                    out.push_str(&format!("={text};"));
                } else {
                    out.push('{');
                    walk(xml, out)?;
                    out.push('}');
                }
            }
            Ok(())
        }
        let mut xml = Xml::new(text);
        xml.root("root")?;
        let mut out = String::new();
        walk(&mut xml, &mut out).map(|()| out)
    }

    #[test]
    fn elements_are_known_by_their_local_names_and_text_is_unescaped() {
        for (text, wanted) in [
            ("<root/>", ""),
            (
                "\r\n<?xml version=\"1.0\"?>\n<x:root xmlns='a'><y:a><b/></y:a>t<leaf> x </leaf></x:root>",
                "a{b{}}leaf=x;",
            ),
            ("<root><leaf>a &lt;&amp;&#x41;&#66; <i>no</i><![CDATA[<c>]]></leaf></root>", "leaf=a <&AB <c>;"),
            ("<root><!-- <leaf>no</leaf> --><leaf/></root>", "leaf=;"),
        ] {
            assert_eq!(outline(text).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn faults_of_documents() {
        let deep = |depth: usize| format!("<root>{}{}</root>", "<a>".repeat(depth), "</a>".repeat(depth));
        assert!(outline(&deep(MAX_DEPTH - 1)).is_ok());
        for (text, wanted) in [
            ("", XmlFault::Cut),
            ("<root>", XmlFault::Cut),
            ("<other/>", XmlFault::Root),
            ("<root></wrong>", XmlFault::Malformed),
            ("<!DOCTYPE root [<!ENTITY x \"y\">]><root><leaf>&x;</leaf></root>", XmlFault::Entity),
            ("<root><leaf>&x;</leaf></root>", XmlFault::Entity),
            (&deep(MAX_DEPTH), XmlFault::Deep),
            (&deep(100_000), XmlFault::Deep),
        ] {
            let shown = text.get(..text.len().min(60));
            assert_eq!(outline(text), Err(wanted), "{shown:?}");
        }
        assert_eq!(text_of(b"12345", 4), Err(XmlFault::Large));
        assert_eq!(text_of(b"\xEF\xBB\xBF<a n=\"M\xFCller\"/>", 40).as_deref(), Ok("<a n=\"M\u{fffd}ller\"/>"));
    }

    #[test]
    fn attributes_are_found_without_their_prefix() {
        let mut xml = Xml::new("<root a='1' x:b=' &lt;2&gt; ' c='&bad;' a='3'/>");
        let root = xml.root("root").unwrap();
        assert_eq!(root.attribute("a").as_deref(), Some("1"));
        assert_eq!(root.attribute("b").as_deref(), Some("<2>"));
        assert_eq!((root.attribute("c"), root.attribute("d")), (None, None));
    }

    #[test]
    fn what_is_escaped_is_read_again() {
        let text = "a<b>\"c\" & 'd' \u{1}\u{e9}";
        let mut escaped = String::new();
        escape(text, &mut escaped);
        let document = format!("<root n=\"{escaped}\"><leaf>{escaped}</leaf></root>");
        let mut xml = Xml::new(&document);
        let wanted = text.replace('\u{1}', "");
        assert_eq!(xml.root("root").unwrap().attribute("n").as_deref(), Some(&*wanted));
        assert!(xml.child().unwrap().is_some());
        assert_eq!(xml.text().as_deref(), Ok(&*wanted));
    }
}
