//! One instance, a fleet of them on DynamoDB, and any order of what instances do.

mod fleet;
mod instance;
mod memory;
mod model;
mod rig;
mod skew;
