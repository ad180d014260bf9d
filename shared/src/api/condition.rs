//! What a request that changes something says of the state it was made for: `If-Match` and `If-None-Match`.
//!
//! A handler takes [`Seen`] as an argument. The domain checks what is expected together with the write, so that
//! nothing comes between: [`Seen::expect`] says it for records, [`Seen::expected`] for documents. A `GET`'s
//! `If-None-Match` is the wrapper's business.

use http::{HeaderName, header};
#[cfg(test)]
use serde_json::json;

#[cfg(test)]
use super::openapi::Operation;
use super::{Call, input::Input};
use crate::{
    Error, ErrorCode, Result,
    documents::{Expect, Expected},
    etag::{Condition, ETag},
    trigger::http::Request,
};

/// The revision of what comes with Causeway and was never written: the first write makes it 1.
pub const BUILT_IN: u64 = 0;

/// What the caller has seen.
#[derive(Debug)]
pub struct Seen {
    if_match: Option<Condition>,
    if_none_match: Option<Condition>,
}

impl Seen {
    fn of(request: &Request) -> Result<Self> {
        let read = |name: HeaderName, shown: &str| {
            let values = request.headers.get_all(name).iter().map(|value| value.to_str());
            let lines = values.collect::<Result<Vec<_>, _>>();
            let lines = lines.map_err(|_| Error::field(shown, "invalid", "must be printable ASCII"))?;
            if lines.is_empty() { Ok(None) } else { Condition::parse(shown, &lines.join(", ")).map(Some) }
        };
        Ok(Self {
            if_match: read(header::IF_MATCH, "If-Match")?,
            if_none_match: read(header::IF_NONE_MATCH, "If-None-Match")?,
        })
    }

    /// What a write of a record is to expect, whose revision now is `current`: `None` where there is no such record,
    /// [`BUILT_IN`] for one that comes with Causeway. It is asked for only if the condition is more than one revision,
    /// whose check is then the write's alone, so that a repeat of a request is known before it is refused.
    ///
    /// `valid` is what is wrong with the input, if something is: that is said before a condition that does not hold
    /// (RFC 9110, section 13.2.1). Nothing else is made of it: the write checks again.
    pub async fn expect(
        &self,
        valid: Result<()>,
        current: impl Future<Output = Result<Option<u64>>>,
    ) -> Result<Option<Expect>> {
        let current = match (self.only_revision(), &self.if_match, &self.if_none_match) {
            (Some(revision), ..) => Some(revision),
            (None, None, None) => return Ok(None),
            _ => {
                let current = current.await?;
                self.check(current).or_else(|failed| valid.and(Err(failed)))?;
                current
            }
        };
        Ok(Some(match current {
            None | Some(BUILT_IN) => Expect::Absent,
            Some(revision) => Expect::Revision(revision),
        }))
    }

    /// What a change of a document is to expect. `*` expects nothing that the change does not: that it is there.
    pub fn expected(&self) -> Result<Option<Expected>> {
        if let Some(condition) = &self.if_none_match {
            return match condition {
                // What is there is not to be changed.
                Condition::Any => Ok(Some(Expected::Revisions(Vec::new()))),
                Condition::Tags(_) => {
                    Err(Error::field("If-None-Match", "invalid", "a change takes * here, or If-Match"))
                }
            };
        }
        Ok(match &self.if_match {
            None | Some(Condition::Any) => None,
            Some(Condition::Tags(tags)) => {
                Some(Expected::Revisions(tags.iter().filter_map(ETag::as_revision).collect()))
            }
        })
    }

    /// `error` as the answer to this request: a write that found another state than it said is `precondition_failed`.
    pub fn refused(&self, error: Error) -> Error {
        let asked = self.if_match.is_some() || self.if_none_match.is_some();
        match error.code() {
            ErrorCode::RevisionConflict | ErrorCode::DocumentExists if asked => {
                error.with_code(ErrorCode::PreconditionFailed)
            }
            _ => error,
        }
    }

    /// The one revision that is asked for, if that is all.
    fn only_revision(&self) -> Option<u64> {
        match (&self.if_match, &self.if_none_match) {
            (Some(Condition::Tags(tags)), None) => match tags.as_slice() {
                // What is built in has no revision that a write could check: whether it is there is asked.
                [tag] => tag.as_revision().filter(|revision| *revision != BUILT_IN),
                _ => None,
            },
            _ => None,
        }
    }

    fn check(&self, current: Option<u64>) -> Result<()> {
        let tag = current.map(ETag::revision);
        let failed = |header: &str| {
            let state = current.map_or("there is none".to_owned(), |now| format!("it is revision {now} now"));
            Err(Error::new(ErrorCode::PreconditionFailed, format!("{header} does not hold: {state}")))
        };
        if self.if_match.as_ref().is_some_and(|condition| !condition.allows_change(tag.as_ref())) {
            return failed("If-Match");
        }
        if self.if_none_match.as_ref().is_some_and(|condition| !condition.allows_answer(tag.as_ref())) {
            return failed("If-None-Match");
        }
        Ok(())
    }
}

