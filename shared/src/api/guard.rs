//! Who comes in: the limit on failed authentication, the API key, and, once the wrapper asked for the permission
//! that the route's line in the table names, the user's rate limit. What is refused early costs little: neither a
//! blocked address nor a refused user leads to a call.

use std::sync::Arc;

use super::router::{Access, Route};
use crate::{
    Error, ErrorCode, Result,
    auth::{ApiKeys, Caller, PresentedKey},
    rate_limit::{Decision, FailedAuthentications, RateLimiter},
    trigger::http::{Request, Response},
};

/// Lets callers in, or not.
pub struct Guard {
    /// The keys.
    pub keys: Arc<ApiKeys>,
    /// How often each user may do what.
    pub limiter: Arc<RateLimiter>,
    /// How often each address may fail to authenticate.
    pub failed_authentications: FailedAuthentications,
}

impl Guard {
    /// Who calls; nobody on a public route.
    pub async fn authenticate(&self, route: &Route, request: &Request) -> Result<Option<Caller>> {
        if route.access == Access::Public {
            return Ok(None);
        }
        let presented = match PresentedKey::from_headers(&request.headers) {
            Err(error) if error.code() == ErrorCode::ApiKeyMissing => return Err(error),
            presented => presented,
        };
        let address = request.source_address.as_deref().unwrap_or_default();
        if let Some(error) = self.failed_authentications.blocked(address) {
            // Others at the address are not kept out: who is known is let in, without a call for anyone.
            let known = presented.ok().and_then(|key| self.keys.remembered_caller(&key));
            return known.map(Some).ok_or(error);
        }
        let caller = match presented {
            Ok(key) => self.keys.caller(&key).await,
            Err(error) => Err(error),
        };
        match caller {
            Err(error) if error.code() == ErrorCode::ApiKeyInvalid => {
                Err(self.failed_authentications.failed(address).await.unwrap_or(error))
            }
            result => result.map(Some),
        }
    }

    /// Counts the request; nothing on a route that is not limited.
    pub async fn count(&self, route: &Route, caller: Option<&Caller>) -> Result<Option<Decision>> {
        match (route.rate, caller) {
            (Some(class), Some(caller)) => self.limiter.check(class, &caller.principal.user).await.map(Some),
            _ => Ok(None),
        }
    }
}

/// Adds what the limiter says to an answer.
pub fn with_limits(response: Response, decision: Option<&Decision>) -> Response {
    let Some(decision) = decision else { return response };
    let response = response.with_header(POLICY, &decision.policy());
    match decision.rate_limit() {
        Some(standing) => response.with_header(STANDING, &standing),
        None => response,
    }
}

const POLICY: http::HeaderName = http::HeaderName::from_static("ratelimit-policy");
const STANDING: http::HeaderName = http::HeaderName::from_static("ratelimit");

/// The error of a refused request.
pub fn refused(decision: Option<&Decision>) -> Result<()> {
    decision.and_then(Decision::error).map_or(Ok(()), Err::<(), Error>)
}
