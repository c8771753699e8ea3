//! `cargo xtask test`, `soak` and `bench`: cargo with everything around it that is needed.

use std::process::Command;

use headwater_servers::iotdb::{self, Iotdb, IotdbOptions};
use headwater_servers::kafka::{self, Kafka, KafkaOptions};
use headwater_servers::redis::{self, Redis, RedisFlavor, RedisOptions};
use headwater_servers::{Flavor, Instance, Options, Result, services};

use crate::running::{Interrupt, run};
use crate::services::install_missing;

/// What an interrupted command ends with.
const INTERRUPTED: u8 = 130;

/// Runs all tests, with the servers they need.
pub(crate) fn test(arguments: &[String]) -> Result<u8> {
    let arguments = own_arguments(arguments);
    let mut command = cargo("test");
    let is_narrowed = (arguments.iter().take_while(|word| *word != "--"))
        .any(|word| word.starts_with("-p") || word.starts_with("--package"));
    // The program itself first: tests run it. With the same choice of packages as the tests, so that
    // cargo settles on the same features and builds nothing twice.
    let build: &[&str] = match is_narrowed {
        true => &["build", "--quiet", "--package", "headwater-cli"],
        false => &["build", "--quiet", "--workspace", "--bins"],
    };
    if !is_narrowed {
        command.arg("--workspace");
    }
    // One red test must not hide the rest.
    command.arg("--no-fail-fast").args(arguments);
    with_servers(command, build)
}

/// Names of the long tests, or of their modules: those that are ignored otherwise, and those that take more seeds here.
const LONG: [&str; 3] = ["soak", "worlds::", "random_alterations"];

/// Runs the long tests in full.
pub(crate) fn soak(arguments: &[String]) -> Result<u8> {
    let mut command = cargo("test");
    command.args([
        "--workspace",
        "--release",
        "--no-fail-fast",
        "--",
        "--include-ignored",
    ]);
    command
        .args(LONG)
        .args(own_arguments(arguments))
        .env("HEADWATER_SOAK", "1");
    with_servers(
        command,
        &[
            "build",
            "--quiet",
            "--release",
            "--package",
            "headwater-cli",
        ],
    )
}

/// Runs the benchmarks, which start servers of their own: a shared one would be disturbed by others.
pub(crate) fn bench(arguments: &[String]) -> Result<u8> {
    let mut command = cargo("run");
    command.args(["--quiet", "--release", "--package", "headwater-bench", "--"]);
    command.args(own_arguments(arguments));
    for flavor in Flavor::ALL {
        command.env_remove(flavor.variable());
    }
    let interrupt = Interrupt::catch()?;
    let build = [
        "build",
        "--release",
        "--package",
        "headwater-cli",
        "--package",
        "headwater-bench",
    ];
    let code = run(cargo_with(&build), &interrupt, None)?.code;
    if code != 0 {
        return Ok(code);
    }
    Ok(run(command, &interrupt, None)?.code)
}

/// What is meant for the command that is run: without the `--` that sets it apart.
fn own_arguments(arguments: &[String]) -> &[String] {
    match arguments.split_first() {
        Some((first, rest)) if first == "--" => rest,
        _ => arguments,
    }
}

pub(crate) fn cargo(subcommand: &str) -> Command {
    cargo_with(&[subcommand])
}

pub(crate) fn cargo_with(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

/// Builds first, then runs `command` while all servers run; those that were not running are stopped.
fn with_servers(mut command: Command, build: &[&str]) -> Result<u8> {
    let interrupt = Interrupt::catch()?;
    let code = run(cargo_with(build), &interrupt, None)?.code;
    if code != 0 {
        return Ok(code);
    }
    install_missing()?;
    let mut started = Vec::new();
    for flavor in Flavor::ALL {
        if interrupt.is_set() {
            return Ok(INTERRUPTED);
        }
        let url = match services::find(flavor)? {
            Some(service) => service.address.own_url(),
            None => {
                let options = Options {
                    port: Some(flavor.shared_port()),
                    ..Options::default()
                };
                let instance = Instance::start(flavor, &options)?;
                let url = instance.admin_url();
                started.push(instance);
                url
            }
        };
        command.env(flavor.variable(), url);
    }
    let (bootstrap, own_kafka) = match kafka::find()? {
        Some(service) => (service.address, None),
        None => {
            let options = KafkaOptions {
                port: Some(kafka::SHARED_PORT),
                ..KafkaOptions::default()
            };
            let own = Kafka::start(&options)?;
            (own.bootstrap(), Some(own))
        }
    };
    command.env(kafka::VARIABLE, bootstrap);
    let (address, own_iotdb) = match iotdb::find()? {
        Some(service) => (service.address, None),
        None => {
            let options = IotdbOptions {
                port: Some(iotdb::SHARED_PORT),
                ..IotdbOptions::default()
            };
            let own = Iotdb::start(&options)?;
            (own.address(), Some(own))
        }
    };
    command.env(iotdb::VARIABLE, address);
    let mut own_redis = Vec::new();
    for flavor in RedisFlavor::ALL {
        let url = match redis::find(flavor)? {
            Some(service) => service.address,
            None => {
                let options = RedisOptions {
                    port: Some(flavor.shared_port()),
                    ..RedisOptions::default()
                };
                let own = Redis::start(flavor, &options)?;
                let url = own.url();
                own_redis.push(own);
                url
            }
        };
        command.env(flavor.variable(), url);
    }
    let ended = run(command, &interrupt, None)?;
    drop((started, own_kafka, own_iotdb, own_redis));
    Ok(if ended.asked { INTERRUPTED } else { ended.code })
}

#[cfg(test)]
mod tests {
    use super::own_arguments;

    #[test]
    fn only_the_first_double_dash_is_taken_off() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            own_arguments(&words("-- -p x -- --nocapture")),
            words("-p x -- --nocapture")
        );
        assert_eq!(own_arguments(&words("-p x")), words("-p x"));
    }
}
