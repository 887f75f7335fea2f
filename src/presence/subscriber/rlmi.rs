//! Resource list meta-information (RFC 4662 section 5): which lines a list has, and where in the body their state is.

use crate::presence::xml::{Element, Xml, XmlFault, text_of};

/// Resources of one document that are read; what follows is left out.
pub const MAX_RESOURCES: usize = 2_048;

/// Instances of one resource that are read.
pub const MAX_INSTANCES: usize = 8;

/// The media type of the documents.
pub(super) const MEDIA_TYPE: &str = "application/rlmi+xml";

/// A document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    pub uri: String,
    /// Counts up by one from document to document of a subscription.
    pub version: Option<u32>,
    /// Whether it has all resources of the list.
    pub full: bool,
    pub resources: Vec<Resource>,
}

/// One entry of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    pub uri: String,
    pub instances: Vec<Instance>,
}

/// One subscription behind the list (RFC 4662 section 5.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    pub id: String,
    pub state: InstanceState,
    /// The Content-ID of the part with its document, without angle brackets; `None`: nothing new.
    pub cid: Option<String>,
}

/// How a subscription behind the list stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceState {
    Active,
    Pending,
    Terminated,
}

/// Reads a document of at most `max_bytes` bytes.
///
/// # Errors
/// [`XmlFault`] when it is no XML, or no list.
pub fn read(bytes: &[u8], max_bytes: usize) -> Result<List, XmlFault> {
    let text = text_of(bytes, max_bytes)?;
    let mut xml = Xml::new(&text);
    let root = xml.root("list")?;
    let full = root.attribute("fullState").unwrap_or_default();
    let mut list = List {
        uri: root.attribute("uri").unwrap_or_default(),
        version: root.attribute("version").and_then(|version| version.parse().ok()),
        full: full.eq_ignore_ascii_case("true") || full == "1",
        resources: Vec::new(),
    };
    while let Some(child) = xml.child()? {
        if child.is("resource") && list.resources.len() < MAX_RESOURCES {
            list.resources.push(resource(&mut xml, &child)?);
        } else {
            xml.skip()?;
        }
    }
    Ok(list)
}

fn resource(xml: &mut Xml<'_>, element: &Element<'_>) -> Result<Resource, XmlFault> {
    let mut resource = Resource { uri: element.attribute("uri").unwrap_or_default(), instances: Vec::new() };
    while let Some(child) = xml.child()? {
        if child.is("instance") && resource.instances.len() < MAX_INSTANCES {
            let state = match child.attribute("state").unwrap_or_default().to_ascii_lowercase().as_str() {
                "pending" => InstanceState::Pending,
                "terminated" => InstanceState::Terminated,
                _ => InstanceState::Active,
            };
            let cid = child.attribute("cid").map(|cid| cid.trim_matches(['<', '>']).to_owned());
            resource.instances.push(Instance { id: child.attribute("id").unwrap_or_default(), state, cid });
        }
        xml.skip()?;
    }
    Ok(resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read() {
        let text = r#"<?xml version="1.0" encoding="UTF-8"?>
<list xmlns="urn:ietf:params:xml:ns:rlmi" uri="sip:all@pbx.example" version="3" fullState="1" cid="x">
  <name xml:lang="en">All lines</name>
  <resource uri="sip:401@pbx.example"><name>Alice</name><instance id="a" state="active" cid="1@x"/></resource>
  <resource uri="sip:402@pbx.example"><instance id="b" state="Terminated" reason="rejected"/><instance id="c" state="pending"/></resource>
  <resource uri="sip:403@pbx.example"/>
</list>"#;
        let instance = |id: &str, state, cid: Option<&str>| Instance { id: id.into(), state, cid: cid.map(Into::into) };
        let wanted = List {
            uri: "sip:all@pbx.example".into(),
            version: Some(3),
            full: true,
            resources: vec![
                Resource {
                    uri: "sip:401@pbx.example".into(),
                    instances: vec![instance("a", InstanceState::Active, Some("1@x"))],
                },
                Resource {
                    uri: "sip:402@pbx.example".into(),
                    instances: vec![
                        instance("b", InstanceState::Terminated, None),
                        instance("c", InstanceState::Pending, None),
                    ],
                },
                Resource { uri: "sip:403@pbx.example".into(), instances: vec![] },
            ],
        };
        assert_eq!(read(text.as_bytes(), 65_536), Ok(wanted));
    }

    #[test]
    fn what_is_read_is_bounded() {
        let resource = format!("<resource uri='sip:a@b'>{}</resource>", "<instance/>".repeat(MAX_INSTANCES * 2));
        let list = read(format!("<list>{resource}</list>").as_bytes(), 4_096).unwrap();
        assert_eq!((list.full, list.version, list.resources[0].instances.len()), (false, None, MAX_INSTANCES));
        let many = format!("<list>{}</list>", "<resource/>".repeat(MAX_RESOURCES * 2));
        assert_eq!(read(many.as_bytes(), 65_536).unwrap().resources.len(), MAX_RESOURCES);
        assert_eq!(read(b"<resource/>", 64), Err(XmlFault::Root));
    }
}
