//! What goes wrong on demand: which requests, how often, and what becomes of them. Tests set faults while the site
//! runs; the first that fits a request is its fate.

use std::time::Duration;

use crate::request::{Answer, Request};

/// What becomes of a request. In each, the site's work is done to its end or not at all, whether or not the caller
/// still listens.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Nothing happens for this long; then all as usual.
    DelayBefore(Duration),
    /// The work is done and visible at once, the answer comes later: a caller who gave up has had an effect.
    DelayAnswer(Duration),
    /// The document is stamped now and visible later, as in a long transaction; then the answer.
    HoldCommit(Duration),
    /// The caller hears this at once, and the work happens later.
    LateCommit(Duration, Meanwhile),
    /// The connection closes without an answer, and nothing was done.
    DropBefore,
    /// The connection closes without an answer after the work.
    DropAfter,
    /// The work is done, and the connection closes in the middle of the answer's body.
    DropMidBody,
    /// This answer, and nothing is done.
    Answer(Answer),
    /// This answer, after the work.
    AnswerAfter(Answer),
    /// 429 with `Retry-After` in seconds; nothing is done.
    Limited(u64),
    /// 503: the site is in maintenance; nothing is done.
    Maintenance,
    /// 500 QueryTimeoutError: a lock waited too long; nothing is done.
    LockWait,
    /// The work is done, and the answer's body has this many bytes; `u64::MAX`: never ends.
    Flood(u64),
    /// The work is done, and the answer comes a byte at a time, this long apart.
    Drip(Duration),
}

/// What the caller of a late commit hears.
#[derive(Debug, Clone)]
pub enum Meanwhile {
    /// The connection closes.
    Drop,
    /// An answer: usually a proxy's 504.
    Answer(Answer),
}

/// A fault and the requests that it is for.
#[derive(Debug, Clone)]
pub struct Fault {
    effect: Effect,
    method: Option<String>,
    path: Option<String>,
    doctype: Option<String>,
    skip: u64,
    left: u64,
    probability: Option<(f64, fastrand::Rng)>,
}

impl Fault {
    /// For every request.
    pub fn new(effect: Effect) -> Self {
        Self { effect, method: None, path: None, doctype: None, skip: 0, left: u64::MAX, probability: None }
    }

    /// Only for this HTTP method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Only where the decoded path has this in it.
    #[must_use]
    pub fn path(mut self, part: &str) -> Self {
        self.path = Some(part.to_owned());
        self
    }

    /// Only where the request names this DocType, in its path or in its body.
    #[must_use]
    pub fn doctype(mut self, doctype: &str) -> Self {
        self.doctype = Some(doctype.to_owned());
        self
    }

    /// Not for the first so many that fit.
    #[must_use]
    pub fn after(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// Only so many times: the site changes its mind then.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.left = times;
        self
    }

    /// Only once.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// With this probability, by a generator that starts at `seed`.
    #[must_use]
    pub fn sometimes(mut self, probability: f64, seed: u64) -> Self {
        self.probability = Some((probability, fastrand::Rng::with_seed(seed)));
        self
    }

    fn fits(&self, request: &Request) -> bool {
        self.method.as_ref().is_none_or(|method| *method == request.method)
            && self.path.as_ref().is_none_or(|part| request.path.contains(part))
            && self.doctype.as_ref().is_none_or(|doctype| request.doctypes().contains(doctype))
    }

    fn strikes(&mut self, request: &Request) -> bool {
        if self.left == 0 || !self.fits(request) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if self.probability.as_mut().is_some_and(|(probability, random)| random.f64() >= *probability) {
            return false;
        }
        self.left -= 1;
        true
    }
}

/// The faults that are set, in order.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// One more, after those that are there.
    pub fn set(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// None any more.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What becomes of this request.
    pub fn strike(&mut self, request: &Request) -> Option<Effect> {
        self.0.iter_mut().find_map(|fault| fault.strikes(request).then(|| fault.effect.clone()))
    }
}
