//! The pipeline that every call takes.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Answer, Call, CallFailure, CallLog, Effect, Governor, Limits, OutboundPolicy, Outcome, Transport,
    TransportError, Verdict, governor::OutcomeKind,
};
use crate::{Error, ErrorCode, clock::Clock};

/// The one way out.
pub struct Outbound {
    transport: Arc<dyn Transport>,
    governor: Arc<Governor>,
    #[expect(dead_code, reason = "each try is noted in it")]
    log: Arc<dyn CallLog>,
    #[expect(dead_code, reason = "when each try began")]
    clock: Arc<dyn Clock>,
}

impl Outbound {
    /// Calls over `transport`, as `governor` allows, noted in `log`.
    pub fn new(
        transport: Arc<dyn Transport>,
        governor: Arc<Governor>,
        log: Arc<dyn CallLog>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { transport, governor, log, clock }
    }

    /// Makes `call` under `policy`.
    pub async fn call(&self, call: &Call, policy: &OutboundPolicy) -> Result<Answer, CallFailure> {
        let permit = self.governor.admit(&call.connector, policy).await.map_err(CallFailure::Withheld)?;
        let began = Instant::now();
        let limits = Limits {
            connect: Duration::from_secs(policy.connect_timeout_seconds.into()),
            total: Duration::from_secs(policy.timeout_seconds.into()),
            max_response_bytes: policy.max_response_bytes,
        };
        let sent = self.transport.send(&call.request, limits).await;
        let (kind, result) = judge(call, sent);
        let outcome = Outcome { kind, took: began.elapsed(), rate: None };
        self.governor.report(permit, policy, outcome).await;
        result
    }
}

fn judge(
    call: &Call,
    sent: Result<http::Response<Vec<u8>>, TransportError>,
) -> (OutcomeKind, Result<Answer, CallFailure>) {
    let response = match sent {
        Ok(response) => response,
        Err(TransportError::AddressRefused(why)) => {
            let error = Error::new(ErrorCode::AddressRefused, why);
            return (OutcomeKind::Unsent, Err(CallFailure::Withheld(error)));
        }
        Err(TransportError::NotSent(source)) => {
            let error = unavailable(call).because(source);
            return (OutcomeKind::Failed, Err(CallFailure::Withheld(error)));
        }
        Err(TransportError::Lost(source)) => {
            let error = unavailable(call).because(source).with_code(ErrorCode::OutcomeUnknown);
            return (OutcomeKind::Failed, Err(CallFailure::Unknown(error)));
        }
        Err(TransportError::TooLarge(_)) => {
            let error = unavailable(call).with_code(ErrorCode::OutcomeUnknown);
            return (OutcomeKind::Healthy, Err(CallFailure::Unknown(error)));
        }
    };
    match call.provider.judge(&response) {
        Verdict::Success => (OutcomeKind::Healthy, Ok(Answer { response, refused: false })),
        Verdict::Refused => (OutcomeKind::Healthy, Ok(Answer { response, refused: true })),
        Verdict::Limited => {
            let error = unavailable(call).with_code(ErrorCode::ProviderLimited);
            (OutcomeKind::Limited(None), Err(CallFailure::Failed(error)))
        }
        Verdict::Failed(Effect::None) => (OutcomeKind::Failed, Err(CallFailure::Failed(unavailable(call)))),
        Verdict::Failed(Effect::Unknown) => {
            let error = unavailable(call).with_code(ErrorCode::OutcomeUnknown);
            (OutcomeKind::Failed, Err(CallFailure::Unknown(error)))
        }
    }
}

fn unavailable(call: &Call) -> Error {
    Error::new(
        ErrorCode::ProviderUnavailable,
        format!("{} does not answer {}", call.connector, call.endpoint),
    )
}
