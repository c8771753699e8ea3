//! The settings that an IoTDB starts with: one ConfigNode and one DataNode without replicas, on loopback, with small heaps.

use std::fmt::Write as _;
use std::path::Path;

use super::instance::{IotdbOptions, Role};

/// Ports: for clients, and six for the nodes among themselves.
pub(super) const PORTS: usize = 7;

/// Each database takes so much direct memory for its log, and a test has one of its own: by default it is 32 MiB, and the shared
/// server would refuse the ninth.
const WAL_BUFFER_BYTES: u32 = 3 * 1024 * 1024;

/// The text of `iotdb-system.properties`; what the caller wants comes last, so that it overrides the rest.
pub(super) fn properties(ports: [u16; PORTS], folder: &Path, options: &IotdbOptions) -> String {
    let [
        clients,
        config,
        config_consensus,
        data,
        exchange,
        schema_region,
        data_region,
    ] = ports;
    let mut text = format!(
        "\
cn_seed_config_node=127.0.0.1:{config}
dn_seed_config_node=127.0.0.1:{config}
cn_internal_address=127.0.0.1
cn_internal_port={config}
cn_consensus_port={config_consensus}
dn_rpc_address=127.0.0.1
dn_rpc_port={clients}
dn_internal_address=127.0.0.1
dn_internal_port={data}
dn_mpp_data_exchange_port={exchange}
dn_schema_region_consensus_port={schema_region}
dn_data_region_consensus_port={data_region}
dn_join_cluster_retry_interval_ms=300
config_node_consensus_protocol_class=org.apache.iotdb.consensus.simple.SimpleConsensus
schema_region_consensus_protocol_class=org.apache.iotdb.consensus.simple.SimpleConsensus
data_region_consensus_protocol_class=org.apache.iotdb.consensus.simple.SimpleConsensus
schema_replication_factor=1
data_replication_factor=1
wal_buffer_size_in_byte={WAL_BUFFER_BYTES}
"
    );
    if options.tls {
        let _ = writeln!(
            text,
            "enable_thrift_ssl=true\nkey_store_path={}\nkey_store_pwd={}",
            folder.join("server.p12").display(),
            super::KEY_STORE_PASSWORD
        );
    }
    for line in &options.properties {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{line}");
    }
    text
}

/// Log lines to standard output, which is the file `log`.
pub(super) const LOGBACK: &str = r#"<configuration>
<appender name="S" class="ch.qos.logback.core.ConsoleAppender">
<encoder><pattern>%d [%t] %-5p %c{20}:%L - %m%n</pattern></encoder></appender>
<logger name="org.apache.iotdb" level="INFO"/>
<root level="WARN"><appender-ref ref="S"/></root>
</configuration>
"#;

/// Java's options for a node that lives in `folder`, up to its class.
pub(super) fn java_options(
    role: Role,
    folder: &Path,
    libraries: &Path,
    options: &IotdbOptions,
) -> Vec<String> {
    let (heap, direct) = match role {
        Role::Config => (192, 64),
        Role::Data => (options.heap_mb.unwrap_or(768), 256),
    };
    let folder = folder.display();
    let mut options = vec![
        "-Xms64m".to_owned(),
        format!("-Xmx{heap}m"),
        format!("-XX:MaxDirectMemorySize={direct}m"),
        format!("-DOFF_HEAP_MEMORY={}", direct * 1024 * 1024),
        "-XX:+UseSerialGC".to_owned(),
        "-XX:+ExitOnOutOfMemoryError".to_owned(),
        "-Dfile.encoding=UTF-8".to_owned(),
        format!("-Dlogback.configurationFile={folder}/conf/logback.xml"),
    ];
    for name in [
        "IOTDB_HOME",
        "CONFIGNODE_HOME",
        "IOTDB_DATA_HOME",
        "IOTDB_LOG_DIR",
    ] {
        options.push(format!("-D{name}={folder}"));
    }
    for name in ["IOTDB_CONF", "CONFIGNODE_CONF"] {
        options.push(format!("-D{name}={folder}/conf"));
    }
    for package in ["lang", "util", "util.concurrent", "nio", "io", "net"] {
        options.push(format!("--add-opens=java.base/java.{package}=ALL-UNNAMED"));
    }
    options.push("-cp".to_owned());
    options.push(format!("{folder}/conf:{}/*", libraries.display()));
    options
}
