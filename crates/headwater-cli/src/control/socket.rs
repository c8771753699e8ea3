//! The Unix socket beside the checkpoint. Whoever may open the file may ask: it is its owner's alone.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use headwater_core::{Error, ErrorKind, Result};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::find;
use super::serve::{CONNECTIONS_MAX, Key, connection};
use super::watched::Watched;

/// Connections that wait to be taken.
const BACKLOG: i32 = 64;
/// For its owner alone.
const MODE: u32 = 0o600;
/// How long to wait when no connection can be taken (no file descriptor is left, say).
const REST: Duration = Duration::from_millis(200);

/// The socket's file: taken away when this is dropped, if it is still the one that was made.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: Option<(u64, u64)>,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.inode.is_some() && inode(&self.path) == self.inode {
            // One that stays behind is replaced by the next run.
            drop(fs::remove_file(&self.path));
        }
    }
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Makes the socket. None if that cannot be, which is said.
///
/// # Errors
/// `Locked` if a process answers there: it uses the same checkpoint, whose lock was removed by hand.
pub(super) fn open(path: &Path) -> Result<Option<(UnixListener, SocketFile)>> {
    if find::is_alive(path) {
        return Err(Error::new(
            ErrorKind::Locked,
            "another process answers at the checkpoint's socket",
        )
        .with("socket", path.display())
        .hint("end the other process, or name another checkpoint"));
    }
    match bind(path) {
        Ok(listener) => {
            let inode = inode(path);
            let path = path.to_owned();
            Ok(Some((listener, SocketFile { path, inode })))
        }
        Err(error) => {
            tracing::warn!(
                socket = %path.display(),
                "there is no socket for `headwater bootstrap` to find this run by ({error}); --http works without it"
            );
            Ok(None)
        }
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        // Its process is dead: it was asked, and this one has the checkpoint's lock.
        Ok(metadata) if metadata.file_type().is_socket() => fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::other("a file that is no socket has its name")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Linux gives the file the mode that the socket has; elsewhere it gets it a moment later.
    let _ = rustix::fs::fchmod(&socket, rustix::fs::Mode::from_raw_mode(MODE));
    let short = find::Short::of(path)?;
    socket.bind(&SockAddr::unix(short.path())?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket.into())
}

/// Takes connections until the run ends.
pub(super) async fn serve(listener: UnixListener, watched: Arc<Watched>, stop: CancellationToken) {
    let key = Arc::new(Key::Door);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let open = tokio_util::task::TaskTracker::new();
    loop {
        let taken = tokio::select! {
            () = stop.cancelled() => break,
            taken = take(&listener, &room) => taken,
        };
        match taken {
            Ok((stream, place)) => {
                let answering =
                    connection(stream, Arc::clone(&watched), Arc::clone(&key), stop.clone());
                open.spawn(async move {
                    answering.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!("no connection can be taken: {error}");
                tokio::time::sleep(REST).await;
            }
        }
    }
    open.close();
    open.wait().await;
}

async fn take(
    listener: &UnixListener,
    room: &Arc<Semaphore>,
) -> io::Result<(tokio::net::UnixStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(room).acquire_owned().await;
    let place = place.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}
