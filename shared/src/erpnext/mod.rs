//! An ERPNext site, spoken to over its REST API.
//!
//! [`Site`] has a method for each thing that is asked of a site; the document store and bulk transactions are its
//! callers. Every call takes the one way out ([`crate::outbound`]): [`ErpnextProvider`] tells it what an answer means,
//! since statuses mislead here and only the exception's type says what happened. A refusal by the site arrives as a
//! [`Refusal`], everything else that goes wrong as the pipeline's own failure, which says whether the call may have
//! had its effect.

pub mod check;
pub mod credentials;
mod exception;
pub mod mapper;
mod policy;
mod provider;
mod query;
#[cfg(test)]
pub(crate) mod recorded;
mod request;
#[cfg(test)]
mod rig;
pub mod setup;
mod site;
#[cfg(test)]
mod tests;
pub mod time;

pub use credentials::Authorise;
pub use exception::{Exception, Refusal};
pub use policy::{ConnectorPolicy, PolicySource};
pub use provider::{ERPNEXT, ErpnextProvider};
pub use query::SiteQuery;
pub use site::{Site, SiteConfig, SiteError, Versions};

use serde_json::{Map as JsonMap, Value};

/// The connector that a site is, for policies, breaker and rate: the one whose health the API shows under this name.
pub const CONNECTOR: &str = "erpnext";

/// The field by which a document of a prepared DocType is found again: unique, of ours.
pub const ID_FIELD: &str = "causeway_id";

/// The field in which a document of a prepared DocType says what was applied to it.
pub const MARK_FIELD: &str = "causeway_mark";

/// The most documents that a site inserts in one transaction.
pub const MAX_INSERTS: usize = 200;

/// A JSON object: a document as a site has it.
pub type Map = JsonMap<String, Value>;
