//! Version 2: resources, a file each.

mod breaker;
pub mod bulk_transactions;
pub mod calls;
pub mod connector_status;
pub mod connectors;
pub mod documents;
pub mod items;
pub mod keys;
pub mod logs;
pub mod me;
pub mod parked;
pub mod reports;
pub mod roles;
pub mod root;
pub mod users;
