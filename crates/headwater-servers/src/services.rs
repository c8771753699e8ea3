//! The shared databases: started once, left running, found again by other processes.

use crate::address::Address;
use crate::data;
use crate::error::{Error, Result};
use crate::flavor::Flavor;
use crate::home::{Home, SharedService, create_data};
use crate::install::install;
use crate::instance::{answers, kind, server_command};
use crate::port;

/// A shared server that runs.
#[derive(Debug, Clone)]
pub struct Service {
    /// Which server this is.
    pub flavor: Flavor,
    /// Where it is, as administrator.
    pub address: Address,
    /// Its process; none if its address came from the environment.
    pub pid: Option<u32>,
    /// Whether [`up`] has just started it.
    pub started: bool,
}

impl Service {
    fn of(flavor: Flavor, service: &SharedService) -> Result<Self> {
        let address = Address::parse(&service.address)
            .map_err(|error| Error::new(format!("{}: {error}", flavor.variable())))?;
        Ok(Self {
            flavor,
            address,
            pid: service.pid,
            started: service.started,
        })
    }
}

/// The running shared server of a flavor: the one whose address stands in the environment, else the
/// one that [`up`] has started.
///
/// # Errors
/// The address in the environment is no address.
pub fn find(flavor: Flavor) -> Result<Option<Service>> {
    let found = home(flavor).find()?;
    found
        .map(|service| Service::of(flavor, &service))
        .transpose()
}

pub(crate) fn home(flavor: Flavor) -> Home {
    Home {
        name: flavor.name(),
        slug: flavor.slug(),
        variable: flavor.variable(),
        processes: &[""],
        address: |port| Address::local(port).own_url(),
    }
}

/// Starts the shared server of a flavor if it does not run yet, on its old data if there is any; it
/// stays when this process ends.
///
/// # Errors
/// The server cannot be had here, or does not start.
pub fn up(flavor: Flavor) -> Result<Service> {
    let home = home(flavor);
    let service = home.up(|folder| {
        let install = install(flavor)?;
        create_data(folder, |data| data::create(&install, data, &[]))?;
        // The lock on the port ends with this process, but the server then listens on it.
        let port = port::reserve(Some(flavor.shared_port()))?;
        let command = server_command(&install, folder, port.number, &[])?;
        home.launch(kind(flavor), folder, command, || answers(port.number))?;
        Ok(port.number)
    })?;
    Service::of(flavor, &service)
}

/// Ends the shared server of a flavor and removes its data; says whether there was one. A server
/// whose address came from the environment is left alone.
///
/// # Errors
/// It cannot be ended.
pub fn down(flavor: Flavor) -> Result<bool> {
    home(flavor).down()
}
