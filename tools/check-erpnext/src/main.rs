//! `make check-erpnext`: tries what a site can do for Causeway and prints a table; its status is 1 if something fails
//! that has to work. All is told by the environment, so that no secret stands in a list of processes:
//!
//! - `ERPNEXT_URL`, and `ERPNEXT_KEY` with `ERPNEXT_SECRET`, or `ERPNEXT_OAUTH`: a file with the secret of a grant of
//!   OAuth. That one is renewed, and the file rewritten, since a refresh token works once.
//! - `WRITE=1`, `SUBMIT=1` (`0` is a no) and `SETUP=DocType,…`: what is tried besides reading.
//!
//! The person at the keyboard chooses the URL, so every address may be called, private ones and plain HTTP too.

mod grant;

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

use causeway::{
    Error, Result,
    clock::{Clock, SystemClock},
    erpnext::{
        Authorise, Site,
        check::{CheckOptions, check, site_at, token},
        credentials::TokenEndpoint,
    },
    outbound::{
        Governor, Outbound, OutboundPolicy, address::Exceptions, call_log::NoCallLog,
        transport::reqwest::ReqwestTransport,
    },
};

/// Every address.
const EVERYWHERE: &str = "0.0.0.0/0, ::/0";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let (text, status) = match run().await {
        Ok((report, true)) => (report, ExitCode::SUCCESS),
        Ok((report, false)) => (report, ExitCode::FAILURE),
        Err(error) => (format!("check-erpnext: {}", error.causes()), ExitCode::from(2)),
    };
    match writeln!(io::stdout(), "{text}") {
        Ok(()) => status,
        Err(_) => ExitCode::from(2),
    }
}

/// The report, and whether it is good.
async fn run() -> Result<(String, bool)> {
    // Before anything is sent.
    let (config, options) = (site_at(&required("ERPNEXT_URL")?)?, CheckOptions::from_variables(optional)?);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let transport = ReqwestTransport::new(Exceptions::parse(EVERYWHERE)?)?;
    let governor = Arc::new(Governor::unlimited(Arc::clone(&clock)));
    let outbound =
        Arc::new(Outbound::new(Arc::new(transport), governor, Arc::new(NoCallLog), Arc::clone(&clock)));
    let policy = Arc::new(OutboundPolicy::default());
    let credentials: Arc<dyn Authorise> = match optional("ERPNEXT_OAUTH") {
        Some(file) => {
            let endpoint = TokenEndpoint::new(config.clone(), Arc::clone(&outbound), policy.clone());
            Arc::new(grant::renewed(&endpoint, file.as_ref()).await?)
        }
        None => Arc::new(token(&required("ERPNEXT_KEY")?, &required("ERPNEXT_SECRET")?)?),
    };
    let site = Site::new(config, credentials, outbound, policy, Arc::clone(&clock));
    let report = check(&site, &options, clock).await;
    Ok((report.to_string(), report.is_good()))
}

fn optional(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn required(name: &str) -> Result<String> {
    optional(name).ok_or_else(|| Error::field(name, "missing", "is not given"))
}
