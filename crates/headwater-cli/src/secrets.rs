//! A password in a URL on the command line could be read by everybody on the machine, in the process list, for as long as the
//! process runs. So headwater starts itself anew in the same process, with the password taken out of the URL and handed over
//! through a pipe: the process list then shows `--password-file /dev/fd/N`. What remains is the moment before, and the shell's
//! history; [`crate::config`] has the ways without either.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use headwater_mysql::config::ConnectOptions;
use secrecy::ExposeSecret;

use crate::config::mask;

/// The longest password that is handed over: what a pipe takes without anybody reading.
const PASSWORD_BYTES_MAX: usize = 4000;

/// Starts this program again without the password of `url`, which is one of `words` (the program's arguments, its name first).
/// Returns only if there is nothing to hide, or if it does not work.
pub(crate) fn leave_process_list(words: Vec<OsString>, url: &str) -> io::Result<()> {
    let Ok(options) = ConnectOptions::from_url(url) else {
        // It will be refused, and not shown.
        return Ok(());
    };
    let (Some(password), Some(shown)) = (options.password, mask::without_password(url)) else {
        return Ok(());
    };
    let reader = hand_over(password.expose_secret())?;
    let mut new = rewritten(words, url, &shown, reader.as_raw_fd());
    let name = new.remove(0);
    Err(again(name, new))
}

/// A pipe that holds the password and outlives the start.
fn hand_over(password: &str) -> io::Result<OwnedFd> {
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(io::Error::other("the password is very long"));
    }
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let mut writer = std::fs::File::from(writer);
    // The line end is what a password file may have; without it one in the password would be taken off.
    write!(writer, "{password}\r\n")?;
    rustix::io::fcntl_setfd(&reader, rustix::io::FdFlags::empty())?;
    Ok(reader)
}

/// The arguments with the URL's password moved to a file descriptor.
fn rewritten(words: Vec<OsString>, url: &str, shown: &str, fd: i32) -> Vec<OsString> {
    let mut new = Vec::with_capacity(words.len() + 2);
    let mut is_done = false;
    let mut end_of_flags = None;
    for word in words {
        if word == "--" && end_of_flags.is_none() {
            end_of_flags = Some(new.len());
        }
        if word == url && !is_done {
            is_done = true;
            let at = end_of_flags.unwrap_or(new.len());
            new.splice(
                at..at,
                [
                    OsString::from("--password-file"),
                    format!("/dev/fd/{fd}").into(),
                ],
            );
            new.push(shown.into());
        } else {
            new.push(word);
        }
    }
    new
}

/// Puts the new start in the place of this process; returns only if that fails.
fn again(name: OsString, words: Vec<OsString>) -> io::Error {
    match std::env::current_exe() {
        Ok(program) => Command::new(program).arg0(name).args(words).exec(),
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_password_moves_from_the_url_to_a_file_descriptor() {
        let url = "mysql://u:p@h/d";
        let new = |text: &str| rewritten(words(text), url, "mysql://u@h/d", 5);
        assert_eq!(
            new("headwater run mysql://u:p@h/d t --sink null"),
            words("headwater run --password-file /dev/fd/5 mysql://u@h/d t --sink null")
        );
        assert_eq!(
            new("headwater run -q -- mysql://u:p@h/d t"),
            words("headwater run -q --password-file /dev/fd/5 -- mysql://u@h/d t")
        );
    }
}
