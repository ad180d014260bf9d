//! What a document contributes to read models, and the changes from one contribution to the next. Pure.

use std::{collections::BTreeMap, fmt};

use ring::digest::{SHA256, digest};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorCode, Result};

/// The most changes one step may make: a transaction holds 100 items, two of which are the step's own.
pub const MAX_OPERATIONS: usize = 98;

/// The value of a row that is one document's.
pub const ROW: &str = "row";
/// The value of a sum that is its total.
pub const TOTAL: &str = "total";
/// The value of a sum that counts.
pub const COUNT: &str = "count";
/// In front of the names of entries.
pub const ENTRY: &str = "e#";

/// Where a row is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RowKey {
    /// The partition.
    pub pk: String,
    /// The place in it.
    pub sk: String,
}

/// One piece of what a document contributes.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// A row of its own.
    Row {
        /// Where.
        key: RowKey,
        /// What it shows, JSON.
        body: String,
    },
    /// Its entry in a row that documents share.
    Entry {
        /// The row.
        key: RowKey,
        /// The entry's name, the document's own.
        name: String,
        /// What it says.
        body: String,
    },
    /// What it adds to a row that documents share.
    Sum {
        /// The row.
        key: RowKey,
        /// The amount.
        total: Decimal,
        /// How many it counts for.
        count: i64,
    },
}

/// What is remembered of a [`Piece`]: where it is, and enough to tell whether it changed.
///
/// Tagged from outside: serde buffers what is tagged inside, and numbers that keep their text do not survive that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Mark {
    /// A row.
    #[serde(rename = "r")]
    Row {
        /// Where.
        #[serde(rename = "k")]
        key: RowKey,
        /// The start of its body's SHA-256.
        h: String,
    },
    /// An entry.
    #[serde(rename = "e")]
    Entry {
        /// The row.
        #[serde(rename = "k")]
        key: RowKey,
        /// The entry's name.
        n: String,
        /// The start of its body's SHA-256.
        h: String,
    },
    /// A part of a sum.
    #[serde(rename = "s")]
    Sum {
        /// The row.
        #[serde(rename = "k")]
        key: RowKey,
        /// The amount, its digits.
        total: Decimal,
        /// How many.
        count: i64,
    },
}

/// A change to one row.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Writes a row.
    Put {
        /// Where.
        key: RowKey,
        /// What it shows.
        body: String,
    },
    /// Removes a row.
    Delete {
        /// Where.
        key: RowKey,
    },
    /// Writes an entry of a shared row.
    Set {
        /// The row.
        key: RowKey,
        /// The entry.
        name: String,
        /// What it says.
        body: String,
    },
    /// Removes an entry of a shared row.
    Unset {
        /// The row.
        key: RowKey,
        /// The entry.
        name: String,
    },
    /// Adds to a sum.
    Add {
        /// The row.
        key: RowKey,
        /// The difference of the amount.
        total: Decimal,
        /// The difference of the count.
        count: i64,
    },
}

/// What makes a piece the same piece: of two with one identity the second takes the place of the first.
type Identity = (RowKey, String);

impl Piece {
    fn identity(&self) -> Identity {
        match self {
            Self::Row { key, .. } | Self::Sum { key, .. } => (key.clone(), String::new()),
            Self::Entry { key, name, .. } => (key.clone(), name.clone()),
        }
    }

    /// What is remembered of it.
    pub fn mark(&self) -> Mark {
        match self {
            Self::Row { key, body } => Mark::Row { key: key.clone(), h: short_hash(body) },
            Self::Entry { key, name, body } => {
                Mark::Entry { key: key.clone(), n: name.clone(), h: short_hash(body) }
            }
            Self::Sum { key, total, count } => Mark::Sum { key: key.clone(), total: *total, count: *count },
        }
    }

    /// The change that brings it to where `old` was; `None` if it is the same.
    fn replacing(&self, old: Option<&Mark>) -> Option<Operation> {
        if old == Some(&self.mark()) {
            return None;
        }
        match (self, old) {
            (Self::Row { key, body }, _) => Some(Operation::Put { key: key.clone(), body: body.clone() }),
            (Self::Entry { key, name, body }, _) => {
                Some(Operation::Set { key: key.clone(), name: name.clone(), body: body.clone() })
            }
            (Self::Sum { key, total, count }, Some(Mark::Sum { total: before, count: counted, .. })) => {
                let (total, count) = (total - before, count - counted);
                (!total.is_zero() || count != 0).then(|| Operation::Add { key: key.clone(), total, count })
            }
            (Self::Sum { key, total, count }, _) => {
                Some(Operation::Add { key: key.clone(), total: *total, count: *count })
            }
        }
    }
}

