//! The cache folder: downloads, template data, the shared servers; git ignores it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::{Context, Result};

/// Where downloads and the shared servers' data lie: `HEADWATER_CACHE`, or `.cache` at the
/// workspace's root.
pub fn cache_folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("HEADWATER_CACHE").filter(|folder| !folder.is_empty()) {
        return std::path::absolute(&folder).unwrap_or_else(|_| PathBuf::from(folder));
    }
    workspace_root().join(".cache")
}

/// The checkout that the current folder lies in, else the one that this was compiled in: a target
/// folder may be shared by several checkouts, so the latter may be another.
fn workspace_root() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    let is_root = |folder: &&Path| folder.join("crates/headwater-servers/Cargo.toml").is_file();
    match here.ancestors().find(is_root) {
        Some(root) => root.to_path_buf(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."),
    }
}

/// A folder of the cache, made if it is not there.
pub(crate) fn subfolder(name: &str) -> Result<PathBuf> {
    let folder = cache_folder().join(name);
    fs::create_dir_all(&folder).context(|| format!("create {}", folder.display()))?;
    Ok(folder)
}

/// Waits until this process alone holds the lock called `name`; dropping the file lets go of it.
pub(crate) fn lock(name: &str) -> Result<File> {
    let path = subfolder("locks")?.join(name);
    let file = File::create(&path).context(|| format!("create the lock {}", path.display()))?;
    file.lock().context(|| format!("lock {}", path.display()))?;
    Ok(file)
}

/// The lock called `name` if it is free.
pub(crate) fn try_lock(name: &str) -> Result<Option<File>> {
    let path = subfolder("locks")?.join(name);
    let file = File::create(&path).context(|| format!("create the lock {}", path.display()))?;
    Ok(file.try_lock().is_ok().then_some(file))
}
