//! Requests that may be sent again: `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header).
//!
//! A handler takes [`Once`] as an argument and hands its receipt to the domain, which commits it with the effect.

#[cfg(test)]
use serde_json::json;

#[cfg(test)]
use super::openapi::Operation;
use super::{Call, input::Input};
#[cfg(test)]
use crate::ErrorCode;
use crate::{
    Error, Result,
    documents::{IdempotencyKey, Receipt, receipt},
};

/// By what a repeat of the request is recognised, if its caller wants it to be.
#[derive(Debug)]
pub struct Once(pub Option<Receipt>);

impl Input for Once {
    fn read(call: &Call<'_>) -> Result<Self> {
        let mut values = call.request.headers.get_all(receipt::HEADER).iter();
        let Some(value) = values.next() else { return Ok(Self(None)) };
        let once = |holds: bool| {
            let twice = || Error::field(receipt::HEADER, "invalid", "must be there once, in printable ASCII");
            if holds { Ok(()) } else { Err(twice()) }
        };
        once(values.next().is_none())?;
        let text = value.to_str().unwrap_or_default();
        once(!text.is_empty())?;
        Ok(Self(Some(receipt_of(call, IdempotencyKey::parse(text)?)?)))
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        let description = "Any name for this request, e.g. a UUID: sent again with it within 24 hours, the request has no \
             further effect and the same answer.";
        let schema = json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" });
        operation.header(receipt::HEADER, description, &schema);
        operation.may_fail(ErrorCode::IdempotencyKeyReused);
        operation.may_fail(ErrorCode::IdempotencyInFlight);
    }
}

fn receipt_of(call: &Call<'_>, key: IdempotencyKey) -> Result<Receipt> {
    let caller = call.caller()?;
    let request = call.request;
    let mut query: Vec<_> = call.query().collect();
    query.sort_unstable();
    let query = serde_json::to_vec(&query).map_err(Error::internal)?;
    let parts = [request.method.as_bytes(), request.path.as_bytes(), &query, request.body()?];
    let route = format!("{} {}", call.route.method, call.route.path);
    Ok(Receipt::new(&caller.principal.user, &route, key, &parts, caller.seal.expose()))
}
