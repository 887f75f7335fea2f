//! What is inside of an encrypted notification: RSA-OAEP gives a key, HMAC-SHA256 says whether the data is whole, and only
//! then AES-256-CBC opens it (B4).

use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{KeyPair, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Encrypted;
use crate::graph::ProofFault;

/// Bytes of the key that opens one notification.
const KEY_LEN: usize = 32;

/// Why a notification cannot be opened. What is inside is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    #[error("it is encrypted for another certificate")]
    OtherCertificate,
    #[error("it is no Base64")]
    Encoding,
    #[error("its key cannot be decrypted with the certificate's key")]
    Key,
    #[error("its signature does not fit")]
    Signature,
    #[error("it cannot be decrypted")]
    Data,
}

/// Opens notifications with the key of a certificate.
pub struct Decryptor {
    id: String,
    key: OaepPrivateDecryptingKey,
}

impl std::fmt::Debug for Decryptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decryptor").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Decryptor {
    /// With an RSA key in DER form, PKCS #8 or PKCS #1; `id` is the certificate's name in subscriptions.
    ///
    /// # Errors
    /// [`ProofFault`]; its text has nothing of the key in it.
    pub fn new(id: &str, key: &[u8]) -> Result<Self, ProofFault> {
        let no_rsa =
            || ProofFault("the key of the notifications' certificate is no RSA key of 2048 bits or more".to_owned());
        let pair = KeyPair::from_pkcs8(key).or_else(|_| KeyPair::from_der(key)).map_err(|_| no_rsa())?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| no_rsa())?;
        let key = PrivateDecryptingKey::from_pkcs8(der.as_ref()).map_err(|_| no_rsa())?;
        let key = OaepPrivateDecryptingKey::new(key).map_err(|_| no_rsa())?;
        Ok(Self { id: id.to_owned(), key })
    }

    /// The certificate's name in subscriptions.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Gives what is inside.
    ///
    /// # Errors
    /// [`NotOpened`].
    pub fn open(&self, encrypted: &Encrypted) -> Result<Vec<u8>, NotOpened> {
        if encrypted.certificate != self.id {
            return Err(NotOpened::OtherCertificate);
        }
        let sealed = STANDARD.decode(&encrypted.key).map_err(|_| NotOpened::Encoding)?;
        let mut room = vec![0; self.key.min_output_size().max(sealed.len())];
        let key = self.key.decrypt(&OAEP_SHA1_MGF1SHA1, &sealed, &mut room, None).map_err(|_| NotOpened::Key)?;
        let key: &[u8; KEY_LEN] = (&*key).try_into().map_err(|_| NotOpened::Key)?;
        opened(key, &encrypted.data, &encrypted.signature)
    }
}

/// Gives what is inside of data, both in Base64 as is its signature.
fn opened(key: &[u8; KEY_LEN], data: &str, signature: &str) -> Result<Vec<u8>, NotOpened> {
    let mut data = STANDARD.decode(data).map_err(|_| NotOpened::Encoding)?;
    let signature = STANDARD.decode(signature).map_err(|_| NotOpened::Encoding)?;
    // Compares in constant time. What does not fit is never decrypted: its padding would tell of the key.
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), &data, &signature).map_err(|_| NotOpened::Signature)?;
    let cipher = UnboundCipherKey::new(&AES_256, key).and_then(PaddedBlockDecryptingKey::cbc_pkcs7);
    let cipher = cipher.map_err(|_| NotOpened::Data)?;
    let (start, _) = key.split_at(16);
    let start = FixedLength::<16>::try_from(start).map_err(|_| NotOpened::Data)?;
    let text = cipher.decrypt(&mut data, DecryptionContext::Iv128(start)).map_err(|_| NotOpened::Data)?;
    Ok(text.to_vec())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rsa::{KeySize, OaepPublicEncryptingKey};

    use super::*;

    /// Made with OpenSSL: key 00..1f, IV 00..0f.
    const DATA: &str = "nTMpSZJYXuOeut0pe+fp1g1xOmx/zzsfOPLq335W6L6zHdAB8dxoHf1IsyGsCF8KIv+Z7IDxM2gFDC0SHuYib1OLPbl65Q7m01BY\
                        hZLDr934dtTt8mn4c12H6DNkpGtryA8tR/PVUUg837b3ZzD3Dz30LrIeeYnjkxU4tIXcYnppGIumJPR9l2N4Xx0RQfYRW0s3zoxa\
                        /m1l0zF/i6X3ew==";
    const SIGNATURE: &str = "4bnLvmLYUT01irJtQEXAitVnJJ1bW+6jVP+BRFW63BQ=";
    const TEXT: &str = "{\"@odata.id\":\"users/00000000-0000-0000-0000-000000000001/presence\",\
                        \"id\":\"00000000-0000-0000-0000-000000000001\",\"availability\":\"Busy\",\"activity\":\"InACall\"}";

    fn key() -> [u8; KEY_LEN] {
        std::array::from_fn(|index| u8::try_from(index).unwrap())
    }

    #[test]
    fn the_vector_opens_and_nothing_that_was_touched_does() {
        let text = opened(&key(), DATA, SIGNATURE).unwrap();
        assert_eq!(String::from_utf8(text.clone()).unwrap(), TEXT);
        let user = super::super::inside(&text).unwrap();
        assert_eq!((&*user.id, &*user.presence.activity), ("00000000-0000-0000-0000-000000000001", "InACall"));
        let touched = DATA.replacen('n', "o", 1);
        assert_eq!(opened(&key(), &touched, SIGNATURE), Err(NotOpened::Signature));
        assert_eq!(opened(&key(), DATA, "AAAA"), Err(NotOpened::Signature));
        assert_eq!(opened(&[7; KEY_LEN], DATA, SIGNATURE), Err(NotOpened::Signature));
        assert_eq!(opened(&key(), "!", SIGNATURE), Err(NotOpened::Encoding));
        // Signed by whoever has the key, and yet no whole blocks.
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key()), b"short");
        assert_eq!(opened(&key(), &STANDARD.encode("short"), &STANDARD.encode(tag)), Err(NotOpened::Data));
    }

    #[test]
    fn the_key_of_the_certificate_opens_the_key() {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let decryptor = Decryptor::new("cert-1", der.as_ref()).unwrap();
        let public = PrivateDecryptingKey::from_pkcs8(der.as_ref()).unwrap().public_key();
        let public = OaepPublicEncryptingKey::new(public).unwrap();
        let mut sealed = vec![0; public.ciphertext_size()];
        public.encrypt(&OAEP_SHA1_MGF1SHA1, &key(), &mut sealed, None).unwrap();
        let mut encrypted = Encrypted {
            data: DATA.to_owned(),
            signature: SIGNATURE.to_owned(),
            key: STANDARD.encode(&sealed),
            certificate: "cert-1".to_owned(),
        };
        assert_eq!(decryptor.open(&encrypted).unwrap(), TEXT.as_bytes());
        encrypted.key = STANDARD.encode([0; 256]);
        assert_eq!(decryptor.open(&encrypted), Err(NotOpened::Key));
        encrypted.certificate = "cert-2".to_owned();
        assert_eq!(decryptor.open(&encrypted), Err(NotOpened::OtherCertificate));
        assert!(Decryptor::new("x", b"no key").is_err());
    }
}
