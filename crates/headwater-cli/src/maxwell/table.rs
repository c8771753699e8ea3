//! Every option of Maxwell 1.45.0, and what becomes of it: the one table behind `headwater from-maxwell` and
//! `docs/maxwell-settings.md`.

/// What becomes of an option of `config.properties`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Becomes {
    /// Its value stands under this key of ours.
    Key(&'static str, Kind),
    /// It is brought over by code of its own ([`super::convert`]).
    Mapped,
    /// It has no effect here and needs none.
    Nothing,
    /// It cannot be had, unless it has one of these values, which ask for nothing.
    Not(&'static [&'static str]),
    /// It belongs to a producer that is not there: it matters only where that one is chosen.
    Of(&'static str),
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Number,
    Text,
    Names,
}

/// One option.
#[derive(Debug)]
pub(super) struct Row {
    /// Its name. With a star at its end: all that begin so.
    pub(super) name: &'static str,
    /// Its default there.
    pub(super) default: &'static str,
    /// What it is called here, and the default here.
    pub(super) here: &'static str,
    /// What differs on purpose, or what to do instead.
    pub(super) note: &'static str,
    pub(super) becomes: Becomes,
}

impl Row {
    /// Whether an option of this name is meant.
    pub(super) fn is(&self, name: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(begin) => name.starts_with(begin),
            None => self.name == name,
        }
    }
}

const fn row(
    name: &'static str,
    default: &'static str,
    here: &'static str,
    note: &'static str,
    becomes: Becomes,
) -> Row {
    Row {
        name,
        default,
        here,
        note,
        becomes,
    }
}

use Becomes::{Key, Mapped, Not, Nothing, Of};
use Kind::{Bool, Names, Number, Text};

const FALSE: &[&str] = &["false"];

/// The sections, in the order of Maxwell's own reference.
pub(super) const SECTIONS: [(&str, &[Row]); 9] = [
    ("General", GENERAL),
    ("MySQL", MYSQL),
    ("Producer", PRODUCER),
    ("Kafka", KAFKA),
    ("Output", OUTPUT),
    ("Filter and high availability", FILTER),
    ("Monitoring", MONITORING),
    ("Messaging of clouds", CLOUDS),
    ("Other brokers and stores", BROKERS),
];

/// The row of an option; the one with its whole name first.
pub(super) fn of(name: &str) -> Option<&'static Row> {
    let all = || SECTIONS.iter().flat_map(|(_, rows)| rows.iter());
    all()
        .find(|row| row.name == name)
        .or_else(|| all().find(|row| row.is(name)))
}

const GENERAL: &[Row] = &[
    row(
        "config",
        "./config.properties",
        "`--config`, none",
        "a YAML file; `headwater from-maxwell` makes one of yours",
        Nothing,
    ),
    row(
        "env_config",
        "",
        "none",
        "write `${NAME}` where a value comes from the environment",
        Not(&[""]),
    ),
    row(
        "env_config_prefix",
        "",
        "none",
        "write `${NAME}` where a value comes from the environment",
        Not(&[""]),
    ),
    row("log_level", "info", "`log.level`, `info`", "", Mapped),
    row(
        "daemon",
        "false",
        "none",
        "it stays in the foreground: let a supervisor start it ([exit codes](exit-codes.md))",
        Nothing,
    ),
    row(
        "client_id",
        "maxwell",
        "`client_id`, `maxwell`; `checkpoint`, none",
        "whom requests for bootstraps must address; progress is kept in a file, not in a database: `CLIENT_ID.checkpoint`",
        Mapped,
    ),
    row(
        "replica_server_id",
        "6379",
        "`mysql.server_id`, chosen",
        "",
        Key("mysql.server_id", Number),
    ),
    row("help", "", "`--help`", "", Nothing),
];

const SCHEMA_HOST: &str = "tables are read from the server whose log is read; a second server for definitions (MaxScale) is not supported";
const ROLE: &str =
    "there is one server: the one whose log is read. With `replication_host`, that one";
