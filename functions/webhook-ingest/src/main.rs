//! Accepts signed webhooks: verify, identify, queue, 202.

use causeway::{app, telemetry, trigger::http};
use lambda_runtime::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    http::run(&app::ingest().await?).await
}
