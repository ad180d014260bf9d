//! What Frappe wraps answers in: `message` where a method answers, `data` where a resource does.

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{dialect, notice};
#[cfg(test)]
use crate::api::openapi::Operation;
use crate::{Error, Result, api::answer::Answer, trigger::http::Response};

/// What a method gives: `{"message": …}`.
pub struct Message<T>(pub T);

impl<T: Serialize + JsonSchema> Answer for Message<T> {
    fn respond(self) -> Result<Response> {
        wrapped(StatusCode::OK, "message", &self.0)
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_in::<T>(200, Some("message"));
    }
}

/// What a resource gives: `{"data": …}`.
pub struct Data<T>(pub T);

impl<T: Serialize + JsonSchema> Answer for Data<T> {
    fn respond(self) -> Result<Response> {
        wrapped(StatusCode::OK, "data", &self.0)
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_in::<T>(200, Some("data"));
    }
}

/// What deleting a resource gives: 202 `{"data": "ok"}`.
pub struct Deleted;

impl Answer for Deleted {
    fn respond(self) -> Result<Response> {
        wrapped(StatusCode::ACCEPTED, "data", &"ok")
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_in::<String>(202, Some("data"));
    }
}

/// What a method gives that returns nothing: no `message`.
pub struct Done;

impl Answer for Done {
    fn respond(self) -> Result<Response> {
        let mut envelope = Map::new();
        notice::note(&mut envelope);
        Ok(Response::json(StatusCode::OK, envelope.into()))
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_in::<()>(200, None);
    }
}

/// What a method gives that returns nothing and has something to show: `_server_messages`, and members that are ours.
pub struct Told {
    /// What to show.
    pub message: String,
    /// What stands beside it.
    pub members: Vec<(&'static str, Value)>,
}

impl Answer for Told {
    fn respond(self) -> Result<Response> {
        let message = json!({ "message": dialect::escaped(&self.message), "title": "Message" });
        let mut envelope = Map::new();
        envelope.insert("_server_messages".to_owned(), json!([message.to_string()]).to_string().into());
        envelope.extend(self.members.into_iter().map(|(name, value)| (name.to_owned(), value)));
        notice::note(&mut envelope);
        Ok(Response::json(StatusCode::OK, envelope.into()))
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_in::<String>(200, Some("_server_messages"));
    }
}

fn wrapped(status: StatusCode, member: &str, content: &impl Serialize) -> Result<Response> {
    let mut envelope = Map::new();
    let content: Value = serde_json::to_value(content).map_err(Error::internal)?;
    envelope.insert(member.to_owned(), content);
    notice::note(&mut envelope);
    Ok(Response::json(status, envelope.into()))
}