const JDBC: &str = "there is no JDBC; a URL's options are in [configuration.md](configuration.md)";

const MYSQL: &[Row] = &[
    row(
        "host",
        "localhost",
        "`connections.mysql.host`",
        ROLE,
        Mapped,
    ),
    row(
        "port",
        "3306",
        "`connections.mysql.port`, 3306",
        ROLE,
        Mapped,
    ),
    row("user", "", "`connections.mysql.user`", ROLE, Mapped),
    row(
        "password",
        "",
        "`HEADWATER_MYSQL_PASSWORD`, `connections.mysql.password`",
        "from-maxwell copies no secret: give it by the variable",
        Mapped,
    ),
    row(
        "ssl",
        "DISABLED",
        "`connections.mysql.tls.mode`, `preferred`",
        "TLS is used where the server has it, unless you say otherwise",
        Mapped,
    ),
    row(
        "jdbc_options",
        "zeroDateTimeBehavior=…",
        "none",
        JDBC,
        Nothing,
    ),
    row(
        "replication_host",
        "host",
        "`connections.mysql.host`",
        ROLE,
        Mapped,
    ),
    row(
        "replication_port",
        "3306",
        "`connections.mysql.port`",
        ROLE,
        Mapped,
    ),
    row(
        "replication_user",
        "user",
        "`connections.mysql.user`",
        ROLE,
        Mapped,
    ),
    row(
        "replication_password",
        "",
        "`HEADWATER_MYSQL_PASSWORD`",
        "as `password`",
        Mapped,
    ),
    row(
        "replication_ssl",
        "DISABLED",
        "`connections.mysql.tls.mode`",
        ROLE,
        Mapped,
    ),
    row("replication_jdbc_options", "", "none", JDBC, Nothing),
    row("schema_host", "host", "none", SCHEMA_HOST, Mapped),
    row("schema_port", "3306", "none", SCHEMA_HOST, Nothing),
    row("schema_user", "user", "none", SCHEMA_HOST, Nothing),
    row("schema_password", "", "none", SCHEMA_HOST, Nothing),
    row("schema_ssl", "DISABLED", "none", SCHEMA_HOST, Nothing),
    row("schema_jdbc_options", "", "none", JDBC, Nothing),
    row(
        "schema_database",
        "maxwell",
        "`schema_database`, `maxwell`",
        "only for the table whose rows ask for bootstraps: nothing is written to the source; from-maxwell excludes the old one by `filter`",
        Mapped,
    ),
    row(
        "gtid_mode",
        "false",
        "none",
        "GTIDs are used wherever the server has them",
        Nothing,
    ),
    row(
        "master_recovery",
        "false",
        "none",
        "another server is another source: it takes a new checkpoint, and a new copy",
        Not(FALSE),
    ),
    row(
        "recapture_schema",
        "false",
        "none",
        "definitions travel with the checkpoint and need no recapture",
        Nothing,
    ),
    row(
        "max_schemas",
        "unlimited",
        "none",
        "no history of definitions is kept",
        Nothing,
    ),
    row(
        "ignore_missing_schema",
        "false",
        "none",
        "tables that the filter excludes are not looked at",
        Nothing,
    ),
    row("binlog_heartbeat", "false", "none", "always on", Nothing),
    row(
        "replication_reconnection_retries",
        "1",
        "none",
        "tried again for as long as it may pass, with growing waits",
        Nothing,
    ),
    row(
        "init_position",
        "",
        "`mysql.cdc.startup_mode: specific`, `--from FILE:POS`",
        "a checkpoint that exists wins",
        Mapped,
    ),
    row(
        "replay",
        "false",
        "none",
        "start a run without a checkpoint at an older place: `--from FILE:POS`",
        Not(FALSE),
    ),
    row(
        "buffer_memory_usage",
        "0.25",
        "none",
        "memory is bounded; a large transaction waits in a spool file",
        Nothing,
    ),
    row(
        "binlog_event_queue_size",
        "5000",
        "none",
        "queues are bounded by batches",
        Nothing,
    ),
    row(
        "bootstrapper",
        "async",
        "none",
        "bootstraps run beside the stream and block nothing: `headwater bootstrap`, or rows of `maxwell.bootstrap` ([bootstrap.md](bootstrap.md)); `bootstrap.table: none` for `none`",
        Nothing,
    ),
];

