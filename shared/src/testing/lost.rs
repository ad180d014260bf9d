//! Answers of DynamoDB that are lost on their way.

use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::{
    Client,
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextRef},
    },
    error::BoxError,
};

/// Loses an answer: DynamoDB does what it is asked, and the client hears of an error, and asks again. For calls one
/// after the other.
#[derive(Debug, Default)]
pub struct LostAnswers(Mutex<Next>);

/// Which answer is lost next.
#[derive(Debug, Default)]
enum Next {
    #[default]
    None,
    /// That to a request with this in its body, after so many others.
    With(String, u32),
    /// That which is on its way.
    This,
}

#[derive(Debug)]
struct Losing(Arc<LostAnswers>);

impl Intercept for Losing {
    fn name(&self) -> &'static str {
        "Losing"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.request().body().bytes().unwrap_or_default();
        let mut next = self.0.0.lock().unwrap();
        if let Next::With(marker, others) = &mut *next
            && String::from_utf8_lossy(body).contains(marker.as_str())
        {
            match others.checked_sub(1) {
                Some(less) => *others = less,
                None => *next = Next::This,
            }
        }
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mut next = self.0.0.lock().unwrap();
        if matches!(*next, Next::This) {
            *next = Next::None;
            *context.response_mut().status_mut() = 500.try_into()?;
        }
        Ok(())
    }
}

impl LostAnswers {
    /// `client`, whose answers may be lost.
    pub fn of(client: &Client) -> (Client, Arc<Self>) {
        let lost = Arc::new(Self::default());
        let config = client.config().to_builder().interceptor(Losing(lost.clone())).build();
        (Client::from_conf(config), lost)
    }

    /// Loses the answer to a request with `marker` in its body, after `others` that have it too.
    pub fn lose(&self, marker: &str, others: u32) {
        *self.0.lock().unwrap() = Next::With(marker.to_owned(), others);
    }

    /// Whether none is to be lost any more.
    pub fn are_lost(&self) -> bool {
        matches!(*self.0.lock().unwrap(), Next::None)
    }
}
