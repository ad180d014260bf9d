//! What a function is told by its environment, read once at start. A missing variable stops the start with its name.

use std::{ops::RangeInclusive, time::Duration};

use crate::{
    Error, Result, bulk::MAX_CHUNK, erpnext::SiteConfig, outbound::address::Exceptions, rate_limit::Limits,
};

/// How many records of a bulk transaction are worked on together, where nobody says.
pub(crate) const DEFAULT_CHUNK: usize = 80;

/// Reads variables; the process environment in a function, a closure in tests.
pub struct Environment<'a>(&'a dyn Fn(&str) -> Option<String>);

impl<'a> Environment<'a> {
    /// An environment that looks names up with `lookup`.
    pub fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self(lookup)
    }

    fn text(&self, name: &str) -> Result<String> {
        self.optional(name)
            .ok_or_else(|| Error::internal(format!("the environment variable {name} is not set")))
    }

    fn optional(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    fn seconds(&self, name: &str, default: u64) -> Result<Duration> {
        match self.optional(name) {
            None => Ok(Duration::from_secs(default)),
            Some(text) => text.parse().map(Duration::from_secs).map_err(|_| {
                Error::internal(format!("{name} must be a whole number of seconds, not {text:?}"))
            }),
        }
    }

    fn number(&self, name: &str, range: RangeInclusive<usize>, default: usize) -> Result<usize> {
        let Some(text) = self.optional(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            let (least, most) = range.into_inner();
            Error::internal(format!("{name} must be a whole number, {least} to {most}, not {text:?}"))
        })
    }

    fn bulk_chunk_size(&self) -> Result<usize> {
        self.number("BULK_CHUNK_SIZE", 1..=MAX_CHUNK, DEFAULT_CHUNK)
    }

    fn switch(&self, name: &str, default: bool) -> Result<bool> {
        match (self.0)(name).as_deref() {
            None | Some("") => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(text) => Err(Error::internal(format!("{name} must be true or false, not {text:?}"))),
        }
    }

    fn rate_limits(&self, name: &str) -> Result<Limits> {
        match (self.0)(name).filter(|value| !value.is_empty()) {
            None => Ok(Limits::default()),
            Some(text) => Limits::parse(&text)
                .map_err(|fault| Error::internal(format!("{name} is not valid: {}", fault.detail()))),
        }
    }
}

/// The tables, by lifetime.
#[derive(Debug, Clone)]
pub struct Tables {
    /// Documents and settings.
    pub documents: String,
    /// The Integration Log.
    pub logs: String,
    /// Parked items, leases, series, read models, counts of requests, cached results.
    pub state: String,
}

/// What makes an ERPNext site the store of documents.
#[derive(Debug, Clone)]
pub struct ErpnextConfig {
    /// Which site.
    pub site: SiteConfig,
    /// The Secrets Manager secret with its credentials.
    pub credentials_id: String,
}

/// What outbound calls need.
#[derive(Debug, Clone)]
pub struct OutboundConfig {
    /// Networks that may be called although they are not public.
    pub exceptions: Exceptions,
    /// Where documents live, if not in the Documents table.
    pub erpnext: Option<ErpnextConfig>,
}

/// What `webhook-ingest` needs.
#[derive(Debug, Clone)]
pub struct IngestConfig {
    /// The Documents table, for connector settings.
    pub documents_table: String,
    /// The Secrets Manager secret with the webhook secrets.
    pub webhook_secrets_id: String,
    /// Where accepted events go.
    pub events_queue_url: String,
}

/// What `event-worker` needs.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// All three tables.
    pub tables: Tables,
    /// The queue it works off.
    pub events_queue_url: String,
    /// Records from this queue are parked, not worked on.
    pub events_dlq_arn: String,
    /// How long a lease is valid without renewal.
    pub lease: Duration,
    /// How long SQS hides a message that is being worked on.
    pub visibility: Duration,
    /// Calls to providers.
    pub outbound: OutboundConfig,
}

/// What `bulk-worker` needs.
#[derive(Debug, Clone)]
pub struct BulkConfig {
    /// All three tables.
    pub tables: Tables,
    /// The queue it works off.
    pub bulk_queue_url: String,
    /// Where events go that waited for a provider to be well.
    pub events_queue_url: String,
    /// How long a claim to a chunk lasts: longer than the function runs.
    pub lease: Duration,
    /// How long SQS hides a message that is being worked on.
    pub visibility: Duration,
    /// How its work is paced.
    pub pace: BulkPace,
    /// Calls to providers.
    pub outbound: OutboundConfig,
}

