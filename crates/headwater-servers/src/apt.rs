//! Unpacks Debian packages, with all that they need, into a folder of their own.
//!
//! Apt is run on a private state folder whose list of installed packages is empty, so that it
//! downloads the whole closure, C library included, whatever the machine itself has; no root is
//! needed, nothing is installed, no maintainer script runs. Apt checks the archive's signature and
//! each package's hash.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Context, Error, Result};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What to unpack.
pub(crate) struct Packages<'a> {
    /// The Debian suite, such as `trixie`.
    pub(crate) suite: &'a str,
    /// Packages that are wanted with everything they depend on.
    pub(crate) whole: &'a [&'a str],
    /// Packages of which only their own files are wanted.
    pub(crate) bare: &'a [&'a str],
}

/// Downloads the packages and unpacks them into `target`, which must not exist; it appears only when
/// everything is in place, so a half-done download leaves nothing that looks finished.
pub(crate) fn unpack(packages: &Packages<'_>, target: &Path) -> Result<()> {
    let mirror = mirror()?;
    let part = target.with_extension("part");
    if part.exists() {
        fs::remove_dir_all(&part).context(|| format!("remove {}", part.display()))?;
    }
    let apt = Apt::prepare(&part.join("apt"), &mirror, packages.suite)?;
    apt.run(&["update"])?;
    apt.run(&[&["--yes", "--download-only", "install"], packages.whole].concat())?;
    if !packages.bare.is_empty() {
        apt.run(&[&["download"], packages.bare].concat())?;
    }
    let tree = part.join("tree");
    for package in apt.downloaded()? {
        let mut command = Command::new("dpkg-deb");
        command.arg("-x").arg(&package).arg(&tree);
        run(command, &format!("unpack {}", package.display()))?;
    }
    for unneeded in ["doc", "man", "locale", "perl", "perl5", "info", "icu"] {
        // What is not there need not go.
        let _ = fs::remove_dir_all(tree.join("usr/share").join(unneeded));
    }
    fs::rename(&tree, target).context(|| format!("put {} in place", target.display()))?;
    // Left-overs cost disk space only; the next unpacking removes them.
    let _ = fs::remove_dir_all(&part);
    Ok(())
}

struct Apt {
    folder: PathBuf,
    archives: PathBuf,
}

impl Apt {
    fn prepare(folder: &Path, mirror: &str, suite: &str) -> Result<Self> {
        let archives = folder.join("archives");
        for made in [archives.join("partial"), folder.join("lists/partial")] {
            fs::create_dir_all(&made).context(|| format!("create {}", made.display()))?;
        }
        let sources = format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n");
        for (name, text) in [("sources.list", sources.as_str()), ("status", "")] {
            let path = folder.join(name);
            fs::write(&path, text).context(|| format!("write {}", path.display()))?;
        }
        Ok(Self {
            folder: folder.to_path_buf(),
            archives,
        })
    }

