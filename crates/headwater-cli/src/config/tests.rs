//! Files as people write them, rightly and wrongly.

use super::file::StartupMode;
use super::{File, Refused, read};

fn variables(name: &str) -> Option<String> {
    match name {
        "HOST" => Some("db.internal".into()),
        "PORT" => Some("3307".into()),
        "SECRET" => Some("hunter2: [x".into()),
        _ => None,
    }
}

fn good(text: &str) -> File {
    match read("shop.yaml", text, &variables) {
        Ok(file) => file,
        Err(refused) => panic!("{}", refused.render(false)),
    }
}

fn bad(text: &str) -> Refused {
    read("shop.yaml", text, &variables).unwrap_err()
}

/// What is said, each problem in a line with its help.
fn said(text: &str) -> String {
    let refused = bad(text);
    let lines = refused.problems.iter().map(|problem| {
        let help = problem.help.as_deref().unwrap_or("-");
        format!("{}\n  {help}\n", refused.line(problem))
    });
    lines.collect()
}

/// Every key of the migration's own file, with values of our own.
const MIGRATION: &str = include_str!("../../tests/migration.yaml");

#[test]
fn the_migrations_own_file_loads_unchanged() {
    let file = good(MIGRATION);
    assert_eq!(file.env.as_deref(), Some("plant-demo"));
    let cdc = file.mysql.as_ref().unwrap().cdc.as_ref().unwrap();
    assert_eq!(cdc.startup_mode, Some(StartupMode::Specific));
    assert_eq!(cdc.specific.as_ref().unwrap().pos, 157);
    assert_eq!(
        file.iotdb.unwrap().mappings.unwrap()[0]
            .measurements
            .as_ref()
            .unwrap()
            .len(),
        4
    );
}

#[test]
fn the_shapes_that_also_occur_load_too() {
    let without = |from: &str, to: &str| {
        let (start, rest) = MIGRATION.split_once(from).unwrap();
        let (_, end) = rest.split_once(to).unwrap();
        good(&format!("{start}{to}{end}"))
    };
    without("  cdc:\n", "  partitioning:");
    without("    port: 3306\n", "    user: cdc");
    without("  partitioning:\n", "  tables:");
    good(&MIGRATION.replace("pos: 157", "pos: '157'"));
    good(&MIGRATION.replace("startup_mode: specific", "startup_mode: ' Specific '"));
    good(&MIGRATION.replace(
        "type: DOUBLE\n          field: pressure",
        "type: float\n          field: pressure",
    ));
    let (start, rest) = MIGRATION.split_once("    specific:\n").unwrap();
    let (_, end) = rest.split_once("    server_time_zone").unwrap();
    let latest = start.replace("startup_mode: specific", "startup_mode: latest");
    good(&format!("{latest}    server_time_zone{end}"));
}

#[test]
fn an_empty_file_says_nothing() {
    assert!(good("").connections.is_none());
    assert!(good("# nothing\n---\n").connections.is_none());
}

#[test]
fn a_value_means_what_its_place_wants() {
    let file = good(
        "env: 0123\nconnections:\n  mysql: {host: 'a', user: yes, password: 007}\nreaders: 4\nsink: null\n",
    );
    assert_eq!(file.env.as_deref(), Some("0123"));
    assert_eq!(file.connections.unwrap().mysql.unwrap().user, "yes");
    assert_eq!(file.sink.as_deref(), Some("null"));
    assert_eq!(good("sink:\n").sink, None);
}

#[test]
fn values_come_from_the_environment_and_stay_values() {
    let file = good(
        "connections:\n  mysql:\n    host: ${HOST}\n    port: ${PORT}\n    user: cdc\n    password: ${SECRET}\n",
    );
    let mysql = file.connections.unwrap().mysql.unwrap();
    assert_eq!(mysql.host.as_deref(), Some("db.internal"));
    assert_eq!(mysql.port, Some(3307));
    let password =
        secrecy::ExposeSecret::expose_secret(&mysql.password.as_ref().unwrap().0).to_owned();
    assert_eq!(password, "hunter2: [x");
    assert!(!format!("{mysql:?}").contains("hunter2"));
}

