//! Where events go, as people write it.

use std::path::PathBuf;

use headwater_core::Result;

use super::{mask, misused};

/// A sink that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SinkChoice {
    /// Standard output.
    Stdout,
    /// A file that is appended to.
    File(PathBuf),
    /// Nowhere: events are encoded and dropped.
    Null,
}

impl SinkChoice {
    /// As a person writes it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stdout => "stdout".to_owned(),
            Self::File(path) => format!("file:{}", path.display()),
            Self::Null => "null".to_owned(),
        }
    }

    /// Reads `stdout`, `file:PATH` or `null`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let known = "write stdout, file:PATH or null";
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        match (kind.trim().to_ascii_lowercase().as_str(), rest) {
            ("stdout" | "-", "") => Ok(Self::Stdout),
            ("null", "") => Ok(Self::Null),
            ("file", "") => Err(misused(
                "the sink `file` has no path",
                "write file:PATH, for example file:events.jsonl",
            )),
            ("file", path) => Ok(Self::File(PathBuf::from(path))),
            ("kafka" | "iotdb", _) => Err(misused(
                format!("the sink `{kind}` is not in this version"),
                known,
            )),
            _ => Err(misused(format!("`{}` is no sink", mask::urls(text)), known)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sinks_are_read_as_written() {
        assert_eq!(SinkChoice::parse("stdout").unwrap(), SinkChoice::Stdout);
        assert_eq!(
            SinkChoice::parse("file:a:b").unwrap(),
            SinkChoice::File("a:b".into())
        );
        assert_eq!(SinkChoice::parse("null").unwrap(), SinkChoice::Null);
        for bad in [
            "",
            "file",
            "file:",
            "events.jsonl",
            "kafka://x",
            "iotdb",
            "stdout:x",
        ] {
            assert!(SinkChoice::parse(bad).is_err(), "{bad}");
        }
    }
}