const PRODUCER: &[Row] = &[
    row(
        "producer",
        "stdout",
        "`sink`, `stdout`",
        "`stdout`, `file`, `kafka`, and `none`, which is `null`; the others are not there",
        Mapped,
    ),
    row(
        "producer_ack_timeout",
        "0",
        "`kafka.acknowledge_within_s`, 120",
        "in seconds; the run then begins again at the last durable point instead of ending",
        Mapped,
    ),
    row(
        "producer_partition_by",
        "database",
        "`kafka.producer_partition_by`, `database`",
        "",
        Key("kafka.producer_partition_by", Text),
    ),
    row(
        "producer_partition_columns",
        "",
        "`kafka.producer_partition_columns`",
        "",
        Key("kafka.producer_partition_columns", Names),
    ),
    row(
        "producer_partition_by_fallback",
        "",
        "`kafka.producer_partition_by_fallback`",
        "",
        Key("kafka.producer_partition_by_fallback", Text),
    ),
    row(
        "ignore_producer_error",
        "true",
        "none",
        "always as with false: nothing is dropped unasked. With a `dead_letter_topic`, records that are too large go there",
        Nothing,
    ),
    row("output_file", "", "`sink: file:PATH`", "", Mapped),
    row(
        "javascript",
        "",
        "none",
        "columns and rows: `exclude_columns`, `filter`; constant members: `custom`; else in the consumer",
        Not(&[""]),
    ),
    row(
        "custom_producer.*",
        "",
        "none",
        "use the library, whose `Sink` is a trait, or read standard output",
        Not(&[""]),
    ),
];

const KAFKA: &[Row] = &[
    row(
        "kafka.bootstrap.servers",
        "",
        "`kafka.bootstrap_servers`",
        "",
        Key("kafka.bootstrap_servers", Text),
    ),
    row(
        "kafka.*",
        "",
        "`kafka.properties.*`",
        "names are librdkafka's, most of them the same; what only Java's client knows is refused with what to write. Secrets become `${NAME}`",
        Mapped,
    ),
    row(
        "kafka_topic",
        "maxwell",
        "`kafka.kafka_topic`, `maxwell`",
        "",
        Key("kafka.kafka_topic", Text),
    ),
    row(
        "kafka_key_format",
        "hash",
        "`kafka.kafka_key_format`, `hash`",
        "",
        Key("kafka.kafka_key_format", Text),
    ),
    row(
        "kafka_partition_hash",
        "default",
        "`kafka.kafka_partition_hash`, `default`",
        "",
        Key("kafka.kafka_partition_hash", Text),
    ),
    row(
        "ddl_kafka_topic",
        "kafka_topic",
        "`kafka.ddl_kafka_topic`, that of rows",
        "placeholders are replaced",
        Key("kafka.ddl_kafka_topic", Text),
    ),
    row(
        "dead_letter_topic",
        "",
        "`kafka.dead_letter_topic`",
        "for records that are too large",
        Key("kafka.dead_letter_topic", Text),
    ),
    row(
        "kafka_version",
        "2.7.0",
        "none",
        "one client that speaks with all brokers",
        Nothing,
    ),
];

