//! The findings as a table.

use std::fmt;

use super::{Finding, Outcome};

/// What was found of a site. Its `Display` is the table that people read.
#[derive(Debug, Clone)]
pub struct Report(Vec<Finding>);

impl Report {
    pub(super) fn new(findings: Vec<Finding>) -> Self {
        Self(findings)
    }

    /// What was tried, in order.
    pub fn findings(&self) -> &[Finding] {
        &self.0
    }

    /// Whether nothing failed that has to work.
    pub fn is_good(&self) -> bool {
        self.count(Outcome::Failed) == 0
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.0.iter().filter(|finding| finding.outcome == outcome).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|finding| finding.name.chars().count()).max().unwrap_or_default();
        for finding in &self.0 {
            let word = match finding.outcome {
                Outcome::Works => "ok",
                Outcome::Warning => "warning",
                Outcome::Failed => "FAILED",
                Outcome::Skipped => "skipped",
            };
            let took = format!("{} ms", finding.took.as_millis());
            writeln!(f, "{word:<8} {:<width$}  {took:>8}  {}", finding.name, finding.detail)?;
            if let Some(hint) = finding.hint {
                writeln!(f, "{:>1$} {hint}", "→", width + 22)?;
            }
        }
        let [works, warnings, failed, skipped] =
            [Outcome::Works, Outcome::Warning, Outcome::Failed, Outcome::Skipped]
                .map(|outcome| self.count(outcome));
        let s = if warnings == 1 { "" } else { "s" };
        write!(f, "{works} ok, {warnings} warning{s}, {failed} failed, {skipped} skipped")
    }
}
