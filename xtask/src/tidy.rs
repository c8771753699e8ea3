//! `cargo xtask tidy`: the walls between the crates, checked. Each wall is a function over the text of
//! the files, with a test that shows it can fail.

mod connectors;
mod dependencies;
mod manifest;
mod sources;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::process::Command;

use headwater_servers::{Error, Result};

use crate::misused;

/// The project's text files by their path in the repository.
pub(crate) type Tree = BTreeMap<String, String>;

/// Something on the wrong side of a wall.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    file: String,
    line: usize,
    what: String,
    todo: &'static str,
}

impl Violation {
    fn new(file: &str, line: usize, what: impl Into<String>, todo: &'static str) -> Self {
        Self {
            file: file.to_owned(),
            line,
            what: what.into(),
            todo,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {}; {}",
            self.file, self.line, self.what, self.todo
        )
    }
}

/// All walls.
const WALLS: [fn(&Tree) -> Vec<Violation>; 9] = [
    dependencies::core_knows_no_driver,
    dependencies::connectors_do_not_know_each_other,
    connectors::have_the_same_files,
    sources::only_the_command_line_prints_exits_and_reads_the_environment,
    sources::contracts_are_erased_in_the_core_only,
    sources::nothing_is_left_to_be_written,
    sources::files_are_small,
    words::no_registry_is_named,
    words::no_machine_is_named,
];

/// Checks them all; the code is 1 if anything is wrong.
pub(crate) fn run(arguments: &[String]) -> Result<u8> {
    if let Some(word) = arguments.first() {
        return Err(misused(&format!(
            "tidy takes no argument, and was given `{word}`"
        )));
    }
    let tree = read_tree()?;
    let mut found: Vec<Violation> = WALLS.iter().flat_map(|wall| wall(&tree)).collect();
    found.sort();
    for violation in &found {
        println!("{violation}");
    }
    match found.len() {
        0 => eprintln!(
            "tidy: {} files, {} walls, all standing",
            tree.len(),
            WALLS.len()
        ),
        count => eprintln!("tidy: {count} to mend"),
    }
    Ok(u8::from(!found.is_empty()))
}

/// Every text file that git knows or would add.
fn read_tree() -> Result<Tree> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output();
        match output {
            Ok(output) if output.status.success() => {
                Ok(String::from_utf8_lossy(&output.stdout).into_owned())
            }
            _ => Err(
                Error::new(format!("cannot run git {}", arguments.join(" ")))
                    .hint("tidy looks at a git checkout"),
            ),
        }
    };
    let root = git(&["rev-parse", "--show-toplevel"])?;
    let root = std::path::Path::new(root.trim_end());
    let list = git(&[
        "-C",
        &root.to_string_lossy(),
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ])?;
    let mut tree = Tree::new();
    for path in list.split_terminator('\0') {
        // What was deleted but not yet committed, and what is not text, has nothing to be looked at.
        if let Ok(text) = std::fs::read_to_string(root.join(path)) {
            tree.insert(path.to_owned(), text);
        }
    }
    Ok(tree)
}

/// A tree for a test.
#[cfg(test)]
fn tree(files: &[(&str, &str)]) -> Tree {
    files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect()
}
