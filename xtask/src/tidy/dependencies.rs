//! Who may depend on whom.

use super::connectors::{CONNECTORS, manifest_of};
use super::manifest::dependencies;
use super::{Tree, Violation};

/// What the core must not know, by the beginning of the package's name.
const NOT_IN_CORE: [&str; 37] = [
    // drivers and clients
    "aws-",
    "diesel",
    "iotdb",
    "kafka",
    "mongodb",
    "mysql",
    "postgres",
    "rdkafka",
    "redis",
    "sqlx",
    "thrift",
    "tokio-postgres",
    "tonic",
    "rustls",
    "tokio-rustls",
    "native-tls",
    "openssl",
    // file formats
    "arrow",
    "avro",
    "csv",
    "parquet",
    "prost",
    "quick-xml",
    "serde-saphyr",
    "serde_yaml",
    "toml",
    // HTTP servers and clients
    "actix",
    "axum",
    "hyper",
    "reqwest",
    "tower",
    "warp",
    // the command line
    "clap",
    "indicatif",
    "miette",
    "crossterm",
    "console",
];

/// `headwater-core` and `headwater-fold` depend on no driver, file format, HTTP server or command-line crate; nor on any other crate of
/// ours, but folds on the core.
pub(super) fn core_knows_no_driver(tree: &Tree) -> Vec<Violation> {
    let crates: [(&str, &[&str]); 2] = [
        ("headwater-core", &[]),
        ("headwater-fold", &["headwater-core"]),
    ];
    let mut found = Vec::new();
    for (package, allowed) in crates {
        let path = manifest_of(package);
        let Some(text) = tree.get(&path) else {
            continue;
        };
        let is_forbidden = |name: &str| {
            let is_ours = name.starts_with("headwater") && !allowed.contains(&name);
            is_ours || NOT_IN_CORE.iter().any(|begin| name.starts_with(begin))
        };
        let dependencies = dependencies(text).into_iter();
        for dependency in dependencies.filter(|one| !one.is_dev && is_forbidden(&one.package)) {
            let what = format!("{package} depends on {}", dependency.package);
            let todo = "put what needs it into a connector or the CLI";
            found.push(Violation::new(&path, dependency.line, what, todo));
        }
    }
    found
}

/// Connectors depend on the core, the formats and the folds, never on each other, tests included.
pub(super) fn connectors_do_not_know_each_other(tree: &Tree) -> Vec<Violation> {
    const ALLOWED: [&str; 3] = ["headwater-core", "headwater-format", "headwater-fold"];
    const ALLOWED_IN_TESTS: [&str; 2] = ["headwater-testkit", "headwater-servers"];
    let mut found = Vec::new();
    for connector in CONNECTORS {
        let path = manifest_of(connector);
        let Some(text) = tree.get(&path) else {
            continue;
        };
        for dependency in dependencies(text) {
            let name = dependency.package.as_str();
            let is_fine = !name.starts_with("headwater")
                || ALLOWED.contains(&name)
                || (dependency.is_dev && ALLOWED_IN_TESTS.contains(&name));
            if !is_fine {
                let what = format!("{connector} depends on {name}");
                let todo =
                    "move what both need into headwater-core, or the test into headwater-cli";
                found.push(Violation::new(&path, dependency.line, what, todo));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    #[test]
    fn a_driver_in_the_core_is_found() {
        for name in [
            "mysql_common",
            "aws-sdk-dynamodb",
            "clap",
            "axum",
            "serde-saphyr",
            "headwater-mysql",
        ] {
            let text = format!("[dependencies]\ntokio.workspace = true\n{name}.workspace = true\n");
            for package in ["headwater-core", "headwater-fold"] {
                let found = core_knows_no_driver(&tree(&[(&manifest_of(package), &text)]));
                assert_eq!(found.len(), 1, "{name}");
                assert_eq!(found[0].line, 3);
            }
        }
    }

    #[test]
    fn what_the_core_needs_and_what_only_its_tests_need_is_fine() {
        let text = "[dependencies]\ntokio.workspace = true\nserde.workspace = true\n\
                    [dev-dependencies]\ncsv = \"1\"\n";
        let files = tree(&[("crates/headwater-core/Cargo.toml", text)]);
        assert_eq!(core_knows_no_driver(&files), []);
        let folds = "[dependencies]\nheadwater-core.workspace = true\n";
        let files = tree(&[("crates/headwater-fold/Cargo.toml", folds)]);
        assert_eq!(core_knows_no_driver(&files), []);
    }

    #[test]
    fn a_connector_that_knows_another_is_found_also_in_its_tests() {
        for section in ["dependencies", "dev-dependencies"] {
            let text = format!("[{section}]\nheadwater-file.workspace = true\n");
            let files = tree(&[("crates/headwater-mysql/Cargo.toml", &text)]);
            assert_eq!(
                connectors_do_not_know_each_other(&files).len(),
                1,
                "{section}"
            );
        }
        let text = "[dependencies]\nheadwater-core.workspace = true\n\
                    [dev-dependencies]\nheadwater-testkit.workspace = true\n";
        let files = tree(&[("crates/headwater-mysql/Cargo.toml", text)]);
        assert_eq!(connectors_do_not_know_each_other(&files), []);
    }
}
