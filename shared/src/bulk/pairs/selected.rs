//! The arguments of a record: which rows of its source are taken.

use std::collections::HashSet;

use serde_json::Value;

use super::row::MAX_ROWS;
use crate::{Error, Result, documents::Fields};

/// The one argument there is, named as in ERPNext.
const CHILDREN: &str = "filtered_children";

/// The rows that were asked for.
pub(super) struct Selected {
    /// Their names; none where all are taken, as ERPNext takes an empty list.
    names: Option<HashSet<String>>,
    seen: HashSet<String>,
}

impl Selected {
    /// Reads `args`; those that are not known are an error that names them.
    pub fn read(args: &Fields, has_rows: bool) -> Result<Self> {
        let unknown = |name: &&String| !(has_rows && *name == CHILDREN);
        if let Some(name) = args.keys().find(unknown) {
            return Err(Error::field(
                format!("/args/{name}"),
                "unknown",
                format!("there is no argument {name:?}"),
            ));
        }
        let names = match args.get(CHILDREN) {
            None | Some(Value::Null) => None,
            Some(Value::Array(list)) if list.len() <= MAX_ROWS => {
                let names: Option<HashSet<_>> =
                    list.iter().map(|one| one.as_str().map(ToOwned::to_owned)).collect();
                Some(names.ok_or_else(|| invalid("must be a list of names of rows"))?)
            }
            Some(_) => return Err(invalid("must be a list of at most 1,000 names of rows")),
        };
        Ok(Self { names: names.filter(|names| !names.is_empty()), seen: HashSet::new() })
    }

    /// Whether the row called `name` is taken.
    pub fn takes(&mut self, name: &str) -> bool {
        let Some(names) = &self.names else { return true };
        let takes = names.contains(name);
        if takes {
            self.seen.insert(name.to_owned());
        }
        takes
    }

    /// Fails if a row that was asked for is not there.
    pub fn check_all_seen(&self) -> Result<()> {
        match self.names.iter().flatten().filter(|name| !self.seen.contains(*name)).min() {
            Some(name) => Err(invalid(&format!("the source has no row {name:?}"))),
            None => Ok(()),
        }
    }
}

fn invalid(detail: &str) -> Error {
    Error::field(format!("/args/{CHILDREN}"), "invalid", detail)
}
