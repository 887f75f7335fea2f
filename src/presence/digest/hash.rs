//! The hashes of digest authentication.

use aws_lc_rs::digest::{Context, SHA256, SHA512_256};
use md5::{Digest as _, Md5};
use smallvec::SmallVec;

use super::Algorithm;

/// Bytes of the longest hash.
const LONGEST: usize = 32;

/// One of the hashes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hash(pub Algorithm);

impl Hash {
    /// The hash of some texts with colons between them.
    pub fn of(self, parts: &[&[u8]]) -> SmallVec<[u8; LONGEST]> {
        let each = || (0..).zip(parts).flat_map(|(at, part)| [if at == 0 { &b""[..] } else { b":" }, part]);
        let modern = |algorithm| {
            let mut context = Context::new(algorithm);
            each().for_each(|part| context.update(part));
            SmallVec::from_slice(context.finish().as_ref())
        };
        match self.0 {
            Algorithm::Md5 => {
                let mut context = Md5::new();
                each().for_each(|part| context.update(part));
                SmallVec::from_slice(&context.finalize())
            }
            Algorithm::Sha256 => modern(&SHA256),
            Algorithm::Sha512With256 => modern(&SHA512_256),
        }
    }
}

/// Bytes as lower-case hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
