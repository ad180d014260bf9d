//! Follows changed documents with the read models.

use causeway::{app, telemetry, trigger::stream};
use lambda_runtime::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    stream::run(&app::document_events().await?).await
}
