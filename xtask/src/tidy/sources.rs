//! What must not stand in a Rust source file, and how long one may be.

use super::{Tree, Violation};

/// Crates that speak to people or start things for tests.
const MAY_PRINT: [&str; 2] = ["crates/headwater-cli/", "crates/headwater-testkit/"];
const MAY_READ_ENVIRONMENT: [&str; 3] = [
    "crates/headwater-cli/",
    "crates/headwater-testkit/",
    "crates/headwater-servers/",
];

/// The most lines that a source file may have.
const LINES_MAX: usize = 1_000;

/// Only `headwater-cli` prints, exits or reads the environment; servers for tests have addresses in
/// the environment. Tests may do as they like.
pub(super) fn only_the_command_line_prints_exits_and_reads_the_environment(
    tree: &Tree,
) -> Vec<Violation> {
    const PRINTS: [&str; 5] = ["println!(", "print!(", "eprintln!(", "eprint!(", "dbg!("];
    const EXITS: [&str; 2] = ["process::exit(", "process::abort("];
    const READS: [&str; 5] = [
        "env::var(",
        "env::var_os(",
        "env::vars(",
        "env::args(",
        "env::args_os(",
    ];
    let mut found = Vec::new();
    let libraries = tree.iter().filter(|(path, _)| {
        path.starts_with("crates/") && path.contains("/src/") && path.ends_with(".rs")
    });
    for (path, text) in libraries {
        let is_among = |crates: &[&str]| crates.iter().any(|name| path.starts_with(name));
        for (line, code) in code_outside_tests(path, text) {
            let has = |words: &[&str]| words.iter().any(|word| contains_word(code, word));
            let mut wrong = |what: &str, todo| found.push(Violation::new(path, line, what, todo));
            if has(&PRINTS) && !is_among(&MAY_PRINT) {
                wrong("a library prints", "return it, or log it with tracing");
            }
            if has(&EXITS) && !is_among(&MAY_PRINT) {
                wrong("a library ends the process", "return an error");
            }
            if has(&READS) && !is_among(&MAY_READ_ENVIRONMENT) {
                wrong("a library reads the environment", "take it as an argument");
            }
        }
    }
    found
}

/// The contracts are generic everywhere; they become `dyn` in the core only, where that is written once.
pub(super) fn contracts_are_erased_in_the_core_only(tree: &Tree) -> Vec<Violation> {
    const CONTRACTS: [&str; 4] = [
        "dyn Source",
        "dyn SnapshotReader",
        "dyn LiveSource",
        "dyn Sink",
    ];
    let mut found = Vec::new();
    let outside = tree.iter().filter(|(path, _)| {
        let is_core = path.starts_with("crates/headwater-core/");
        path.starts_with("crates/") && path.ends_with(".rs") && !is_core
    });
    for (path, text) in outside {
        for (line, code) in code_outside_tests(path, text) {
            if let Some(contract) = CONTRACTS.iter().find(|word| is_whole_word(code, word)) {
                let todo = "be generic over it, or use the core's erased form";
                found.push(Violation::new(
                    path,
                    line,
                    format!("`{contract}` outside the core"),
                    todo,
                ));
            }
        }
    }
    found
}

/// No `todo!()` and no `unimplemented!()`, in tests neither.
pub(super) fn nothing_is_left_to_be_written(tree: &Tree) -> Vec<Violation> {
    // Written in two halves, so that this file is not found itself.
    let words = [concat!("todo", "!("), concat!("unimplemented", "!(")];
    let mut found = Vec::new();
    for (path, text) in tree.iter().filter(|(path, _)| path.ends_with(".rs")) {
        for (index, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| !is_comment(line))
        {
            if words.iter().any(|word| contains_word(line, word)) {
                let todo = "write it, or return an error that says what is missing";
                found.push(Violation::new(
                    path,
                    index + 1,
                    "something is left to be written",
                    todo,
                ));
            }
        }
    }
    found
}

/// No source file is longer than 1,000 lines, but generated ones.
pub(super) fn files_are_small(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.iter().filter(|(path, _)| path.ends_with(".rs")) {
        let is_generated = text.lines().take(5).any(|line| line.contains("@generated"));
        let count = text.lines().count();
        if count > LINES_MAX && !is_generated {
            let what = format!("{count} lines, more than {LINES_MAX}");
            found.push(Violation::new(
                path,
                LINES_MAX + 1,
                what,
                "split it by what its parts do",
            ));
        }
    }
    found
}

