//! A server that behaves as an ERPNext 15 site, for tests of what talks to one: its REST API in both versions, its
//! methods, its names, times, locks and exceptions, and on demand everything that goes wrong between a site and its
//! callers. Unit tests and the end-to-end suite start one with [`Site::start`]; the program `erpnext-site` serves one
//! by hand.
//!
//! What it does is what was recorded of a real site (`shared/fixtures/erpnext`, replayed in `tests/recorded.rs`), or
//! what Frappe's source says. It keeps documents in memory, and each request is one transaction.

mod api;
mod body;
mod calculation;
mod check;
mod clock;
mod database;
mod doctype;
mod exception;
mod fault;
mod filter;
mod mapper;
mod methods;
mod naming;
mod oauth;
mod options;
mod request;
mod save;
mod seed;
mod server;
mod site;
mod value;

pub use clock::SiteClock;
pub use database::Document;
pub use doctype::{DocType, Field, Kind, Naming};
pub use exception::{Exception, Outcome};
pub use fault::{Effect, Fault, Meanwhile};
pub use mapper::{MAPPERS, Mapper, PAYMENT};
pub use options::{
    Access, OauthClient, RateLimit, Right, SiteOptions, User, administrator, hub, oauth_client, reader,
};
pub use request::Answer;
pub use server::Received;
pub use site::Site;
