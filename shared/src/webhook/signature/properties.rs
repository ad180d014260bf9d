//! What holds for every scheme, whatever is sent: checked with arbitrary deliveries that `reference` signed.

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use proptest::{collection::vec, option, prelude::*, sample::Index};

use super::{
    Algorithm, Encoding, GenericHmac, NamedSecret, Scheme, Verified,
    reference::{self, Event, Key, named},
    verify,
};
use crate::ErrorCode;

/// So long that it is never the tolerance that refuses a changed timestamp.
const ENDLESS: SignedDuration = SignedDuration::MAX;

/// One delivery as its provider made it.
#[derive(Debug, Clone)]
struct Delivery {
    scheme: Scheme,
    key: Key,
    event: Event,
}

impl Delivery {
    fn signature(&self) -> Vec<u8> {
        reference::sign(&self.scheme, &self.key, &self.event)
    }

    /// The signature header's text.
    fn text(&self) -> String {
        reference::write(&self.scheme, &self.key, &self.event, &self.signature())
    }

    fn headers(&self, text: &str) -> HeaderMap {
        reference::headers(&self.scheme, &self.event, text)
    }

    fn secret(&self) -> NamedSecret {
        named(self.key.shown_for(&self.scheme))
    }

    fn verified(&self, secret: usize) -> Verified {
        let signed_id = matches!(self.scheme, Scheme::Standard).then(|| self.event.id.clone());
        Verified { secret, signed_id }
    }

    /// What comes of `headers` and `body` at the time of signing.
    fn check(&self, headers: &HeaderMap, body: &[u8]) -> Result<Verified, ErrorCode> {
        self.check_with(&[self.secret()], headers, body)
    }

