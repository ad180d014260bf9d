//! Serves the HTTP API.

use causeway::{app, telemetry, trigger::http};
use lambda_runtime::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    http::run(&app::api().await?).await
}
