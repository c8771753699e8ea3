//! Processes on processors of their own, for as long as it is measured.

use headwater_servers::Result;

/// A server's process on one processor, and this thread on another, with whatever it starts from now on. Dropped, both may use
/// all of them again.
#[derive(Debug)]
pub(crate) struct Apart {
    #[cfg(target_os = "linux")]
    server: u32,
    #[cfg(target_os = "linux")]
    before: rustix::thread::CpuSet,
}

/// Why it cannot be on this machine, if so.
pub(crate) fn why_not() -> Option<String> {
    #[cfg(target_os = "linux")]
    match linux::two() {
        Ok(Some(_)) => None,
        Ok(None) => Some("this machine has one processor".to_owned()),
        Err(error) => Some(error.to_string()),
    }
    #[cfg(not(target_os = "linux"))]
    Some("processes are bound to processors on Linux alone".to_owned())
}

#[cfg(target_os = "linux")]
impl Apart {
    /// Sets them apart. Ask [`why_not`] first.
    pub(crate) fn set(server: u32) -> Result<Self> {
        let [first, second] = linux::two()?
            .ok_or_else(|| headwater_servers::Error::new("two processors are needed"))?;
        let apart = Self {
            server,
            before: linux::allowed()?,
        };
        linux::bind_process(server, &linux::only(first))?;
        linux::bind_thread(None, &linux::only(second))?;
        Ok(apart)
    }
}

#[cfg(target_os = "linux")]
impl Drop for Apart {
    fn drop(&mut self) {
        // A process that is gone needs nothing.
        let _ = linux::bind_process(self.server, &self.before);
        let _ = linux::bind_thread(None, &self.before);
    }
}

#[cfg(not(target_os = "linux"))]
impl Apart {
    /// Sets them apart. Ask [`why_not`] first.
    pub(crate) fn set(_server: u32) -> Result<Self> {
        let why = why_not().unwrap_or_default();
        Err(headwater_servers::Error::new(why))
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::PathBuf;

    use headwater_servers::{Error, Result};
    use rustix::process::Pid;
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    fn failed(error: impl std::fmt::Display) -> Error {
        Error::new(format!("cannot bind a process to a processor: {error}"))
    }

    /// The processors that this thread may use.
    pub(super) fn allowed() -> Result<CpuSet> {
        sched_getaffinity(None).map_err(failed)
    }

    pub(super) fn only(processor: usize) -> CpuSet {
        let mut set = CpuSet::new();
        set.set(processor);
        set
    }

    /// Two of them, of different cores where there are several; none if there are not two.
    pub(super) fn two() -> Result<Option<[usize; 2]>> {
        let allowed = allowed()?;
        let all: Vec<usize> = (0..CpuSet::MAX_CPU)
            .filter(|at| allowed.is_set(*at))
            .collect();
        let core = |processor: usize| {
            let path =
                format!("/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list");
            fs::read_to_string(path).unwrap_or_else(|_| processor.to_string())
        };
        let Some((&first, others)) = all.split_first() else {
            return Ok(None);
        };
        let elsewhere = others.iter().find(|at| core(**at) != core(first));
        Ok(elsewhere
            .or_else(|| others.first())
            .map(|second| [first, *second]))
    }

    pub(super) fn bind_thread(thread: Option<u32>, set: &CpuSet) -> Result<()> {
        let thread = match thread {
            Some(thread) => Pid::from_raw(i32::try_from(thread).map_err(failed)?),
            None => None,
        };
        sched_setaffinity(thread, set).map_err(failed)
    }

    /// All threads of a process. Those that they start have what their parents have; so it is done once none is new.
    pub(super) fn bind_process(process: u32, set: &CpuSet) -> Result<()> {
        let folder = PathBuf::from(format!("/proc/{process}/task"));
        let mut bound = BTreeSet::new();
        loop {
            let mut is_new = false;
            for entry in fs::read_dir(&folder).map_err(failed)? {
                let name = entry.map_err(failed)?.file_name();
                let Ok(thread) = name.to_string_lossy().parse::<u32>() else {
                    continue;
                };
                // One that has ended meanwhile is no failure.
                if bound.insert(thread) {
                    is_new = true;
                    let _ = bind_thread(Some(thread), set);
                }
            }
            if !is_new {
                return Ok(());
            }
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// The processors that each thread of this process may use.
    fn lists() -> Vec<String> {
        let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten();
        let status = |folder: std::path::PathBuf| std::fs::read_to_string(folder.join("status"));
        let texts = threads.filter_map(|thread| status(thread.ok()?.path()).ok());
        let list = |text: String| {
            let line = text
                .lines()
                .find(|line| line.starts_with("Cpus_allowed_list"));
            line.unwrap_or_default().to_owned()
        };
        texts.map(list).collect()
    }

    #[test]
    fn a_process_is_set_apart_with_all_its_threads_and_let_go_again() {
        if why_not().is_some() {
            return;
        }
        // A process with a thread that waits: this one's own could not be told from those of other tests.
        let (done, wait) = mpsc::channel::<()>();
        let waiting = std::thread::spawn(move || wait.recv());
        let before = linux::allowed().unwrap();
        let [first, second] = linux::two().unwrap().unwrap();
        let apart = Apart::set(std::process::id()).unwrap();
        let is = |processor: usize| linux::only(processor);
        assert_eq!(linux::allowed().unwrap(), is(second), "this thread");
        let others = lists();
        let bound = others
            .iter()
            .filter(|list| list.ends_with(&format!("\t{first}")));
        assert!(bound.count() >= 1, "{others:?}");
        let child = std::process::Command::new("cat")
            .arg("/proc/self/status")
            .output()
            .unwrap();
        let child = String::from_utf8(child.stdout).unwrap();
        assert!(
            child.contains(&format!("Cpus_allowed_list:\t{second}\n")),
            "{child}"
        );
        drop(apart);
        assert_eq!(linux::allowed().unwrap(), before);
        let after = lists();
        assert!(
            !after
                .iter()
                .any(|list| list.ends_with(&format!("\t{first}")))
                || before == is(first),
            "{after:?}"
        );
        drop(done);
        let _ = waiting.join();
    }
}
