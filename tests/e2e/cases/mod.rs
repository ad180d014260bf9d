//! The trials, by feature. A trial's name is a statement that it shows to be true.

mod access;
mod api;
mod bulk;
mod bulk_faults;
mod bulk_storm;
mod clients;
mod crash;
mod documents;
pub mod erpnext;
mod erpnext_bulk;
mod erpnext_outage;
mod erpnext_storm;
mod examples;
mod log;
mod parking;
mod poison;
mod projections;
mod refusals;
mod replay;
mod samples;
mod schemes;
mod spec;
mod storm;
mod webhook;

use crate::hub::Hub;

/// The longest name of a connector.
const MAX_CONNECTOR_BYTES: usize = 64;

/// What a trial does, with the hub and the name of the connector that is its own. A panic is its failure.
type Run = Box<dyn Fn(&Hub, &str) + Send + Sync>;

/// A trial.
pub struct Case {
    /// `module::statement`.
    pub name: String,
    /// The name of the connector that is its own.
    pub connector: String,
    /// Runs it.
    pub run: Run,
}

impl Case {
    fn new(module: &str, statement: &str, run: impl Fn(&Hub, &str) + Send + Sync + 'static) -> Self {
        let module = module.rsplit("::").next().unwrap_or(module);
        // The end of a statement tells it from others.
        let connector = &statement[statement.len().saturating_sub(MAX_CONNECTOR_BYTES)..];
        let connector = connector.trim_start_matches('_').to_owned();
        Self { name: format!("{module}::{statement}"), connector, run: Box::new(run) }
    }
}

macro_rules! cases {
    ($($function:ident),* $(,)?) => {
        vec![$(crate::cases::Case::new(module_path!(), stringify!($function), $function)),*]
    };
}
use cases;

/// Trials that may run side by side. The slow ones come first.
pub fn calm() -> Vec<Case> {
    [
        access::cases(),
        clients::cases(),
        examples::cases(),
        webhook::cases(),
        parking::cases(),
        replay::cases(),
        poison::cases(),
        projections::cases(),
        bulk::cases(),
        documents::cases(),
        schemes::cases(),
        refusals::cases(),
        api::cases(),
        samples::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Trials that kill workers, restart the stack, or look at all that the others left: one by one, in this order.
pub fn disturbing() -> Vec<Case> {
    [storm::cases(), bulk_storm::cases(), log::cases(), crash::cases(), spec::cases()]
        .into_iter()
        .flatten()
        .collect()
}

/// Trials on the stack whose documents live on an ERPNext site, side by side.
pub fn on_a_site() -> Vec<Case> {
    erpnext::cases()
}

/// The same, one by one: they have the site fail, or kill workers.
pub fn disturbing_on_a_site() -> Vec<Case> {
    [erpnext_outage::cases(), erpnext_storm::cases(), erpnext_bulk::cases()].into_iter().flatten().collect()
}

/// Trials on the stack whose DynamoDB fails, one by one.
pub fn with_faults() -> Vec<Case> {
    bulk_faults::cases()
}
