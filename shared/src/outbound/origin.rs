//! On whose behalf calls are made, and until when: set once by what starts the work, found by every call below it.
//!
//! It is carried beside the code (a task-local), as a tracing span is: the document store and the clients between do
//! not hand it on. Work that is spawned as a task of its own enters it anew.

use std::time::Duration;

use futures::future::Either;
use tokio::time::Instant;

tokio::task_local! {
    static ORIGIN: Origin;
}

/// On whose behalf, and until when.
#[derive(Debug, Clone)]
pub struct Origin {
    /// What the call log files the calls under: the id of an event, a job or a request.
    pub owner: String,
    /// When the function must have answered.
    pub deadline: Instant,
}

impl Origin {
    /// Does `work` as this origin's.
    // No `async fn`: that would keep room for `work` twice.
    pub fn scope<T>(self, work: impl Future<Output = T>) -> impl Future<Output = T> {
        ORIGIN.scope(self, work)
    }

    /// Does `work` under another owner, until the same deadline: who does it shows only when it has begun. Without an
    /// origin it stays without one.
    pub async fn owned_by<T>(owner: &str, work: impl Future<Output = T>) -> T {
        let owned = match Self::current() {
            Some(origin) => Either::Left(Self { owner: owner.to_owned(), ..origin }.scope(work)),
            None => Either::Right(work),
        };
        owned.await
    }

    /// The origin of what runs now.
    pub fn current() -> Option<Self> {
        ORIGIN.try_with(Clone::clone).ok()
    }

    /// How much time is left; `None` where nothing sets a limit.
    pub fn time_left() -> Option<Duration> {
        Self::current().map(|origin| origin.deadline.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_its_owners_until_the_same_deadline_and_nobodys_outside() {
        let deadline = Instant::now() + Duration::from_secs(5);
        let owner = async || Origin::current().map(|origin| (origin.owner, origin.deadline));
        let origin = Origin { owner: "message".to_owned(), deadline };
        let within =
            origin.scope(async { (owner().await, Origin::owned_by("evt_1", owner()).await, owner().await) });
        let message = Some(("message".to_owned(), deadline));
        assert_eq!(within.await, (message.clone(), Some(("evt_1".to_owned(), deadline)), message));
        assert_eq!(Origin::owned_by("evt_1", owner()).await, None);
    }
}
