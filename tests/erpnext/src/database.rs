//! What the site keeps: documents, series and DocTypes. A request changes it in one transaction, which `undo` takes
//! back as a whole. Texts compare as MariaDB's `utf8mb4_unicode_ci` does: without case.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::{Map, Value, json};

use crate::{
    clock::{self, SiteClock},
    doctype::{self, DocType, Naming},
    value,
};

/// A document.
pub type Document = Map<String, Value>;

/// What the site keeps.
#[derive(Debug)]
pub struct Database {
    /// By name.
    pub doctypes: BTreeMap<String, DocType>,
    tables: BTreeMap<String, BTreeMap<String, Document>>,
    series: BTreeMap<String, u64>,
    journal: Vec<Undo>,
    clock: SiteClock,
    zone: TimeZone,
    last_stamp: Timestamp,
    stamped_as: Option<Timestamp>,
}

#[derive(Debug)]
enum Undo {
    Document(String, String, Option<Document>),
    Series(String, Option<u64>),
    DocType(Box<DocType>),
}

/// Under what key a text is unique.
pub fn folded(text: &str) -> String {
    text.trim_end().to_lowercase()
}

impl Database {
    /// An empty site.
    pub fn new(clock: SiteClock, zone: TimeZone) -> Self {
        Self {
            doctypes: doctype::built_in(),
            tables: BTreeMap::new(),
            series: BTreeMap::new(),
            journal: Vec::new(),
            clock,
            zone,
            last_stamp: Timestamp::UNIX_EPOCH,
            stamped_as: None,
        }
    }

    /// The site's time now.
    pub fn now(&self) -> DateTime {
        clock::local(self.clock.now(), &self.zone)
    }

    /// Saves are stamped with this instant until told otherwise: of a transaction that began then.
    pub fn stamp_as(&mut self, instant: Option<Timestamp>) {
        self.stamped_as = instant;
    }

    /// The time of a save: later than every other, unless the clock was set back by more than a second.
    pub fn stamp(&mut self) -> String {
        if let Some(instant) = self.stamped_as {
            self.stamped_as = instant.checked_add(SignedDuration::from_micros(1)).ok();
            return clock::text(clock::local(instant, &self.zone));
        }
        let now = self.clock.now();
        let next = self.last_stamp.checked_add(SignedDuration::from_micros(1)).unwrap_or(now);
        let set_back = self.last_stamp.duration_since(now) > SignedDuration::from_secs(1);
        self.last_stamp = if set_back { now } else { now.max(next) };
        clock::text(clock::local(self.last_stamp, &self.zone))
    }

    /// The document of this name.
    pub fn get(&self, doctype: &str, name: &str) -> Option<&Document> {
        self.tables.get(doctype)?.get(&folded(name))
    }

    /// All documents of a DocType, by name.
    pub fn all(&self, doctype: &str) -> impl Iterator<Item = &Document> {
        self.tables.get(doctype).into_iter().flat_map(BTreeMap::values)
    }

    /// Writes a document.
    pub fn put(&mut self, doctype: &str, name: &str, document: Document) {
        let key = folded(name);
        let before = self.tables.entry(doctype.to_owned()).or_default().insert(key.clone(), document);
        self.journal.push(Undo::Document(doctype.to_owned(), key, before));
    }

    /// Removes a document.
    pub fn remove(&mut self, doctype: &str, name: &str) {
        let key = folded(name);
        let before = self.tables.get_mut(doctype).and_then(|table| table.remove(&key));
        if before.is_some() {
            self.journal.push(Undo::Document(doctype.to_owned(), key, before));
        }
    }

    /// The next number of a series.
    pub fn next(&mut self, prefix: &str) -> u64 {
        let before = self.series.get(prefix).copied();
        let next = before.unwrap_or(0) + 1;
        self.journal.push(Undo::Series(prefix.to_owned(), before));
        self.series.insert(prefix.to_owned(), next);
        next
    }

    /// Replaces a DocType.
    pub fn redefine(&mut self, doctype: DocType) {
        if let Some(before) = self.doctypes.insert(doctype.name.clone(), doctype) {
            self.journal.push(Undo::DocType(Box::new(before)));
        }
    }

    /// Makes a document of each DocType, as a site has them.
    pub fn list_doctypes(&mut self) {
        let documents = self.doctypes.values().map(|doctype| {
            let flag = |naming| i32::from(doctype.naming == naming);
            Document::from_iter([
                ("name".to_owned(), json!(doctype.name)),
                ("doctype".to_owned(), json!("DocType")),
                ("docstatus".to_owned(), json!(0)),
                ("istable".to_owned(), json!(flag(Naming::Child))),
                ("issingle".to_owned(), json!(flag(Naming::Single))),
                ("is_virtual".to_owned(), json!(0)),
            ])
        });
        let documents =
            documents.map(|document| (folded(&value::text(&document["name"])), document)).collect();
        self.tables.insert("DocType".to_owned(), documents);
    }

    /// Keeps what was changed; says whether anything was.
    pub fn commit(&mut self) -> bool {
        let changed = !self.journal.is_empty();
        self.journal.clear();
        changed
    }

    /// Takes back what was changed since the last commit.
    pub fn undo(&mut self) {
        while let Some(step) = self.journal.pop() {
            match step {
                Undo::Document(doctype, key, Some(before)) => {
                    self.tables.entry(doctype).or_default().insert(key, before);
                }
                Undo::Document(doctype, key, None) => {
                    self.tables.entry(doctype).or_default().remove(&key);
                }
                Undo::Series(prefix, Some(before)) => {
                    self.series.insert(prefix, before);
                }
                Undo::Series(prefix, None) => {
                    self.series.remove(&prefix);
                }
                Undo::DocType(before) => {
                    self.doctypes.insert(before.name.clone(), *before);
                }
            }
        }
    }
}
