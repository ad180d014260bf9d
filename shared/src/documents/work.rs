//! Work that is done once, whoever does it and however often: a record of a bulk transaction.
//!
//! A [`Work`] goes with a [`Commit`](super::Commit) that creates a document for it. What tells a repeat from it is
//! written with the documents and nowhere else. The built-in store notes it in another document of the same commit, the
//! source, which is written anyway: whoever does the work reads the source first, and of two at once one finds it
//! changed. A store that creates a document for an id once (an ERPNext site) recognises the id itself.

use super::{Document, Filters};

/// The most notes that a document keeps, those of events included.
pub(super) const MAX_NOTES: usize = 20;

/// What a commit is made for, besides events and requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// What it is called wherever it is done: at most 140 characters, no `=` and no `@`.
    pub id: String,
    /// Which write's document notes that it is done, in a store that recognises no ids.
    pub noted: Option<usize>,
    /// Among which documents its own is, in a store that has nothing else to look for it by; none: nobody can tell.
    pub among: Filters,
}

impl Work {
    /// What is noted of it once it has made the document `name`.
    pub(super) fn note(&self, name: &str) -> String {
        format!("{}={name}", self.id)
    }

    /// The name of the document that it made, if `source` has a note of that.
    pub fn made_of<'a>(&self, source: &'a Document) -> Option<&'a str> {
        let notes = source.events.iter().filter_map(|note| note.split_once('='));
        notes.rev().find(|(id, _)| *id == self.id).map(|(_, name)| name)
    }
}

/// `notes` with `note`, the oldest dropped where they are too many.
pub(super) fn with_note(mut notes: Vec<String>, note: Option<String>) -> Vec<String> {
    notes.extend(note);
    let surplus = notes.len().saturating_sub(MAX_NOTES);
    notes.drain(..surplus);
    notes
}
