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
    /// Kafka. What is not said here stands in the section `kafka`.
    Kafka {
        /// `HOST:PORT`, separated by commas.
        brokers: Option<String>,
        /// The topic.
        topic: Option<String>,
    },
    /// Apache IoTDB, as the sections `iotdb` and `connections.iotdb` say.
    Iotdb,
    /// Folds, as the section `folds` says.
    Folds,
    /// Nowhere: events are encoded and dropped.
    Null,
}

impl SinkChoice {
    /// As a person writes it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stdout => "stdout".to_owned(),
            Self::File(path) => format!("file:{}", path.display()),
            Self::Kafka { brokers, .. } => match brokers {
                Some(brokers) => format!("kafka:{brokers}"),
                None => "kafka".to_owned(),
            },
            Self::Iotdb => "iotdb".to_owned(),
            Self::Folds => "folds".to_owned(),
            Self::Null => "null".to_owned(),
        }
    }

    /// Reads `stdout`, `file:PATH`, `kafka:HOST:PORT/TOPIC`, `iotdb`, `folds` or `null`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let known = "write stdout, file:PATH, kafka:HOST:PORT, iotdb, folds or null";
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        match (kind.trim().to_ascii_lowercase().as_str(), rest) {
            ("stdout" | "-", "") => Ok(Self::Stdout),
            ("null", "") => Ok(Self::Null),
            ("file", "") => Err(misused(
                "the sink `file` has no path",
                "write file:PATH, for example file:events.jsonl",
            )),
            ("file", path) => Ok(Self::File(PathBuf::from(path))),
            ("kafka", rest) => Ok(Self::kafka(rest)),
            ("iotdb", "") => Ok(Self::Iotdb),
            ("folds", "") => Ok(Self::Folds),
            _ => Err(misused(format!("`{}` is no sink", mask::urls(text)), known)),
        }
    }
}

impl SinkChoice {
    /// Reads `HOST:PORT,HOST:PORT/TOPIC`, of which all may be left out.
    fn kafka(text: &str) -> Self {
        let text = text.strip_prefix("//").unwrap_or(text);
        let (brokers, topic) = text.split_once('/').unwrap_or((text, ""));
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Self::Kafka {
            brokers: given(brokers),
            topic: given(topic),
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
        let kafka = |brokers: &str, topic: &str| {
            let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            SinkChoice::Kafka {
                brokers: given(brokers),
                topic: given(topic),
            }
        };
        for (text, expected) in [
            ("kafka", kafka("", "")),
            ("kafka:a:1,b:2", kafka("a:1,b:2", "")),
            ("kafka:a:1/%{table}", kafka("a:1", "%{table}")),
            ("kafka://a:1/t", kafka("a:1", "t")),
        ] {
            assert_eq!(SinkChoice::parse(text).unwrap(), expected);
        }
        for bad in ["", "file", "file:", "events.jsonl", "iotdb:x", "stdout:x"] {
            assert!(SinkChoice::parse(bad).is_err(), "{bad}");
        }
    }
}
