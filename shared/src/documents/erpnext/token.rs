//! By what the effect of a commit is recognised, in the site and in State: the event it answers, the work it
//! does, the request, or nothing but itself.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;

use serde_json::Value;

use super::{
    super::{Commit, Target, Work, Write, receipt::RECOGNISED},
    list::conditions,
};
use crate::Result;

/// The most characters of an id: the width of the site's column.
pub const MAX_ID_CHARS: usize = 140;

/// What a commit is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// The event of this id.
    Event(String),
    /// A request that may be repeated. Another request of the same key has another `fingerprint`.
    Request {
        /// The receipt's id.
        id: String,
        /// What a mark keeps of it: the id, whose request, and when.
        noted: String,
        /// When it is made, in seconds since 1970.
        at: i64,
    },
    /// The work of this id.
    Work {
        /// The id.
        id: String,
        /// Conditions of a list that leave what may have been made for it, where nothing of ours does; none: what was
        /// sent has to tell.
        among: Vec<Value>,
    },
    /// Itself: a random id, so that a write whose answer was lost knows its own effect.
    Write(String),
}

impl Token {
    /// The token of `commit`, made at `now`.
    pub fn of(commit: &Commit, now: Timestamp) -> Result<Self> {
        if let Some(event) = &commit.event {
            return Ok(Self::of_event(&event.facts.id));
        }
        if let Some(work) = &commit.work {
            return Self::of_work(work);
        }
        let Some(receipt) = &commit.receipt else { return Ok(Self::random()) };
        let fingerprint = receipt.fingerprint()?;
        let print = BASE64_URL_SAFE_NO_PAD.encode(fingerprint.get(..9).unwrap_or(&fingerprint));
        let at = now.as_second();
        let noted = format!("{}.{print}@{at}", receipt.id());
        Ok(Self::Request { id: receipt.id().to_owned(), noted, at })
    }

    /// The token of the event `id`.
    pub fn of_event(id: &str) -> Self {
        Self::Event(id.to_owned())
    }

    /// The token of `work`.
    pub fn of_work(work: &Work) -> Result<Self> {
        Ok(Self::Work { id: work.id.clone(), among: conditions(&work.among)? })
    }

    /// A token that nothing else has.
    pub fn random() -> Self {
        Self::Write(crate::id::random())
    }

    /// What names the commit, and new documents that have no other name.
    pub fn id(&self) -> &str {
        match self {
            Self::Event(id) | Self::Work { id, .. } | Self::Request { id, .. } | Self::Write(id) => id,
        }
    }

    /// What a mark keeps among its events.
    pub fn noted(&self) -> Option<&str> {
        match self {
            Self::Event(id) | Self::Work { id, .. } => Some(id),
            Self::Request { noted, .. } => Some(noted),
            Self::Write(_) => None,
        }
    }

    /// What a mark keeps until the next write.
    pub fn unnoted(&self) -> Option<&str> {
        match self {
            Self::Write(id) => Some(id),
            Self::Event(_) | Self::Work { .. } | Self::Request { .. } => None,
        }
    }

    /// Whether `events` says that its effect happened. A request of the same key a day later is another one.
    pub fn is_among(&self, events: &[String]) -> bool {
        match self {
            Self::Event(id) | Self::Work { id, .. } => events.contains(id),
            Self::Request { noted, at, .. } => {
                let request = noted.split('@').next();
                events.iter().filter_map(|event| event.split_once('@')).any(|(before, then)| {
                    let then = then.parse::<i64>().unwrap_or(i64::MIN);
                    Some(before) == request && at.saturating_sub(then) < RECOGNISED.as_secs()
                })
            }
            Self::Write(_) => false,
        }
    }

    /// Whether it may find its own id taken by an effect that is not its own: of a request of the same key, that is no
    /// longer recognised.
    pub fn outlives_its_id(&self, events: &[String]) -> bool {
        match self {
            Self::Request { id, at, .. } => {
                events.iter().filter_map(|event| event.split_once('@')).any(|(before, then)| {
                    let of_key = before.split('.').next() == Some(id);
                    let then = then.parse::<i64>().unwrap_or(i64::MAX);
                    of_key && at.saturating_sub(then) >= RECOGNISED.as_secs()
                })
            }
            Self::Event(_) | Self::Work { .. } | Self::Write(_) => false,
        }
    }

    /// Conditions of a list that leave what may have been made for it; none if there are no such conditions.
    pub fn among(&self) -> &[Value] {
        match self {
            Self::Work { among, .. } => among,
            Self::Event(_) | Self::Request { .. } | Self::Write(_) => &[],
        }
    }

    /// By what the new document of the commit's `place`th write is found again: its name if it has one. `round` counts
    /// how often an id of this token was another's.
    pub fn document_id(&self, write: &Write, place: usize, round: usize) -> String {
        if let Target::Named(key) = &write.target {
            return key.name.to_string();
        }
        let id = self.id();
        match (place, round) {
            (0, 0) => id.to_owned(),
            (place, 0) => format!("{id}/{place}"),
            (place, round) => format!("{id}/{place}~{round}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::{
        documents::{IdempotencyKey, Receipt},
        testing::start,
    };

    fn request(body: &str, now: Timestamp) -> Token {
        let key = IdempotencyKey::parse("order 1").unwrap();
        let receipt = Receipt::new("kim", "POST /x", key, &[body.as_bytes()], &[7; 32]);
        Token::of(&Commit { writes: Vec::new(), event: None, receipt: Some(receipt), work: None }, now)
            .unwrap()
    }

    #[test]
    fn a_request_is_recognised_for_a_day_and_another_one_of_its_key_is_not() {
        let first = request("{}", start());
        let events = vec!["evt_1".to_owned(), first.noted().unwrap().to_owned()];
        let later = |hours: i64| request("{}", start() + SignedDuration::from_hours(hours));
        assert!(first.is_among(&events) && later(23).is_among(&events) && !later(24).is_among(&events));
        assert!(!request("{\"other\":1}", start()).is_among(&events));
        assert!(later(24).outlives_its_id(&events) && !later(23).outlives_its_id(&events));
        assert!(!first.is_among(&["evt_1".to_owned()]) && !first.outlives_its_id(&["evt_1".to_owned()]));
        assert!(first.noted().unwrap().len() < MAX_ID_CHARS && first.id().len() < MAX_ID_CHARS);
    }

    #[test]
    fn an_event_is_recognised_by_its_id() {
        let token = Token::of_event("evt_1");
        assert!(token.is_among(&["evt_1".to_owned()]) && !token.is_among(&["evt_2".to_owned()]));
        assert!(!Token::random().is_among(&["evt_1".to_owned()]));
    }
}
