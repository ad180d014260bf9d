//! The marks between the log lines of one path and of the next.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::meter::Tally;

const MARK: &str = "@path ";
const SIZE: &str = "@size ";

/// The end of a path.
#[derive(Debug)]
pub struct Mark {
    /// What it is called; empty for what does not count, with `-` in front for what is not shown.
    pub name: String,
    /// How often it was gone.
    pub count: f64,
    /// The path that was gone besides, once.
    pub minus: Option<String>,
    /// What was used, but for the log.
    pub tally: Tally,
}

/// A line of the child's output.
pub enum Line {
    /// A path ended.
    Mark(Mark),
    /// How large an item is.
    Size(String),
    /// What a function logged.
    Log,
}

impl Mark {
    /// Writes the mark among the log lines.
    #[expect(clippy::print_stdout, reason = "the parent process reads it")]
    pub fn write(&self) {
        let Tally { calls, writes, reads, ingests, api, messages, .. } = &self.tally;
        let tally = json!({
            "name": self.name, "count": self.count, "minus": self.minus, "calls": calls, "writes": writes,
            "reads": reads, "ingests": ingests, "api": api, "messages": messages,
        });
        println!("{MARK}{tally}");
    }

    /// Says how large an item is, and its attributes.
    #[expect(clippy::print_stdout, reason = "the parent process reads it")]
    pub fn size(what: &str, bytes: usize, parts: &str) {
        println!("{SIZE}{what}: {bytes} bytes ({parts})");
    }

    fn read(text: &str) -> serde_json::Result<Self> {
        let value: Value = serde_json::from_str(text)?;
        let number = |name: &str| value[name].as_f64().unwrap_or_default();
        let map = |name: &str| serde_json::from_value::<BTreeMap<String, f64>>(value[name].clone());
        Ok(Self {
            name: value["name"].as_str().unwrap_or_default().to_owned(),
            count: number("count"),
            minus: value["minus"].as_str().map(ToOwned::to_owned),
            tally: Tally {
                calls: map("calls")?,
                writes: map("writes")?,
                reads: map("reads")?,
                ingests: number("ingests"),
                api: number("api"),
                messages: number("messages"),
                log_bytes: 0.0,
            },
        })
    }
}

impl Line {
    /// What `line` is.
    pub fn read(line: &str) -> serde_json::Result<Self> {
        Ok(match (line.strip_prefix(MARK), line.strip_prefix(SIZE)) {
            (Some(mark), _) => Self::Mark(Mark::read(mark)?),
            (_, Some(size)) => Self::Size(size.to_owned()),
            _ => Self::Log,
        })
    }
}
