//! Turns queued events into effects, and sends again what is parked and due.

use causeway::{app, telemetry, trigger::queue};
use lambda_runtime::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    queue::run(&app::worker().await?).await
}
