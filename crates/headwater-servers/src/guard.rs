//! A tiny process that outlives this one, in order to end what this one has started.
//!
//! A test may be killed in the middle, and its servers must not stay behind. The kernel's own
//! parent-death signal is tied to the *thread* that started the child, and test harnesses end
//! threads all the time; so a shell waits at the other end of a pipe, which closes when this process
//! is gone, however it went.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::error::{Context, Error, Result};

/// When the pipe closes: kills the process whose id stands in `$1/pid`, if it still names `$1` on
/// its command line, and removes the folder.
const FOLDER: &str = r#"trap '' INT TERM HUP
read -r word
pid=$(cat "$1/pid" 2>/dev/null)
if [ -n "$pid" ] && tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "$1"; then
  kill -KILL "$pid"
  while tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "$1"; do sleep 0.01; done
fi
rm -rf -- "$1""#;

/// When the pipe closes without the word `done`: ends the process group `$1`, kindly, then for good.
const GROUP: &str = r#"trap '' INT TERM HUP
read -r word
[ "$word" = done ] && exit
kill -TERM "-$1" 2>/dev/null || exit
for turn in 1 2 3 4 5 6 7 8 9 10; do sleep 0.3; kill -0 "-$1" 2>/dev/null || exit; done
kill -KILL "-$1" 2>/dev/null"#;

/// Ends something when this process ends or when it is dropped, whichever comes first.
#[derive(Debug)]
pub struct Guard {
    shell: Child,
    pipe: Option<ChildStdin>,
    dismissed: bool,
}

impl Guard {
    /// Guards the server whose process id stands in the file `pid` in `folder`: it is killed and the
    /// folder removed.
    pub(crate) fn folder(folder: &Path) -> Result<Self> {
        Self::start(FOLDER, folder.as_os_str())
    }

    /// Guards a process group (of a child started with `process_group(0)`).
    ///
    /// # Errors
    /// No shell could be started.
    pub fn process_group(leader: u32) -> Result<Self> {
        Self::start(GROUP, leader.to_string().as_ref())
    }

    fn start(script: &str, argument: &std::ffi::OsStr) -> Result<Self> {
        let mut shell = Command::new("sh")
            .args(["-c", script, "headwater-guard"])
            .arg(argument)
            .current_dir("/")
            .stdin(Stdio::piped())
            // Held open, these would keep whoever reads this process's output waiting.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context(|| "start a shell that watches over a server".into())?;
        let pipe = shell
            .stdin
            .take()
            .ok_or_else(|| Error::new("a guard's pipe is missing"))?;
        Ok(Self {
            shell,
            pipe: Some(pipe),
            dismissed: false,
        })
    }

    /// Lets go of a process group that has ended by itself.
    pub fn dismiss(mut self) {
        self.dismissed = true;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.pipe.take()
            && self.dismissed
        {
            // A guard that is gone has nothing left to be told.
            let _ = pipe.write_all(b"done\n");
        }
        let _ = self.shell.wait();
    }
}
