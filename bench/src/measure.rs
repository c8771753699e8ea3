//! One process, measured from its start to its end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use headwater_servers::{Error, Result};
use wait4::Wait4;

/// What a run has cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    /// User and system time of the subject, all its threads.
    pub(crate) cpu: Duration,
    /// The same of the server meanwhile, to the hundredth of a second.
    pub(crate) server_cpu: Duration,
    pub(crate) rss_bytes: u64,
}

impl Cost {
    /// The median of each figure by itself.
    pub(crate) fn median(costs: &[Self]) -> Option<Self> {
        fn middle<T: Ord + Copy>(costs: &[Cost], of: impl Fn(&Cost) -> T) -> Option<T> {
            let mut all: Vec<T> = costs.iter().map(of).collect();
            all.sort_unstable();
            // Of an even number the better of the two in the middle is not taken.
            all.get(all.len() / 2).copied()
        }
        Some(Self {
            wall: middle(costs, |cost| cost.wall)?,
            cpu: middle(costs, |cost| cost.cpu)?,
            server_cpu: middle(costs, |cost| cost.server_cpu)?,
            rss_bytes: middle(costs, |cost| cost.rss_bytes)?,
        })
    }
}

/// Where a subject's outputs go; on the servers' own disk.
#[derive(Debug)]
pub(crate) struct Outputs {
    folder: PathBuf,
}

impl Outputs {
    /// Makes the folder; it goes with the server's, which contains it.
    pub(crate) fn new(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)
            .map_err(|error| Error::new(format!("cannot create {}: {error}", folder.display())))?;
        Ok(Self { folder })
    }

    /// The folder, for what a subject needs besides.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the subject printed.
    pub(crate) fn stdout(&self) -> PathBuf {
        self.folder.join("stdout")
    }

    /// What the subject said.
    pub(crate) fn stderr(&self) -> PathBuf {
        self.folder.join("stderr")
    }

    /// The file of events.
    pub(crate) fn events(&self) -> PathBuf {
        self.folder.join("events.jsonl")
    }

    /// Removes them all.
    pub(crate) fn clear(&self) {
        for path in [self.stdout(), self.stderr(), self.events()] {
            // It may not have been written at all.
            let _ = fs::remove_file(path);
        }
    }
}

/// Runs a command to its end with its output in files.
///
/// A process's peak of memory cannot be less than this process's own at the fork, so this one stays small.
pub(crate) fn run(mut command: Command, outputs: &Outputs, server: u32) -> Result<Cost> {
    outputs.clear();
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |error: std::io::Error| Error::new(format!("cannot run {name}: {error}"));
    let stdout = File::create(outputs.stdout()).map_err(failed)?;
    let stderr = File::create(outputs.stderr()).map_err(failed)?;
    command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    let server_before = cpu_of(server);
    let begin = Instant::now();
    let mut child = command.spawn().map_err(failed)?;
    let used = child.wait4().map_err(failed)?;
    let wall = begin.elapsed();
    if !used.status.success() {
        let said = fs::read_to_string(outputs.stderr()).unwrap_or_default();
        let said: Vec<&str> = said.trim().lines().rev().take(6).collect();
        let said: Vec<&str> = said.into_iter().rev().collect();
        return Err(Error::new(format!("{}\n{}", used.status, said.join("\n"))));
    }
    Ok(Cost {
        wall,
        cpu: used.rusage.utime + used.rusage.stime,
        server_cpu: cpu_of(server).saturating_sub(server_before),
        rss_bytes: used.rusage.maxrss,
    })
}

/// The CPU time that a process has used; zero where the system does not tell.
pub(crate) fn cpu_of(pid: u32) -> Duration {
    let path = Path::new("/proc").join(pid.to_string()).join("stat");
    let text = fs::read_to_string(path).unwrap_or_default();
    // The name, in parentheses, may contain anything.
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = (rest.split_whitespace().skip(11).take(2))
        .filter_map(|word| word.parse::<u64>().ok())
        .sum();
    // Linux counts in hundredths of a second on every machine that Headwater is built for.
    Duration::from_millis(ticks * 10)
}
