//! Programs that use the hub as its users do: client libraries, a browser, the examples of the documentation.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{hub::Hub, stack::repository};

/// How often a running program is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A program that is to run against the hub.
pub struct Program {
    title: String,
    command: Command,
    limit: Duration,
}

/// How a program ended.
pub struct Ended {
    /// Its status; `None` where its time was up.
    pub status: Option<ExitStatus>,
    /// What it wrote to either of its outputs.
    pub output: String,
}

impl Program {
    /// `name` of the PATH, or of the virtual environment where it is there, with the hub in its environment:
    /// `API_URL`, `API_KEY` and its two halves, `API_KEY_ID` and `API_KEY_SECRET`.
    pub fn new(hub: &Hub, name: &str) -> Self {
        let own = repository().join(".venv/bin").join(name);
        let program = if own.is_file() { own } else { name.into() };
        let key = hub.stack.variables.get("API_KEY");
        let (id, secret) = key.split_once('.').expect("a key is an id and a secret");
        let mut command = Command::new(program);
        command
            .env("API_URL", hub.stack.variables.get("API_URL"))
            .env("API_KEY", key)
            .env("API_KEY_ID", id)
            .env("API_KEY_SECRET", secret)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null());
        Self { title: name.to_owned(), command, limit: Duration::from_secs(120) }
    }

    /// A script of the repository, run by the program that its ending asks for.
    pub fn script(hub: &Hub, path: &str) -> Self {
        let interpreter = match path.rsplit_once('.') {
            Some((_, "py")) => "python",
            Some((_, "mjs")) => "node",
            Some((_, "sh")) => "sh",
            _ => panic!("nothing is known to run {path}"),
        };
        let script = Self::new(hub, interpreter).arg(repository().join(path).to_string_lossy());
        Self { title: path.to_owned(), ..script }
    }

    /// With an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<str>) -> Self {
        self.command.arg(argument.as_ref());
        self
    }

    /// With arguments.
    #[must_use]
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// With a variable in its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.command.env(name, value.as_ref());
        self
    }

    /// In this directory.
    #[must_use]
    pub fn directory(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// With so much time.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it, and returns what it wrote. Anything but success ends the trial, with its output.
    #[track_caller]
    pub fn succeed(self) -> String {
        let (title, limit) = (self.title.clone(), self.limit);
        let ended = self.run();
        match ended.status {
            Some(status) if status.success() => ended.output,
            Some(status) => panic!("{title}: {status}\n{}", ended.output),
            None => panic!("{title} did not end within {} s\n{}", limit.as_secs(), ended.output),
        }
    }

    /// Runs it, however it ends.
    #[track_caller]
    pub fn run(mut self) -> Ended {
        // A file, not a pipe: nobody has to read while it runs.
        let path = std::env::temp_dir().join(format!("causeway-{}.out", fastrand::u64(..)));
        let file = File::create(&path).expect("a temporary file");
        let (out, err) = (file.try_clone().expect("a second handle"), file);
        let title = &self.title;
        let started = self.command.stdout(out).stderr(err).spawn();
        let child = started.unwrap_or_else(|error| panic!("{title}: {error}; `make ci-deps` installs it"));
        let status = wait(child, self.limit);
        let bytes = std::fs::read(&path).unwrap_or_default();
        let _ = std::fs::remove_file(&path);
        Ended { status, output: String::from_utf8_lossy(&bytes).into_owned() }
    }
}

/// The status of `child`, which is ended when its time is up.
fn wait(mut child: Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait().expect("a child can be waited for") {
            Some(status) => return Some(status),
            None if Instant::now() > deadline => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            None => sleep(LOOK_EVERY),
        }
    }
}
