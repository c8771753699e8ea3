//! What CI and people run: `cargo xtask demo`, `test`, `services`, `tidy`, `soak`, `bench`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command speaks to people"
)]

mod demo;
mod running;
mod services;
mod testing;
mod tidy;

use std::process::ExitCode;

use headwater_servers::{Error, Result};

const HELP: &str = "\
What Headwater's developers and its CI run.

usage: cargo xtask COMMAND

  demo [--seconds N]      start a MariaDB with a small shop in it, keep changing the shop, and run
                          headwater on it: existing rows, then live changes. Ctrl-C ends it all.
                          HEADWATER_DEMO_URL=mysql://... uses that server instead
  test [-- ARGS]          get and start the servers, run `cargo test --workspace ARGS`, stop them.
                          With -p CRATE in ARGS, only that crate is tested
  services [up]           get and start the servers, and leave them running
  services down           stop them and remove their data
  services status         say where they are
  services env            the same as `export` lines for a shell
  tidy                    check the walls between the crates
  soak [-- ARGS]          the long tests in full (release build, all seeds)
  bench [-- ARGS]         the benchmarks (release build)

Exit codes: 0 done; 1 it failed, or tidy found something; 2 the command line was not understood;
130 interrupted. test, soak, bench and demo end with the code of what they run.

A server's address in HEADWATER_TEST_MARIADB_10_11, HEADWATER_TEST_MARIADB_11_8 or
HEADWATER_TEST_MYSQL_9_7 (mysql://user:password@host:port, an administrator) is used instead of
starting one, and a Kafka's in HEADWATER_TEST_KAFKA and an IoTDB's in HEADWATER_TEST_IOTDB
(host:port). These two need a Java, and come from KAFKA_HOME and IOTDB_HOME, from PATH (Kafka), or
through Maven. HEADWATER_TEST_REDIS and HEADWATER_TEST_VALKEY take a redis:// URL. HEADWATER_CACHE is where downloads go, instead of .cache.
";

/// The command line was not understood.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = arguments.split_first() else {
        eprint!("{HELP}");
        return ExitCode::from(USAGE);
    };
    if arguments
        .iter()
        .take_while(|word| *word != "--")
        .any(|word| word == "--help" || word == "-h")
    {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let done: Result<u8> = match command.as_str() {
        "demo" => demo::run(rest),
        "test" => testing::test(rest),
        "soak" => testing::soak(rest),
        "bench" => testing::bench(rest),
        "services" => services::run(rest).map(|()| 0),
        "tidy" => tidy::run(rest),
        "help" => {
            print!("{HELP}");
            Ok(0)
        }
        other => Err(misused(&format!("there is no command `{other}`"))),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            let is_misuse = error.advice() == Some(SEE_HELP);
            ExitCode::from(if is_misuse { USAGE } else { 1 })
        }
    }
}

const SEE_HELP: &str = "cargo xtask --help";

/// An error about the command line itself.
fn misused(what: &str) -> Error {
    Error::new(what).hint(SEE_HELP)
}