impl Mark {
    fn identity(&self) -> Identity {
        match self {
            Self::Row { key, .. } | Self::Sum { key, .. } => (key.clone(), String::new()),
            Self::Entry { key, n, .. } => (key.clone(), n.clone()),
        }
    }

    fn removal(&self) -> Operation {
        match self {
            Self::Row { key, .. } => Operation::Delete { key: key.clone() },
            Self::Entry { key, n, .. } => Operation::Unset { key: key.clone(), name: n.clone() },
            Self::Sum { key, total, count } => {
                Operation::Add { key: key.clone(), total: -*total, count: -count }
            }
        }
    }
}

/// The changes from what `old` remembers to `new`, and what is to be remembered then. What did not change is not
/// written. Fails with `projection_failed` if that is more than one transaction holds.
pub fn difference(old: &[Mark], new: &[Piece]) -> Result<(Vec<Operation>, Vec<Mark>)> {
    let mut gone: BTreeMap<Identity, &Mark> = old.iter().map(|mark| (mark.identity(), mark)).collect();
    let wanted: BTreeMap<Identity, &Piece> = new.iter().map(|piece| (piece.identity(), piece)).collect();
    let mut operations: Vec<Operation> =
        wanted.iter().filter_map(|(identity, piece)| piece.replacing(gone.remove(identity))).collect();
    operations.extend(gone.values().map(|mark| mark.removal()));
    if operations.len() > MAX_OPERATIONS {
        return Err(Error::new(
            ErrorCode::ProjectionFailed,
            format!("{} rows would change; at most {MAX_OPERATIONS} can", operations.len()),
        ));
    }
    Ok((operations, wanted.values().map(|piece| piece.mark()).collect()))
}

/// 48 bits of SHA-256: enough to tell a row from its own predecessor.
fn short_hash(body: &str) -> String {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    BASE64_URL_SAFE_NO_PAD.encode(&digest(&SHA256, body.as_bytes()).as_ref()[..6])
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {}", self.pk, self.sk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(sk: &str) -> RowKey {
        RowKey { pk: "p".into(), sk: sk.into() }
    }

    fn row(sk: &str, body: &str) -> Piece {
        Piece::Row { key: key(sk), body: body.into() }
    }

    fn sum(sk: &str, total: &str) -> Piece {
        Piece::Sum { key: key(sk), total: total.parse().unwrap(), count: 1 }
    }

    fn marks(pieces: &[Piece]) -> Vec<Mark> {
        pieces.iter().map(Piece::mark).collect()
    }

    #[test]
    fn only_what_changed_is_written() {
        let old = marks(&[row("a", "1"), row("b", "1"), row("c", "1")]);
        let (operations, after) = difference(&old, &[row("a", "1"), row("b", "2"), row("d", "1")]).unwrap();
        let expected = [
            Operation::Put { key: key("b"), body: "2".into() },
            Operation::Put { key: key("d"), body: "1".into() },
            Operation::Delete { key: key("c") },
        ];
        assert_eq!(operations, expected);
        assert_eq!(after, marks(&[row("a", "1"), row("b", "2"), row("d", "1")]));
    }

    #[test]
    fn sums_change_by_the_difference_and_move_whole() {
        let old = marks(&[sum("jan", "10.10")]);
        let (operations, _) = difference(&old, &[sum("jan", "10.30")]).unwrap();
        let by = |total: &str, count| (total.parse::<Decimal>().unwrap(), count);
        let changes = |operations: &[Operation]| -> Vec<(String, (Decimal, i64))> {
            operations
                .iter()
                .map(|operation| match operation {
                    Operation::Add { key, total, count } => (key.sk.clone(), (*total, *count)),
                    other => panic!("{other:?}"),
                })
                .collect()
        };
        assert_eq!(changes(&operations), [("jan".to_owned(), by("0.20", 0))]);
        let (operations, _) = difference(&old, &[sum("feb", "10.10")]).unwrap();
        let moved = [("feb".to_owned(), by("10.10", 1)), ("jan".to_owned(), by("-10.10", -1))];
        assert_eq!(changes(&operations), moved);
        assert_eq!(difference(&old, &[sum("jan", "10.1")]).unwrap().0, [], "10.10 and 10.1 are one amount");
    }

    #[test]
    fn more_than_a_transaction_holds_is_refused() {
        let many: Vec<Piece> = (0..=MAX_OPERATIONS).map(|i| row(&i.to_string(), "1")).collect();
        assert_eq!(difference(&[], &many).unwrap_err().code(), ErrorCode::ProjectionFailed);
    }

    #[test]
    fn marks_survive_being_stored() {
        let entry = Piece::Entry { key: key("e"), name: "PRICE-1".into(), body: "{}".into() };
        let marks = marks(&[row("a", "1"), sum("s", "-12.50"), entry]);
        let text = serde_json::to_string(&marks).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Mark>>(&text).unwrap(), marks, "{text}");
    }
}
