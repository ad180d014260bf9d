//! Items as a point of sale asks for them: found by words or by group, with their price and what is in stock.
//!
//! Four projections, each of one DocType, whose rows [`ItemSearch`] puts together while reading, so that a new
//! price or a sale touches one row and not the item's.
//!
//! | rows | partition / place | of |
//! | --- | --- | --- |
//! | an item, for each of its words | `IT#{first two characters}#{n}` / `{word}#{item}` | Item |
//! | an item, in its group | `IG#{group}#{n}` / `{name}#{item}` | Item |
//! | an item, among all | `IL#{n}` / `{item}` | Item |
//! | the prices of an item, an entry each | `PR#{price list}#{item}` / `PR` | Item Price |
//! | the stock of an item, an entry a Bin | `BN#{warehouse}#{item}` / `BN` | Bin |
//! | the tree of groups | `GT` / `{group}` | Item Group |
//!
//! `n` is a shard of the item's code. The tree is one partition: it is read by each search within groups that is
//! not found in the cache.

mod group;
mod item;
mod price;
mod search;
mod stock;
mod walk;
mod words;

pub use group::GROUPS;
pub use item::ITEMS;
pub use price::PRICES;
pub use search::{ItemPage, ItemQuery, ItemSearch, MAX_START, PROFILES, PosItem};
pub use stock::STOCK;
