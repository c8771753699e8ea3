//! `headwater from-maxwell`: Maxwell's configuration as one of ours.

use std::path::Path;

use headwater_core::Result;

use super::schema::print;
use crate::exit::Exit;
use crate::maxwell;
use crate::terminal::Console;

/// Prints the file on standard output, and what became of each option on standard error.
pub(crate) fn run(path: &Path, console: &Console) -> Result<Exit> {
    let moved = maxwell::moved(path)?;
    console.say(moved.report().trim_end());
    let printed = print(&moved.yaml);
    Ok(if moved.is_whole() {
        printed
    } else {
        Exit::Failed
    })
}
