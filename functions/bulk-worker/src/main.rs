//! Works off bulk transactions, and has those go on that came to a stop.

use causeway::{app, telemetry, trigger::bulk};
use lambda_runtime::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    bulk::run(&app::bulk_worker().await?).await
}
