//! Tokens as they are kept: sealed with AES-256-GCM, so that a copy of our tables gives nobody access to a site.

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};

use super::secret::KEY_BYTES;
use crate::{Error, Result};

/// Seals and opens the tokens of one connector: what is sealed for one opens for no other.
pub(super) struct Seal {
    key: LessSafeKey,
    bound_to: String,
}

impl Seal {
    pub fn new(key: &[u8; KEY_BYTES], connector: &str) -> Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM, key)
            .map_err(|_| Error::internal("the key of OAuth tokens is not one"))?;
        Ok(Self { key: LessSafeKey::new(key), bound_to: format!("causeway oauth tokens v1 {connector}") })
    }

    /// Nonce, then ciphertext and tag.
    pub fn seal(&self, plain: &[u8]) -> Result<Vec<u8>> {
        let failed = |_| Error::internal("OAuth tokens could not be sealed");
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(failed)?;
        let mut text = plain.to_vec();
        let (aad, nonce_used) = (Aad::from(self.bound_to.as_bytes()), Nonce::assume_unique_for_key(nonce));
        self.key.seal_in_place_append_tag(nonce_used, aad, &mut text).map_err(failed)?;
        Ok([nonce.as_slice(), &text].concat())
    }

    /// What was sealed; `None` if that was with another key or for another connector, or it was changed.
    pub fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let plain = self.key.open_in_place(nonce, Aad::from(self.bound_to.as_bytes()), &mut text).ok()?;
        Some(plain.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_and_connector_open_what_nobody_changed() {
        let seal = Seal::new(&[1; 32], "erpnext").unwrap();
        let sealed = seal.seal(b"a token that nobody may read").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"nobody"));
        assert_ne!(sealed, seal.seal(b"a token that nobody may read").unwrap());
        assert_eq!(seal.open(&sealed).unwrap(), b"a token that nobody may read");
        assert!(Seal::new(&[2; 32], "erpnext").unwrap().open(&sealed).is_none());
        assert!(Seal::new(&[1; 32], "other").unwrap().open(&sealed).is_none());
        for i in [0, NONCE_LEN, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[i] ^= 1;
            assert!(seal.open(&changed).is_none());
        }
        assert!(seal.open(&[]).is_none() && seal.open(&[0; 12]).is_none());
    }
}