/// How bulk transactions are paced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkPace {
    /// The most chunks of a user in flight.
    pub chunks_per_user: usize,
    /// How many records of a retry are worked on together.
    pub chunk_size: usize,
    /// The most records of a chunk worked on at a time; `None`: what suits the store.
    pub records_at_once: Option<usize>,
}

/// What `api` needs.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// All three tables.
    pub tables: Tables,
    /// Where replayed events go.
    pub events_queue_url: String,
    /// Where bulk transactions begin.
    pub bulk_queue_url: String,
    /// How many records of a bulk transaction are worked on together.
    pub bulk_chunk_size: usize,
    /// The Secrets Manager secret with the first API key.
    pub admin_api_key_id: String,
    /// The URL that callers know the API by, where it is not the one that the gateway sees.
    pub public_url: Option<String>,
    /// How often each user may do what.
    pub rate_limits: Limits,
    /// Whether an address that fails to authenticate too often is refused.
    pub limit_failed_authentication: bool,
    /// Calls to providers.
    pub outbound: OutboundConfig,
}

/// What `document-events` needs.
#[derive(Debug, Clone)]
pub struct DocumentEventsConfig {
    /// The State table, for read models and what is parked.
    pub state_table: String,
}

fn tables(env: &Environment<'_>) -> Result<Tables> {
    Ok(Tables {
        documents: env.text("DOCUMENTS_TABLE")?,
        logs: env.text("LOGS_TABLE")?,
        state: env.text("STATE_TABLE")?,
    })
}

impl OutboundConfig {
    fn read(env: &Environment<'_>) -> Result<Self> {
        let invalid =
            |name: &str, fault: &Error| Error::internal(format!("{name} is not valid: {}", fault.causes()));
        let exceptions = env.optional("OUTBOUND_EXCEPTIONS").unwrap_or_default();
        let erpnext = match env.optional("ERPNEXT_URL") {
            None => None,
            Some(url) => Some(ErpnextConfig {
                site: SiteConfig::new(&url).map_err(|fault| invalid("ERPNEXT_URL", &fault))?,
                credentials_id: env.text("ERPNEXT_CREDENTIALS_ID")?,
            }),
        };
        Ok(Self {
            exceptions: Exceptions::parse(&exceptions)
                .map_err(|fault| invalid("OUTBOUND_EXCEPTIONS", &fault))?,
            erpnext,
        })
    }
}

impl IngestConfig {
    /// Reads it.
    pub fn read(env: &Environment<'_>) -> Result<Self> {
        Ok(Self {
            documents_table: env.text("DOCUMENTS_TABLE")?,
            webhook_secrets_id: env.text("WEBHOOK_SECRETS_ID")?,
            events_queue_url: env.text("EVENTS_QUEUE_URL")?,
        })
    }
}

impl WorkerConfig {
    /// Reads it.
    pub fn read(env: &Environment<'_>) -> Result<Self> {
        Ok(Self {
            tables: tables(env)?,
            events_queue_url: env.text("EVENTS_QUEUE_URL")?,
            events_dlq_arn: env.text("EVENTS_DLQ_ARN")?,
            lease: env.seconds("LEASE_SECONDS", 45)?,
            visibility: env.seconds("VISIBILITY_SECONDS", 180)?,
            outbound: OutboundConfig::read(env)?,
        })
    }
}

impl BulkConfig {
    /// Reads it.
    pub fn read(env: &Environment<'_>) -> Result<Self> {
        let at_once = env.number("BULK_RECORDS_AT_ONCE", 0..=64, 0)?;
        Ok(Self {
            tables: tables(env)?,
            bulk_queue_url: env.text("BULK_QUEUE_URL")?,
            events_queue_url: env.text("EVENTS_QUEUE_URL")?,
            lease: env.seconds("LEASE_SECONDS", 45)?,
            visibility: env.seconds("BULK_VISIBILITY_SECONDS", 180)?,
            pace: BulkPace {
                chunks_per_user: env.number("BULK_CHUNKS_PER_USER", 1..=100, 4)?,
                chunk_size: env.bulk_chunk_size()?,
                records_at_once: (at_once > 0).then_some(at_once),
            },
            outbound: OutboundConfig::read(env)?,
        })
    }
}