    fn check_with(
        &self,
        secrets: &[NamedSecret],
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Verified, ErrorCode> {
        let now = Timestamp::from_second(self.event.time).unwrap();
        verify(&self.scheme, headers, body, secrets, ENDLESS, now).map_err(|error| error.code())
    }

    fn check_text(&self, text: &str) -> Result<Verified, ErrorCode> {
        self.check(&self.headers(text), &self.event.body)
    }

    /// The header that carries nothing but the time.
    fn timestamp_header(&self) -> Option<&str> {
        match &self.scheme {
            Scheme::Standard => Some("webhook-timestamp"),
            Scheme::Generic(generic) => generic.timestamp_header.as_deref(),
            _ => None,
        }
    }
}

prop_compose! {
    fn generic()(
        sha512: bool,
        hex: bool,
        prefix in prop_oneof![Just(String::new()), "[!-~]{0,8}[a-z]="],
        timestamp_header in option::of(Just("X-Generic-Time".to_owned())),
    ) -> Scheme {
        Scheme::Generic(GenericHmac {
            header: "X-Generic-Signature".into(),
            algorithm: if sha512 { Algorithm::Sha512 } else { Algorithm::Sha256 },
            encoding: if hex { Encoding::Hex } else { Encoding::Base64 },
            prefix,
            timestamp_header,
        })
    }
}

fn scheme() -> impl Strategy<Value = Scheme> {
    prop_oneof![
        1 => Just(Scheme::Frappe),
        1 => Just(Scheme::Github),
        1 => Just(Scheme::Shopify),
        1 => Just(Scheme::Stripe),
        2 => Just(Scheme::Standard),
        3 => generic(),
    ]
}

/// A shared key that differs from others of its kind as HMAC sees it: padding makes trailing zeros invisible.
fn shared() -> impl Strategy<Value = Key> {
    (vec(any::<u8>(), 0..100), 1..=u8::MAX).prop_map(|(mut key, last)| {
        key.push(last);
        Key::Shared(key)
    })
}

fn key(scheme: &Scheme) -> BoxedStrategy<Key> {
    match scheme {
        Scheme::Standard => prop_oneof![shared(), any::<[u8; 32]>().prop_map(Key::Seed)].boxed(),
        _ => shared().boxed(),
    }
}

prop_compose! {
    fn event()(
        id in "[!-~]([ -~]{0,40}[!-~])?",
        time in 0..=253_000_000_000_i64,
        body in vec(any::<u8>(), 1..300),
    ) -> Event {
        Event { id, time, body }
    }
}

fn delivery() -> impl Strategy<Value = Delivery> {
    scheme().prop_flat_map(|scheme| {
        (key(&scheme), event()).prop_map(move |(key, event)| Delivery { scheme: scheme.clone(), key, event })
    })
}

/// A delivery whose scheme signs a time.
fn timed() -> impl Strategy<Value = Delivery> {
    delivery().prop_filter("signs no time", |delivery| delivery.scheme.has_timestamp())
}

/// A delivery whose signature has something before it.
fn marked() -> impl Strategy<Value = Delivery> {
    delivery().prop_filter("has no prefix", |delivery| !marker(delivery).is_empty())
}

/// A delivery, and the same event signed with the same key under a scheme that writes another text.
fn swapped() -> impl Strategy<Value = (Delivery, Delivery)> {
    let pair = (delivery(), scheme())
        .prop_filter("no shared key", |(delivery, _)| matches!(delivery.key, Key::Shared(_)));
    pair.prop_map(|(delivery, scheme)| (delivery.clone(), Delivery { scheme, ..delivery }))
        .prop_filter("the same text", |(delivery, foreign)| {
            !same_signature(&delivery.scheme, &foreign.text(), &delivery.text())
        })
}

/// A delivery, and the keys of a rotation with the place of the one that signed.
fn rotation() -> impl Strategy<Value = (Delivery, Vec<Key>, usize)> {
    delivery().prop_flat_map(|delivery| {
        let others = vec(key(&delivery.scheme), 0..5);
        (Just(delivery), others, any::<Index>()).prop_map(|(delivery, mut keys, place)| {
            keys.retain(|key| *key != delivery.key);
            let place = place.index(keys.len() + 1);
            keys.insert(place, delivery.key.clone());
            (delivery, keys, place)
        })
    })
}

fn flip(bytes: &mut [u8], bit: Index) {
    let bit = bit.index(bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
}

/// Whether both texts say the same signature: only the case of hexadecimal digits may differ.
fn same_signature(scheme: &Scheme, one: &str, other: &str) -> bool {
    let marker = match scheme {
        Scheme::Github => "sha256=",
        Scheme::Stripe => "v1=",
        Scheme::Generic(generic) if generic.encoding == Encoding::Hex => &generic.prefix,
        _ => return one == other,
    };
    match (one.split_once(marker), other.split_once(marker)) {
        (Some((before, one)), Some((same, other))) => before == same && one.eq_ignore_ascii_case(other),
        _ => false,
    }
}

/// What stands before the signature in its header.
fn marker(delivery: &Delivery) -> &str {
    match (&delivery.scheme, &delivery.key) {
        (Scheme::Github, _) => "sha256=",
        (Scheme::Stripe, _) => "v1=",
        (Scheme::Standard, Key::Shared(_)) => "v1,",
        (Scheme::Standard, Key::Seed(_)) => "v1a,",
        (Scheme::Generic(generic), _) => &generic.prefix,
        (Scheme::Frappe | Scheme::Shopify, _) => "",
    }
}

proptest! {
    #[test]
    fn what_the_provider_signed_is_accepted(delivery in delivery()) {
        prop_assert_eq!(delivery.check_text(&delivery.text()), Ok(delivery.verified(0)));
    }

    #[test]
    fn the_secret_that_signed_is_reported((delivery, keys, place) in rotation()) {
        let secrets: Vec<_> = keys.iter().map(|key| named(key.shown_for(&delivery.scheme))).collect();
        let checked =
            delivery.check_with(&secrets, &delivery.headers(&delivery.text()), &delivery.event.body);
        prop_assert_eq!(checked, Ok(delivery.verified(place)));
    }

    #[test]
    fn without_the_secret_that_signed_nothing_is_accepted((delivery, mut keys, place) in rotation()) {
        keys.remove(place);
        let secrets: Vec<_> = keys.iter().map(|key| named(key.shown_for(&delivery.scheme))).collect();
        let checked =
            delivery.check_with(&secrets, &delivery.headers(&delivery.text()), &delivery.event.body);
        let code = if keys.is_empty() { ErrorCode::SecretMissing } else { ErrorCode::SignatureMismatch };
        prop_assert_eq!(checked, Err(code));
    }

    #[test]
    fn a_flipped_bit_of_the_secret_is_refused(delivery in delivery(), bit: Index) {
        let mut key = delivery.key.clone();
        match &mut key {
            Key::Shared(key) => flip(key, bit),
            Key::Seed(seed) => flip(seed, bit),
        }
        prop_assume!(!matches!(&key, Key::Shared(key) if key.last() == Some(&0)));
        let secret = named(key.shown_for(&delivery.scheme));
        let checked =
            delivery.check_with(&[secret], &delivery.headers(&delivery.text()), &delivery.event.body);
        prop_assert_eq!(checked, Err(ErrorCode::SignatureMismatch));
    }

    #[test]
    fn a_flipped_bit_of_the_body_is_refused(delivery in delivery(), bit: Index) {
        let mut body = delivery.event.body.clone();
        flip(&mut body, bit);
        let checked = delivery.check(&delivery.headers(&delivery.text()), &body);
        prop_assert_eq!(checked, Err(ErrorCode::SignatureMismatch));
    }

    #[test]
    fn a_longer_or_shorter_body_is_refused(delivery in delivery(), more in vec(any::<u8>(), 1..9), cut: Index) {
        let headers = delivery.headers(&delivery.text());
        let longer = [&delivery.event.body[..], &more].concat();
        prop_assert_eq!(delivery.check(&headers, &longer), Err(ErrorCode::SignatureMismatch));
        let shorter = &delivery.event.body[..cut.index(delivery.event.body.len())];
        prop_assert!(delivery.check(&headers, shorter).is_err());
    }

    #[test]
    fn a_flipped_bit_of_the_signature_is_refused(delivery in delivery(), bit: Index) {
        let mut signature = delivery.signature();
        flip(&mut signature, bit);
        let text = reference::write(&delivery.scheme, &delivery.key, &delivery.event, &signature);
        prop_assert_eq!(delivery.check_text(&text), Err(ErrorCode::SignatureMismatch));
    }

    #[test]
    fn a_signature_of_another_length_is_malformed(delivery in delivery(), length in 0..100_usize) {
        let mut signature = delivery.signature();
        prop_assume!(length != signature.len());
        signature.resize(length, 0);
        let text = reference::write(&delivery.scheme, &delivery.key, &delivery.event, &signature);
        prop_assert_eq!(delivery.check_text(&text), Err(ErrorCode::SignatureMalformed));
    }

    #[test]
    fn a_flipped_bit_of_the_timestamp_is_refused(delivery in delivery(), bit: Index) {
        let Some(name) = delivery.timestamp_header() else { return Ok(()) };
        let mut headers = delivery.headers(&delivery.text());
        let mut time = headers[name].as_bytes().to_vec();
        flip(&mut time, bit);
        let Ok(value) = HeaderValue::from_bytes(&time) else { return Ok(()) };
        headers.insert(name.parse::<HeaderName>().unwrap(), value);
        prop_assert!(delivery.check(&headers, &delivery.event.body).is_err());
    }

    #[test]
    fn another_time_is_refused(delivery in timed(), time in 0..=253_000_000_000_i64) {
        prop_assume!(time != delivery.event.time);
        let mut moved = delivery.clone();
        moved.event.time = time;
        let text = reference::write(&moved.scheme, &moved.key, &moved.event, &delivery.signature());
        prop_assert_eq!(moved.check_text(&text), Err(ErrorCode::SignatureMismatch));
    }

    #[test]
    fn only_times_within_the_tolerance_are_accepted(
        delivery in delivery(),
        distance in -700..700_i64,
        tolerance in 0..600_i64,
    ) {
        let now = Timestamp::from_second(delivery.event.time + distance).unwrap();
        let (headers, secrets) = (delivery.headers(&delivery.text()), [delivery.secret()]);
        let tolerance = SignedDuration::from_secs(tolerance);
        let checked = verify(&delivery.scheme, &headers, &delivery.event.body, &secrets, tolerance, now);
        let recent = distance.abs() <= tolerance.as_secs() || !delivery.scheme.has_timestamp();
        let expected = if recent { Ok(delivery.verified(0)) } else { Err(ErrorCode::TimestampStale) };
        prop_assert_eq!(checked.map_err(|error| error.code()), expected);
    }

    #[test]
    fn a_flipped_bit_of_the_id_is_refused(key in key(&Scheme::Standard), event in event(), bit: Index) {
        let delivery = Delivery { scheme: Scheme::Standard, key, event };
        let mut headers = delivery.headers(&delivery.text());
        let mut id = delivery.event.id.clone().into_bytes();
        flip(&mut id, bit);
        let Ok(value) = HeaderValue::from_bytes(&id) else { return Ok(()) };
        headers.insert("webhook-id", value);
        prop_assert!(delivery.check(&headers, &delivery.event.body).is_err());
    }

    #[test]
    fn a_character_more_is_refused(delivery in delivery(), place: Index, more in "[\t -~]") {
        let mut text = delivery.text();
        text.insert_str(place.index(text.len() + 1), &more);
        prop_assert!(delivery.check_text(&text).is_err(), "{}", text);
    }

    #[test]
    fn a_character_less_is_refused(delivery in delivery(), place: Index) {
        let mut text = delivery.text();
        text.remove(place.index(text.len()));
        prop_assert!(delivery.check_text(&text).is_err(), "{}", text);
    }

    #[test]
    fn another_character_is_refused(delivery in delivery(), place: Index, other in "[\t -~]") {
        let right = delivery.text();
        let place = place.index(right.len());
        let mut text = right.clone();
        text.replace_range(place..=place, &other);
        prop_assume!(!same_signature(&delivery.scheme, &text, &right));
        prop_assert!(delivery.check_text(&text).is_err(), "{}", text);
    }

    #[test]
    fn a_truncated_header_is_refused(delivery in delivery(), length: Index) {
        let text = delivery.text();
        let cut = &text[..length.index(text.len())];
        prop_assert!(delivery.check_text(cut).is_err(), "{}", cut);
    }

    #[test]
    fn another_prefix_is_refused(delivery in marked(), other in "[!-~]{0,8}") {
        let (text, marker) = (delivery.text(), marker(&delivery));
        prop_assume!(!other.ends_with(marker));
        for changed in [other.as_str(), &marker.to_uppercase()] {
            let changed = text.replacen(marker, changed, 1);
            prop_assert!(delivery.check_text(&changed).is_err(), "{}", changed);
        }
    }

    #[test]
    fn a_header_sent_twice_is_refused(delivery in delivery(), which: Index, other in "[!-~]{0,80}") {
        let headers = delivery.headers(&delivery.text());
        let names: Vec<_> = headers.keys().cloned().collect();
        let name = &names[which.index(names.len())];
        for value in [&headers[name], &HeaderValue::from_str(&other).unwrap()] {
            let mut doubled = headers.clone();
            doubled.append(name, value.clone());
            prop_assert!(delivery.check(&doubled, &delivery.event.body).is_err(), "{name}");
        }
    }

    #[test]
    fn a_header_left_out_is_refused(delivery in delivery(), which: Index) {
        let mut headers = delivery.headers(&delivery.text());
        let names: Vec<_> = headers.keys().cloned().collect();
        headers.remove(&names[which.index(names.len())]);
        prop_assert!(delivery.check(&headers, &delivery.event.body).is_err());
    }

    #[test]
    fn the_header_of_another_scheme_is_refused((delivery, foreign) in swapped()) {
        let text = foreign.text();
        prop_assert!(delivery.check_text(&text).is_err(), "{}", text);
        let elsewhere = delivery.check(&foreign.headers(&text), &delivery.event.body);
        prop_assert!(elsewhere.is_err());
    }

    #[test]
    fn no_refusal_shows_a_signature_or_a_secret(delivery in delivery(), place: Index, more in "[\t -~]") {
        let signature = delivery.text();
        let mut text = signature.clone();
        text.insert_str(place.index(text.len() + 1), &more);
        let (headers, secret) = (delivery.headers(&text), delivery.secret());
        let now = Timestamp::from_second(delivery.event.time).unwrap();
        let error =
            verify(&delivery.scheme, &headers, &delivery.event.body, &[secret], ENDLESS, now).unwrap_err();
        for window in signature.as_bytes()[marker(&delivery).len()..].windows(16) {
            prop_assert!(!error.causes().as_bytes().windows(16).any(|shown| shown == window));
        }
    }
}

/// Texts near to what schemes expect, to get past the first check.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..200),
        "(t|v0|v1|v1a|sha256)[=,][0-9a-zA-Z+/=]{0,90}([, ](t|v0|v1|v1a)[=,][0-9a-zA-Z+/=]{0,90}){0,20}"
            .prop_map(String::into_bytes),
        "[0-9]{0,30}".prop_map(String::into_bytes),
        "[0-9a-fA-F]{64}".prop_map(String::into_bytes),
        "[0-9a-zA-Z+/]{43}=".prop_map(String::into_bytes),
        (0..6000_usize).prop_map(|length| vec![b'v'; length]),
    ]
}

