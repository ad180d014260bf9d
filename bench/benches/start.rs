//! Start-up of the release functions: time from spawn to the first request for work, memory then, size.
//!
//! Lambda's runtime API is played by a listener that accepts the request for the next invocation and never
//! answers. What this leaves out: Lambda's own work before the process starts, and the first call to AWS.

use std::{
    error::Error,
    io::{BufRead, BufReader, ErrorKind},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use causeway_bench::table::Table;

const FUNCTIONS: [&str; 4] = ["webhook-ingest", "event-worker", "document-events", "api"];
const STARTS: usize = 30;
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the listener looks whether the function has come; the error of the time is at most this.
const GLANCE: Duration = Duration::from_micros(20);

const GOAL_MILLISECONDS: f64 = 12.0;
const GOAL_RESIDENT_MB: f64 = 14.0;
const GOAL_SIZE_MB: f64 = 20.0;

/// What the functions' configuration needs to be complete; nothing is called before work arrives.
const ENVIRONMENT: [(&str, &str); 14] = [
    ("ADMIN_API_KEY_ID", "admin"),
    ("AWS_ACCESS_KEY_ID", "bench"),
    ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
    ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_SECRET_ACCESS_KEY", "bench"),
    ("DOCUMENTS_TABLE", "documents"),
    ("EVENTS_DLQ_ARN", "arn:aws:sqs:us-east-1:123456789012:dlq"),
    ("EVENTS_QUEUE_URL", "http://127.0.0.1:9/queue"),
    ("LOGS_TABLE", "logs"),
    ("STATE_TABLE", "state"),
    ("WEBHOOK_SECRETS_ID", "webhooks"),
];

type Failed = Box<dyn Error>;

/// A function that waits for work.
struct Started {
    after: Duration,
    resident_kb: u64,
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(binary: &Path) -> Result<Started, Failed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let mut command = Command::new(binary);
    command.env_clear().envs(ENVIRONMENT).stdout(Stdio::null()).stderr(Stdio::null());
    command.env("AWS_LAMBDA_RUNTIME_API", listener.local_addr()?.to_string());
    let began = Instant::now();
    let mut child = Killed(command.spawn()?);
    let stream = accept(&listener, &mut child.0)?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    let after = began.elapsed();
    if !line.contains("/runtime/invocation/next") {
        return Err(format!("{} asked for {line:?} first", binary.display()).into());
    }
    Ok(Started { after, resident_kb: resident_kb(child.0.id())? })
}

fn accept(listener: &TcpListener, child: &mut Child) -> Result<TcpStream, Failed> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(GLANCE),
            Err(error) => return Err(error.into()),
        }
        if let Some(status) = child.try_wait()? {
            return Err(format!("the function ended with {status}").into());
        }
    }
    Err("the function never asked for work".into())
}

fn resident_kb(pid: u32) -> Result<u64, Failed> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Where `cargo build --release` puts the functions: next to the directory this benchmark is in.
fn release_dir() -> Result<PathBuf, Failed> {
    let own = std::env::current_exe()?;
    let dir = own.parent().and_then(Path::parent).ok_or("a benchmark lies in target/release/deps")?;
    Ok(dir.to_owned())
}

#[expect(clippy::cast_precision_loss, reason = "megabytes to one decimal")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[expect(clippy::print_stdout, reason = "a benchmark's output")]
fn main() -> Result<(), Failed> {
    let dir = release_dir()?;
    let mut table =
        Table::new(["function", "start, median (ms)", "p99 (ms)", "resident (MB)", "size (MB)", "goals"]);
    for function in FUNCTIONS {
        let binary = dir.join(function);
        let size = megabytes(
            std::fs::metadata(&binary)
                .map_err(|error| {
                    format!("{}: {error}; run cargo build --release --workspace", binary.display())
                })?
                .len(),
        );
        start(&binary)?; // brings the file into the page cache
        let mut starts = (0..STARTS).map(|_| start(&binary)).collect::<Result<Vec<_>, _>>()?;
        starts.sort_by_key(|start| start.after);
        let median = milliseconds(starts[STARTS / 2].after);
        let last = milliseconds(starts[STARTS - 1].after); // of thirty, the 99th percentile is the slowest
        let resident =
            megabytes(starts.iter().map(|start| start.resident_kb * 1024).max().unwrap_or_default());
        let met = median < GOAL_MILLISECONDS && resident < GOAL_RESIDENT_MB && size < GOAL_SIZE_MB;
        let figures = [median, last, resident, size].map(|figure| format!("{figure:.1}"));
        let verdict = if met { "met" } else { "missed" };
        table.row([function.to_owned()].into_iter().chain(figures).chain([verdict.to_owned()]));
    }
    table.print();
    println!(
        "goals: median below {GOAL_MILLISECONDS} ms, resident below {GOAL_RESIDENT_MB} MB, size below {GOAL_SIZE_MB} MB"
    );
    Ok(())
}
