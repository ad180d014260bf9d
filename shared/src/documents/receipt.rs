//! Idempotency receipts: a request that creates something may be sent again and has the same answer.
//!
//! The API makes a [`Receipt`] of the caller's `Idempotency-Key`, the request and what only the caller knows; a
//! [`DocumentStore`](super::DocumentStore) writes it, with the answer, in the transaction of the effect itself.
//! So there is a receipt exactly if the effect happened: nothing is claimed before, and nothing that died halfway
//! blocks its repeat. For 24 hours a repeat finds the receipt and gets its answer.
//!
//! A stored receipt tells its reader nothing: the answer is sealed with a key derived from the caller's secret,
//! which is stored nowhere, and the request is known by a keyed hash. An API key that was rotated in between
//! therefore cannot open the answer: its repeat is refused like another request's.
//!
//! The key: draft-ietf-httpapi-idempotency-key-header.

use std::fmt;

use jiff::SignedDuration;
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Prk, Salt},
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use subtle::ConstantTimeEq;

use super::{Document, DocumentKey, DocumentStore};
use crate::{
    Error, ErrorCode, Result,
    dynamo::json,
    id,
    queue::{deflate, inflate},
};

/// How long a repeat is recognised.
pub const RECOGNISED: SignedDuration = SignedDuration::from_hours(24);

/// The longest key, in characters.
const MAX_KEY_CHARS: usize = 255;
/// The largest sealed answer that is kept whole, in bytes: an item has at most 400 KB.
const MAX_SEALED_BYTES: usize = 390 * 1024;
/// The most bytes an answer may inflate to.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// The caller's name for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The header that carries it, and the field that is named where it is at fault.
    pub const HEADER: &str = "Idempotency-Key";

    /// Reads the header's value: 1 to 255 printable ASCII characters, with or without the quotes of a structured
    /// field (RFC 8941 string).
    pub fn parse(header: &str) -> Result<Self> {
        let invalid = || {
            let detail =
                format!("must be 1 to {MAX_KEY_CHARS} printable ASCII characters, in quotes or without");
            Error::field(Self::HEADER, "invalid", detail)
        };
        let text = header.trim();
        let key = match text.strip_prefix('"') {
            Some(rest) => unquoted(rest).ok_or_else(invalid)?,
            None => text.to_owned(),
        };
        let is_printable = key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if key.is_empty() || key.len() > MAX_KEY_CHARS || !is_printable {
            return Err(invalid());
        }
        Ok(Self(key))
    }
}

/// What stands before the closing quote, which must come last.
fn unquoted(text: &str) -> Option<String> {
    let mut key = String::with_capacity(text.len());
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(key),
            '\\' => key.push(characters.next().filter(|c| matches!(c, '"' | '\\'))?),
            c => key.push(c),
        }
    }
}

/// What was answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The documents as they were after the effect, in the order of its writes; `None` where deleted.
    pub documents: Vec<Option<Document>>,
    /// What was answered besides.
    pub attachment: Option<Value>,
}

/// By what a repeat of one request is recognised, and its answer sealed.
#[derive(Clone)]
pub struct Receipt {
    id: String,
    key: IdempotencyKey,
    request: String,
    seal: [u8; 32],
    attachment: Option<Value>,
}

/// Shows which receipt it is and nothing of its content.
impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt").field("id", &self.id).finish_non_exhaustive()
    }
}

/// An answer as it is sealed: whole, or where it is too large, what it was made of.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    documents: Option<Vec<Option<Document>>>,
    keys: Option<Vec<Option<DocumentKey>>>,
    attachment: Option<Value>,
}

/// What a repeat of the request finds.
#[derive(Debug, PartialEq)]
pub enum Found {
    /// The answer.
    Answer(Answer),
    /// The answer was too large to be kept: these documents, as they are now, are the nearest there is.
    Keys(Vec<Option<DocumentKey>>, Option<Value>),
}

impl Found {
    /// The answer, as near as there is one: `store` has what was too large to be kept.
    pub async fn answer(self, store: &dyn DocumentStore) -> Result<Answer> {
        let (keys, attachment) = match self {
            Self::Answer(answer) => return Ok(answer),
            Self::Keys(keys, attachment) => (keys, attachment),
        };
        let mut documents = Vec::with_capacity(keys.len());
        for key in keys {
            documents.push(match key {
                Some(key) => store.get(&key).await?,
                None => None,
            });
        }
        Ok(Answer { documents, attachment })
    }
}

impl Receipt {
    /// The receipt of the request that `user` calls `key` on `route`. `request` is everything that makes it the same
    /// request: method, path, query and body. `seal` is derived from the caller's secret and stored nowhere.
    pub fn new(user: &str, route: &str, key: IdempotencyKey, request: &[&[u8]], seal: &[u8; 32]) -> Self {
        Self {
            id: id::digest_text(&[user.as_bytes(), route.as_bytes(), key.0.as_bytes()]),
            request: id::digest_text(request),
            key,
            seal: *seal,
            attachment: None,
        }
    }

