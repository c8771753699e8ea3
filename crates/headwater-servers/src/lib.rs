//! The real servers that Headwater's tests, demo and benchmarks run on: got, started, stopped.
//!
//! Three servers make three behaviours, so there are three [`Flavor`]s: MariaDB 10.11, MariaDB 11.8
//! and MySQL 9.7. Nothing here knows Headwater; everything is plain `std::process`, so that a test,
//! `xtask` and a benchmark can use it alike.
//!
//! - [`install`] finds a server program on `PATH`, or else unpacks Debian's packages into the cache
//!   folder (once; apt checks their signatures; neither root nor a container is needed).
//! - [`Instance`] is a *private* server: its own data, port and socket, gone when it is dropped, and
//!   gone too when the process that started it is killed.
//! - [`shared`] is the server that `cargo xtask services up` or `cargo xtask test` has started, or one
//!   whose address stands in the environment.
//!
//! - [`kafka`] is Kafka, [`iotdb`] is Apache IoTDB and [`redis`] is Redis and Valkey, in the same two ways; [`maven`] gets Java programs' libraries, and
//!   [`java`] finds what runs them.
//!
//! In all the databases the administrator is `root` without a password, over TCP from 127.0.0.1 and over
//! the Unix socket.
//!
//! ```no_run
//! use headwater_servers::{Flavor, Instance, Options};
//!
//! let server = Instance::start(Flavor::MariaDb1011, &Options::default())?;
//! server.sql("CREATE DATABASE shop")?;
//! assert_eq!(server.sql("SELECT 6 * 7")?, "42\n");
//! let address = server.url("root", "", "shop");
//! # Ok::<(), headwater_servers::Error>(())
//! ```
//!
//! | environment variable | what it does |
//! |---|---|
//! | `HEADWATER_TEST_MARIADB_10_11`, `HEADWATER_TEST_MARIADB_11_8`, `HEADWATER_TEST_MYSQL_9_7` | `mysql://` URL of an administrator, used as the shared server of that flavor |
//! | `HEADWATER_TEST_KAFKA` | `HOST:PORT` of a Kafka, used as the shared one |
//! | `HEADWATER_TEST_IOTDB` | `HOST:PORT` of an Apache IoTDB with user and password `root`, used as the shared one |
//! | `HEADWATER_TEST_REDIS`, `HEADWATER_TEST_VALKEY` | `redis://` URL of a Redis or a Valkey, used as the shared one |
//! | `KAFKA_HOME`, `IOTDB_HOME`, `JAVA_HOME` | distributions and a Java to use, instead of what is on `PATH` or got through Maven |
//! | `HEADWATER_CACHE` | where downloads and the shared servers' data lie, instead of `.cache` in the workspace |
//! | `HEADWATER_DEBIAN_MIRROR` | the Debian mirror's URL, where the machine's own apt sources do not name one |

mod address;
mod apt;
mod cache;
mod client;
mod data;
mod error;
mod flavor;
mod guard;
mod home;
mod install;
mod instance;
pub mod iotdb;
pub mod java;
pub mod kafka;
mod launch;
pub mod maven;
mod port;
mod process;
pub mod redis;
mod server;
pub mod services;
mod settings;
mod shared;

pub use address::Address;
pub use cache::cache_folder;
pub use error::{Error, Result};
pub use flavor::Flavor;
pub use guard::Guard;
pub use home::SharedService;
pub use install::{Install, Program, install, installed};
pub use instance::{Instance, Options};
pub use process::{Signal, send_signal, send_signal_to_group};
pub use shared::{Shared, shared};
