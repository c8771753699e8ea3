//! `headwater schema`: what is generated from the code, for editors and documentation.

use std::io::Write;

use crate::arguments::Generated;
use crate::exit::Exit;

/// Prints it.
pub(crate) fn run(what: Generated) -> Exit {
    print(&match what {
        Generated::Configuration => crate::config::schema::text(),
        Generated::Openapi => crate::control::openapi::text(),
        Generated::Metrics => headwater_core::metrics::page(),
        Generated::Maxwell => crate::maxwell::page(),
    })
}

/// Writes a command's answer to standard output. A reader that has gone is no failure.
pub(crate) fn print(text: &str) -> Exit {
    let mut stdout = std::io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Exit::Failed,
        _ => Exit::Finished,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_schema_in_the_docs_is_the_one_of_this_version() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/headwater.schema.json"
        );
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        let is_the_same = committed == crate::config::schema::text();
        assert!(
            is_the_same,
            "run `headwater schema > docs/headwater.schema.json`"
        );
    }
}
