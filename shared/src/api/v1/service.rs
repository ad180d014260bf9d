//! What says nothing about anyone: that the API answers, and which versions it has.

use http::StatusCode;
use serde_json::{Map, json};

use super::{
    args::{Args, NoArguments},
    envelope::Message,
    notice,
};
#[cfg(test)]
use crate::api::openapi::Operation;
use crate::{
    Error, Result,
    api::{Call, answer::Answer, input::Input, v2::root::FEATURES, version::Version},
    trigger::http::Response,
};

/// `ping`: `pong`.
pub async fn ping(_: &Call<'_>, _: Args<NoArguments>) -> Result<Message<&'static str>> {
    Ok(Message("pong"))
}

/// `POST /` without a method.
pub async fn no_command(_: &Call<'_>, _: Args<Command>) -> Result<Message<()>> {
    Err(Error::field("cmd", "missing", "names the method to call, as in /api/method/{method}"))
}

/// Which method a form sent to the site itself calls.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
pub struct Command {
    /// The method, e.g. `frappe.client.delete`; its arguments stand beside it.
    #[expect(dead_code, reason = "a request that has it is one for the method's own route")]
    cmd: Option<String>,
}

/// The version that is asked for.
pub struct Asked(Version);

impl Input for Asked {
    fn read(call: &Call<'_>) -> Result<Self> {
        Ok(Self(Version::asked(call.request, &call.request.path)?.unwrap_or(Version::V1)))
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.version();
    }
}

/// What a version of the API is.
pub struct About(Version);

/// `GET /api`: about version 1, or 2 if it is asked for in the header `API-Version` or as `version`.
pub async fn version(_: &Call<'_>, Asked(version): Asked) -> Result<About> {
    Ok(About(version))
}

impl Answer for About {
    fn respond(self) -> Result<Response> {
        let mut envelope = Map::new();
        match self.0 {
            Version::V1 => {
                envelope
                    .insert("data".into(), json!({ "resources": "/api/resource", "methods": "/api/method" }));
                notice::note(&mut envelope);
            }
            Version::V2 => {
                envelope.insert("data".into(), json!({ "resources": "/v2", "documentation": "/docs" }));
                envelope.insert("version".into(), self.0.number().into());
                envelope.insert("features".into(), json!(FEATURES));
            }
        }
        Ok(Response::json(StatusCode::OK, envelope.into()))
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_object(200, &json!({
            "data": { "type": "object", "description": "Where things are." },
            "version": { "enum": [Version::V1.number(), Version::V2.number()] },
            "deprecated": { "type": "boolean", "description": "Of a version that is." },
            "migration_guide": { "type": "string", "description": "The way from a version that is deprecated." },
            "features": { "type": "array", "items": { "type": "string" }, "description": "Of version 2." },
        }), &["data", "version"], &[]);
    }
}
