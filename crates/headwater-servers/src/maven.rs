//! Gets a Java server's libraries through Maven: a project file that lists what is wanted, and Maven copies it, with all that
//! it needs, into a folder. Which repositories that takes is Maven's own settings' business.
//!
//! Maven is told to be strict about the checksums that the repository publishes, and every file is then held against the list
//! of SHA-256 sums that this crate carries: what is run is what was tested.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{Context, Error, Result};
use crate::install::on_path;

const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:2.8:copy-dependencies";

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Libraries<'a> {
    /// What they are for, such as `Kafka 4.3.1`.
    pub name: &'a str,
    /// Group, artifact and version.
    pub wanted: &'a [[&'a str; 3]],
    /// Group and artifact of what is left out of what they need.
    pub without: &'a [[&'a str; 2]],
    /// `SHA-256  file` of every file, a line each.
    pub sums: &'a str,
}

/// Copies the libraries into `target`, which must not exist; it appears only when everything is in place and verified.
///
/// # Errors
/// There is no Maven, it cannot get them, or a file is not the one that was tested.
pub fn fetch(libraries: &Libraries<'_>, target: &Path) -> Result<()> {
    let Some(maven) = on_path("mvn") else {
        return Err(Error::new(format!(
            "{} is got through Maven, and there is no mvn on PATH",
            libraries.name
        ))
        .hint("apt-get install maven"));
    };
    let part = target.with_extension("part");
    if part.exists() {
        fs::remove_dir_all(&part).context(|| format!("remove {}", part.display()))?;
    }
    let copied = part.join("libs");
    fs::create_dir_all(&copied).context(|| format!("create {}", copied.display()))?;
    let project = part.join("pom.xml");
    fs::write(&project, pom(libraries)).context(|| format!("write {}", project.display()))?;
    let output = Command::new(maven)
        .args(["--batch-mode", "--quiet", "--strict-checksums", "-U"])
        .arg("--file")
        .arg(&project)
        .args([COPY, "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", copied.display()))
        .stdin(Stdio::null())
        .output()
        .context(|| "run mvn".into())?;
    if !output.status.success() {
        return Err(Error::new(format!(
            "Maven cannot get {}:\n{}",
            libraries.name,
            complaint(&String::from_utf8_lossy(&output.stdout))
        ))
        .hint("is the repository of Maven's settings reachable, and is there room on the disk?"));
    }
    verify(libraries, &copied)?;
    fs::rename(&copied, target).context(|| format!("put {} in place", target.display()))?;
    // Left-overs cost disk space only; the next fetch removes them.
    let _ = fs::remove_dir_all(&part);
    Ok(())
}

fn pom(libraries: &Libraries<'_>) -> String {
    let mut text = String::from(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>local</groupId><artifactId>libs</artifactId><version>1</version>\
         <packaging>pom</packaging><dependencies>\n",
    );
    let mut exclusions = String::new();
    for [group, artifact] in libraries.without {
        // Writing to a String cannot fail.
        let _ = write!(
            exclusions,
            "<exclusion><groupId>{group}</groupId><artifactId>{artifact}</artifactId></exclusion>"
        );
    }
    for [group, artifact, version] in libraries.wanted {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
             <version>{version}</version><exclusions>{exclusions}</exclusions></dependency>"
        );
    }
    text.push_str("</dependencies></project>\n");
    text
}

/// The first lines in which Maven says what is wrong.
fn complaint(said: &str) -> String {
    let lines = said.lines().filter(|line| line.contains("ERROR"));
    let told: Vec<&str> = lines.take(3).collect();
    told.join("\n")
}

/// Holds every file against its sum: none may differ, be missing, or be there without one.
fn verify(libraries: &Libraries<'_>, folder: &Path) -> Result<()> {
    let refused = |what: String| {
        Error::new(format!("{} is not what was tested: {what}", libraries.name))
            .hint("a proxy or a mirror may have changed or exchanged a file; nothing of it was run")
    };
    let known = |name: &str| {
        let mut listed = libraries
            .sums
            .lines()
            .filter_map(|line| line.split_once("  "));
        listed.any(|(_, file)| file == name)
    };
    let doing = || format!("list {}", folder.display());
    for entry in fs::read_dir(folder).context(doing)? {
        let name = entry.context(doing)?.file_name();
        let name = name.to_string_lossy();
        if !known(&name) {
            return Err(refused(format!("{name} is none of its files")));
        }
    }
    let mut child = Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context(|| "run sha256sum".into())?;
    if let Some(mut pipe) = child.stdin.take() {
        // A list of a few kilobytes: it fits into the pipe.
        pipe.write_all(libraries.sums.as_bytes())
            .context(|| "write to sha256sum".into())?;
    }
    let output = child
        .wait_with_output()
        .context(|| "run sha256sum".into())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stdout);
    Err(refused(said.lines().take(3).collect::<Vec<_>>().join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBRARIES: Libraries<'_> = Libraries {
        name: "a thing",
        wanted: &[["g", "a", "1"]],
        without: &[["x", "y"]],
        // Of the text `a`.
        sums: "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  a.jar\n",
    };

    fn folder(name: &str, files: &[(&str, &str)]) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("headwater-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn only_the_very_files_that_are_listed_pass() {
        let right = folder("maven-right", &[("a.jar", "a")]);
        verify(&LIBRARIES, &right).unwrap();
        for (name, files) in [
            ("maven-changed", &[("a.jar", "b")][..]),
            ("maven-missing", &[]),
            ("maven-more", &[("a.jar", "a"), ("b.jar", "b")]),
        ] {
            let folder = folder(name, files);
            let error = verify(&LIBRARIES, &folder).unwrap_err().to_string();
            assert!(error.contains("not what was tested"), "{error}");
            fs::remove_dir_all(folder).unwrap();
        }
        fs::remove_dir_all(right).unwrap();
    }

    #[test]
    fn the_project_file_names_what_is_wanted() {
        let text = pom(&LIBRARIES);
        assert!(
            text.contains("<groupId>g</groupId><artifactId>a</artifactId><version>1</version>")
        );
        assert!(text.contains("<exclusion><groupId>x</groupId><artifactId>y</artifactId>"));
    }
}
