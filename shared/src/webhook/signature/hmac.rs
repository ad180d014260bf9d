//! HMAC of a message in parts against candidate signatures, with ring. Called by every scheme with a shared key.
//!
//! The message is never put together in memory, and the time a refusal takes says nothing about how much of a
//! candidate was right.

use ring::hmac::{self, Context, HMAC_SHA256, HMAC_SHA512, Key};

use super::Algorithm;
use crate::secrets::Secret;

impl Algorithm {
    /// How long its signatures are, in bytes.
    pub(super) fn signature_bytes(self) -> usize {
        self.ring().digest_algorithm().output_len()
    }

    fn ring(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => HMAC_SHA256,
            Self::Sha512 => HMAC_SHA512,
        }
    }
}

/// Whether `secret` can be a key. HMAC pads keys with zero bytes, so a key of zero bytes is the empty key,
/// which everybody has.
pub(super) fn can_use(secret: &Secret) -> bool {
    secret.expose().iter().any(|byte| *byte != 0)
}

/// Whether one of `candidates` is the HMAC of the joined `parts` under `secret`.
pub(super) fn signed<C: AsRef<[u8]>>(
    algorithm: Algorithm,
    secret: &Secret,
    parts: &[&[u8]],
    candidates: &[C],
) -> bool {
    if !can_use(secret) {
        return false;
    }
    let key = Key::new(algorithm.ring(), secret.expose());
    let mut context = Context::with_key(&key);
    for part in parts {
        context.update(part);
    }
    let expected = context.sign();
    candidates.iter().any(|candidate| same(&key, expected.as_ref(), candidate.as_ref()))
}

/// Whether `candidate` is `expected`, in constant time. ring compares in constant time only within
/// `hmac::verify`, which wants its message in one piece, so both sides are hashed once more and compared there;
/// they are equal exactly if the two are, short of a SHA-2 collision.
fn same(key: &Key, expected: &[u8], candidate: &[u8]) -> bool {
    hmac::verify(key, candidate, hmac::sign(key, expected).as_ref()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 4231, test case 2.
    const KEY: &[u8] = b"Jefe";
    const MESSAGE: [&[u8]; 2] = [b"what do ya want ", b"for nothing?"];
    const SHA256: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    const SHA512: &str = "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737";

    fn bytes(hex: &str) -> Vec<u8> {
        super::super::Encoding::Hex.decode(hex).unwrap()
    }

    #[test]
    fn the_parts_are_signed_as_one_message() {
        let key = Secret::new(KEY);
        assert!(signed(Algorithm::Sha256, &key, &MESSAGE, &[bytes(SHA256)]));
        assert!(signed(Algorithm::Sha512, &key, &MESSAGE, &[bytes(SHA512)]));
        assert!(signed(Algorithm::Sha512, &key, &[&MESSAGE.concat()], &[bytes(SHA512)]));
    }

    #[test]
    fn any_candidate_may_match() {
        let candidates = [vec![0; 32], bytes(SHA256)];
        assert!(signed(Algorithm::Sha256, &Secret::new(KEY), &MESSAGE, &candidates));
        assert!(!signed(Algorithm::Sha256, &Secret::new(KEY), &MESSAGE, &candidates[..1]));
    }

    #[test]
    fn a_signature_of_another_length_or_hash_does_not_match() {
        let key = Secret::new(KEY);
        for candidate in [&bytes(SHA256)[..31], &bytes(SHA512), b""] {
            assert!(!signed(Algorithm::Sha256, &key, &MESSAGE, &[candidate]));
        }
    }

    #[test]
    fn the_empty_key_signs_nothing() {
        let empty = Key::new(HMAC_SHA256, b"");
        let forged = hmac::sign(&empty, b"body");
        for secret in [&b""[..], b"\0"] {
            assert!(!signed(Algorithm::Sha256, &Secret::new(secret), &[b"body"], &[forged.as_ref()]));
        }
    }
}