    /// Has a repeat answered with `attachment` too: what only this answer shows, as a new API key's secret.
    #[must_use]
    pub fn with_attachment(mut self, attachment: Value) -> Self {
        self.attachment = Some(attachment);
        self
    }

    /// Names the receipt: the same for the same user, route and key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What a stored receipt knows the request by.
    pub fn fingerprint(&self) -> Result<Vec<u8>> {
        let okm = self.derived(&[b"request"], hmac::HMAC_SHA256, |okm| hmac::Key::from(okm))?;
        Ok(hmac::sign(&okm, self.request.as_bytes()).as_ref().to_vec())
    }

    /// `documents` as the answer that a repeat gets: sealed, and what cannot be kept whole as its keys.
    pub fn seal(&self, documents: &[Option<Document>]) -> Result<Vec<u8>> {
        let kept = |documents, keys| Kept { documents, keys, attachment: self.attachment.clone() };
        let whole = self.encrypt(&deflate(json(&kept(Some(documents.to_vec()), None))?.as_bytes())?)?;
        if whole.len() <= MAX_SEALED_BYTES {
            return Ok(whole);
        }
        let key = |document: &Option<Document>| document.as_ref().map(|document| document.key.clone());
        let keys = documents.iter().map(key).collect();
        self.encrypt(&deflate(json(&kept(None, Some(keys)))?.as_bytes())?)
    }

    /// What the stored receipt with this `fingerprint` has `sealed`; `idempotency_key_reused` if it is another
    /// request's, or was sealed with another API key.
    pub fn open(&self, fingerprint: &[u8], sealed: &[u8]) -> Result<Found> {
        let reused = || {
            let detail = "the key was used within the last 24 hours, with another request or another API key";
            Error::new(ErrorCode::IdempotencyKeyReused, detail)
        };
        if !bool::from(self.fingerprint()?.ct_eq(fingerprint)) {
            return Err(reused());
        }
        let deflated = self.decrypt(sealed).ok_or_else(reused)?;
        let text = inflate(&deflated, MAX_ANSWER_BYTES).map_err(Error::internal)?;
        let kept: Kept = serde_json::from_slice(&text).map_err(Error::internal)?;
        Ok(match kept.documents {
            Some(documents) => Found::Answer(Answer { documents, attachment: kept.attachment }),
            None => Found::Keys(kept.keys.unwrap_or_default(), kept.attachment),
        })
    }

    fn derived<L: ring::hkdf::KeyType, K>(
        &self,
        info: &[&[u8]],
        kind: L,
        make: impl FnOnce(ring::hkdf::Okm<'_, L>) -> K,
    ) -> Result<K> {
        let prk: Prk = Salt::new(HKDF_SHA256, b"causeway idempotency receipt v1").extract(&self.seal);
        prk.expand(info, kind).map(make).map_err(|_| Error::internal("a key could not be derived"))
    }

    /// The idempotency key takes part: each receipt has an encryption key of its own.
    fn cipher(&self) -> Result<LessSafeKey> {
        let info: [&[u8]; 2] = [b"answer", self.key.0.as_bytes()];
        self.derived(&info, &AES_256_GCM, |okm| LessSafeKey::new(UnboundKey::from(okm)))
    }

    /// Nonce, then ciphertext and tag. The receipt's id is bound in, so that an answer opens in its own place only.
    fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>> {
        let failed = |_| Error::internal("an answer could not be sealed");
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(failed)?;
        let mut text = plain.to_vec();
        let (aad, key) = (Aad::from(self.id.as_bytes()), self.cipher()?);
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text).map_err(failed)?;
        Ok([nonce.as_slice(), &text].concat())
    }

