//! The pipeline that every call takes: time, governor, transport, verdict, log; and again, where that is safe.
//!
//! A try is made if the function's deadline leaves time for it and the governor admits it; how it went is reported to
//! the governor and noted in the call log, also if it was withheld. It is made again, after a short wait with full
//! jitter, while the failure leaves no doubt that nothing changed, or a repeat does no harm ([`Repeat::Safe`]), and
//! while the policy's attempts, the retry budget and the time allow. A wait of more than a second is never slept here:
//! the error carries it, and the work goes back to its queue or its caller.
//!
//! One lost try makes the whole call [`CallFailure::Unknown`], whatever a later one says, unless a later one succeeds.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{Method, Response, StatusCode};
use tokio::time::Instant;

use super::{
    Answer, Call, CallFailure, CallLog, CallRecord, Effect, Governor, Limits, Origin, OutboundPolicy,
    Outcome, RateNotice, Repeat, Transport, TransportError, Verdict, call_log::CallOutcome,
    governor::OutcomeKind, policy::MAX_ATTEMPTS, record, retry_after,
};
use crate::{Error, ErrorCode, clock::Clock};

/// How long before the deadline a call ends, so that what it brought can still be written.
const RESERVE: Duration = Duration::from_millis(500);
/// With less time than this nothing is sent.
const MINIMUM: Duration = Duration::from_millis(250);
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The one way out.
pub struct Outbound {
    transport: Arc<dyn Transport>,
    governor: Arc<Governor>,
    log: Arc<dyn CallLog>,
    clock: Arc<dyn Clock>,
    random: Mutex<fastrand::Rng>,
}

/// What came of a try.
struct Tried {
    result: Result<Answer, CallFailure>,
    /// Whether another try may be made at all, and if so not before this long.
    again: Option<Duration>,
    /// What the governor hears.
    kind: OutcomeKind,
    rate: Option<RateNotice>,
    /// What the log calls it.
    outcome: CallOutcome,
}

impl Outbound {
    /// Calls over `transport`, as `governor` allows, noted in `log`.
    pub fn new(
        transport: Arc<dyn Transport>,
        governor: Arc<Governor>,
        log: Arc<dyn CallLog>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { transport, governor, log, clock, random: Mutex::new(fastrand::Rng::new()) }
    }

    /// With waits drawn from `random`.
    #[must_use]
    pub fn with_random(mut self, random: fastrand::Rng) -> Self {
        self.random = Mutex::new(random);
        self
    }

