//! Functions as handlers: an async function of a [`Call`] and up to three [`Input`]s that gives an [`Answer`].
//! The route table makes every handler one of the same type by [`invoke`].

use futures::future::BoxFuture;

#[cfg(test)]
use super::openapi::Operation;
use super::{Call, answer::Answer, input, input::Input};
use crate::{Result, trigger::http::Response};

/// A function that answers calls. `Inputs` are its arguments besides the call.
pub trait Endpoint<'a, Inputs>: Send + 'a {
    /// Reads the arguments, runs the function, and makes its answer a response.
    fn run(self, call: &'a Call<'a>) -> impl Future<Output = Result<Response>> + Send + 'a;

    /// Says what it takes and gives.
    #[cfg(test)]
    fn describe(&self, operation: &mut Operation<'_>);
}

macro_rules! endpoint {
    ($($input:ident),*) => {
        impl<'a, F, Fut, A, $($input),*> Endpoint<'a, ($($input,)*)> for F
        where
            F: FnOnce(&'a Call<'a>, $($input),*) -> Fut + Send + 'a,
            Fut: Future<Output = Result<A>> + Send + 'a,
            A: Answer + 'a,
            $($input: Input + Send + 'a,)*
        {
            async fn run(self, call: &'a Call<'a>) -> Result<Response> {
                input::refuse_unread(
                    call,
                    false $(|| $input::READS_QUERY)*,
                    false $(|| $input::READS_BODY)*,
                )?;
                self(call, $($input::read(call)?),*).await?.respond()
            }

            #[cfg(test)]
            fn describe(&self, operation: &mut Operation<'_>) {
                $($input::describe(operation);)*
                A::describe(operation);
            }
        }
    };
}

endpoint!();
endpoint!(I);
endpoint!(I, J);
endpoint!(I, J, K);

/// Runs `endpoint` for `call`.
pub fn invoke<'a, Inputs: 'a>(
    call: &'a Call<'a>,
    endpoint: impl Endpoint<'a, Inputs>,
) -> BoxFuture<'a, Result<Response>> {
    Box::pin(endpoint.run(call))
}

/// Describes `endpoint`.
#[cfg(test)]
pub fn describe<'a, Inputs: 'a>(endpoint: &impl Endpoint<'a, Inputs>, operation: &mut Operation<'_>) {
    endpoint.describe(operation);
}
