//! `cargo xtask demo`: a small shop in a MariaDB, customers who keep buying, and headwater reading it.

mod shop;
mod traffic;

use std::process::Command;
use std::time::Duration;

use headwater_servers::{
    Address, Error, Flavor, Instance, Options, Result, Shared, install, installed,
};

use crate::misused;
use crate::running::{Interrupt, run as run_child};
use crate::testing::cargo_with;

/// Runs the demo until Ctrl-C, or for some seconds.
pub(crate) fn run(arguments: &[String]) -> Result<u8> {
    let limit = limit(arguments)?;
    let interrupt = Interrupt::catch()?;
    eprintln!(
        "Headwater's demo: a shop in a database of its own, read first as it is, then as it changes."
    );
    let Some((server, binary)) = prepare(&interrupt)? else {
        return Ok(130);
    };
    let database = server.shared();
    shop::fill(&database)?;
    let traffic = traffic::start(&database)?;
    eprintln!("The shop keeps selling: a few orders, payments and returns a second.");
    let url = without_password(&database);
    eprintln!("Running: headwater run {url}");
    eprintln!(
        "Existing rows come first (\"type\":\"bootstrap\"), then changes. Ctrl-C ends it all.\n"
    );
    let mut command = Command::new(binary);
    command.args(["run", &url]);
    if !database.address().password.is_empty() {
        // Not in the URL: process lists show that.
        command.env("HEADWATER_MYSQL_PASSWORD", &database.address().password);
    }
    let ended = run_child(command, &interrupt, limit)?;
    traffic.end();
    if let Server::Theirs(theirs) = &server {
        shop::remove(theirs)?;
    }
    // Ended by Ctrl-C, as it is meant to be.
    let is_clean = ended.asked && matches!(ended.code, 0 | 130);
    Ok(if is_clean { 0 } else { ended.code })
}

fn limit(arguments: &[String]) -> Result<Option<Duration>> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => Ok(None),
        ["--seconds", number] => match number.parse() {
            Ok(seconds) => Ok(Some(Duration::from_secs(seconds))),
            Err(_) => Err(misused(&format!(
                "--seconds wants a whole number, not `{number}`"
            ))),
        },
        _ => Err(misused(&format!(
            "demo does not know `{}`",
            words.join(" ")
        ))),
    }
}

/// The server that the shop is in.
enum Server {
    /// Started for the demo, and gone with it.
    Own(Box<Instance>),
    /// Named by `HEADWATER_DEMO_URL`.
    Theirs(Shared),
}

impl Server {
    fn shared(&self) -> Shared {
        match self {
            Self::Own(instance) => Shared::at(instance.flavor(), instance.address()),
            Self::Theirs(shared) => shared.clone(),
        }
    }
}

/// Builds headwater and gets the server, both at once; none if Ctrl-C came in between.
fn prepare(interrupt: &Interrupt) -> Result<Option<(Server, std::path::PathBuf)>> {
    let (built, server) = std::thread::scope(|scope| {
        let server = scope.spawn(server);
        let build = ["build", "--package", "headwater-cli"];
        let built = run_child(cargo_with(&build), interrupt, None);
        (built, server.join())
    });
    let built = built?;
    if built.asked || interrupt.is_set() {
        return Ok(None);
    }
    if built.code != 0 {
        return Err(Error::new(
            "headwater does not build; the compiler's messages are above",
        ));
    }
    let server =
        server.unwrap_or_else(|_| Err(Error::new("starting a server ended in a panic")))?;
    // The folder that cargo built this very program in.
    let own = std::env::current_exe()
        .map_err(|error| Error::new(format!("cannot find this program's own folder: {error}")))?;
    Ok(Some((server, own.with_file_name("headwater"))))
}

fn server() -> Result<Server> {
    let Some(url) = std::env::var("HEADWATER_DEMO_URL")
        .ok()
        .filter(|url| !url.is_empty())
    else {
        let flavor = Flavor::MariaDb1011;
        if installed(flavor).is_none() {
            eprintln!("Getting {} first (once, about 50 MB) ...", flavor.name());
        }
        return Ok(Server::Own(Box::new(Instance::start(
            flavor,
            &Options::default(),
        )?)));
    };
    let address =
        Address::parse(&url).map_err(|error| Error::new(format!("HEADWATER_DEMO_URL: {error}")))?;
    // Any client that gets in will do.
    let present = Flavor::ALL
        .into_iter()
        .filter(|&flavor| installed(flavor).is_some());
    let mut refusal = None;
    for flavor in present.chain([Flavor::MariaDb1011, Flavor::MySql97]) {
        let shared = Shared::at(flavor, address.clone());
        match install(flavor).and_then(|_| shared.sql("SELECT 1")) {
            Ok(_) => return Ok(Server::Theirs(shared)),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    let error = refusal.unwrap_or_else(|| Error::new("no client"));
    Err(error
        .hint("HEADWATER_DEMO_URL must let an administrator in: mysql://user:password@host:port"))
}

fn without_password(database: &Shared) -> String {
    let address = database.address();
    address.url(&address.user, "", shop::DATABASE)
}