#[test]
fn unknown_keys_are_told_with_the_key_that_was_meant() {
    insta::assert_snapshot!(said("conections:\n  mysql: {}\nmysql:\n  host: x\n  tables:\n    - name: t\n      colums: []\niotdb:\n  mappings:\n    - table: t\n      device_field: d\n      timestamp_field: t\n      device_template: r\n      normalized: true\n      measurements: []\n"), @r"
    shop.yaml:1:1: unknown key `conections` at the top of the file
      did you mean `connections`? expected: env, mode, connections, mysql, filter, filter_updates, iotdb, folds, kafka, sink, checkpoint, events, bootstrap, schema_database, client_id, readers, checkpoint_interval_s, stop_within_s, log, http
    shop.yaml:4:3: unknown key `host` in `mysql`
      it belongs under `connections.mysql`; expected: tables, partitioning, cdc, server_id
    shop.yaml:7:7: unknown key `colums` in `mysql.tables[0]`
      did you mean `columns`? expected: name, where, columns
    shop.yaml:14:7: unknown key `normalized` in `iotdb.mappings[0]`
      remove it: every measurement is a column of its own now
    ");
}

#[test]
fn wrong_types_are_told_with_what_was_found_and_expected() {
    insta::assert_snapshot!(said("mode: backfil\nconnections:\n  mysql:\n    host: [a]\n    port: '3306'\n    user:\nmysql:\n  tables:\n    name: orders\n  cdc:\n    startup_mode: earliest\n    specific: {file: f, pos: none}\nreaders: 0\nlog: loud\nevents:\n  output_nulls: maybe\n"), @r"
    shop.yaml:1:7: mode is `backfil`, and should be one of backfill, cdc, both
      did you mean `backfill`?
    shop.yaml:4:11: connections.mysql.host is a list, and should be a text
      -
    shop.yaml:5:11: connections.mysql.port is the text `3306`, and should be a whole number
      leave the quotes out
    shop.yaml:6:9: connections.mysql.user is empty, and should be a text
      -
    shop.yaml:9:5: mysql.tables is a section of keys, and should be a list
      begin each item of a list with `- `
    shop.yaml:11:19: mysql.cdc.startup_mode is `earliest`, and should be one of latest, initial, specific
      -
    shop.yaml:12:30: mysql.cdc.specific.pos is `none`, and should be a whole number
      -
    shop.yaml:13:10: readers is `0`, and should be from 1 to 64
      -
    shop.yaml:14:6: log is `loud`, and should be a section of keys (format, level)
      -
    shop.yaml:16:17: events.output_nulls is `maybe`, and should be true or false
      -
    ");
}

#[test]
fn a_missing_variable_is_told_where_it_is_used() {
    insta::assert_snapshot!(said("connections:\n  mysql:\n    host: ${NOWHERE}\n    user: ${a b}\n    port: ${SECRET}\n"), @r"
    shop.yaml:3:11: the environment variable NOWHERE is not set
      set it before starting: export NOWHERE=…
    shop.yaml:4:11: what stands in `${…}` is not the name of an environment variable
      a name has letters, digits and underscores; write $${ for the characters themselves
    shop.yaml:5:11: connections.mysql.port is what `${SECRET}` holds, and should be a whole number
      -
    ");
}

#[test]
fn what_is_no_yaml_is_told_with_its_place() {
    insta::assert_snapshot!(said("mode: backfill\nconnections:\n  mysql: {host: a\n"), @r"
    shop.yaml:3:10: this is not YAML: unclosed bracket '{'
      look for a missing space after a colon, a tab, a wrong indentation or an open quote
    ");
    insta::assert_snapshot!(said("mode: cdc\nmode: both\n"), @r"
    shop.yaml:2:1: `mode` stands here twice
      -
    ");
    insta::assert_snapshot!(said("- a\n- b\n"), @r"
    shop.yaml:1:1: the file is a list, and should be a section of keys (env, mode, connections, mysql, filter, filter_updates, iotdb, folds, kafka, sink, checkpoint, events, bootstrap, schema_database, client_id, readers, checkpoint_interval_s, stop_within_s, log, http)
      -
    ");
    insta::assert_snapshot!(said("mode: cdc\n---\nmode: both\n"), @r"
    shop.yaml:2:1: the file holds a second document; one was expected
      -
    ");
}

#[test]
fn a_limit_of_a_lag_needs_replicas_and_those_addresses() {
    insta::assert_snapshot!(said("bootstrap:\n  load: {replica_lag_s: 5}\n"), @r"
    shop.yaml:2:25: the lag of replicas is limited, and none is named
      add `replicas:` with their addresses: `- db2:3306`
    ");
    insta::assert_snapshot!(said("bootstrap:\n  load:\n    replica_lag_s: 5\n    replicas: [db2, 'db3:x']\n"), @r"
    shop.yaml:4:21: this is no address of a replica
      write HOST, HOST:PORT, or mysql://USER:PASSWORD@HOST:PORT
    ");
}

#[test]
fn contradictions_are_told_where_they_stand() {
    insta::assert_snapshot!(said("connections:\n  mysql: {user: a, password: x, password_file: y}\nmysql:\n  tables:\n    - {name: t, columns: [{name: id}, {name: at}]}\n    - {name: t}\n    - {name: a.b.c}\n    - {name: s.*, where: id>1}\n  cdc: {startup_mode: specific}\n  partitioning: {lower_bound: 9, upper_bound: 1}\niotdb:\n  mappings:\n    - table: t\n      device_field: pump\n      timestamp_field: at\n      device_template: root.{pmup}\n      measurements: [{name: x, type: DOUBLE, field: y}]\n    - table: q\n      device_field: d\n      timestamp_field: t\n      device_template: root.{d}\n      measurements: []\nsink: kafka\n"), @r"
    shop.yaml:2:10: `host` is missing in `connections.mysql`
      add `host: …`, or `socket: …` for a Unix socket
    shop.yaml:2:48: both `password` and `password_file` are given
      keep one of them
    shop.yaml:6:14: the table `t` is listed twice
      remove one of the two
    shop.yaml:7:14: `a.b.c` does not name a table
      write TABLE, DATABASE.TABLE or DATABASE.*; a name with a dot or star of its own stands in backticks: shop.`a.b`
    shop.yaml:8:26: a condition belongs to one table, not to a whole database
      name the table
    shop.yaml:9:23: `startup_mode: specific` does not say where
      add `specific:` with `file` and `pos`: a binlog file and a position in it
    shop.yaml:10:47: the upper bound 1 lies below the lower bound 9
      exchange the two
    shop.yaml:14:21: the table `t` lists no such column: found `pump`, expected one of id, at
      name one of its columns, or list it under `columns`
    shop.yaml:16:24: the table `t` lists no such column: found `pmup`, expected one of id, at
      name one of its columns, or list it under `columns`
    shop.yaml:17:53: the table `t` lists no such column: found `y`, expected one of id, at
      name one of its columns, or list it under `columns`
    shop.yaml:18:14: no such table is listed: found `q`, expected one of t, t, a.b.c, s.*
      name a table of `mysql.tables`, or list it there
    shop.yaml:22:21: a mapping without measurements writes nothing
      list at least one, or leave the key out: all the other columns are then written
    shop.yaml:23:7: no broker is named
      write kafka:HOST:PORT, or `bootstrap_servers` in the section `kafka`
    ");
}

#[test]
fn a_problem_is_shown_in_its_line_without_secrets() {
    let refused = bad("connections:\n  mysql:\n    passwort: hunter2\n    host: a\n    user: b\n");
    insta::assert_snapshot!(refused.render(false), @r"
    error: unknown key `passwort` in `connections.mysql`
       ╭─[shop.yaml:3:5]
     2 │   mysql:
     3 │     passwort: *******
       ·     ────────
     4 │     host: a
       ╰────
      help: did you mean `password`? expected: host, port, socket, user, password, password_file, database, tls
    ");
}

mod secrets {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// Whatever the password, and whatever else is wrong, it is not said.
        #[test]
        fn no_error_ever_says_a_password(
            password in "[*&!%@,:{\\[#'\"|> -]?[ -~äßü€]{0,8}Zq7[ -~äßü€]{0,8}",
            quoted in any::<bool>(),
            flow in any::<bool>(),
            broken in 0..6usize,
        ) {
            let value = if quoted { format!("'{}'", password.replace('\'', "''")) } else { password };
            let key = ["password", "pasword", "passwd", "password", "password", "password"][broken];
            let text = if flow {
                format!("connections: {{mysql: {{host: h, user: u, {key}: {value}, prot: 1}}}}\n")
            } else {
                format!("connections:\n  mysql:\n    host: h\n    {key}: {value}\n    prot: 1\n")
            };
            let text = match broken {
                3 => text.replace("prot: 1", "prot: [1"),
                4 => format!("\t{text}"),
                5 => text.replace("host: h", "host: \"h"),
                _ => text,
            };
            if let Err(refused) = read("f.yaml", &text, &variables) {
                let all = format!("{}{refused:?}", refused.render(false));
                prop_assert!(!all.contains("Zq7"), "{all}");
            }
        }

        /// A URL's password reaches the connection and nothing else.
        #[test]
        fn no_settings_ever_show_a_password(password in "[ -~äßü€]{0,8}Zq7[ -~äßü€]{0,8}", port in "[0-9]{1,6}") {
            let encoded: String = password.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let url = format!("mysql://u:{encoded}@h:{port}/d");
            let source = crate::arguments::Source { words: vec![url], ..Default::default() };
            let none = |_: &str| None;
            match super::super::SourceSettings::of(&source, &File::default(), &[], &none) {
                Ok(settings) => {
                    let shown = format!("{settings:?}");
                    prop_assert!(!shown.contains("Zq7"));
                    prop_assert!(!settings.connect.redacted_url().contains("Zq7"));
                }
                Err(error) => {
                    let shown = format!("{error:?}{error}");
                    prop_assert!(!shown.contains("Zq7"));
                }
            }
        }
    }
}

mod precedence {
    use super::super::{Failure, Settings, SinkChoice, StartAt};
    use crate::arguments::{Arguments, Command};
    use clap::Parser;
    use headwater_core::engine::{Mode, Until};
    use secrecy::ExposeSecret;

    fn settings(yaml: &str, words: &str, password: Option<&str>) -> Result<Settings, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yaml");
        std::fs::write(&path, yaml).unwrap();
        let mut all = vec!["headwater".to_owned()];
        all.extend(
            words
                .split(' ')
                .map(|word| word.replace("FILE", &path.display().to_string())),
        );
        let lookup = |name: &str| {
            (name == "HEADWATER_MYSQL_PASSWORD")
                .then(|| password.map(str::to_owned))
                .flatten()
        };
        match Arguments::try_parse_from(all).unwrap().command {
            Command::Run(run) => Settings::of_run(&run, &lookup),
            Command::Backfill(backfill) => Settings::of_backfill(&backfill, &lookup),
            Command::Cdc(cdc) => Settings::of_cdc(&cdc, &lookup),
            other => panic!("{other:?}"),
        }
    }

    const FILE: &str = "mode: backfill\nconnections:\n  mysql:\n    host: one\n    user: a\n    password: from-file\n    database: shop\n    tls: {mode: verify-identity}\n\
        mysql:\n  server_id: 7\n  tables:\n    - {name: orders, where: id > 1}\n    - {name: users}\n  cdc: {startup_mode: specific, specific: {file: b.1, pos: 4}}\n\
        sink: file:one.jsonl\ncheckpoint: one.checkpoint\nreaders: 3\nevents: {output_xoffset: false, output_nulls: false}\n";

    fn password(settings: &Settings) -> String {
        let secret = settings.source.connect.password.as_ref();
        secret
            .map(|secret| secret.expose_secret().to_owned())
            .unwrap_or_default()
    }

    #[test]
    fn a_checkpoint_interval_fits_into_a_transaction_of_kafka() {
        let plain = settings(FILE, "run --config FILE", None).unwrap();
        assert_eq!(plain.checkpoint_interval.as_secs(), 1);
        let text = format!("{FILE}checkpoint_interval_s: 60\n");
        let found = settings(&text, "run --config FILE", None).unwrap();
        assert_eq!(found.checkpoint_interval.as_secs(), 60);
        let kafka = text.replace(
            "sink: file:one.jsonl\ncheckpoint: one.checkpoint\n",
            "sink: kafka:h:1/t\n",
        ) + "kafka: {exactly_once: true, transactional_id: shop}\n";
        let refused = settings(&kafka, "run --config FILE", None).unwrap_err();
        let refused = format!("{refused:?}");
        assert!(refused.contains("transaction_timeout_s"), "{refused}");
        let longer = kafka.replace("shop}", "shop, transaction_timeout_s: 300}");
        settings(&longer, "run --config FILE", None).unwrap();
    }

    #[test]
    fn what_bootstraps_wait_for_is_in_the_file() {
        let plain = settings(FILE, "run --config FILE", None).unwrap();
        assert_eq!(plain.bootstrap_tables, 1);
        assert!(plain.source.load.is_none() && plain.source.replicas.is_empty());
        let text = format!(
            "{FILE}bootstrap:\n  tables_at_once: 4\n  load:\n    threads_running: 20\n    history_length: 1000000\n    \
             replica_lag_s: 10\n    replicas: [db2, 'mysql://eye:s@db3:3307']\n    interval_s: 5\n"
        );
        let found = settings(&text, "run --config FILE", None).unwrap();
        assert_eq!(
            (found.bootstrap_tables, found.load_interval.as_secs()),
            (4, 5)
        );
        let load = found.source.load;
        assert_eq!(
            [
                load.threads_running,
                load.history_length,
                load.replica_lag_s
            ],
            [Some(20), Some(1_000_000), Some(10)]
        );
        let replicas = found.source.replicas.iter();
        let replicas: Vec<String> = replicas.map(|one| one.redacted_url()).collect();
        assert_eq!(
            replicas,
            [
                "mysql://a:***@db2:3306?ssl-mode=verify-identity",
                "mysql://eye:***@db3:3307"
            ]
        );
    }

    #[test]
    fn a_file_alone_says_it_all() {
        let found = settings(FILE, "run --config FILE", None).unwrap();
        assert_eq!(found.mode, Mode::Backfill);
        assert_eq!(
            found.source.selection.words(),
            ["shop.orders", "shop.users"]
        );
        assert_eq!(found.source.conditions.len(), 1);
        assert_eq!(found.source.server_id, Some(7));
        assert_eq!(found.sink, SinkChoice::File("one.jsonl".into()));
        assert_eq!((found.readers, password(&found).as_str()), (3, "from-file"));
        assert!(!found.events.output_xoffset && !found.events.output_nulls);
    }

    #[test]
    fn url_and_flags_override_the_file() {
        let words = "run --config FILE mysql://b:from-url@two/mall stock --sink stdout --readers 5 --output-nulls --output_xoffset=true --checkpoint two --until now";
        let found = settings(FILE, words, Some("from-variable")).unwrap();
        assert_eq!(found.source.selection.words(), ["mall.stock"]);
        assert!(found.source.conditions.is_empty());
        assert_eq!(found.source.connect.user, "b");
        assert_eq!(password(&found), "from-url");
        assert_eq!(found.source.connect.tls.mode.name(), "verify-identity");
        assert_eq!(
            (found.sink, found.readers, found.until),
            (SinkChoice::Stdout, 5, Until::Now)
        );
        assert!(found.events.output_xoffset && found.events.output_nulls);
        assert_eq!(found.checkpoint, Some("two".into()));
    }

    #[test]
    fn the_password_comes_from_the_nearest_place() {
        let with = |words: &str, variable| password(&settings(FILE, words, variable).unwrap());
        assert_eq!(with("run --config FILE", Some("variable")), "variable");
        assert_eq!(
            with("run --config FILE mysql://b@two/mall", None),
            "from-file"
        );
        assert_eq!(
            with("run --config FILE mysql://b:u@two/mall", Some("variable")),
            "u"
        );
        let twice = settings(FILE, "run mysql://b:u@two/mall --password-file FILE", None);
        assert!(matches!(twice, Err(Failure::Error(error)) if error.message().contains("twice")));
    }

    #[test]
    fn cdc_starts_where_the_file_says_and_a_flag_wins() {
        let place = |file: &str, pos| StartAt::Place {
            file: file.into(),
            pos,
        };
        let found = settings(FILE, "cdc --config FILE", None).unwrap();
        assert_eq!((found.mode, found.start), (Mode::Cdc, place("b.1", 4)));
        let found = settings(FILE, "cdc --config FILE --from c.000002:99", None).unwrap();
        assert_eq!(found.start, place("c.000002", 99));
        let initial = FILE.replace("startup_mode: specific", "startup_mode: initial");
        assert_eq!(
            settings(&initial, "cdc --config FILE", None).unwrap().mode,
            Mode::Both
        );
        assert_eq!(
            settings("", "cdc mysql://a@b/c", None).unwrap().start,
            StartAt::Now
        );
    }

    #[test]
    fn a_backfill_ignores_the_files_mode() {
        let found = settings(
            &FILE.replace("mode: backfill", "mode: cdc"),
            "backfill --config FILE",
            None,
        )
        .unwrap();
        assert_eq!(found.mode, Mode::Backfill);
        assert_eq!(
            settings("", "run mariadb://a@b/c", None).unwrap().mode,
            Mode::Both
        );
    }
}

#[test]
fn the_checkpoint_of_a_file_is_found_without_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.yaml");
    let checkpoint = |text: &str| {
        std::fs::write(&path, text).unwrap();
        super::checkpoint_in(&path, &variables)
    };
    let text = "connections: {mysql: {host: h, user: u, password: '${UNSET}'}}\ncheckpoint: '${HOST}.checkpoint'\n";
    assert_eq!(
        checkpoint(text).unwrap(),
        std::path::Path::new("db.internal.checkpoint")
    );
    for none in ["", "sink: null\n", "checkpoint: ''\n", "checkpoint: [a]\n"] {
        assert!(checkpoint(none).is_err(), "{none}");
    }
    assert!(checkpoint("checkpoint: '${UNSET}'\n").is_err());
}

#[test]
fn http_is_told_what_is_wrong_with_it_in_its_place() {
    insta::assert_snapshot!(said("http: {listen: nowhere, token: a, token_file: b}\n"), @r"
    shop.yaml:1:16: `nowhere` is no address to listen at
      write HOST:PORT (127.0.0.1:8642, [::1]:8642), or a port alone for the loopback address
    shop.yaml:1:47: both `token` and `token_file` are given
      keep one of them
    ");
    insta::assert_snapshot!(said("http: {port: 8642}\n"), @r"
    shop.yaml:1:8: unknown key `port` in `http`
      it belongs under `connections.mysql`; expected: listen, token, token_file, tls
    ");
}

/// What the section `kafka` may hold.
const KAFKA: &str = "\
sink: kafka
kafka:
  bootstrap_servers: ${HOST}:9092
  kafka_topic: '%{database}_%{table}'
  producer_partition_by: column
  producer_partition_columns: [customer_id]
  producer_partition_by_fallback: table
  kafka_partition_hash: murmur3
  kafka_key_format: array
  tombstones: true
  headers: [table, type]
  record_too_large: dead_letter
  dead_letter_topic: dead
  topic_partitions: 12
  exactly_once: true
  transactional_id: shop
  properties:
    security.protocol: SASL_SSL
    sasl.password: ${SECRET}
    linger.ms: 20
";

#[test]
fn the_section_of_kafka_is_read_and_its_properties_are_the_client_s() {
    let file = good(KAFKA);
    let options =
        super::kafka::options(None, None, &super::Kafka::default(), file.kafka.as_ref()).unwrap();
    assert_eq!(options.bootstrap_servers, "db.internal:9092");
    assert_eq!(options.topic.as_str(), "%{database}_%{table}");
    assert_eq!(
        options.exactly_once.as_ref().unwrap().transactional_id,
        "shop"
    );
    assert!(options.tombstones);
    assert_eq!(options.headers.len(), 2);
    assert_eq!(options.properties.len(), 3);
    assert!(!format!("{options:?}").contains("hunter2"), "{options:?}");
    let flags = super::Kafka {
        kafka_topic: Some("other".into()),
        ..super::Kafka::default()
    };
    let over = super::kafka::options(Some("h:1"), None, &flags, file.kafka.as_ref()).unwrap();
    assert_eq!(
        (over.bootstrap_servers.as_str(), over.topic.as_str()),
        ("h:1", "other")
    );
}

#[test]
fn what_is_wrong_in_the_section_of_kafka_is_told_where_it_stands() {
    let with = |from: &str, to: &str| said(&KAFKA.replace(from, to));
    insta::assert_snapshot!(with("'%{database}_%{table}'", "'%{db}'"), @r"
    shop.yaml:3:3: `kafka_topic`: `%{db}` is none of %{database}, %{table}, %{type}
      write a topic's name, with %{database}, %{table} and %{type} where they are to be replaced
    ");
    insta::assert_snapshot!(with("  dead_letter_topic: dead\n", ""), @r"
    shop.yaml:3:3: `record_too_large: dead_letter` does not say where dead letters go
      add `dead_letter_topic: NAME`
    ");
    insta::assert_snapshot!(with("linger.ms: 20", "acks: 1"), @r"
    shop.yaml:3:3: the Kafka property `acks` cannot be set to this
      leave it out: an event counts as written only when all in-sync replicas have it
    ");
    insta::assert_snapshot!(with("kafka_key_format: array", "kafka_key_format: arry"), @r"
    shop.yaml:9:21: kafka.kafka_key_format is `arry`, and should be one of hash, array
      did you mean `array`?
    ");
    let unknown = with("sasl.password", "sasl.pasword");
    assert!(
        unknown.contains("sasl.pasword") && !unknown.contains("hunter2"),
        "{unknown}"
    );
}
