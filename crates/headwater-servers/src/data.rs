//! Data folders: initialised once for each server version, then copied, which takes a fraction of a
//! second.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cache;
use crate::error::{Context, Error, Result};
use crate::install::Install;

/// Fills `target` (which must not exist) with the data of a new server that is to run with `extra`.
pub(crate) fn create(install: &Install, target: &Path, extra: &[String]) -> Result<()> {
    let template = template(install, &lasting(install, extra))?;
    copy(&template, target).context(|| {
        format!(
            "copy a new server's data from {} to {}",
            template.display(),
            target.display()
        )
    })
}

/// Those of the options that a MySQL's data must have been made with: it keeps them for good.
fn lasting(install: &Install, extra: &[String]) -> Vec<String> {
    let is_lasting = |option: &&String| option.starts_with("--lower-case-table-names=");
    match install.flavor.is_mariadb() {
        true => Vec::new(),
        false => extra.iter().filter(is_lasting).cloned().collect(),
    }
}

/// The template for this version, made first if it is not there.
fn template(install: &Install, lasting: &[String]) -> Result<PathBuf> {
    let version: String = (install.version.chars())
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    // The version names its build; its path may precede it, which is of no use in a file name.
    let version = version
        .split("Ver")
        .last()
        .unwrap_or_default()
        .trim_matches('_');
    let version: String = version.chars().take(60).collect();
    let name = format!(
        "{}-{version}{}",
        install.flavor.slug().replace('.', "_"),
        lasting.concat().replace('=', "-")
    );
    let folder = cache::subfolder("templates")?.join(&name);
    if folder.is_dir() {
        return Ok(folder);
    }
    let _lock = cache::lock(&format!("template-{name}"))?;
    if folder.is_dir() {
        return Ok(folder);
    }
    let part = folder.with_extension("part");
    if part.exists() {
        fs::remove_dir_all(&part).context(|| format!("remove {}", part.display()))?;
    }
    fs::create_dir_all(&part).context(|| format!("create {}", part.display()))?;
    match install.flavor.is_mariadb() {
        true => initialise_mariadb(install, &part)?,
        false => initialise_mysql(install, &part, lasting)?,
    }
    // Each server makes an identity of its own when this is missing.
    let _ = fs::remove_file(part.join("auto.cnf"));
    fs::rename(&part, &folder).context(|| format!("put {} in place", folder.display()))?;
    Ok(folder)
}

fn server(install: &Install, data: &Path) -> Command {
    // Without a folder of its own it would remove the temporary files of the servers that run.
    let temporary = data.with_extension("tmp");
    let _ = fs::create_dir_all(&temporary);
    let mut command = install.server.command();
    command.arg("--no-defaults").args(&install.places);
    command
        .arg(format!("--datadir={}", data.display()))
        .arg(format!("--tmpdir={}", temporary.display()))
        .args(user_option());
    command
}

/// A server that runs as root wants to be told that this is meant.
pub(crate) fn user_option() -> Option<&'static str> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let is_root = status.lines().any(|line| line.starts_with("Uid:\t0\t"));
    is_root.then_some("--user=root")
}

/// What `mariadb-install-db` does; that script would start the program without its own loader.
fn initialise_mariadb(install: &Install, data: &Path) -> Result<()> {
    let mut sql = String::from("create database mysql;\nuse mysql;\n");
    sql.push_str("set @auth_root_socket=NULL;\nset @skip_auth_anonymous=1;\n");
    let scripts: [[&str; 2]; 5] = [
        ["mariadb_system_tables.sql", "mysql_system_tables.sql"],
        [
            "mariadb_performance_tables.sql",
            "mysql_performance_tables.sql",
        ],
        [
            "mariadb_system_tables_data.sql",
            "mysql_system_tables_data.sql",
        ],
        [
            "maria_add_gis_sp_bootstrap.sql",
            "maria_add_gis_sp_bootstrap.sql",
        ],
        ["mariadb_sys_schema.sql", "mysql_sys_schema.sql"],
    ];
    for names in scripts {
        let path = (names.map(|name| install.share.join(name)).into_iter())
            .find(|path| path.exists())
            .ok_or_else(|| {
                let what = format!("{} has no {}", install.share.display(), names[0]);
                Error::new(what).hint("the server's packages are incomplete: install them again")
            })?;
        let text = fs::read(&path).context(|| format!("read {}", path.display()))?;
        sql.push_str(&String::from_utf8_lossy(&text));
        sql.push('\n');
    }
    let mut command = server(install, data);
    command.args([
        "--bootstrap",
        "--innodb-log-file-size=8M",
        "--innodb-buffer-pool-size=32M",
        "--log-warnings=0",
        "--max-allowed-packet=8M",
    ]);
    feed(command, sql.as_bytes(), install)
}

fn initialise_mysql(install: &Install, data: &Path, lasting: &[String]) -> Result<()> {
    let script = data.with_extension("sql");
    // Without name look-ups, a connection over TCP comes from 127.0.0.1, not from localhost.
    let sql = "CREATE USER 'root'@'127.0.0.1' IDENTIFIED BY '';\n\
               GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;\n\
               GRANT PROXY ON ''@'' TO 'root'@'127.0.0.1' WITH GRANT OPTION;\n";
    fs::write(&script, sql).context(|| format!("write {}", script.display()))?;
    let mut command = server(install, data);
    command
        .arg("--initialize-insecure")
        .arg(format!("--init-file={}", script.display()));
    command.args([
        "--innodb-redo-log-capacity=8M",
        "--innodb-buffer-pool-size=32M",
        "--secure-file-priv=",
    ]);
    command.args(lasting);
    let done = feed(command, b"", install);
    let _ = fs::remove_file(&script);
    done
}

fn feed(mut command: Command, input: &[u8], install: &Install) -> Result<()> {
    let name = install.flavor.name();
    let doing = || format!("initialise the data of {name}");
    let mut log = tempfile_like()?;
    let copy = log.0.try_clone().context(doing)?;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(copy)
        .spawn()
        .context(doing)?;
    if let Some(mut pipe) = child.stdin.take() {
        // A server that refuses closes the pipe; its exit status and log say more than this would.
        let _ = pipe.write_all(input);
    }
    let status = child.wait().context(doing)?;
    if status.success() {
        return Ok(());
    }
    let said = log.read();
    Err(Error::new(format!(
        "cannot initialise the data of {name}: {status}\n{said}"
    )))
}

/// A log file that has no name any more.
struct Log(fs::File);

impl Log {
    fn read(&mut self) -> String {
        use std::io::{Read, Seek};
        let mut text = Vec::new();
        let _ = self.0.rewind().and_then(|()| self.0.read_to_end(&mut text));
        tail(&String::from_utf8_lossy(&text), 20)
    }
}

fn tempfile_like() -> Result<Log> {
    let path = cache::subfolder("templates")?.join(format!("log-{}", std::process::id()));
    let doing = || format!("create {}", path.display());
    let file = (fs::File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true))
    .open(&path)
    .context(doing)?;
    fs::remove_file(&path).context(doing)?;
    Ok(Log(file))
}

/// The last lines of a text.
pub(crate) fn tail(text: &str, lines_max: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(lines_max)..].join("\n")
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => drop(fs::copy(entry.path(), &target)?),
        }
    }
    Ok(())
}