    fn decrypt(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let cipher = self.cipher().ok()?;
        let plain = cipher.open_in_place(nonce, Aad::from(self.id.as_bytes()), &mut text).ok()?;
        Some(plain.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        documents::{Applied, DocStatus, Fields},
        testing::start,
    };

    fn key(text: &str) -> IdempotencyKey {
        IdempotencyKey::parse(text).unwrap()
    }

    fn receipt() -> Receipt {
        Receipt::new("kim", "POST /v2/documents", key("order 1"), &[b"POST", b"/x", b"{}"], &[7; 32])
    }

    fn document(text: &str) -> Document {
        Document {
            key: DocumentKey::new("Sales Order", "SO-1").unwrap(),
            docstatus: DocStatus::Submitted,
            modified: start(),
            modified_by: "kim".into(),
            creation: start(),
            owner: "kim".into(),
            revision: 4,
            fields: Fields::from_iter([
                ("total".into(), "12.50".parse::<serde_json::Number>().unwrap().into()),
                ("text".into(), json!(text)),
            ]),
            applied: Applied::from([("api".into(), start())]),
            events: Vec::new(),
        }
    }

    #[test]
    fn a_key_may_be_quoted_or_not() {
        assert_eq!(key("8e03978e-40d5"), key("\"8e03978e-40d5\""));
        assert_eq!(key(r#""a \"b\" \\c""#), IdempotencyKey(r#"a "b" \c"#.into()));
        assert!(IdempotencyKey::parse(&"x".repeat(255)).is_ok());
        for text in
            ["", "  ", "\"\"", "\"a", "\"a\"b", "\"a\"; x=1", "\"\\x\"", "é", "a\tb", &"x".repeat(256)]
        {
            assert!(IdempotencyKey::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_answer_comes_back_digit_for_digit_with_its_attachment() {
        let receipt = receipt().with_attachment(json!({ "secret": "s3cret" }));
        let documents = vec![Some(document("x")), None];
        let sealed = receipt.seal(&documents).unwrap();
        let found = receipt.open(&receipt.fingerprint().unwrap(), &sealed).unwrap();
        assert_eq!(
            found,
            Found::Answer(Answer { documents, attachment: Some(json!({ "secret": "s3cret" })) })
        );
        let Found::Answer(answer) = found else { panic!("whole") };
        assert_eq!(answer.documents[0].as_ref().unwrap().fields["total"].to_string(), "12.50");
    }

    #[test]
    fn a_stored_receipt_tells_nothing() {
        let receipt = receipt().with_attachment(json!("a secret that nobody may read"));
        let documents = [Some(document("a text that nobody may read"))];
        let (first, second) = (receipt.seal(&documents).unwrap(), receipt.seal(&documents).unwrap());
        assert_ne!(first, second, "a nonce is used once");
        for part in ["nobody", "SO-1", "Sales Order", "order 1", "kim"] {
            assert!(!first.windows(part.len()).any(|window| window == part.as_bytes()), "{part}");
            assert!(!receipt.id().contains(part) && !format!("{receipt:?}").contains(part));
        }
        // The same request of someone else has another fingerprint: nobody can try bodies against it.
        let other = Receipt { seal: [8; 32], ..receipt.clone() };
        assert_ne!(other.fingerprint().unwrap(), receipt.fingerprint().unwrap());
    }

    #[test]
    fn only_the_same_request_with_the_same_secret_in_its_own_place_opens_it() {
        let receipt = receipt();
        let (print, sealed) = (receipt.fingerprint().unwrap(), receipt.seal(&[None]).unwrap());
        let refused = |receipt: Receipt, print: &[u8], sealed: &[u8]| {
            assert_eq!(receipt.open(print, sealed).unwrap_err().code(), ErrorCode::IdempotencyKeyReused);
        };
        refused(Receipt { request: "another".into(), ..receipt.clone() }, &print, &sealed);
        let rotated = Receipt { seal: [8; 32], ..receipt.clone() };
        refused(rotated.clone(), &print, &sealed);
        refused(rotated.clone(), &rotated.fingerprint().unwrap(), &sealed);
        refused(Receipt { id: "elsewhere".into(), ..receipt.clone() }, &print, &sealed);
        refused(Receipt { key: key("order 2"), ..receipt.clone() }, &print, &sealed);
        let mut flipped = sealed.clone();
        flipped[NONCE_LEN] ^= 1;
        refused(receipt.clone(), &print, &flipped);
        refused(receipt.clone(), &print, &[]);
        refused(receipt, &[], &sealed);
    }

    #[test]
    fn users_routes_and_keys_are_told_apart() {
        let of = |user, route, name| Receipt::new(user, route, key(name), &[], &[7; 32]).id().to_owned();
        let all = [
            of("a", "b", "c"),
            of("ab", "b", "c"),
            of("a", "bb", "c"),
            of("a", "b", "cc"),
            of("a", "bc", "c"),
        ];
        assert_eq!(std::collections::HashSet::from(all).len(), 5);
    }

    #[test]
    fn an_answer_that_does_not_fit_keeps_its_keys() {
        let mut noise = 1u64;
        let text: String = (0..600_000)
            .map(|_| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                char::from(b'!' + u8::try_from(noise >> 58).unwrap())
            })
            .collect();
        let receipt = receipt().with_attachment(json!(1));
        let document = document(&text);
        let sealed = receipt.seal(&[Some(document.clone()), None]).unwrap();
        let found = receipt.open(&receipt.fingerprint().unwrap(), &sealed).unwrap();
        assert_eq!(found, Found::Keys(vec![Some(document.key), None], Some(json!(1))));
    }
}