const OUTPUT: &[Row] = &[
    row(
        "output_binlog_position",
        "false",
        "`events.output_binlog_position`, false",
        "",
        Key("events.output_binlog_position", Bool),
    ),
    row(
        "output_gtid_position",
        "false",
        "`events.output_gtid_position`, false",
        "",
        Key("events.output_gtid_position", Bool),
    ),
    row(
        "output_commit_info",
        "true",
        "`events.output_commit_info`, true",
        "",
        Key("events.output_commit_info", Bool),
    ),
    row(
        "output_xoffset",
        "true",
        "`events.output_xoffset`, true",
        "",
        Key("events.output_xoffset", Bool),
    ),
    row(
        "output_nulls",
        "true",
        "`events.output_nulls`, true",
        "",
        Key("events.output_nulls", Bool),
    ),
    row(
        "output_server_id",
        "false",
        "`events.output_server_id`, false",
        "",
        Key("events.output_server_id", Bool),
    ),
    row(
        "output_thread_id",
        "false",
        "`events.output_thread_id`, false",
        "on MariaDB, too",
        Key("events.output_thread_id", Bool),
    ),
    row(
        "output_schema_id",
        "false",
        "`events.output_schema_id`, only false",
        "it is the number of a row in Maxwell's own tables",
        Not(FALSE),
    ),
    row(
        "output_row_query",
        "false",
        "`events.output_row_query`, false",
        "",
        Key("events.output_row_query", Bool),
    ),
    row(
        "row_query_max_length",
        "0",
        "`events.row_query_max_length`, 0",
        "",
        Key("events.row_query_max_length", Number),
    ),
    row(
        "output_primary_keys",
        "false",
        "`events.output_primary_keys`, false",
        "",
        Key("events.output_primary_keys", Bool),
    ),
    row(
        "output_primary_key_columns",
        "false",
        "`events.output_primary_key_columns`, false",
        "",
        Key("events.output_primary_key_columns", Bool),
    ),
    row(
        "output_push_timestamp",
        "false",
        "`events.output_push_timestamp`, false",
        "the time at which the event was made",
        Key("events.output_push_timestamp", Bool),
    ),
    row(
        "output_null_zerodates",
        "false",
        "`events.output_null_zerodates`, false",
        "for snapshot rows, too",
        Key("events.output_null_zerodates", Bool),
    ),
    row(
        "output_naming_strategy",
        "none",
        "`events.output_naming_strategy`, `none`",
        "",
        Key("events.output_naming_strategy", Text),
    ),
    row(
        "output_ddl",
        "false",
        "`events.output_ddl`, false",
        "a statement that cannot be read is told with what is known of it",
        Key("events.output_ddl", Bool),
    ),
    row(
        "exclude_columns",
        "",
        "`events.exclude_columns`",
        "names are meant in any letter case",
        Key("events.exclude_columns", Text),
    ),
    row(
        "encrypt",
        "none",
        "`events.encrypt`, `none`",
        "AES in CBC mode without a MAC: it hides, and does not prove that nobody has changed it",
        Key("events.encrypt", Text),
    ),
    row(
        "secret_key",
        "",
        "`HEADWATER_SECRET_KEY`, `events.secret_key`",
        "from-maxwell copies no secret: give it by the variable",
        Mapped,
    ),
];

const FILTER: &[Row] = &[
    row(
        "filter",
        "",
        "`filter`, `--filter`",
        "the same rules; a row that leaves goes out as a delete ([differences](differences-from-maxwell.md#filters))",
        Mapped,
    ),
    row(
        "ha",
        "false",
        "none",
        "let a supervisor start it again; with Kafka and `exactly_once` a newer process fences an older one off",
        Not(FALSE),
    ),
    row("jgroups_config", "raft.xml", "none", "see `ha`", Nothing),
    row("raft_member_id", "", "none", "see `ha`", Nothing),
];

const REPORTED: &str = "metrics are Prometheus's, over HTTP ([metrics.md](metrics.md))";

