//! A process beside this one, that is ended when it has done its work: it never outlives the benchmark.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use headwater_servers::{Error, Guard, Result, Signal, send_signal};
use wait4::Wait4;

use crate::measure::{Cost, cpu_of};

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A process that runs. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Side {
    name: String,
    child: Child,
    stderr: PathBuf,
    began: Instant,
    guard: Option<Guard>,
}

impl Side {
    /// Starts a command with its output in files.
    pub(crate) fn start(mut command: Command, stdout: &Path, stderr: &Path) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let failed = |error: std::io::Error| Error::new(format!("cannot run {name}: {error}"));
        let (out, said) = (
            File::create(stdout).map_err(failed)?,
            File::create(stderr).map_err(failed)?,
        );
        command.stdin(Stdio::null()).stdout(out).stderr(said);
        let began = Instant::now();
        let mut child = command.process_group(0).spawn().map_err(failed)?;
        let guard = Guard::process_group(child.id()).inspect_err(|_| {
            let _ = child.kill().and_then(|()| child.wait());
        })?;
        Ok(Self {
            name,
            child,
            stderr: stderr.to_owned(),
            began,
            guard: Some(guard),
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// User and system time so far.
    pub(crate) fn cpu(&self) -> Duration {
        cpu_of(self.pid())
    }

    /// The peak of its memory so far, in bytes.
    pub(crate) fn rss_peak_bytes(&self) -> u64 {
        let path = Path::new("/proc")
            .join(self.pid().to_string())
            .join("status");
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kb = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kb.unwrap_or(0) << 10
    }

    /// Whether it has ended, and waits to be asked how.
    fn has_ended(&self) -> bool {
        let path = Path::new("/proc").join(self.pid().to_string()).join("stat");
        let text = fs::read_to_string(path).unwrap_or_default();
        let state = text.rsplit_once(')').map(|(_, rest)| rest.trim_start());
        state.is_none_or(|state| state.starts_with('Z'))
    }

    /// Waits until something is true of its work; fails if it ends before, or takes too long.
    pub(crate) fn until(
        &self,
        what: &str,
        limit: Duration,
        mut is_done: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        let end = Instant::now() + limit;
        while !is_done()? {
            let ended = self.has_ended();
            if ended && !is_done()? {
                return Err(self.failure(&format!("ended before {what}")));
            }
            if Instant::now() > end {
                let limit = limit.as_secs();
                return Err(self.failure(&format!("{what}: not within {limit} s")));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    fn failure(&self, what: &str) -> Error {
        let said = fs::read_to_string(&self.stderr).unwrap_or_default();
        let lines: Vec<&str> = said.trim().lines().collect();
        let last = lines
            .get(lines.len().saturating_sub(6)..)
            .unwrap_or_default();
        Error::new(format!("{} {what}\n{}", self.name, last.join("\n")))
    }

    /// Ends it kindly and says what it has cost up to its end. Its wall time is that until now.
    pub(crate) fn stop(mut self) -> Result<Cost> {
        let wall = self.began.elapsed();
        // It may have ended by itself.
        let _ = send_signal(self.pid(), Signal::Terminate);
        let failed = |error| Error::new(format!("cannot wait for a process: {error}"));
        let used = self.child.wait4().map_err(failed)?;
        if let Some(guard) = self.guard.take() {
            guard.dismiss();
        }
        Ok(Cost {
            wall,
            cpu: used.rusage.utime + used.rusage.stime,
            server_cpu: Duration::ZERO,
            rss_bytes: used.rusage.maxrss,
        })
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        if let Some(guard) = self.guard.take() {
            let _ = self.child.kill().and_then(|()| self.child.wait());
            guard.dismiss();
        }
    }
}
