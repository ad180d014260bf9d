//! What a source's status forbids, and what it is afterwards.

use jiff::civil::Date;
use serde::Deserialize;
use serde_json::Value;

use super::progress::Progress;
use crate::{
    Error, ErrorCode, Result,
    documents::{Document, Fields},
    mapping::Condition,
};

/// A reason not to make anything of a source: all that is given of it must hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refusal {
    when: Option<Condition>,
    /// The field whose date is past.
    past: Option<String>,
    /// The field whose date is not past, or not there.
    until: Option<String>,
    /// Whether it means that all is done already.
    #[serde(default)]
    nothing_left: bool,
    /// As a sentence goes on after the source's name.
    reason: String,
}

impl Refusal {
    pub fn check(&self, source: &Document, flat: &Value, today: Date) -> Result<()> {
        let date = |field: &str| source.fields.get(field)?.as_str()?.get(..10)?.parse::<Date>().ok();
        let holds = self.when.as_ref().is_none_or(|condition| condition.holds(flat))
            && self.past.as_ref().is_none_or(|field| date(field).is_some_and(|date| date < today))
            && self.until.as_ref().is_none_or(|field| date(field).is_none_or(|date| date > today));
        if !holds {
            return Ok(());
        }
        let code = if self.nothing_left { ErrorCode::NothingToMap } else { ErrorCode::StatusForbids };
        Err(Error::new(code, format!("{} {}", source.key, self.reason)))
    }

    #[cfg(test)]
    pub fn condition(&self) -> Option<&Condition> {
        self.when.as_ref()
    }
}

/// A status, and when it is the source's. Its condition also sees `/done`, the percentage that this pair counts, which
/// not all sources have a field for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusRule {
    pub when: Option<Condition>,
    status: String,
}

/// Writes the status of `source`: the first that holds.
pub(super) fn update(rules: &[StatusRule], source: &mut Fields, progress: Progress) {
    let headers = source.iter().filter(|(_, value)| !value.is_array() && !value.is_object());
    let mut seen: Fields = headers.map(|(field, value)| (field.clone(), value.clone())).collect();
    seen.insert("done".to_owned(), progress.percent().map(super::amount::json).unwrap_or_default());
    let seen = Value::Object(seen);
    let holds = |rule: &&StatusRule| rule.when.as_ref().is_none_or(|condition| condition.holds(&seen));
    if let Some(rule) = rules.iter().find(holds) {
        source.insert("status".to_owned(), rule.status.as_str().into());
    }
}