const MONITORING: &[Row] = &[
    row(
        "metrics_type",
        "",
        "`http.listen`, off",
        "`http`: Prometheus's text at `/metrics`; slf4j, jmx, datadog and stackdriver: let an agent read that",
        Mapped,
    ),
    row(
        "metrics_prefix",
        "MaxwellMetrics",
        "none",
        "names begin with `headwater_`",
        Nothing,
    ),
    row("metrics_slf4j_interval", "60", "none", REPORTED, Nothing),
    row("metrics_jvm", "false", "none", "there is no JVM", Nothing),
    row(
        "metrics_age_slo",
        "",
        "none",
        "alert on `headwater_lag_seconds` ([metrics.md](metrics.md))",
        Nothing,
    ),
    row("metrics_datadog_type", "udp", "none", REPORTED, Nothing),
    row("metrics_datadog_tags", "", "none", REPORTED, Nothing),
    row("metrics_datadog_interval", "60", "none", REPORTED, Nothing),
    row("metrics_datadog_apikey", "", "none", REPORTED, Nothing),
    row("metrics_datadog_site", "us", "none", REPORTED, Nothing),
    row(
        "metrics_datadog_host",
        "localhost",
        "none",
        REPORTED,
        Nothing,
    ),
    row("metrics_datadog_port", "8125", "none", REPORTED, Nothing),
    row(
        "http_port",
        "8080",
        "`http.listen`, 8642",
        "HTTP wants a token: `HEADWATER_HTTP_TOKEN`",
        Mapped,
    ),
    row(
        "http_bind_address",
        "all",
        "`http.listen`, 127.0.0.1",
        "beyond the loopback address it wants TLS (`http.tls`)",
        Mapped,
    ),
    row(
        "http_path_prefix",
        "/",
        "none",
        "paths are fixed ([http.md](http.md)); let a proxy add one",
        Not(&["/", ""]),
    ),
    row(
        "http_diagnostic",
        "false",
        "none",
        "`/health` and `/status` tell it",
        Nothing,
    ),
    row(
        "http_diagnostic_timeout",
        "10000",
        "none",
        "`/health` and `/status` answer at once",
        Nothing,
    ),
    row(
        "http_config",
        "false",
        "none",
        "a filter that changes within a run would leave rows behind: start again with another checkpoint",
        Not(FALSE),
    ),
    row(
        "custom_health.factory",
        "",
        "none",
        "`/health` is what there is",
        Not(&[""]),
    ),
];

const NO_SINK: &str = "not there: write to Kafka, a file or standard output and forward from it";

const CLOUDS: &[Row] = &[
    row("kinesis_stream", "", "none", NO_SINK, Of("kinesis")),
    row("kinesis_md5_keys", "false", "none", NO_SINK, Of("kinesis")),
    row("sqs_queue_uri", "", "none", NO_SINK, Of("sqs")),
    row("sqs_service_endpoint", "", "none", NO_SINK, Of("sqs")),
    row("sqs_signing_region", "", "none", NO_SINK, Of("sqs")),
    row("sns_topic", "", "none", NO_SINK, Of("sns")),
    row("sns_attrs", "", "none", NO_SINK, Of("sns")),
    row("sns_service_endpoint", "", "none", NO_SINK, Of("sns")),
    row("sns_signing_region", "", "none", NO_SINK, Of("sns")),
    row("pubsub_project_id", "", "none", NO_SINK, Of("pubsub")),
    row("pubsub_topic", "maxwell", "none", NO_SINK, Of("pubsub")),
    row(
        "ddl_pubsub_topic",
        "pubsub_topic",
        "none",
        NO_SINK,
        Of("pubsub"),
    ),
    row(
        "pubsub_request_bytes_threshold",
        "1",
        "none",
        NO_SINK,
        Of("pubsub"),
    ),
    row(
        "pubsub_message_count_batch_size",
        "1",
        "none",
        NO_SINK,
        Of("pubsub"),
    ),
    row(
        "pubsub_message_ordering_key",
        "",
        "none",
        NO_SINK,
        Of("pubsub"),
    ),
    row(
        "pubsub_publish_delay_threshold",
        "1",
        "none",
        NO_SINK,
        Of("pubsub"),
    ),
    row("pubsub_retry_delay", "100", "none", NO_SINK, Of("pubsub")),
    row(
        "pubsub_retry_delay_multiplier",
        "1.3",
        "none",
        NO_SINK,
        Of("pubsub"),
    ),
    row(
        "pubsub_max_retry_delay",
        "60",
        "none",
        NO_SINK,
        Of("pubsub"),
    ),
    row(
        "pubsub_initial_rpc_timeout",
        "5",
        "none",
        NO_SINK,
        Of("pubsub"),
    ),
    row(
        "pubsub_rpc_timeout_multiplier",
        "1.0",
        "none",
        NO_SINK,
        Of("pubsub"),
    ),
    row(
        "pubsub_max_rpc_timeout",
        "600",
        "none",
        NO_SINK,
        Of("pubsub"),
    ),
    row("pubsub_total_timeout", "600", "none", NO_SINK, Of("pubsub")),
    row("pubsub_emulator", "", "none", NO_SINK, Of("pubsub")),
    row("bigquery_project_id", "", "none", NO_SINK, Of("bigquery")),
    row("bigquery_dataset", "", "none", NO_SINK, Of("bigquery")),
    row("bigquery_table", "", "none", NO_SINK, Of("bigquery")),
];

