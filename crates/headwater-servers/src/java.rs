//! The Java that runs Kafka, IoTDB and other servers.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::error::{Error, Result};
use crate::install::on_path;

/// The oldest Java that they run on.
const JAVA_MIN: u32 = 17;

/// The Java to run: `JAVA_HOME`'s, else the one on `PATH`.
///
/// # Errors
/// There is none, or it is too old; `wanted_by` is named.
pub fn find(wanted_by: &str) -> Result<PathBuf> {
    let hint = format!(
        "install Java {JAVA_MIN} or newer (apt-get install default-jre-headless), or set JAVA_HOME"
    );
    let named = std::env::var_os("JAVA_HOME")
        .map(|home| PathBuf::from(home).join("bin/java"))
        .filter(|java| java.is_file());
    let java = named.or_else(|| on_path("java")).ok_or_else(|| {
        Error::new(format!("{wanted_by} needs Java, and there is none on PATH")).hint(&*hint)
    })?;
    let output = Command::new(&java)
        .arg("-version")
        .stdin(Stdio::null())
        .output();
    let said = output.map_or_else(
        |error| error.to_string(),
        |output| String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    match version(&said) {
        Some(version) if version >= JAVA_MIN => Ok(java),
        Some(version) => Err(Error::new(format!(
            "{wanted_by} needs Java {JAVA_MIN}, and {} is {version}",
            java.display()
        ))
        .hint(hint)),
        None => Err(Error::new(format!(
            "{} does not say its version: {}",
            java.display(),
            said.lines().next().unwrap_or_default()
        ))
        .hint(hint)),
    }
}

/// The first number of `openjdk version "17.0.15" 2025-04-15`; of `"1.8.0_392"`, 8.
fn version(said: &str) -> Option<u32> {
    let quoted = said.split('"').nth(1)?;
    let mut numbers = quoted.split(['.', '-', '+', '_']);
    match numbers.next()?.parse().ok()? {
        1 => numbers.next()?.parse().ok(),
        major => Some(major),
    }
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn the_version_of_java_is_read() {
        let texts = [
            ("openjdk version \"17.0.15\" 2025-04-15\n", Some(17)),
            ("openjdk version \"25\" 2025-09-16", Some(25)),
            ("openjdk version \"26-ea\" 2026-03-17", Some(26)),
            ("java version \"1.8.0_392\"", Some(8)),
            ("no such file", None),
        ];
        for (text, expected) in texts {
            assert_eq!(version(text), expected, "{text}");
        }
    }
}
