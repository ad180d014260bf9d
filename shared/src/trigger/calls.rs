//! The last thing before a function answers: what it called is written down.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use crate::outbound::CallLog;

/// How long writing may take beyond the deadline of the work, which leaves half a second for answering.
const GRACE: Duration = Duration::from_millis(350);
/// How long it may take at most: a caller waits for it.
const LONGEST: Duration = Duration::from_secs(2);

/// Writes what was noted in `log`, as far as there is time until shortly after `deadline`.
pub(super) async fn write(log: &dyn CallLog, deadline: Instant) {
    let until = (deadline + GRACE).min(Instant::now() + LONGEST);
    if tokio::time::timeout_at(until, log.flush()).await.is_err() {
        warn!("there was no time to log all calls");
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::outbound::CallRecord;

    /// A log that takes long.
    struct Slow;

    #[async_trait]
    impl CallLog for Slow {
        fn note(&self, _: CallRecord) {}

        async fn flush(&self) {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_answer_does_not_wait_long_for_the_log() {
        for (left, most) in [(0, 350), (100, 450), (30_000, 2_000)] {
            let began = Instant::now();
            write(&Slow, began + Duration::from_millis(left)).await;
            let took = began.elapsed();
            assert!(took <= Duration::from_millis(most + 1), "{took:?}");
        }
    }
}
