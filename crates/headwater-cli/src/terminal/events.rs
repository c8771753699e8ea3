//! Standard output as events are written to it.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use super::Console;

/// Standard output without a buffer of its own. Where it is the terminal that also shows the bars, they make way for each
/// run of events and come back below it.
#[derive(Debug)]
pub(crate) struct EventStream {
    file: File,
    console: Option<Arc<Console>>,
}

impl EventStream {
    /// Opens it.
    pub(crate) fn open(console: &Arc<Console>) -> io::Result<Self> {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        Ok(Self {
            file: File::from(stdout.as_fd().try_clone_to_owned()?),
            console: is_terminal.then(|| Arc::clone(console)),
        })
    }
}

impl Write for EventStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = &mut self.file;
        match &self.console {
            // The whole run at once: a bar in the middle of a line would be worse than none.
            Some(console) => console
                .suspend(|| file.write_all(bytes))
                .map(|()| bytes.len()),
            None => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
