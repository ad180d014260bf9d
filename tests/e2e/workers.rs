//! Finds and kills this stack's workers, as a crash would: at any instruction, with no last word.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Whether processes can be found here.
pub const SUPPORTED: bool = cfg!(target_os = "linux");

/// Does `work` while random workers of the stack in `root` are killed now and then, for `least` at least. Returns
/// what came of it and how many were killed.
pub fn kill_during<T>(root: &Path, seed: u64, least: Duration, work: impl FnOnce() -> T) -> (T, usize) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let killer = scope.spawn(|| kill_until(root, seed, &stop));
        let began_at = Instant::now();
        let result = work();
        thread::sleep(least.saturating_sub(began_at.elapsed()));
        stop.store(true, Ordering::Relaxed);
        (result, killer.join().expect("the killer does not panic"))
    })
}

fn kill_until(root: &Path, seed: u64, stop: &AtomicBool) -> usize {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut kills = 0;
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(random.u64(150..700)));
        if let Some(worker) = random.choice(workers(root)) {
            kills += usize::from(kill(worker));
        }
    }
    kills
}

/// The processes of the stack's workers.
fn workers(root: &Path) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|process| is_worker(*process, root))
        .collect()
}

/// Whether it runs from this stack's directory, and for a worker's function.
fn is_worker(process: u32, root: &Path) -> bool {
    let Ok(program) = fs::read_link(format!("/proc/{process}/exe")) else { return false };
    let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
    let mut variables = environment.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    program.starts_with(root)
        && variables.any(|v| v.starts_with("AWS_LAMBDA_FUNCTION_NAME=") && v.contains("Worker"))
}

fn kill(process: u32) -> bool {
    Command::new("kill").args(["-KILL", &process.to_string()]).status().is_ok_and(|status| status.success())
}