impl Input for Seen {
    fn read(call: &Call<'_>) -> Result<Self> {
        Self::of(call.request)
    }

    #[cfg(test)]
    fn describe(operation: &mut Operation<'_>) {
        let tags = json!({ "type": "string", "examples": ["\"7\""] });
        let star = json!({ "type": "string", "examples": ["*"] });
        operation.header("If-Match", "Only if its `ETag` is one of these: nobody changed it since.", &tags);
        operation.header("If-None-Match", "`*`: only if there is none yet.", &star);
        operation.fails(ErrorCode::PreconditionFailed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::request;

    fn seen(headers: &[(HeaderName, &str)]) -> Result<Seen> {
        let mut request = request("PUT", "/x");
        for (name, value) in headers {
            request.headers.append(name, value.parse().unwrap());
        }
        Seen::of(&request)
    }

    async fn expect(
        name: HeaderName,
        value: &str,
        current: Option<u64>,
    ) -> Result<Option<Expect>, ErrorCode> {
        let seen = seen(&[(name, value)]).unwrap();
        seen.expect(Ok(()), async { Ok(current) }).await.map_err(|error| error.code())
    }

    #[tokio::test]
    async fn one_revision_is_left_to_the_write() {
        let lone = seen(&[(header::IF_MATCH, "\"7\"")]).unwrap();
        let unread = async { Err(Error::internal("was read")) };
        assert_eq!(lone.expect(Ok(()), unread).await.unwrap(), Some(Expect::Revision(7)));
        assert_eq!(expect(header::IF_MATCH, "\"0\"", Some(0)).await, Ok(Some(Expect::Absent)));
        assert_eq!(
            seen(&[]).unwrap().expect(Ok(()), async { Err(Error::internal("x")) }).await.unwrap(),
            None
        );
    }

    #[tokio::test]
    async fn what_does_not_hold_is_refused_and_what_holds_is_expected_of_the_write() {
        let failed = Err(ErrorCode::PreconditionFailed);
        for (header, value, current, expected) in [
            (header::IF_MATCH, "\"0\"", None, failed),
            (header::IF_MATCH, "\"0\"", Some(3), failed),
            (header::IF_MATCH, "*", Some(3), Ok(Some(Expect::Revision(3)))),
            (header::IF_MATCH, "*", None, failed),
            (header::IF_MATCH, "\"2\", \"3\"", Some(3), Ok(Some(Expect::Revision(3)))),
            (header::IF_MATCH, "\"2\", \"4\"", Some(3), failed),
            (header::IF_MATCH, "W/\"3\"", Some(3), failed),
            (header::IF_MATCH, "\"x\"", Some(3), failed),
            (header::IF_NONE_MATCH, "*", None, Ok(Some(Expect::Absent))),
            (header::IF_NONE_MATCH, "*", Some(3), failed),
            (header::IF_NONE_MATCH, "*", Some(BUILT_IN), failed),
            (header::IF_NONE_MATCH, "\"2\"", Some(3), Ok(Some(Expect::Revision(3)))),
        ] {
            assert_eq!(expect(header, value, current).await, expected, "{value} {current:?}");
        }
    }

    #[tokio::test]
    async fn what_is_wrong_with_the_input_is_said_before_a_condition_that_does_not_hold() {
        let seen = seen(&[(header::IF_NONE_MATCH, "*")]).unwrap();
        let invalid = || Err(Error::field("/x", "invalid", "is wrong"));
        let expect = async |current| seen.expect(invalid(), async { Ok(current) }).await;
        assert_eq!(expect(Some(1)).await.unwrap_err().code(), ErrorCode::InvalidInput);
        assert_eq!(expect(None).await.unwrap(), Some(Expect::Absent), "the write says it");
    }

    #[test]
    fn documents_expect_the_revisions_that_are_named() {
        let of = |name, value| seen(&[(name, value)]).unwrap().expected().map_err(|error| error.code());
        let revisions = |of: &[u64]| Ok(Some(Expected::Revisions(of.to_vec())));
        assert_eq!(of(header::IF_MATCH, "\"7\", W/\"8\", \"x\""), revisions(&[7]));
        assert_eq!(of(header::IF_MATCH, "*"), Ok(None));
        assert_eq!(of(header::IF_NONE_MATCH, "*"), revisions(&[]));
        assert_eq!(of(header::IF_NONE_MATCH, "\"7\""), Err(ErrorCode::InvalidInput));
        assert_eq!(seen(&[]).unwrap().expected().unwrap(), None);
    }

    #[test]
    fn headers_may_come_in_several_lines() {
        let seen = seen(&[(header::IF_MATCH, "\"1\""), (header::IF_MATCH, "\"2\"")]).unwrap();
        assert_eq!(seen.expected().unwrap(), Some(Expected::Revisions(vec![1, 2])));
        assert!(self::seen(&[(header::IF_MATCH, "7")]).is_err());
    }
}
