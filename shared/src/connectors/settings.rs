//! A connector's settings: a document of DocType "Integration Settings", written only through its own
//! validated route, read by the ingest and the worker (cached).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    documents::DocType,
    mapping::{Mapping, Source},
    outbound::OutboundPolicy,
    webhook::signature::Scheme,
};

/// The largest body any connector may accept, in bytes: one that does not deflate must still fit a parked item (400 KB).
pub const MAX_BODY_BYTES: usize = 350 * 1024;

/// How one provider's webhooks are verified and what becomes of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectorSettings {
    /// The name in its URL: `/webhooks/{name}`.
    pub name: String,
    /// A disabled connector refuses every delivery.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// As whom its effects are done.
    pub user: String,
    /// How deliveries are signed.
    pub scheme: Scheme,
    /// The secrets that may have signed a delivery; several during a rotation.
    pub secrets: Vec<SecretRef>,
    /// How far a signed timestamp may be from now, both ways, in seconds.
    #[serde(default = "default_tolerance")]
    pub tolerance_seconds: u32,
    /// The largest body, in bytes.
    #[serde(default = "default_max_body")]
    pub max_body_bytes: usize,
    /// What the body is.
    #[serde(default)]
    pub content: Content,
    /// Where the event's name is found.
    #[serde(default)]
    pub event: EventName,
    /// What tells one event from another.
    pub identity: Identity,
    /// Where the payload says which version of the thing it shows; by default the time it was received.
    #[serde(default)]
    pub version: Option<Version>,
    /// The deliveries that carry an array of events.
    #[serde(default)]
    pub split: Option<Split>,
    /// When a failed event is tried again.
    #[serde(default)]
    pub retry: RetrySchedule,
    /// How its provider is called.
    #[serde(default, skip_serializing_if = "OutboundPolicy::is_default")]
    pub outbound: OutboundPolicy,
    /// What events become; the first rule that fits an event is used.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// A secret by reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretRef {
    /// The name that the log shows, e.g. `2026-11`.
    pub name: String,
    /// Its key in the webhook secrets bundle, e.g. `erpnext/2026-11`.
    pub reference: String,
    /// When set, the secret signs this event only, which makes an event name from the URL trustworthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// JSON, whatever the content type says (Frappe sends none).
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`; the payload is an object of texts.
    Form,
    /// Any bytes; the payload is `{"content_type", "base64"}`, with `"text"` where they are UTF-8.
    Raw,
}

/// Where the event's name is found. Only a name from the body, or one that its secret is for, is signed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EventName {
    /// JSON pointer into the body, e.g. `/type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// A header, e.g. `X-GitHub-Event`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// JSON pointer to a part that is appended as `.part`, e.g. `/action`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The name when nothing else gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// What tells one event from another. Only signed parts count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum Identity {
    /// The id the scheme signs (Standard Webhooks' `webhook-id`).
    SignedId,
    /// A field of the body, e.g. `/id`.
    Field {
        /// JSON pointer.
        path: String,
    },
    /// The body's hash (GitHub, Shopify: their id headers are not signed).
    Body,
    /// Frappe: event, `name` and `modified` of the body; without `modified` the body's hash and a five-minute bucket,
    /// which is enough only for effects that are safe to repeat.
    Frappe,
}

/// Where the payload says which version of the thing it shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// JSON pointer to a time: RFC 3339, seconds since 1970, or a local time in `time_zone`.
    pub path: String,
    /// IANA zone of times without one, e.g. `Asia/Kolkata`.
    #[serde(default = "utc")]
    pub time_zone: String,
}

/// A delivery that carries many events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// JSON pointer to the array (empty: the body itself).
    pub path: String,
    /// JSON pointer within an element to its id; without it, its place in the array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// JSON pointer within an element to its event name; without it, the delivery's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
}

/// When a failed event is tried again: after each of these waits, then it is dead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetrySchedule {
    /// Seconds to wait after the first, second, … failed attempt; at most 20 of at most 86,400.
    pub delays_seconds: Vec<u32>,
}

impl Default for RetrySchedule {
    /// Eight more attempts within about 12 hours.
    fn default() -> Self {
        Self { delays_seconds: vec![2, 10, 60, 300, 900, 3600, 10_800, 28_800] }
    }
}

/// What an event becomes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The event's name; a `*` at its end stands for any rest.
    pub event: String,
    /// What is done.
    pub effect: Effect,
}

/// What is done for an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Effect {
    /// Insert a new document, named by `name` or by `series`. A name that exists is rejected.
    Create(DocumentEffect),
    /// Change an existing document; the event waits while it does not exist.
    Update(DocumentEffect),
    /// Create it, or change it if it exists.
    Upsert(DocumentEffect),
    /// Set docstatus 1, with the mapped fields.
    Submit(DocumentEffect),
    /// Set docstatus 2, with the mapped fields.
    Cancel(DocumentEffect),
    /// Delete it; a tombstone stays.
    Delete(DocumentEffect),
    /// A handler of the registry (`events::handler`).
    Handler {
        /// Its name.
        handler: String,
        /// What it wants to know.
        #[serde(default)]
        options: serde_json::Value,
    },
}

/// Which document, and what goes into it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentEffect {
    /// The DocType.
    pub doctype: DocType,
    /// Its name, from the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Source>,
    /// The series a new document is named by, e.g. `SAL-ORD-.YYYY.-`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<String>,
    /// How many numbers of the series an instance takes at a time; 1 for a series that must have no gaps.
    #[serde(default = "default_series_block")]
    pub series_block: u32,
    /// Where the payload says the docstatus; for mirrors of ERPNext documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docstatus: Option<Source>,
    /// Documents that must exist first; the event waits for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Requirement>,
    /// The fields.
    #[serde(default)]
    pub mapping: Mapping,
}

/// A document that must exist before the effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// Its DocType.
    pub doctype: DocType,
    /// Its name, from the payload; nothing is required where the payload has none.
    pub name: Source,
}

fn yes() -> bool {
    true
}

fn utc() -> String {
    "UTC".into()
}

fn default_tolerance() -> u32 {
    300
}

fn default_series_block() -> u32 {
    10
}

fn default_max_body() -> usize {
    256 * 1024
}

impl ConnectorSettings {
    /// The first rule that fits `event`.
    pub fn rule_for(&self, event: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.fits(event))
    }
}

impl Rule {
    /// Whether the rule is for `event`.
    pub fn fits(&self, event: &str) -> bool {
        match self.event.strip_suffix('*') {
            Some(stem) => event.starts_with(stem),
            None => event == self.event,
        }
    }
}
