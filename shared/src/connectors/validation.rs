//! What connector settings must be, checked where they are written: each fault names its field.

use super::settings::{ConnectorSettings, DocumentEffect, Effect, Identity, MAX_BODY_BYTES};
use crate::{
    Error, FieldError, Result, documents::Series, error::Faults, events::handler, mapping::is_zone,
    webhook::signature::Scheme,
};

const MAX_SECRETS: usize = 10;
const MAX_RULES: usize = 100;
const MAX_RETRIES: usize = 20;
const MAX_RETRY_DELAY_SECONDS: u32 = 86_400;
const MAX_TOLERANCE_SECONDS: u32 = 86_400;

/// A connector's name: 1 to 64 of `a-z`, `0-9`, `-`, `_`, beginning with a letter or digit.
pub fn check_name(name: &str) -> Result<()> {
    let valid = (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
        && !name.starts_with(['-', '_']);
    if valid {
        return Ok(());
    }
    Err(Error::field(
        "name",
        "invalid",
        "must be 1 to 64 of a-z, 0-9, '-' and '_', beginning with a letter or digit",
    ))
}

/// Notes a text that is no JSON pointer.
fn check_pointer(faults: &mut Faults, field: &str, pointer: Option<&String>) {
    let valid = pointer.is_none_or(|p| p.is_empty() || p.starts_with('/'));
    faults.check(valid, field, "invalid", "must be a JSON pointer: empty, or beginning with '/'");
}

impl ConnectorSettings {
    /// Checks everything that can be wrong before an event comes, but for whether there is its user: who writes asks.
    pub fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.result("/name", check_name(&self.name));
        let below = |part: &'static str| {
            move |fault: FieldError| FieldError { field: format!("{part}{}", fault.field), ..fault }
        };
        faults.extend(self.scheme.validate().into_iter().map(below("/scheme")));
        faults.extend(self.outbound.validate().into_iter().map(below("/outbound")));
        self.check_secrets(&mut faults);
        self.check_limits(&mut faults);
        self.check_event(&mut faults);
        for (i, rule) in self.rules.iter().enumerate() {
            let at = format!("/rules/{i}");
            faults.check(
                valid_pattern(&rule.event),
                format!("{at}/event"),
                "invalid",
                "must be an event name, or one with a '*' at its end",
            );
            check_effect(&mut faults, &rule.effect, &format!("{at}/effect"));
        }
        faults.into_result()
    }

    fn check_secrets(&self, faults: &mut Faults) {
        faults.check(!self.secrets.is_empty(), "/secrets", "missing", "at least one secret is needed");
        faults.check(
            self.secrets.len() <= MAX_SECRETS,
            "/secrets",
            "too_long",
            format!("at most {MAX_SECRETS} secrets"),
        );
        for (i, secret) in self.secrets.iter().enumerate() {
            let own = secret.reference.starts_with(&format!("{}/", self.name));
            faults.check(
                own,
                format!("/secrets/{i}/reference"),
                "invalid",
                format!("must begin with \"{}/\"", self.name),
            );
            faults.check(
                !secret.name.is_empty(),
                format!("/secrets/{i}/name"),
                "missing",
                "must not be empty",
            );
            let repeated = self.secrets[..i].iter().any(|other| other.name == secret.name);
            faults.check(!repeated, format!("/secrets/{i}/name"), "invalid", "is used twice");
        }
    }

    fn check_limits(&self, faults: &mut Faults) {
        let body = (1..=MAX_BODY_BYTES).contains(&self.max_body_bytes);
        faults.check(body, "/max_body_bytes", "invalid", format!("must be 1 to {MAX_BODY_BYTES}"));
        let tolerance = (1..=MAX_TOLERANCE_SECONDS).contains(&self.tolerance_seconds);
        faults.check(
            tolerance,
            "/tolerance_seconds",
            "invalid",
            format!("must be 1 to {MAX_TOLERANCE_SECONDS}"),
        );
        let delays = &self.retry.delays_seconds;
        let retries =
            delays.len() <= MAX_RETRIES && delays.iter().all(|d| (1..=MAX_RETRY_DELAY_SECONDS).contains(d));
        faults.check(
            retries,
            "/retry/delays_seconds",
            "invalid",
            format!("must be at most {MAX_RETRIES} delays of 1 to {MAX_RETRY_DELAY_SECONDS} seconds"),
        );
        faults.check(
            self.rules.len() <= MAX_RULES,
            "/rules",
            "too_long",
            format!("at most {MAX_RULES} rules"),
        );
    }

    fn check_event(&self, faults: &mut Faults) {
        check_pointer(faults, "/event/body", self.event.body.as_ref());
        check_pointer(faults, "/event/detail", self.event.detail.as_ref());
        if let Some(header) = &self.event.header {
            let valid = http::HeaderName::from_bytes(header.as_bytes()).is_ok();
            faults.check(valid, "/event/header", "invalid", "must be a header name");
        }
        match &self.identity {
            Identity::Field { path } => check_pointer(faults, "/identity/path", Some(path)),
            Identity::SignedId => {
                let signs_id = matches!(self.scheme, Scheme::Standard);
                faults.check(signs_id, "/identity", "invalid", "only the scheme \"standard\" signs an id");
            }
            Identity::Body | Identity::Frappe => {}
        }
        if let Some(version) = &self.version {
            check_pointer(faults, "/version/path", Some(&version.path));
            let zone = is_zone(&version.time_zone);
            faults.check(
                zone,
                "/version/time_zone",
                "unknown",
                "must be an IANA time zone, e.g. \"Asia/Kolkata\"",
            );
        }
        if let Some(split) = &self.split {
            check_pointer(faults, "/split/path", Some(&split.path));
            check_pointer(faults, "/split/id", split.id.as_ref());
            check_pointer(faults, "/split/event", split.event.as_ref());
        }
    }
}

