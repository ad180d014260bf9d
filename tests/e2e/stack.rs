//! The stack that the trials run on: template.yaml with the compiled functions, on a local AWS of its own.
//!
//! A guardian process holds one end of a pipe to this one. However this process ends, the pipe closes, and the
//! guardian stops the stack and deletes its directory.

use std::{
    collections::HashMap,
    env, fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::SystemTime,
};

/// The functions, by the names of their binaries.
const FUNCTIONS: [&str; 5] = ["api", "bulk-worker", "document-events", "event-worker", "webhook-ingest"];
/// Short times, so that what a crash leaves hidden comes back within a trial, and no more workers than two
/// processors can use.
const PARAMETERS: [&str; 9] = [
    "EventWorkerTimeoutSeconds=2",
    "EventsVisibilitySeconds=12",
    "LeaseSeconds=5",
    "WorkerConcurrency=4",
    "BulkWorkerTimeoutSeconds=2",
    "BulkVisibilitySeconds=12",
    "BulkConcurrency=4",
    // Small, so that there are many to kill workers at.
    "BulkChunkSize=20",
    // All trials are one user. What the limits do is tried in unit tests.
    concat!(
        r#"RateLimits={"read": {"limit": 900000, "window_seconds": 300}, "list": {"limit": 900000, "window_seconds": 300}, "#,
        r#""write": {"limit": 900000, "window_seconds": 300}, "report": {"limit": 900000, "window_seconds": 300}, "#,
        r#""admin": {"limit": 900000, "window_seconds": 300}}"#
    ),
];

/// A running stack.
pub struct Stack {
    root: PathBuf,
    binaries: PathBuf,
    guardian: Option<Child>,
    kind: Kind,
    /// What a client needs to know.
    pub variables: Variables,
}

/// What is particular to a stack.
#[derive(Debug, Clone, Default)]
pub struct Kind {
    /// Tells its directory from those of other stacks of this process.
    pub name: &'static str,
    /// The port of its AWS, where somebody has to know it before it starts.
    pub port: Option<u16>,
    /// Parameters of the template, `NAME=VALUE`, over the usual ones.
    pub parameters: Vec<String>,
    /// Variables that its commands find in their environment.
    pub environment: Vec<(&'static str, String)>,
}

/// `NAME=value` lines: the stack's URL, key, queues and so on.
#[derive(Debug, Clone, Default)]
pub struct Variables(HashMap<String, String>);

impl Variables {
    /// A variable that the stack must have.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("the stack's variables have no {name}"))
    }
}

impl Stack {
    /// Starts a stack on a free port unless its kind names one, in a new directory below cargo's target directory.
    pub fn start(kind: Kind) -> Result<Self, String> {
        let python = repository().join(".venv/bin/python");
        if !python.is_file() {
            return Err("The local stack needs the virtual environment .venv: run `make venv` first.".into());
        }
        let binaries = binaries()?;
        let root =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("e2e-{}{}", std::process::id(), kind.name));
        let guardian = Some(guard(&root)?);
        let mut stack = Self { root, binaries, guardian, kind, variables: Variables::default() };
        stack.up(&stack.kind.port.unwrap_or(0).to_string())?;
        Ok(stack)
    }

    /// Stops the stack as an administrator would, and starts it again on the same port with the same data.
    pub fn restart(&self) -> Result<(), String> {
        run(causeway("down", &self.root))?;
        run(self.command("up", self.port()))
    }

    fn up(&mut self, port: &str) -> Result<(), String> {
        run(self.command("up", port))?;
        let text = fs::read_to_string(self.root.join("env")).map_err(|error| error.to_string())?;
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        self.variables = Variables(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect());
        Ok(())
    }

    fn port(&self) -> &str {
        self.variables.get("AWS_ENDPOINT_URL").rsplit(':').next().unwrap()
    }

    fn command(&self, name: &str, port: &str) -> Command {
        let mut command = causeway(name, &self.root);
        command.args(["--port", port, "--no-build", "--no-tour", "--bin-dir"]).arg(&self.binaries);
        for parameter in PARAMETERS.into_iter().chain(self.kind.parameters.iter().map(String::as_str)) {
            command.args(["--param", parameter]);
        }
        command.envs(self.kind.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// What tells it from others of this process.
    pub fn name(&self) -> &'static str {
        self.kind.name
    }

    /// The directory that holds all of it, the functions' processes included.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let Some(mut guardian) = self.guardian.take() else { return };
        drop(guardian.stdin.take());
        let _ = guardian.wait();
    }
}

/// The repository's root.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository")
}

fn causeway(command: &str, root: &Path) -> Command {
    let mut causeway = Command::new(repository().join(".venv/bin/python"));
    causeway.arg(repository().join("local/causeway.py")).arg(command).arg("--root").arg(root);
    causeway
}

fn run(mut command: Command) -> Result<(), String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let mut complaint = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = stderr.read_to_string(&mut complaint);
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("The local stack: {}", complaint.trim())) }
}

/// Starts the guardian of the stack in `root`. It outlives an interrupt, which the terminal sends to it too.
fn guard(root: &Path) -> Result<Child, String> {
    let clean = causeway("clean", root);
    let arguments = std::iter::once(clean.get_program()).chain(clean.get_args());
    Command::new("sh")
        .args(["-c", "trap '' INT TERM HUP; read -r _; exec \"$@\"", "guardian"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("sh: {error}"))
}

/// Where the functions' binaries are: beside the tests', unless `CAUSEWAY_TEST_BIN_DIR` names a directory.
fn binaries() -> Result<PathBuf, String> {
    if let Some(directory) = env::var_os("CAUSEWAY_TEST_BIN_DIR") {
        return Ok(directory.into());
    }
    let directory = profile()?;
    for function in FUNCTIONS {
        check(&directory, function)?;
    }
    Ok(directory)
}

/// The directory that cargo built this test's profile to.
fn profile() -> Result<PathBuf, String> {
    let tests = env::current_exe().map_err(|error| error.to_string())?;
    Ok(tests.ancestors().nth(2).unwrap_or(&tests).to_owned())
}

/// The example program `name`, which must be built from what is in the working tree.
pub fn example(name: &str) -> Result<PathBuf, String> {
    let directory = profile()?.join("examples");
    check(&directory, name)?;
    Ok(directory.join(name))
}

/// Refuses a binary that is not built from what is in the working tree: `cargo test` does not build it.
fn check(directory: &Path, function: &str) -> Result<(), String> {
    let stale =
        |why: String| format!("{why}: run `cargo build --workspace --bins --examples` first, or `make e2e`.");
    let binary = directory.join(function);
    let built_at = modified(&binary).ok_or_else(|| stale(format!("{} is not built", binary.display())))?;
    let sources = fs::read_to_string(binary.with_extension("d")).unwrap_or_default();
    let sources = sources.split_once(": ").map_or("", |(_, sources)| sources).replace("\\ ", "\u{0}");
    for source in sources.split_whitespace().map(|source| PathBuf::from(source.replace('\u{0}', " "))) {
        if !source.starts_with(repository()) {
            let from = source.display();
            return Err(stale(format!("{function} was built from {from}, not from here")));
        }
        if modified(&source).is_none_or(|changed_at| changed_at > built_at) {
            return Err(stale(format!("{function} is older than {}", source.display())));
        }
    }
    Ok(())
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}
