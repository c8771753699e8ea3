//! Encryption of events as Maxwell has it (`encrypt`, `secret_key`): AES in CBC mode with PKCS 5 padding, a random
//! initialisation vector for each event, both in base64. It hides the contents. It does not prove that nobody has changed
//! them: CBC without an authentication code can be altered in flight without a sign.

use std::fmt;

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use aes::{Aes128, Aes192, Aes256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cbc::Encryptor;

/// What is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encrypted {
    /// `data` and `old`: `"encrypted":{…}` stands in their place.
    Data,
    /// The whole event: `{"encrypted":{…}}`.
    All,
}

/// What is encrypted, and by which key.
#[derive(Clone, PartialEq, Eq)]
pub struct Encryption {
    what: Encrypted,
    key: Vec<u8>,
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encryption")
            .field("what", &self.what)
            .finish_non_exhaustive()
    }
}

/// A key has another length than AES takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadKey {
    /// The bytes that it has.
    pub bytes: usize,
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the key has {} bytes, and AES takes 16, 24 or 32",
            self.bytes
        )
    }
}

impl std::error::Error for BadKey {}

impl Encryption {
    /// Encryption by the UTF-8 bytes of a text.
    ///
    /// # Errors
    /// The text has another length than 16, 24 or 32 bytes.
    pub fn new(what: Encrypted, key: &str) -> Result<Self, BadKey> {
        match key.len() {
            16 | 24 | 32 => Ok(Self {
                what,
                key: key.as_bytes().to_vec(),
            }),
            bytes => Err(BadKey { bytes }),
        }
    }

    /// What is encrypted.
    #[must_use]
    pub fn what(&self) -> Encrypted {
        self.what
    }

    /// Appends `"encrypted":{"iv":"…","bytes":"…"}`.
    pub(super) fn push(&self, out: &mut Vec<u8>, text: &[u8]) {
        let iv: [u8; 16] = rand::random();
        let bytes = self.encrypt(iv, text);
        out.extend_from_slice(b"\"encrypted\":{\"iv\":\"");
        out.extend_from_slice(STANDARD.encode(iv).as_bytes());
        out.extend_from_slice(b"\",\"bytes\":\"");
        out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
        out.extend_from_slice(b"\"}");
    }

    fn encrypt(&self, iv: [u8; 16], text: &[u8]) -> Vec<u8> {
        // Its length was looked at when it was taken.
        let encrypted = match self.key.len() {
            16 => Encryptor::<Aes128>::new_from_slices(&self.key, &iv)
                .map(|cipher| cipher.encrypt_padded_vec::<Pkcs7>(text)),
            24 => Encryptor::<Aes192>::new_from_slices(&self.key, &iv)
                .map(|cipher| cipher.encrypt_padded_vec::<Pkcs7>(text)),
            _ => Encryptor::<Aes256>::new_from_slices(&self.key, &iv)
                .map(|cipher| cipher.encrypt_padded_vec::<Pkcs7>(text)),
        };
        debug_assert!(encrypted.is_ok());
        encrypted.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let byte = |at| u8::from_str_radix(text.get(at..at + 2).unwrap(), 16).unwrap();
        (0..text.len()).step_by(2).map(byte).collect()
    }

    /// NIST SP 800-38A, appendix F.2: the first block of each key length, before the padding's own block.
    #[test]
    fn the_standards_own_vectors_come_out() {
        let text = hex("6bc1bee22e409f96e93d7e117393172a");
        let iv = hex("000102030405060708090a0b0c0d0e0f");
        for (key, block) in [
            (
                "2b7e151628aed2a6abf7158809cf4f3c",
                "7649abac8119b246cee98e9b12e9197d",
            ),
            (
                "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
                "4f021db243bc633d7178183a9fa071e8",
            ),
            (
                "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
                "f58c4c04d6e5f1ba779eabfb5f7bfbd6",
            ),
        ] {
            let encryption = Encryption {
                what: Encrypted::Data,
                key: hex(key),
            };
            let bytes = encryption.encrypt(iv.clone().try_into().unwrap(), &text);
            assert_eq!(bytes.len(), 32, "a whole block of padding");
            assert_eq!(bytes[..16], hex(block));
        }
    }

    #[test]
    fn a_key_of_another_length_is_refused_and_none_is_ever_shown() {
        let said = Encryption::new(Encrypted::All, "short").unwrap_err();
        assert!(said.to_string().contains("5 bytes"));
        let good = Encryption::new(Encrypted::All, "0123456789abcdef").unwrap();
        assert!(!format!("{good:?}").contains("0123"), "{good:?}");
        assert!(!format!("{good:?}").contains("48"), "{good:?}");
    }
}
