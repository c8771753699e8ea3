//! The sink by itself: a table's rows are read into memory as the engine's batches, and then written.

use headwater_core::batch::Batch;
use headwater_core::key::KeyRange;
use headwater_core::schema::TableName;
use headwater_core::sink::{Durability, Sink as _};
use headwater_core::source::{CutRequest, ScanStep, SnapshotReader as _, Source as _, Split};
use headwater_iotdb::IotdbSink;
use headwater_iotdb::config::{Address, Duplicates, IotdbOptions, Mapping, Model};
use headwater_mysql::config::ConnectOptions;
use headwater_mysql::schema::Selection;
use headwater_mysql::{MysqlSource, Settings};
use headwater_servers::{Error, Result};

use super::wire::Timed;

/// Reads `bench.reading` into memory, and writes it to an IoTDB by the sink.
#[derive(Debug, clap::Args)]
pub(crate) struct Rows {
    /// `mysql://…` of the source.
    #[arg(long)]
    source: String,
    /// `HOST:PORT` of the IoTDB.
    #[arg(long)]
    address: String,
    /// Connections that write.
    #[arg(long)]
    writers: u16,
    /// The process of the IoTDB, for its CPU.
    #[arg(long)]
    server: u32,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(format!("rows in memory: {error}"))
}

/// Prints how many rows there were, and the time and the CPU of the writing on both sides.
pub(crate) fn write(wanted: &Rows) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new().map_err(failed)?;
    let (source, options, server) = (wanted.source.clone(), options(wanted)?, wanted.server);
    // On a worker, as the engine's writer is.
    let done = runtime.spawn(async move {
        let batches = read(&source).await.map_err(failed)?;
        let timed = Timed::begin(server);
        let mut sink = IotdbSink::new(options).map_err(failed)?;
        sink.open(None).await.map_err(failed)?;
        for batch in &batches {
            let written = sink.write(batch, Durability::Accepted).await;
            written.map_err(failed)?;
        }
        let written = sink.write(&Batch::new(), Durability::Durable).await;
        written.map_err(failed)?;
        timed.print();
        let rows: usize = batches.iter().map(Batch::len).sum();
        println!("rows={rows}");
        Ok(())
    });
    runtime.block_on(done).map_err(failed)?
}

fn options(wanted: &Rows) -> Result<IotdbOptions> {
    let (host, port) = wanted
        .address
        .rsplit_once(':')
        .ok_or_else(|| failed("the address has no port"))?;
    let address = Address {
        host: host.to_owned(),
        port: port.parse().map_err(failed)?,
    };
    let mut options = IotdbOptions::new(vec![address], vec![mapping()]);
    options.connections = wanted.writers.into();
    // As the command line has it by default.
    options.model = Model::Tree { is_aligned: false };
    Ok(options)
}

/// What the configuration of the whole copy says, too.
fn mapping() -> Mapping {
    Mapping {
        table: TableName::new("bench", "reading"),
        target: "root.bench.pump_${device}".to_owned(),
        device_fields: Vec::new(),
        attribute_fields: Vec::new(),
        timestamp_field: "taken_at".to_owned(),
        timestamp_unit: None,
        measurements: Vec::new(),
        duplicates: Duplicates::Refuse,
    }
}

/// The table by one reader, in the order of its key.
async fn read(source: &str) -> headwater_core::Result<Vec<Batch>> {
    let table = mapping().table;
    let selection = Selection::Tables(vec![table.clone()]);
    let source = MysqlSource::new(Settings::new(ConnectOptions::from_url(source)?, selection));
    let request = CutRequest {
        at_least: None,
        readers: 1,
    };
    let mut batches = Vec::new();
    for mut reader in source.open_cuts(request).await?.readers {
        let split = Split {
            table: table.clone(),
            range: KeyRange::default(),
        };
        reader.begin(&split).await?;
        loop {
            let mut batch = Batch::new();
            let step = reader.read(&mut batch).await?;
            batches.push(batch);
            if step == ScanStep::Done {
                break;
            }
        }
        reader.close().await;
    }
    Ok(batches)
}
