//! The body of an answer, whole or as faults have it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

const CHUNK: usize = 64 * 1024;

/// The body of an answer.
#[derive(Debug)]
pub enum Served {
    /// All of it.
    Whole(Option<Bytes>),
    /// Half of it, though all of it was announced; then the connection closes.
    Cut(Option<Bytes>, u64),
    /// So many bytes.
    Flood(u64),
    /// A byte at a time.
    Drip(Bytes, Duration, Option<Pin<Box<Sleep>>>),
}

impl Served {
    /// Half of it.
    pub fn cut(body: &[u8]) -> Self {
        let half = Bytes::copy_from_slice(&body[..body.len() / 2]);
        Self::Cut(Some(half), body.len() as u64)
    }
}

impl Body for Served {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Whole(rest) => {
                Poll::Ready(rest.take().filter(|rest| !rest.is_empty()).map(|rest| Ok(Frame::data(rest))))
            }
            Self::Cut(rest, _) => match rest.take() {
                Some(half) if !half.is_empty() => Poll::Ready(Some(Ok(Frame::data(half)))),
                _ => Poll::Ready(Some(Err(io::Error::other("cut off")))),
            },
            Self::Flood(0) => Poll::Ready(None),
            Self::Flood(left) => {
                let now = usize::try_from(*left).unwrap_or(CHUNK).min(CHUNK);
                if *left != u64::MAX {
                    *left -= now as u64;
                }
                Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b'a'; now])))))
            }
            Self::Drip(rest, apart, waiting) => {
                if rest.is_empty() {
                    return Poll::Ready(None);
                }
                let pause = waiting.get_or_insert_with(|| Box::pin(sleep(*apart)));
                if pause.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                *waiting = None;
                Poll::Ready(Some(Ok(Frame::data(rest.split_to(1)))))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(rest) => SizeHint::with_exact(rest.as_ref().map_or(0, |rest| rest.len() as u64)),
            Self::Cut(Some(_), announced) => SizeHint::with_exact(*announced),
            Self::Drip(rest, ..) => SizeHint::with_exact(rest.len() as u64),
            _ => SizeHint::default(),
        }
    }
}
