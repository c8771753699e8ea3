//! As much of a `Cargo.toml` as the walls need: what a crate depends on, and where that stands.

/// One dependency.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dependency {
    /// The package's own name, also where the manifest gives it another.
    pub(super) package: String,
    pub(super) line: usize,
    pub(super) is_dev: bool,
}

/// Reads the dependency sections of a manifest.
pub(super) fn dependencies(text: &str) -> Vec<Dependency> {
    let mut found: Vec<Dependency> = Vec::new();
    let mut section = Section::Other;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            section = Section::named(header.trim_end_matches(']'));
            if let Section::One { name, is_dev } = &section {
                let (package, is_dev) = (name.clone(), *is_dev);
                found.push(Dependency {
                    package,
                    line: index + 1,
                    is_dev,
                });
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        match &section {
            Section::All { is_dev } => {
                let name = key
                    .trim()
                    .split('.')
                    .next()
                    .unwrap_or_default()
                    .trim_matches('"');
                let package = renamed(value).unwrap_or(name).to_owned();
                found.push(Dependency {
                    package,
                    line: index + 1,
                    is_dev: *is_dev,
                });
            }
            Section::One { .. } if key.trim() == "package" => {
                if let Some(last) = found.last_mut() {
                    last.package = value.trim().trim_matches('"').to_owned();
                }
            }
            Section::One { .. } | Section::Other => {}
        }
    }
    found
}

enum Section {
    /// `[dependencies]` and its like.
    All {
        is_dev: bool,
    },
    /// `[dependencies.NAME]`.
    One {
        name: String,
        is_dev: bool,
    },
    Other,
}

impl Section {
    fn named(header: &str) -> Self {
        for kind in ["dev-dependencies", "build-dependencies", "dependencies"] {
            let is_dev = kind == "dev-dependencies";
            let Some((before, after)) = header.rsplit_once(kind) else {
                continue;
            };
            let is_section =
                before.is_empty() || (before.starts_with("target.") && before.ends_with('.'));
            if !is_section {
                continue;
            }
            return match after.strip_prefix('.') {
                Some(name) => Self::One {
                    name: name.trim_matches('"').to_owned(),
                    is_dev,
                },
                None => Self::All { is_dev },
            };
        }
        Self::Other
    }
}

/// `x` in `{ package = "x", ... }`.
fn renamed(value: &str) -> Option<&str> {
    let (_, rest) = value.split_once("package")?;
    rest.trim_start()
        .strip_prefix('=')?
        .trim_start()
        .strip_prefix('"')?
        .split('"')
        .next()
}

#[cfg(test)]
mod tests {
    use super::dependencies;

    #[test]
    fn every_way_to_name_a_dependency_is_seen() {
        let text = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\nb = \"1\"\n\
                    c = { package = \"real-c\", version = \"1\" }\n# no = \"1\"\n\
                    [dependencies.d]\nversion = \"1\"\n\
                    [target.'cfg(unix)'.dependencies]\ne = \"1\"\n\
                    [build-dependencies]\nf = \"1\"\n\
                    [dev-dependencies]\ng = \"1\"\n[features]\nh = []\n";
        let names: Vec<_> = dependencies(text)
            .into_iter()
            .map(|found| (found.package, found.is_dev))
            .collect();
        let expected = [
            ("a", false),
            ("b", false),
            ("real-c", false),
            ("d", false),
            ("e", false),
            ("f", false),
            ("g", true),
        ];
        assert_eq!(
            names,
            expected.map(|(name, is_dev)| (name.to_owned(), is_dev))
        );
    }
}