fn check_effect(faults: &mut Faults, effect: &Effect, at: &str) {
    match effect {
        Effect::Create(document) => {
            let named = document.name.is_some() != document.series.is_some();
            faults.check(named, format!("{at}/name"), "invalid", "give either a name or a series");
            check_document(faults, document, at);
        }
        Effect::Update(document)
        | Effect::Upsert(document)
        | Effect::Submit(document)
        | Effect::Cancel(document)
        | Effect::Delete(document) => {
            faults.check(document.name.is_some(), format!("{at}/name"), "missing", "a name is needed");
            faults.check(
                document.series.is_none(),
                format!("{at}/series"),
                "invalid",
                "only \"create\" takes a series",
            );
            check_document(faults, document, at);
        }
        Effect::Handler { handler: name, options } => match handler::find(name) {
            None => faults.check(
                false,
                format!("{at}/handler"),
                "unknown",
                format!("there is no handler {name:?}; there are: {}", handler::names().join(", ")),
            ),
            Some(handler) => faults.extend(handler.validate(options, &format!("{at}/options"))),
        },
    }
}

fn check_document(faults: &mut Faults, document: &DocumentEffect, at: &str) {
    faults.check(
        !document.doctype.is_system(),
        format!("{at}/doctype"),
        "invalid",
        "is Causeway's own and out of reach of effects",
    );
    if let Some(series) = &document.series {
        faults.result(&format!("{at}/series"), Series::parse(series));
    }
    let sources = [("name", document.name.as_ref()), ("docstatus", document.docstatus.as_ref())];
    for (field, source) in sources {
        if let Some(source) = source {
            faults.extend(source.validate(&format!("{at}/{field}")));
        }
    }
    for (i, requirement) in document.requires.iter().enumerate() {
        faults.extend(requirement.name.validate(&format!("{at}/requires/{i}/name")));
    }
    faults.extend(document.mapping.validate(&format!("{at}/mapping")));
}

fn valid_pattern(pattern: &str) -> bool {
    let stem = pattern.strip_suffix('*').unwrap_or(pattern);
    !pattern.is_empty() && !stem.contains('*') && pattern.len() <= crate::webhook::MAX_EVENT_NAME_BYTES
}
