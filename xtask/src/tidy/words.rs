//! What must stand in no file at all: the registries and the machine that something was built with.

use super::{Tree, Violation};

/// Registries and mirrors. A tool's own settings name the one to use; the project does not.
/// Each is written in two halves, so that this file is not found itself.
const REGISTRIES: [&str; 13] = [
    concat!("crates", ".io"),
    concat!("deb.", "debian.org"),
    concat!("security.", "debian.org"),
    concat!("snapshot.", "debian.org"),
    concat!("docker", ".io"),
    concat!("ghcr", ".io"),
    concat!("quay", ".io"),
    concat!("pypi", ".org"),
    concat!("files.python", "hosted.org"),
    concat!("registry.", "npmjs.org"),
    concat!("repo1.", "maven.org"),
    concat!("repo.", "maven.apache.org"),
    concat!("proxy.", "golang.org"),
];

/// The folders of the machines that this is written on.
const MACHINES: [&str; 2] = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];

/// No registry's host name. Lock files are the package manager's own.
pub(super) fn no_registry_is_named(tree: &Tree) -> Vec<Violation> {
    let written = tree
        .iter()
        .filter(|(path, _)| !path.ends_with("Cargo.lock"));
    find(
        written,
        &REGISTRIES,
        "names a registry",
        "leave it to the tool's own settings",
    )
}

/// No path of the machine that something was built on.
pub(super) fn no_machine_is_named(tree: &Tree) -> Vec<Violation> {
    find(
        tree.iter(),
        &MACHINES,
        "names a folder of one machine",
        "make it relative, or an argument",
    )
}

fn find<'a>(
    files: impl Iterator<Item = (&'a String, &'a String)>,
    words: &[&str],
    what: &str,
    todo: &'static str,
) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in files {
        for (index, line) in text.lines().enumerate() {
            for word in words.iter().filter(|word| stands_alone(line, word)) {
                found.push(Violation::new(
                    path,
                    index + 1,
                    format!("{what}: {word}"),
                    todo,
                ));
            }
        }
    }
    found
}

/// Whether a word stands in a line other than as the tail of a longer one (`.../home/work/...`).
fn stands_alone(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '}'))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    #[test]
    fn a_registry_in_any_file_is_found_but_in_a_lock_file() {
        for word in REGISTRIES {
            let text = format!("first\nsee https://{word}/x\n");
            let files = tree(&[("docs/a.md", &text), ("Cargo.lock", &text)]);
            let found = no_registry_is_named(&files);
            assert_eq!(found.len(), 1, "{word}");
            assert_eq!((found[0].file.as_str(), found[0].line), ("docs/a.md", 2));
        }
    }

    #[test]
    fn a_path_of_this_machine_is_found_and_a_relative_one_is_not() {
        for word in MACHINES {
            let text = format!("x = \"{word}x\"\ny = \"some{word}x\"\n");
            let found = no_machine_is_named(&tree(&[(".ci/run", &text)]));
            assert_eq!(found.len(), 1, "{word}");
            assert_eq!(found[0].line, 1);
        }
    }
}
