//! Finds a server program, or gets it.

use std::fs;
use std::path::PathBuf;

use super::RedisFlavor;
use crate::apt::{self, Packages};
use crate::cache;
use crate::error::{Context, Error, Result};
use crate::install::{Program, on_path};

/// The server: the one on `PATH`, or Debian's package, unpacked into the cache folder (a download of 40 MB with the libraries it
/// needs, once).
///
/// # Errors
/// The machine has neither the server nor Debian's package tools; the error says what to do.
pub fn install(flavor: RedisFlavor) -> Result<Program> {
    if let Some(program) = installed(flavor) {
        return Ok(program);
    }
    let _lock = cache::lock(&format!("install-{}", flavor.slug()))?;
    // Another process may have fetched it while this one waited for the lock.
    if let Some(program) = from_cache(flavor) {
        return Ok(program);
    }
    let target = tree_folder(flavor);
    cache::subfolder("servers")?;
    if target.exists() {
        // Complete but of no use, such as one for another processor.
        fs::remove_dir_all(&target).context(|| format!("remove {}", target.display()))?;
    }
    let suite = match flavor {
        RedisFlavor::Redis => "bookworm",
        RedisFlavor::Valkey => "trixie",
    };
    let packages = Packages {
        suite,
        whole: &[program_name(flavor)],
        bare: &[],
    };
    let fetched = apt::unpack(&packages, &target);
    from_cache(flavor).ok_or_else(|| {
        let what = format!("what Debian's {suite} unpacked to has no {}", flavor.name());
        no_server(flavor, &fetched.err().unwrap_or_else(|| Error::new(what)))
    })
}

/// The server if the machine or the cache folder has it; downloads nothing.
pub fn installed(flavor: RedisFlavor) -> Option<Program> {
    on_path(program_name(flavor))
        .map(Program::plain)
        .or_else(|| from_cache(flavor))
}

/// The program, and the package that it is in.
const fn program_name(flavor: RedisFlavor) -> &'static str {
    match flavor {
        RedisFlavor::Redis => "redis-server",
        RedisFlavor::Valkey => "valkey-server",
    }
}

fn tree_folder(flavor: RedisFlavor) -> PathBuf {
    cache::cache_folder().join("servers").join(flavor.slug())
}

fn from_cache(flavor: RedisFlavor) -> Option<Program> {
    Program::in_tree(&tree_folder(flavor), program_name(flavor))
}

fn no_server(flavor: RedisFlavor, cause: &Error) -> Error {
    let (name, image) = match flavor {
        RedisFlavor::Redis => ("Redis", "redis:7"),
        RedisFlavor::Valkey => ("Valkey", "valkey/valkey:8"),
    };
    let (port, variable) = (flavor.shared_port(), flavor.variable());
    Error::new(format!("{name} cannot be had here: {}", cause.inline())).hint(format!(
        "any one of these will do:\n  \
         - put {} on PATH;\n  \
         - on Debian 12 or newer, nothing more is needed than a reachable mirror;\n  \
         - with a container engine: docker run -d -p 127.0.0.1:{port}:6379 {image} --appendonly yes\n    \
         and then: export {variable}=redis://127.0.0.1:{port}\n    \
         (tests that start private servers of their own still need one of the first two)",
        program_name(flavor),
    ))
}