    /// Makes `call` under `policy`.
    pub async fn call(&self, call: &Call, policy: &OutboundPolicy) -> Result<Answer, CallFailure> {
        let mut attempt = 1;
        let mut unknown = false;
        loop {
            // Boxed: callers' futures stay small.
            let tried = Box::pin(self.attempt(call, policy, attempt)).await;
            let failed = match tried.result {
                Ok(answer) => return Ok(Answer { after_unknown: unknown, ..answer }),
                Err(failure) => failure,
            };
            unknown |= matches!(failed, CallFailure::Unknown(_));
            let wait = tried.again.and_then(|least| self.wait(policy, attempt, least));
            let Some(wait) = wait.filter(|_| self.governor.may_retry(&call.connector)) else {
                let failed = if unknown { in_doubt(failed) } else { failed };
                return Err(failed.map(|error| self.filed(call, error)));
            };
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    /// The error as one of the connector, and of its outage, if this try met or made one: then it is no fault of what
    /// was to be done.
    fn filed(&self, call: &Call, error: Error) -> Error {
        let error = error.of_connector(&call.connector);
        let of_provider = [ErrorCode::BreakerOpen, ErrorCode::ProviderUnavailable, ErrorCode::OutcomeUnknown];
        if !of_provider.contains(&error.code()) {
            return error;
        }
        let Some(left) = self.governor.outage(&call.connector) else { return error };
        let told = error.retry_after_seconds().map_or(Duration::ZERO, Duration::from_secs);
        later(error, Some(told.max(left))).in_outage()
    }

    /// How long to wait, at least `least`, before the try after `attempt`; `None` if there is to be none.
    fn wait(&self, policy: &OutboundPolicy, attempt: u32, least: Duration) -> Option<Duration> {
        if attempt >= policy.retry.attempts.min(MAX_ATTEMPTS) || least > LONGEST_WAIT {
            return None;
        }
        let base = Duration::from_millis(policy.retry.base_milliseconds.into());
        let longest = base.saturating_mul(1 << (attempt - 1)).min(LONGEST_WAIT);
        let share = self.random.lock().unwrap_or_else(PoisonError::into_inner).f64();
        let wait = longest.mul_f64(share).max(least);
        let enough = Origin::time_left().is_none_or(|left| left >= wait + RESERVE + MINIMUM);
        enough.then_some(wait)
    }

    /// Makes one try.
    async fn attempt(&self, call: &Call, policy: &OutboundPolicy, attempt: u32) -> Tried {
        let mut record = record::begun(call, attempt, self.clock.now());
        let tried = self.send(call, policy, &mut record).await;
        record.outcome = tried.outcome;
        record.error = tried.result.as_ref().err().map(|failure| failure.error().causes());
        self.log.note(record);
        tried
    }

    async fn send(&self, call: &Call, policy: &OutboundPolicy, record: &mut CallRecord) -> Tried {
        if limits(policy).is_none() {
            return Tried::withheld(out_of_time(call));
        }
        let permit = match self.governor.admit(&call.connector, policy).await {
            Ok(permit) => permit,
            Err(error) => return Tried::withheld(error),
        };
        // Being admitted takes time.
        let began = Instant::now();
        let tried = match limits(policy) {
            None => Tried::withheld(out_of_time(call)),
            Some(limits) => {
                let sent = self.transport.send(&call.request, limits).await;
                record::answered(record, &sent);
                self.judge(call, sent)
            }
        };
        let took = began.elapsed();
        record.duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.governor.report(permit, policy, Outcome { kind: tried.kind, took, rate: tried.rate }).await;
        tried
    }

    /// What came of a try that was to be sent.
    fn judge(&self, call: &Call, sent: Result<Response<Vec<u8>>, TransportError>) -> Tried {
        match sent {
            Ok(response) => self.verdict(call, response),
            Err(TransportError::AddressRefused(why)) => Tried::withheld(refused(call, &why)),
            Err(TransportError::NotSent(cause)) => {
                let error = unavailable(call, "cannot be reached").because(cause);
                Tried::failed(CallFailure::Withheld(error), Some(Duration::ZERO))
            }
            Err(TransportError::Lost(cause)) => {
                Tried::lost(call, unavailable(call, "gave no answer").because(cause))
            }
            Err(TransportError::TooLarge(status)) => Tried::too_large(call, status),
        }
    }

    /// What came of a try that was answered.
    fn verdict(&self, call: &Call, response: Response<Vec<u8>>) -> Tried {
        let rate = call.provider.rate(response.headers());
        let asked = retry_after::read(response.headers(), self.clock.now());
        let status = response.status().as_u16();
        let not_well = || later(unavailable(call, &format!("is not well: it answered {status}")), asked);
        let tried = match call.provider.judge(&response) {
            Verdict::Success => Tried::answered(response, false),
            Verdict::Refused => Tried::answered(response, true),
            Verdict::Limited => {
                let used_up = rate.filter(|rate| rate.left <= 0.0).map(|rate| rate.resets_in);
                Tried::limited(call, asked.or(used_up))
            }
            Verdict::Failed(Effect::None) => {
                Tried::failed(CallFailure::Failed(not_well()), Some(asked.unwrap_or_default()))
            }
            Verdict::Failed(Effect::Unknown) => {
                let lost = Tried::lost(call, not_well());
                Tried { again: lost.again.map(|_| asked.unwrap_or_default()), ..lost }
            }
        };
        Tried { rate, ..tried }
    }
}

impl Tried {
    fn answered(response: Response<Vec<u8>>, refused: bool) -> Self {
        let outcome = if refused { CallOutcome::Refused } else { CallOutcome::Success };
        let result = Ok(Answer { response, refused, after_unknown: false });
        Self { result, again: None, kind: OutcomeKind::Healthy, rate: None, outcome }
    }

    /// Nothing was sent, by our own decision.
    fn withheld(error: Error) -> Self {
        let result = Err(CallFailure::Withheld(error));
        Self { result, again: None, kind: OutcomeKind::Unsent, rate: None, outcome: CallOutcome::Withheld }
    }

    /// Nothing changed.
    fn failed(failure: CallFailure, again: Option<Duration>) -> Self {
        Self {
            result: Err(failure),
            again,
            kind: OutcomeKind::Failed,
            rate: None,
            outcome: CallOutcome::Failed,
        }
    }

    fn limited(call: &Call, wait: Option<Duration>) -> Self {
        let error = Error::new(
            ErrorCode::ProviderLimited,
            format!("{} asks us to call {} less", call.connector, call.endpoint),
        );
        let failed = Self::failed(CallFailure::Failed(later(error, wait)), Some(wait.unwrap_or_default()));
        Self { kind: OutcomeKind::Limited(wait), outcome: CallOutcome::Limited, ..failed }
    }

    /// It may have had its effect, unless it is one that has none.
    fn lost(call: &Call, error: Error) -> Self {
        if matches!(*call.request.method(), Method::GET | Method::HEAD) {
            return Self::failed(CallFailure::Failed(error), Some(Duration::ZERO));
        }
        let again = (call.repeat == Repeat::Safe).then_some(Duration::ZERO);
        let error = error.with_code(ErrorCode::OutcomeUnknown);
        Self { outcome: CallOutcome::Unknown, ..Self::failed(CallFailure::Unknown(error), again) }
    }

    /// Another try would be as large.
    fn too_large(call: &Call, status: StatusCode) -> Self {
        let detail =
            format!("the answer of {} to {} is larger than its limit", call.connector, call.endpoint);
        let error = Error::new(ErrorCode::AnswerTooLarge, detail);
        let lost = Self::lost(call, error.repeated());
        let result = match lost.result {
            Err(CallFailure::Failed(_)) => Err(CallFailure::Failed(error)),
            unknown => unknown,
        };
        let kind = if status.is_server_error() { OutcomeKind::Failed } else { OutcomeKind::Healthy };
        Self { result, again: None, kind, ..lost }
    }
}

/// What a try may cost now; `None` if there is no time for one.
fn limits(policy: &OutboundPolicy) -> Option<Limits> {
    let total = Duration::from_secs(policy.timeout_seconds.into());
    let left = Origin::time_left().map_or(total, |left| left.saturating_sub(RESERVE));
    (left >= MINIMUM.min(total)).then(|| Limits {
        connect: Duration::from_secs(policy.connect_timeout_seconds.into()),
        total: total.min(left),
        max_response_bytes: policy.max_response_bytes,
    })
}

/// A failure after one whose effect nobody knows.
fn in_doubt(failure: CallFailure) -> CallFailure {
    match failure {
        CallFailure::Unknown(error) | CallFailure::Failed(error) | CallFailure::Withheld(error) => {
            CallFailure::Unknown(error.with_code(ErrorCode::OutcomeUnknown))
        }
    }
}

fn unavailable(call: &Call, how: &str) -> Error {
    Error::new(ErrorCode::ProviderUnavailable, format!("{} {how} ({})", call.connector, call.endpoint))
}

fn out_of_time(call: &Call) -> Error {
    let detail = format!("too little time is left to call {} ({})", call.connector, call.endpoint);
    Error::new(ErrorCode::OutOfTime, detail)
}

fn refused(call: &Call, why: &str) -> Error {
    Error::new(ErrorCode::AddressRefused, format!("{} is not called: {why}", call.connector))
}

/// With when to come again, where that is known, in whole seconds, rounded up.
fn later(error: Error, wait: Option<Duration>) -> Error {
    match wait {
        Some(wait) => error.retry_after(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)),
        None => error,
    }
}