const BROKERS: &[Row] = &[
    row(
        "nats_url",
        "nats://localhost:4222",
        "none",
        NO_SINK,
        Of("nats"),
    ),
    row(
        "nats_subject",
        "%{database}.%{table}",
        "none",
        NO_SINK,
        Of("nats"),
    ),
    row("rabbitmq_user", "guest", "none", NO_SINK, Of("rabbitmq")),
    row("rabbitmq_pass", "guest", "none", NO_SINK, Of("rabbitmq")),
    row("rabbitmq_host", "", "none", NO_SINK, Of("rabbitmq")),
    row("rabbitmq_port", "", "none", NO_SINK, Of("rabbitmq")),
    row("rabbitmq_uri", "", "none", NO_SINK, Of("rabbitmq")),
    row("rabbitmq_virtual_host", "", "none", NO_SINK, Of("rabbitmq")),
    row(
        "rabbitmq_handshake_timeout",
        "",
        "none",
        NO_SINK,
        Of("rabbitmq"),
    ),
    row(
        "rabbitmq_exchange",
        "maxwell",
        "none",
        NO_SINK,
        Of("rabbitmq"),
    ),
    row(
        "rabbitmq_exchange_type",
        "fanout",
        "none",
        NO_SINK,
        Of("rabbitmq"),
    ),
    row(
        "rabbitmq_exchange_durable",
        "false",
        "none",
        NO_SINK,
        Of("rabbitmq"),
    ),
    row(
        "rabbitmq_exchange_autodelete",
        "false",
        "none",
        NO_SINK,
        Of("rabbitmq"),
    ),
    row(
        "rabbitmq_routing_key_template",
        "%db%.%table%",
        "none",
        NO_SINK,
        Of("rabbitmq"),
    ),
    row(
        "rabbitmq_message_persistent",
        "false",
        "none",
        NO_SINK,
        Of("rabbitmq"),
    ),
    row(
        "rabbitmq_declare_exchange",
        "true",
        "none",
        NO_SINK,
        Of("rabbitmq"),
    ),
    row("rabbitmq_use_ssl", "false", "none", NO_SINK, Of("rabbitmq")),
    row("redis_host", "localhost", "none", NO_SINK, Of("redis")),
    row("redis_port", "6379", "none", NO_SINK, Of("redis")),
    row("redis_auth", "", "none", NO_SINK, Of("redis")),
    row("redis_database", "0", "none", NO_SINK, Of("redis")),
    row("redis_type", "pubsub", "none", NO_SINK, Of("redis")),
    row("redis_key", "maxwell", "none", NO_SINK, Of("redis")),
    row(
        "redis_stream_json_key",
        "message",
        "none",
        NO_SINK,
        Of("redis"),
    ),
    row("redis_sentinels", "", "none", NO_SINK, Of("redis")),
    row(
        "redis_sentinel_master_name",
        "",
        "none",
        NO_SINK,
        Of("redis"),
    ),
];