/// Any description of a scheme, sound or not.
fn described() -> impl Strategy<Value = Scheme> {
    let unsound = (generic(), ".{0,20}", ".{0,20}", option::of(".{0,20}")).prop_map(
        |(scheme, header, prefix, timestamp_header)| match scheme {
            Scheme::Generic(generic) => {
                Scheme::Generic(GenericHmac { header, prefix, timestamp_header, ..generic })
            }
            scheme => scheme,
        },
    );
    prop_oneof![scheme(), unsound]
}

proptest! {
    #[test]
    fn arbitrary_requests_are_refused_without_a_panic(
        scheme in described(),
        values in vec((any::<Index>(), plausible()), 0..6),
        body in vec(any::<u8>(), 0..300),
        secrets in vec(prop_oneof![
            vec(any::<u8>(), 0..80),
            "wh(sec|pk)_[0-9a-zA-Z+/]{43}=".prop_map(String::into_bytes),
        ], 0..4),
        tolerance: i64,
        now in Timestamp::MIN.as_second()..=Timestamp::MAX.as_second(),
    ) {
        let names = [scheme.signature_header(), "webhook-id", "webhook-timestamp", "x-generic-time"];
        let mut headers = HeaderMap::new();
        for (name, value) in &values {
            let (name, value) = (HeaderName::try_from(*name.get(&names)), HeaderValue::from_bytes(value));
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.append(name, value);
            }
        }
        let secrets: Vec<_> = secrets.iter().map(named).collect();
        let (tolerance, now) = (SignedDuration::from_secs(tolerance), Timestamp::from_second(now).unwrap());
        let _ = scheme.validate();
        prop_assert!(verify(&scheme, &headers, &body, &secrets, tolerance, now).is_err());
    }
}
