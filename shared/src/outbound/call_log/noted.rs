//! Calls that were noted and are not written yet: in memory, within limits.

use std::collections::BTreeMap;

use super::CallRecord;

/// The most calls that are kept until they are written; of more only how many they were.
const MAX_RECORDS: usize = 500;
/// The most bytes of bodies that are kept; calls beyond are kept without.
const MAX_BODY_BYTES: usize = 256 * 1024;
/// The longest endpoint, URL and error, in bytes.
const MAX_TEXT_BYTES: usize = 512;
/// The most bytes of those that are kept, all calls together: also what cannot be deflated fits an item.
const MAX_ALL_TEXT_BYTES: usize = 256 * 1024;
/// The longest owner, in bytes: it is part of keys.
pub(super) const MAX_OWNER_BYTES: usize = 256;

/// The calls of one owner to one connector.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// In the order they were noted.
    pub calls: Vec<CallRecord>,
    /// Calls beyond the limit.
    pub omitted: u64,
}

/// Everything noted since the last flush.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// By owner and connector.
    pub groups: BTreeMap<(String, String), Group>,
    /// Calls of owners that came when there was no room for one more.
    pub lost: u64,
    records: usize,
    body_bytes: usize,
    text_bytes: usize,
}

impl Noted {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.lost == 0
    }

    /// Takes `record` in, as far as there is room.
    pub fn add(&mut self, mut record: CallRecord) {
        cut(&mut record.owner, MAX_OWNER_BYTES);
        cut(&mut record.endpoint, MAX_TEXT_BYTES);
        cut(&mut record.url, MAX_TEXT_BYTES);
        if let Some(error) = &mut record.error {
            cut(error, MAX_TEXT_BYTES);
        }
        let texts = record.endpoint.len() + record.url.len() + record.error.as_ref().map_or(0, String::len);
        let key = (record.owner.clone(), record.connector.clone());
        if self.records == MAX_RECORDS || self.text_bytes + texts > MAX_ALL_TEXT_BYTES {
            match self.groups.get_mut(&key) {
                Some(group) => group.omitted += 1,
                None => self.lost += 1,
            }
            return;
        }
        let bytes = record.request_body.len() + record.response_body.len();
        if self.body_bytes + bytes > MAX_BODY_BYTES {
            record.request_body.clear();
            record.response_body.clear();
        } else {
            self.body_bytes += bytes;
        }
        self.records += 1;
        self.text_bytes += texts;
        self.groups.entry(key).or_default().calls.push(record);
    }
}

fn cut(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::record, *};

    #[test]
    fn more_calls_than_are_kept_are_counted() {
        let mut noted = Noted::default();
        for _ in 0..MAX_RECORDS + 7 {
            noted.add(record("evt_1"));
        }
        noted.add(record("evt_2"));
        let group = &noted.groups[&("evt_1".to_owned(), "erpnext".to_owned())];
        assert_eq!((group.calls.len(), group.omitted, noted.lost), (MAX_RECORDS, 7, 1));
    }

    #[test]
    fn calls_beyond_the_memory_for_bodies_are_kept_without_them() {
        let mut noted = Noted::default();
        for _ in 0..100 {
            noted.add(CallRecord { response_body: "x".repeat(4_096), ..record("evt_1") });
        }
        let calls = &noted.groups.values().next().unwrap().calls;
        let kept: usize = calls.iter().map(|call| call.request_body.len() + call.response_body.len()).sum();
        assert_eq!(calls.len(), 100);
        assert!((MAX_BODY_BYTES - 8_192..=MAX_BODY_BYTES).contains(&kept), "{kept}");
    }

    #[test]
    fn texts_without_end_are_cut() {
        let mut noted = Noted::default();
        let long = "ü".repeat(3_000);
        let call = CallRecord { url: long.clone(), error: Some(long.clone()), ..record(&long) };
        noted.add(call);
        let ((owner, _), group) = noted.groups.iter().next().unwrap();
        assert!(owner.len() <= MAX_OWNER_BYTES && group.calls[0].url.len() <= MAX_TEXT_BYTES);
    }

    #[test]
    fn calls_that_cannot_be_made_smaller_fit_an_item_all_the_same() {
        let (mut noted, mut random) = (Noted::default(), fastrand::Rng::with_seed(3));
        let mut text =
            || std::iter::repeat_with(|| random.alphanumeric()).take(MAX_TEXT_BYTES).collect::<String>();
        for _ in 0..MAX_RECORDS {
            noted.add(CallRecord { url: text(), endpoint: text(), error: Some(text()), ..record("evt_1") });
        }
        let ((owner, connector), group) = noted.groups.iter().next().unwrap();
        assert_eq!(group.calls.len() as u64 + group.omitted, MAX_RECORDS as u64);
        let item =
            super::super::stored::item(owner, connector, group, crate::testing::start()).unwrap().unwrap();
        let size: usize = item.iter().map(|(name, value)| name.len() + crate::dynamo::size(value)).sum();
        assert!(size < 350 * 1024, "{size}");
    }
}
