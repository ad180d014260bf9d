//! What starts a function, and the one wrapper for each kind: it reads the event, times it, logs it and gives
//! the answer its form, so that a function's `main` only wires.

pub mod bulk;
mod calls;
pub mod http;
pub mod queue;
pub mod stream;
