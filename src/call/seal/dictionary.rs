//! What SIP URIs are made of most often, one byte each. The order is the format: an entry never moves, is never
//! changed and never goes within a version.

/// How many entries there are.
pub const WORDS: usize = 128;

const LIST: [&[u8]; WORDS] = [
    // Schemes, and how route values begin.
    b"sip:",
    b"<sip:",
    b"sip:+",
    b"<sip:+",
    b"sips:",
    b"<sips:",
    b"tel:+",
    b"tel:",
    // Teams (data centre and region follow).
    b"sip:api-du-a-",
    b"sip:api-du-b-",
    b"sip:api-du-",
    b"<sip:sip-du-a-",
    b"<sip:sip-du-b-",
    b"<sip:sip-du-",
    b"api-du-",
    b"sip-du-",
    b"sip:sip.pstnhub.microsoft.com:5061;transport=tls",
    b".pstnhub.microsoft.com:443;x-i=",
    b".pstnhub.microsoft.com:5061;transport=tls;lr>",
    b".pstnhub.microsoft.com:5061",
    b".pstnhub.microsoft.com",
    b"pstnhub.microsoft.com",
    b".pstnhub.gov.teams.microsoft.us:443;x-i=",
    b".pstnhub.gov.teams.microsoft.us:5061;transport=tls;lr>",
    b".pstnhub.gov.teams.microsoft.us",
    b".pstnhub.dod.teams.microsoft.us:443;x-i=",
    b".pstnhub.dod.teams.microsoft.us:5061;transport=tls;lr>",
    b".pstnhub.dod.teams.microsoft.us",
    b".teams.microsoft.",
    b"microsoft.com",
    b"uswe2",
    b"uswe",
    b"usea2",
    b"usea",
    b"euwe",
    b"euno",
    b"asse",
    b"asea",
    b"jpea",
    b";x-i=",
    b";x-c=",
    b";x-m=8:orgid:",
    b";x-m=",
    b";x-t=",
    b";x-ti=",
    b";x-tt=",
    b"/s/1/",
    b"/d/8/",
    b"/s/",
    b"/d/",
    // Transports and ports.
    b";transport=tls",
    b";transport=tcp",
    b";transport=udp",
    b";transport=TLS",
    b";transport=TCP",
    b";transport=UDP",
    b";transport=ws",
    b";transport=",
    b":5060",
    b":5061",
    b":5062",
    b":5070",
    b":5080",
    b":5160",
    b":443",
    b":5060;transport=udp",
    b":5060;transport=tcp",
    b":5061;transport=tls",
    // How route values end.
    b";lr>",
    b";lr",
    b";lr=on>",
    b";lr=on",
    b":5060;lr>",
    b":5061;lr>",
    b";transport=tls;lr>",
    b";transport=tcp;lr>",
    b";transport=udp;lr>",
    b":5061;transport=tls;lr>",
    b":5060;transport=tcp;lr>",
    b":5060;transport=udp;lr>",
    b";r2=on;lr>",
    b";r2=on",
    b";lr;r2=on",
    b";lr=on;r2=on",
    b";lr;ftag=",
    b";lr=on;ftag=",
    b";ftag=",
    b";did=",
    b";nat=yes",
    b";nat=yes>",
    b";vsf=",
    b";vst=",
    // Parameters of Contacts.
    b";user=phone",
    b";ob",
    b";alias=",
    b";rinstance=",
    b";line=",
    b";maddr=",
    b";gr=",
    b";+sip.instance=",
    b"urn:uuid:",
    b";fs_nat=yes",
    b";tgrp=",
    b";trunk-context=",
    b";phone-context=",
    b";ext=",
    b";gw=",
    b"%3A",
    b"%3D",
    b"%40",
    b"%3B",
    b"%2B",
    // Hosts and users.
    b"asterisk@",
    b"asterisk",
    b"anonymous@",
    b"anonymous.invalid",
    b"localhost",
    b"sbc",
    b"pbx",
    b"proxy",
    b"trunk",
    b"customers.",
    b"voip",
    b".local",
    b".com",
    b".net",
    b".org",
    b".3gppnetwork.org",
];

/// No entry: the end of a chain.
const END: u8 = 0xff;

/// For each byte the first entry that begins with it.
const FIRST: [u8; 256] = {
    let mut first = [END; 256];
    let mut at = WORDS;
    while at > 0 {
        at -= 1;
        first[LIST[at][0] as usize] = at as u8;
    }
    first
};

/// For each entry the next one that begins with the same byte.
const NEXT: [u8; WORDS] = {
    let mut next = [END; WORDS];
    let mut last = [END; 256];
    let mut at = WORDS;
    while at > 0 {
        at -= 1;
        let head = LIST[at][0] as usize;
        next[at] = last[head];
        last[head] = at as u8;
    }
    next
};

/// The longest entry that `text` begins with, and its length.
pub fn longest(text: &[u8]) -> Option<(u8, usize)> {
    let mut at = FIRST[usize::from(*text.first()?)]; // a table of all bytes
    let second = text.get(1);
    let mut best: Option<(u8, usize)> = None;
    while let (Some(word), Some(&next)) = (LIST.get(usize::from(at)), NEXT.get(usize::from(at))) {
        if word.get(1) == second && word.len() > best.map_or(0, |(_, len)| len) && text.starts_with(word) {
            best = Some((at, word.len()));
        }
        at = next;
    }
    best
}

/// The text of an entry.
pub fn word(entry: u8) -> Option<&'static [u8]> {
    LIST.get(usize::from(entry)).copied()
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher;

    use super::*;

    #[test]
    fn each_word_is_found_by_its_text() {
        for (at, text) in LIST.iter().enumerate() {
            assert!(text.len() > 2, "{at} saves next to nothing");
            assert_eq!(longest(text), Some((at as u8, text.len())), "{:?} stands twice", text.escape_ascii());
        }
        assert_eq!(longest(b"xyz"), None);
        assert_eq!(longest(b""), None);
    }

    #[test]
    fn dictionary_of_version_1_is_frozen() {
        let mut hash = siphasher::sip::SipHasher24::new_with_key(&[0; 16]);
        for text in LIST {
            hash.write(text);
            hash.write_u8(0);
        }
        assert_eq!(hash.finish(), 0x6062800a33b1f88d, "a change of the dictionary is a new version of the format");
    }
}
