//! Every connector has the same files with the same jobs.

use super::{Tree, Violation};

/// The crates that talk to the world outside.
pub(super) const CONNECTORS: [&str; 7] = [
    "headwater-dynamodb",
    "headwater-file",
    "headwater-iotdb",
    "headwater-kafka",
    "headwater-mongodb",
    "headwater-mysql",
    "headwater-redis",
];

pub(super) fn manifest_of(package: &str) -> String {
    format!("crates/{package}/Cargo.toml")
}

/// `config.rs`, `client.rs`, `snapshot.rs` and `live.rs` or `sink.rs` or `store.rs`, `error.rs`; each
/// may be a folder instead. Files have no client: they are reached by the file system.
pub(super) fn have_the_same_files(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for connector in CONNECTORS {
        let manifest = manifest_of(connector);
        if !tree.contains_key(&manifest) {
            continue;
        }
        let has = |name: &str| {
            let file = format!("crates/{connector}/src/{name}.rs");
            let folder = format!("crates/{connector}/src/{name}/mod.rs");
            tree.contains_key(&file) || tree.contains_key(&folder)
        };
        let mut missing = |what: &str| {
            let what = format!("{connector} has no {what} in src");
            let todo =
                "give that job its file: a reader looks for it under the same name everywhere";
            found.push(Violation::new(&manifest, 1, what, todo));
        };
        for job in ["config", "client", "error"] {
            let is_needed = job != "client" || connector != "headwater-file";
            if is_needed && !has(job) {
                missing(&format!("{job}.rs"));
            }
        }
        let is_source = has("snapshot") || has("live");
        if is_source {
            for job in ["snapshot", "live"] {
                if !has(job) {
                    missing(&format!("{job}.rs"));
                }
            }
        } else if !has("sink") && !has("store") {
            missing("snapshot.rs and live.rs, sink.rs or store.rs");
        }
        let library = format!("crates/{connector}/src/lib.rs");
        if !tree
            .get(&library)
            .is_some_and(|text| text.starts_with("//!"))
        {
            missing("page of documentation at the top of lib.rs");
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    const WHOLE: [(&str, &str); 7] = [
        ("crates/headwater-mysql/Cargo.toml", ""),
        ("crates/headwater-mysql/src/lib.rs", "//! MySQL."),
        ("crates/headwater-mysql/src/config.rs", ""),
        ("crates/headwater-mysql/src/client/mod.rs", ""),
        ("crates/headwater-mysql/src/snapshot/mod.rs", ""),
        ("crates/headwater-mysql/src/live.rs", ""),
        ("crates/headwater-mysql/src/error.rs", ""),
    ];

    #[test]
    fn a_whole_connector_is_fine() {
        assert_eq!(have_the_same_files(&tree(&WHOLE)), []);
    }

    #[test]
    fn each_missing_file_is_found() {
        for (left_out, _) in &WHOLE[1..] {
            let mut files = tree(&WHOLE);
            files.remove(*left_out);
            assert_eq!(have_the_same_files(&files).len(), 1, "without {left_out}");
        }
    }

    #[test]
    fn a_connector_that_neither_reads_nor_writes_is_found() {
        let files = tree(&[
            ("crates/headwater-file/Cargo.toml", ""),
            ("crates/headwater-file/src/lib.rs", "//! Files."),
            ("crates/headwater-file/src/config.rs", ""),
            ("crates/headwater-file/src/error.rs", ""),
        ]);
        assert_eq!(have_the_same_files(&files).len(), 1);
    }
}
