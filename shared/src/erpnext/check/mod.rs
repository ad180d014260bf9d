//! What a site can do for us, tried one by one: what `make check-erpnext` prints.
//!
//! Everything but what [`CheckOptions`] asks for only reads. What is tried goes the way of every call, so that a site
//! that passes works for the functions too.

mod address;
mod given;
mod mapping;
mod permissions;
mod reading;
mod report;
mod writing;

pub use given::{site_at, token};
pub use report::Report;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Exception, Site, SiteError};
use crate::{Error, ErrorCode, clock::Clock};

/// What is tried besides reading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// Creates, changes and deletes a ToDo.
    pub write: bool,
    /// Creates, submits, cancels and deletes a Sales Order.
    pub submit: bool,
    /// DocTypes that are prepared: both Custom Fields are added to them.
    pub setup: Vec<String>,
}

/// What came of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It works.
    Works,
    /// It works, or is not needed, and someone should know.
    Warning,
    /// It has to work and does not.
    Failed,
    /// It was not tried.
    Skipped,
}

/// A try and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was tried.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
    /// What was seen, or why not.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<&'static str>,
    /// How long it took.
    pub took: Duration,
}

/// What came of a try, before it is noted.
struct Seen {
    outcome: Outcome,
    detail: String,
    hint: Option<&'static str>,
}

impl Seen {
    fn works(detail: impl Into<String>) -> Self {
        Self { outcome: Outcome::Works, detail: detail.into(), hint: None }
    }

    fn warning(detail: impl Into<String>, hint: &'static str) -> Self {
        Self { outcome: Outcome::Warning, detail: detail.into(), hint: Some(hint) }
    }

    fn failed(detail: impl Into<String>, hint: &'static str) -> Self {
        Self { outcome: Outcome::Failed, detail: detail.into(), hint: Some(hint) }
    }

    fn skipped(why: impl Into<String>) -> Self {
        Self { outcome: Outcome::Skipped, detail: why.into(), hint: None }
    }

    /// What is not as it has to be.
    fn expect(holds: bool, works: impl Into<String>, fails: impl Into<String>) -> Self {
        if holds {
            Self::works(works)
        } else {
            Self::failed(fails, "What answers is not an ERPNext site, or one that we do not know.")
        }
    }
}

/// What is said of addresses that no exception opens.
const NEVER_CALLED: &str = "Link-local and metadata addresses are never called, whatever OutboundExceptions says: give the site another.";

/// The checks of one site.
struct Check<'a> {
    site: &'a Site,
    clock: Arc<dyn Clock>,
    findings: Vec<Finding>,
}

/// Tries everything, in order. Where the site cannot be reached, or does not know us, the rest is not tried.
pub async fn check(site: &Site, options: &CheckOptions, clock: Arc<dyn Clock>) -> Report {
    let mut check = Check { site, clock, findings: Vec::new() };
    check.show_addresses().await;
    if check.reached().await && check.known().await {
        check.describe().await;
        check.read().await;
        check.show_permissions().await;
        check.prepare(&options.setup).await;
        check.show_prepared().await;
        check.map().await;
        check.write(options.write).await;
        check.submit(options.submit).await;
    }
    Report::new(check.findings)
}

impl Check<'_> {
    /// Notes what came of `work`; whether it did not fail.
    async fn note(
        &mut self,
        name: impl Into<String>,
        work: impl Future<Output = Result<Seen, SiteError>>,
    ) -> bool {
        let began = Instant::now();
        let seen = work.await.unwrap_or_else(failed);
        self.findings.push(Finding {
            name: name.into(),
            outcome: seen.outcome,
            detail: seen.detail,
            hint: seen.hint,
            took: began.elapsed(),
        });
        seen.outcome != Outcome::Failed
    }
}

/// What did not work, and what may be done about it.
fn failed(error: SiteError) -> Seen {
    let is_permission = error.is(&Exception::Permission);
    let error = Error::from(error);
    let causes = error.causes();
    let hint = match error.code() {
        _ if is_plain(&causes) => "This port speaks no TLS: is it http://, or another port?",
        _ if is_permission => "Give the user a role that may do this; docs/erpnext.md says which.",
        ErrorCode::CredentialsRefused => {
            "Make a new API key for the user (User, Settings, API Access) and give both halves of it."
        }
        // Whoever checks may call all others.
        ErrorCode::AddressRefused => NEVER_CALLED,
        ErrorCode::ProviderLimited => {
            "The site's rate limit is used up: wait, or raise it in its site_config.json."
        }
        ErrorCode::ProviderUnavailable => "Is the URL right, the site up, and its certificate valid?",
        ErrorCode::OutcomeUnknown => {
            "The connection broke, or something before the site answered in its place."
        }
        _ => "The site's Error Log may say more.",
    };
    Seen::failed(causes, hint)
}

/// Whether what answered did so without TLS, in the words of rustls, which has no type for it that outlives reqwest.
fn is_plain(causes: &str) -> bool {
    causes.contains("InvalidContentType")
}