impl ApiConfig {
    /// Reads it.
    pub fn read(env: &Environment<'_>) -> Result<Self> {
        Ok(Self {
            tables: tables(env)?,
            events_queue_url: env.text("EVENTS_QUEUE_URL")?,
            bulk_queue_url: env.text("BULK_QUEUE_URL")?,
            bulk_chunk_size: env.bulk_chunk_size()?,
            admin_api_key_id: env.text("ADMIN_API_KEY_ID")?,
            public_url: env.optional("PUBLIC_URL").map(|url| url.trim_end_matches('/').to_owned()),
            rate_limits: env.rate_limits("RATE_LIMITS")?,
            limit_failed_authentication: env.switch("LIMIT_FAILED_AUTHENTICATION", true)?,
            outbound: OutboundConfig::read(env)?,
        })
    }
}

impl DocumentEventsConfig {
    /// Reads it.
    pub fn read(env: &Environment<'_>) -> Result<Self> {
        Ok(Self { state_table: env.text("STATE_TABLE")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate_limit::Class;

    #[test]
    fn a_missing_variable_is_named() {
        let lookup = |name: &str| (name == "DOCUMENTS_TABLE").then(|| "documents".to_string());
        let error = IngestConfig::read(&Environment::new(&lookup)).unwrap_err();
        assert!(error.causes().contains("WEBHOOK_SECRETS_ID"), "{error:?}");
    }

    #[test]
    fn a_time_that_is_no_number_is_refused() {
        let lookup = |name: &str| Some(if name == "LEASE_SECONDS" { "soon" } else { "x" }.to_string());
        assert!(
            WorkerConfig::read(&Environment::new(&lookup)).unwrap_err().causes().contains("LEASE_SECONDS")
        );
    }

    #[test]
    fn rate_limits_that_cannot_be_read_stop_the_start_and_say_where() {
        let start = |variable: &'static str, value: &'static str| {
            let lookup = |name: &str| match name {
                name if name == variable => Some(value.to_string()),
                "BULK_CHUNK_SIZE"
                | "RATE_LIMITS"
                | "LIMIT_FAILED_AUTHENTICATION"
                | "ERPNEXT_URL"
                | "OUTBOUND_EXCEPTIONS" => None,
                _ => Some("x".to_string()),
            };
            ApiConfig::read(&Environment::new(&lookup))
        };
        let config = start("RATE_LIMITS", r#"{"report": {"limit": 7, "window_seconds": 60}}"#).unwrap();
        assert_eq!(config.rate_limits.of(Class::Report).limit, 7);
        assert!(config.limit_failed_authentication, "on unless it is switched off");
        assert!(!start("LIMIT_FAILED_AUTHENTICATION", "false").unwrap().limit_failed_authentication);
        let error = start("RATE_LIMITS", r#"{"report": {"limit": 0, "window_seconds": 60}}"#).unwrap_err();
        assert!(error.causes().contains("RATE_LIMITS is not valid: /report/limit"), "{error:?}");
        assert_eq!(config.bulk_chunk_size, DEFAULT_CHUNK);
        assert_eq!(start("BULK_CHUNK_SIZE", "25").unwrap().bulk_chunk_size, 25);
        for size in ["0", "91", "many"] {
            assert!(start("BULK_CHUNK_SIZE", size).unwrap_err().causes().contains("BULK_CHUNK_SIZE"));
        }
        let error = start("LIMIT_FAILED_AUTHENTICATION", "no").unwrap_err();
        assert!(error.causes().contains("LIMIT_FAILED_AUTHENTICATION"), "{error:?}");
    }

    #[test]
    fn one_variable_moves_the_documents_to_a_site_and_what_cannot_be_read_of_it_stops_the_start() {
        let start = |variables: &[(&'static str, &'static str)]| {
            let lookup = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_string())
            };
            OutboundConfig::read(&Environment::new(&lookup))
        };
        let built_in = start(&[("ERPNEXT_URL", ""), ("ERPNEXT_CREDENTIALS_ID", "")]).unwrap();
        assert!(built_in.erpnext.is_none() && built_in.exceptions == Exceptions::default());
        let credentials = ("ERPNEXT_CREDENTIALS_ID", "arn");
        let erpnext =
            start(&[("ERPNEXT_URL", "https://erp.example.com/"), credentials]).unwrap().erpnext.unwrap();
        assert_eq!(erpnext.site.url.as_str(), "https://erp.example.com/");
        for (variables, named) in [
            (&[("ERPNEXT_URL", "https://erp.example.com")] as &[_], "ERPNEXT_CREDENTIALS_ID"),
            (&[("ERPNEXT_URL", "erp.example.com"), credentials], "ERPNEXT_URL is not valid"),
            (&[("OUTBOUND_EXCEPTIONS", "ten")], "OUTBOUND_EXCEPTIONS is not valid: "),
        ] {
            let error = start(variables).unwrap_err();
            assert!(error.causes().contains(named), "{error:?}");
        }
    }
}