    fn run(&self, arguments: &[&str]) -> Result<()> {
        let folder = self.folder.display();
        let mut command = Command::new("apt-get");
        command.arg("-qq").current_dir(&self.archives);
        for option in [
            format!("Dir::Etc::SourceList={folder}/sources.list"),
            "Dir::Etc::SourceParts=/dev/null".into(),
            "Dir::Etc::Preferences=/dev/null".into(),
            "Dir::Etc::PreferencesParts=/dev/null".into(),
            format!("Dir::State={folder}"),
            format!("Dir::State::Lists={folder}/lists"),
            format!("Dir::State::Status={folder}/status"),
            format!("Dir::Cache={folder}"),
            format!("Dir::Cache::Archives={}", self.archives.display()),
            "Dir::Cache::PkgCache=".into(),
            "Dir::Cache::SrcPkgCache=".into(),
            // Everything lies in a folder of ours, which apt's own user could not write.
            "APT::Sandbox::User=".into(),
            "APT::Install-Recommends=false".into(),
            "APT::Get::List-Cleanup=false".into(),
            "APT::Update::Post-Invoke::=".into(),
            // Else an index that cannot be had is only a warning, and what comes next makes no sense.
            "APT::Update::Error-Mode=any".into(),
            "Acquire::Languages=none".into(),
            "Acquire::Retries=3".into(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".into(),
            // Mirrors frozen at a date serve indexes whose "valid until" is over.
            "Acquire::Check-Valid-Until=false".into(),
        ] {
            command.args(["-o", &option]);
        }
        command.args(arguments);
        run(command, &format!("run apt-get {}", arguments.join(" ")))
    }

    fn downloaded(&self) -> Result<Vec<PathBuf>> {
        let doing = || format!("list {}", self.archives.display());
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.archives).context(doing)? {
            let path = entry.context(doing)?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }
}

fn run(mut command: Command, doing: &str) -> Result<()> {
    let output = (command
        .stdin(Stdio::null())
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output())
    .context(|| doing.to_owned())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let tail: Vec<&str> = said.lines().rev().take(5).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    Err(Error::new(format!("cannot {doing}:\n{}", tail.join("\n")))
        .hint("is the machine's package mirror reachable, and is there room on the disk?"))
}

/// The Debian mirror of this machine.
fn mirror() -> Result<String> {
    for program in ["apt-get", "dpkg-deb"] {
        if crate::install::on_path(program).is_none() {
            return Err(Error::new(format!("this machine has no {program}")));
        }
    }
    if !Path::new(KEYRING).exists() {
        return Err(Error::new(format!(
            "the keys of Debian's archive ({KEYRING}) are missing"
        ))
        .hint("apt-get install debian-archive-keyring"));
    }
    if let Some(url) = std::env::var("HEADWATER_DEBIAN_MIRROR")
        .ok()
        .filter(|url| !url.is_empty())
    {
        return Ok(url);
    }
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let is_debian = release
        .lines()
        .any(|line| matches!(line, "ID=debian" | "ID=\"debian\""));
    let found = if is_debian {
        source_files().iter().find_map(|text| main_mirror(text))
    } else {
        None
    };
    found.ok_or_else(|| {
        Error::new("the machine's apt sources name no Debian mirror")
            .hint("set HEADWATER_DEBIAN_MIRROR to the URL of one")
    })
}

fn source_files() -> Vec<String> {
    let mut paths: Vec<PathBuf> = fs::read_dir("/etc/apt/sources.list.d")
        .map(|entries| {
            entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .collect()
        })
        .unwrap_or_default();
    paths.sort();
    paths.push("/etc/apt/sources.list".into());
    paths
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .collect()
}

/// The first address in a sources file (of either form) whose suites are Debian's own: not its
/// security archive's, which is elsewhere, nor a third party's.
fn main_mirror(text: &str) -> Option<String> {
    const SUITES: [&str; 8] = [
        "bookworm",
        "trixie",
        "forky",
        "sid",
        "stable",
        "testing",
        "unstable",
        "oldstable",
    ];
    let is_ours = |suites: &str| {
        suites
            .split_whitespace()
            .any(|suite| SUITES.contains(&suite))
    };
    for stanza in text.split("\n\n") {
        let field = |name: &str| {
            stanza
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
        };
        if let (Some(uris), Some(suites)) = (field("URIs"), field("Suites"))
            && is_ours(suites)
            && let Some(uri) = uris.split_whitespace().next()
        {
            return Some(uri.to_owned());
        }
    }
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("deb ")?.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']')?.1,
            None => rest,
        };
        let mut words = rest.split_whitespace();
        let (uri, suite) = (words.next()?, words.next()?);
        is_ours(suite).then(|| uri.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::main_mirror;

    #[test]
    fn the_mirror_is_read_from_both_forms_of_apt_sources() {
        let stanza = "Types: deb\n# http://other.example/x\nURIs: http://mirror.example/debian\n\
                      Suites: bookworm bookworm-updates\nComponents: main\n";
        let line = "# deb http://no.example/ sid main\n\
                    deb [arch=amd64 signed-by=/k] http://mirror.example/debian trixie main\n";
        for text in [stanza, line] {
            assert_eq!(
                main_mirror(text).as_deref(),
                Some("http://mirror.example/debian")
            );
        }
    }

    #[test]
    fn security_archives_and_third_parties_are_no_mirror() {
        let text = "Types: deb\nURIs: http://security.example/debian-security\n\
                    Suites: bookworm-security\n\ndeb http://third.example/ bookworm-pgdg main\n";
        assert_eq!(main_mirror(text), None);
    }
}