/// The lines of a file with their numbers, without comments and without the tests at its end.
fn code_outside_tests<'a>(
    path: &str,
    text: &'a str,
) -> impl Iterator<Item = (usize, &'a str)> + use<'a> {
    let is_test_file = path.ends_with("/tests.rs") || path.contains("/tests/");
    let lines: Vec<&str> = if is_test_file {
        Vec::new()
    } else {
        text.lines().collect()
    };
    let tests = (lines.windows(2)).position(|pair| {
        let [attribute, item] = pair else {
            return false;
        };
        // At the margin: a test module, not a function for tests inside another.
        attribute.starts_with("#[cfg(test)]") && item.starts_with("mod ") && item.ends_with('{')
    });
    let end = tests.unwrap_or(lines.len());
    lines
        .into_iter()
        .take(end)
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !is_comment(line))
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// Whether `word` stands in the line and is not the end of a longer word (`sprint!(`).
fn contains_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

/// Whether `word` stands in the line, and neither begins nor ends inside a longer word.
fn is_whole_word(line: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line
            .get(at + word.len()..)
            .and_then(|text| text.chars().next());
        !before.is_some_and(part_of_word) && !after.is_some_and(part_of_word)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    #[test]
    fn a_library_that_prints_exits_or_reads_the_environment_is_found() {
        let wrong = [
            "println!(\"x\");",
            "eprint!(\"x\");",
            "dbg!(x);",
            "std::process::exit(1);",
            "let x = std::env::var(\"X\");",
            "for x in env::args() {}",
        ];
        for line in wrong {
            let text = format!("fn f() {{\n    {line}\n}}\n");
            let files = tree(&[("crates/headwater-core/src/a.rs", &text)]);
            let found = only_the_command_line_prints_exits_and_reads_the_environment(&files);
            assert_eq!(found.len(), 1, "{line}");
            assert_eq!(found[0].line, 2);
            let files = tree(&[("crates/headwater-cli/src/a.rs", &text)]);
            let found = only_the_command_line_prints_exits_and_reads_the_environment(&files);
            assert_eq!(found, [], "{line}");
        }
    }

    #[test]
    fn comments_tests_and_longer_words_are_no_prints() {
        let text = "//! println!(x)\nsprintln!(x);\nwrite!(f, x);\n\
                    #[cfg(test)]\nmod tests {\n    println!(x);\n}\n";
        let files = tree(&[
            ("crates/headwater-core/src/a.rs", text),
            ("crates/headwater-core/tests/it/main.rs", "println!(x)"),
        ]);
        assert_eq!(
            only_the_command_line_prints_exits_and_reads_the_environment(&files),
            []
        );
    }

    #[test]
    fn a_contract_erased_outside_the_core_is_found() {
        let text = "fn f(sink: Box<dyn Sink>) {}\nfn g(x: &dyn SinkLike) {}\n";
        let files = tree(&[("crates/headwater-cli/src/a.rs", text)]);
        let found = contracts_are_erased_in_the_core_only(&files);
        assert_eq!(
            found.iter().map(|found| found.line).collect::<Vec<_>>(),
            [1]
        );
        let files = tree(&[("crates/headwater-core/src/a.rs", text)]);
        assert_eq!(contracts_are_erased_in_the_core_only(&files), []);
    }

    #[test]
    fn what_is_left_to_be_written_is_found() {
        for word in ["todo", "unimplemented"] {
            let text = format!("fn f() {{\n    {word}!()\n}}\n// {word}!() in a comment\n");
            let found = nothing_is_left_to_be_written(&tree(&[("xtask/src/a.rs", &text)]));
            assert_eq!(found.len(), 1, "{word}");
        }
    }

    #[test]
    fn a_long_file_is_found_unless_it_is_generated() {
        let long = "x\n".repeat(LINES_MAX + 1);
        let generated = format!("// @generated by a script\n{long}");
        let files = tree(&[
            ("crates/a/src/long.rs", &long),
            ("crates/a/src/generated.rs", &generated),
            ("crates/a/src/just.rs", &"x\n".repeat(LINES_MAX)),
            ("docs/long.md", &long),
        ]);
        let found = files_are_small(&files);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].file, "crates/a/src/long.rs");
    }
}
