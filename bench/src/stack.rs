//! A local stack of a benchmark's own, with the release functions.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use crate::Failed;

/// A local stack in a directory of its own; stopped and deleted when it goes.
pub struct Stack {
    root: PathBuf,
    variables: BTreeMap<String, String>,
}

impl Stack {
    /// Starts it on a free port, with these parameters of the template (`NAME=value`).
    pub fn start(parameters: &[&str]) -> Result<Self, Failed> {
        let own = std::env::current_exe()?;
        let release = own.parent().and_then(Path::parent).ok_or("a benchmark lies in target/release/deps")?;
        let root = release.with_file_name(format!("bench-stack-{}", std::process::id()));
        let mut stack = Self { root, variables: BTreeMap::new() };
        let arguments = ["--port", "0", "--no-build", "--no-tour", "--bin-dir"];
        let chosen = parameters.iter().flat_map(|parameter| ["--param", parameter]);
        stack.run("up", |command| command.args(arguments).arg(release).args(chosen))?;
        let text = std::fs::read_to_string(stack.root.join("env"))?;
        stack.variables = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .collect();
        Ok(stack)
    }

    fn run(&self, verb: &str, more: impl FnOnce(&mut Command) -> &mut Command) -> Result<(), Failed> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut command = Command::new(repository.join(".venv/bin/python"));
        command.current_dir(&repository).args(["local/causeway.py", verb, "--root"]).arg(&self.root);
        let output = more(&mut command).output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("causeway.py {verb}: {}", String::from_utf8_lossy(&output.stderr)).into())
    }

    /// A variable of it, as `make status` shows them.
    pub fn variable(&self, name: &str) -> Result<&str, Failed> {
        self.variables.get(name).map(String::as_str).ok_or_else(|| format!("the stack has no {name}").into())
    }
}

impl Drop for Stack {
    #[expect(clippy::print_stderr, reason = "nobody else hears of it")]
    fn drop(&mut self) {
        if let Err(error) = self.run("clean", |command| command) {
            eprintln!("{} is left behind: {error}", self.root.display());
        }
    }
}
