//! Tables that change their shape while the stream runs and while it is stopped, with the log's own definitions and
//! without them: every row comes out under the names it was written with.

use headwater_core::engine::Mode;
use headwater_servers::{Flavor, Instance};

use crate::harness::{Host, Run, database, on_every_server, shorts, start, table};

/// A script, and the events that are to come of it.
struct Story {
    name: &'static str,
    /// What is there before the stream begins.
    before: &'static str,
    script: &'static str,
    events: &'static [&'static str],
}

const STORIES: [Story; 12] = [
    Story {
        name: "columns come, go, change and get other names",
        before: "CREATE TABLE t (id INT PRIMARY KEY, a INT); INSERT INTO t VALUES (0, 0);",
        script: "INSERT INTO t VALUES (1, 1);
            ALTER TABLE t ADD COLUMN b VARCHAR(10) AFTER id; INSERT INTO t VALUES (2, 'b', 2);
            ALTER TABLE t MODIFY a BIGINT UNSIGNED; INSERT INTO t VALUES (3, 'c', 18446744073709551615);
            ALTER TABLE t CHANGE b `B 2` VARCHAR(20) CHARACTER SET latin1; INSERT INTO t VALUES (4, 'é', 4);
            ALTER TABLE t RENAME COLUMN a TO z, DROP COLUMN `B 2`; INSERT INTO t VALUES (5, 5);
            ALTER TABLE t ADD COLUMN first DATE FIRST, ADD COLUMN e ENUM('x','y'); INSERT INTO t VALUES ('2024-01-02', 6, 6, 'y');
            UPDATE t SET z = 7 WHERE id = 6; DELETE FROM t WHERE id = 6;",
        events: &[
            r#"insert t {"id":1,"a":1}"#,
            r#"insert t {"id":2,"b":"b","a":2}"#,
            r#"insert t {"id":3,"b":"c","a":18446744073709551615}"#,
            r#"insert t {"id":4,"B 2":"é","a":4}"#,
            r#"insert t {"id":5,"z":5}"#,
            r#"insert t {"first":"2024-01-02","id":6,"z":6,"e":"y"}"#,
            r#"update t {"first":"2024-01-02","id":6,"z":7,"e":"y"},"old":{"z":6}"#,
            r#"delete t {"first":"2024-01-02","id":6,"z":7,"e":"y"}"#,
        ],
    },
    Story {
        name: "two columns of one type swap their names",
        before: "CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT);",
        script: "INSERT INTO t (id, a, b) VALUES (1, 10, 20);
            ALTER TABLE t RENAME COLUMN a TO b, RENAME COLUMN b TO a;
            INSERT INTO t (id, a, b) VALUES (2, 10, 20);
            ALTER TABLE t MODIFY a INT AFTER id; INSERT INTO t (id, a, b) VALUES (3, 10, 20);",
        events: &[
            r#"insert t {"id":1,"a":10,"b":20}"#,
            r#"insert t {"id":2,"b":20,"a":10}"#,
            r#"insert t {"id":3,"a":10,"b":20}"#,
        ],
    },
    Story {
        name: "a table gets another name, and its old name another table",
        before: "CREATE TABLE t (id INT PRIMARY KEY, a INT);",
        script: "INSERT INTO t VALUES (1, 1); RENAME TABLE t TO u; INSERT INTO u VALUES (2, 2);
            CREATE TABLE t (id INT PRIMARY KEY, other INT, more INT); INSERT INTO t VALUES (3, 3, 3);
            ALTER TABLE u RENAME TO v; INSERT INTO v VALUES (4, 4);",
        events: &[
            r#"insert t {"id":1,"a":1}"#,
            r#"insert u {"id":2,"a":2}"#,
            r#"insert t {"id":3,"other":3,"more":3}"#,
            r#"insert v {"id":4,"a":4}"#,
        ],
    },
    Story {
        name: "two tables of one shape swap their names",
        before: "CREATE TABLE t (id INT PRIMARY KEY, a INT); CREATE TABLE u (id INT PRIMARY KEY, b INT);",
        script: "RENAME TABLE t TO swap_, u TO t, swap_ TO u;
            INSERT INTO t VALUES (1, 1); INSERT INTO u VALUES (2, 2);",
        events: &[r#"insert t {"id":1,"b":1}"#, r#"insert u {"id":2,"a":2}"#],
    },
    Story {
        name: "an online schema change swaps its shadow in",
        before: "CREATE TABLE t (id INT PRIMARY KEY, a INT); INSERT INTO t VALUES (1, 1);",
        script: "CREATE TABLE _t_gho LIKE t; ALTER TABLE _t_gho ADD COLUMN b INT FIRST, DROP COLUMN a;
            CREATE TABLE _t_ghc (id INT PRIMARY KEY, hint VARCHAR(64)); INSERT INTO _t_ghc VALUES (1, 'x');
            INSERT INTO _t_gho (id, b) SELECT id, a FROM t; INSERT INTO t VALUES (2, 2); INSERT INTO _t_gho VALUES (2, 2);
            RENAME TABLE t TO _t_del, _t_gho TO t; INSERT INTO t VALUES (30, 3); DROP TABLE _t_del; DROP TABLE _t_ghc;
            UPDATE t SET b = 9 WHERE id = 2;",
        events: &[
            r#"insert t {"id":2,"a":2}"#,
            r#"insert t {"b":30,"id":3}"#,
            r#"update t {"b":9,"id":2},"old":{"b":2}"#,
        ],
    },
    Story {
        name: "a table is emptied and goes on",
        before: "CREATE TABLE t (id INT PRIMARY KEY, a INT); INSERT INTO t VALUES (1, 1);",
        script: "TRUNCATE t; INSERT INTO t VALUES (1, 2); TRUNCATE TABLE t; INSERT INTO t VALUES (1, 3);",
        events: &[r#"insert t {"id":1,"a":2}"#, r#"insert t {"id":1,"a":3}"#],
    },
    Story {
        name: "tables are made like others, and from others",
        before: "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(5) CHARACTER SET latin1); INSERT INTO t VALUES (1, 'é');",
        script: "CREATE TABLE l LIKE t; INSERT INTO l VALUES (2, 'ü');
            CREATE TABLE s SELECT * FROM t; INSERT INTO s VALUES (3, 'ö');
            CREATE TABLE s2 (n INT, UNIQUE (n)) SELECT id AS n, 'x' AS extra FROM t; INSERT INTO s2 VALUES (4, 'y');",
        events: &[
            r#"insert l {"id":2,"a":"ü"}"#,
            r#"insert s {"id":1,"a":"é"}"#,
            r#"insert s {"id":3,"a":"ö"}"#,
            r#"insert s2 {"n":1,"extra":"x"}"#,
            r#"insert s2 {"n":4,"extra":"y"}"#,
        ],
    },
    Story {
        name: "a table is dropped and made again with another shape",
        before: "CREATE TABLE t (id INT PRIMARY KEY, a INT);",
        script: "INSERT INTO t VALUES (1, 1); DROP TABLE t;
            CREATE TABLE t (id INT, name VARCHAR(10), PRIMARY KEY (name)); INSERT INTO t VALUES (2, 'two');
            DROP TABLE IF EXISTS t, nothing; CREATE TABLE t (x INT, y INT); INSERT INTO t VALUES (3, 3);",
        events: &[
            r#"insert t {"id":1,"a":1}"#,
            r#"insert t {"id":2,"name":"two"}"#,
            r#"insert t {"x":3,"y":3}"#,
        ],
    },
    Story {
        name: "the key changes",
        before: "CREATE TABLE t (id INT, code VARCHAR(5));",
        script: "INSERT INTO t VALUES (1, 'a'); ALTER TABLE t MODIFY id INT NOT NULL, ADD PRIMARY KEY (id);
            UPDATE t SET code = 'b'; ALTER TABLE t DROP PRIMARY KEY, ADD UNIQUE KEY k (id);
            UPDATE t SET id = 2; DROP INDEX k ON t; DELETE FROM t;",
        events: &[
            r#"insert t {"id":1,"code":"a"}"#,
            r#"update t {"id":1,"code":"b"},"old":{"code":"a"}"#,
            r#"update t {"id":2,"code":"b"},"old":{"id":1}"#,
            r#"delete t {"id":2,"code":"b"}"#,
        ],
    },
    Story {
        name: "character sets are converted",
        before: "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(10)) CHARSET latin1; INSERT INTO t VALUES (1, 'é');",
        script: "INSERT INTO t VALUES (2, 'ü'); ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4; INSERT INTO t VALUES (3, 'ж');
            ALTER TABLE t DEFAULT CHARSET latin1; ALTER TABLE t ADD b VARCHAR(5); INSERT INTO t VALUES (4, 'ж', 'é');",
        events: &[
            r#"insert t {"id":2,"a":"ü"}"#,
            r#"insert t {"id":3,"a":"ж"}"#,
            r#"insert t {"id":4,"a":"ж","b":"é"}"#,
        ],
    },
    Story {
        name: "statements of every other kind",
        before: "CREATE TABLE t (id INT PRIMARY KEY, a INT);",
        script: "CREATE USER IF NOT EXISTS someone; DROP USER someone; CREATE VIEW v AS SELECT * FROM t;
            CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.a = NEW.a + 1;
            INSERT INTO t VALUES (1, 1); DROP TRIGGER tr; DROP VIEW v;
            CREATE PROCEDURE p() INSERT INTO t VALUES (2, 2); CALL p(); DROP PROCEDURE p;
            ANALYZE TABLE t; OPTIMIZE TABLE t; FLUSH TABLES;
            CREATE TEMPORARY TABLE tmp (a INT); INSERT INTO tmp VALUES (1); DROP TEMPORARY TABLE tmp;
            CREATE INDEX i ON t (a); ALTER TABLE t COMMENT 'x', ENGINE = InnoDB; INSERT INTO t VALUES (3, 3);
            ALTER TABLE t ADD CONSTRAINT c CHECK (a < 100), ALTER a SET DEFAULT 5; INSERT INTO t (id) VALUES (4);
            CREATE DATABASE other_one; CREATE TABLE other_one.t (no INT); INSERT INTO other_one.t VALUES (1); DROP DATABASE other_one;",
        events: &[
            r#"insert t {"id":1,"a":2}"#,
            r#"insert t {"id":2,"a":2}"#,
            r#"insert t {"id":3,"a":3}"#,
            r#"insert t {"id":4,"a":5}"#,
        ],
    },
    Story {
        name: "partitions",
        before: "CREATE TABLE t (id INT PRIMARY KEY, a INT) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20));",
        script: "INSERT INTO t VALUES (1, 1), (11, 1); ALTER TABLE t DROP PARTITION p0;
            ALTER TABLE t ADD PARTITION (PARTITION p2 VALUES LESS THAN (30)); INSERT INTO t VALUES (21, 2);
            ALTER TABLE t TRUNCATE PARTITION p1; INSERT INTO t VALUES (11, 3); ALTER TABLE t REMOVE PARTITIONING; DELETE FROM t WHERE id = 21;",
        events: &[
            r#"insert t {"id":1,"a":1}"#,
            r#"insert t {"id":11,"a":1}"#,
            r#"insert t {"id":21,"a":2}"#,
            r#"insert t {"id":11,"a":3}"#,
            r#"delete t {"id":21,"a":2}"#,
        ],
    },
];

fn with_metadata(server: &Instance, metadata: &str) {
    server.admin(&format!(
        "SET GLOBAL binlog_row_metadata = {metadata}; DROP DATABASE IF EXISTS d; CREATE DATABASE d CHARACTER SET utf8mb4"
    ));
}

/// What went out for a story, told apart from what should have.
fn judge(story: &Story, how: &str, lines: &[String]) -> Option<String> {
    let found = shorts(lines);
    (found != story.events).then(|| format!("{how}: {}:\n  {}", story.name, found.join("\n  ")))
}

async fn tell(server: &Instance, story: &Story, how: &str) -> Option<String> {
    let in_d = |sql: &str| server.admin(&format!("SET NAMES utf8mb4; USE d; {sql}"));
    in_d(story.before);
    let run = server.run(database("d"));
    let token = run.token_now().await;
    let streaming = run.afresh().from(&token).follow();
    // All at once while it is stopped, statement by statement while it runs: the log is the same, and read anew below.
    in_d(story.script);
    streaming.lines(story.events.len()).await;
    let live = streaming.stop().await.ok();
    let stopped = run.afresh().from(&token).go().await.ok();
    judge(story, &format!("{how}, streaming"), &live)
        .or_else(|| judge(story, &format!("{how}, stopped"), &stopped))
}

async fn rows_have_the_names_they_were_written_with(flavor: Flavor) {
    let server = start(flavor, &["--explicit-defaults-for-timestamp=1"]);
    let mut failed = Vec::new();
    for metadata in ["FULL", "MINIMAL"] {
        for story in &STORIES {
            with_metadata(&server, metadata);
            failed.extend(tell(&server, story, metadata).await);
        }
    }
    assert!(
        failed.is_empty(),
        "{} failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

/// The same checkpoint, stopped between any two statements of a script.
async fn a_stream_that_stops_between_any_two_statements_goes_on(flavor: Flavor) {
    let server = start(flavor, &[]);
    let in_d = |sql: &str| server.admin(&format!("SET NAMES utf8mb4; USE d; {sql}"));
    for metadata in ["FULL", "MINIMAL"] {
        for story in STORIES.iter().take(5) {
            with_metadata(&server, metadata);
            in_d(story.before);
            let run: Run = server.run(database("d")).mode(Mode::Cdc);
            run.go().await.ok();
            let statements: Vec<_> = story
                .script
                .split(';')
                .filter(|sql| !sql.trim().is_empty())
                .collect();
            for pair in statements.chunks(2) {
                in_d(&pair.join(";"));
                run.go().await.ok();
            }
            let wrong = judge(story, metadata, &run.output.lines());
            assert!(wrong.is_none(), "{}", wrong.unwrap());
        }
    }
}

/// Statements that nobody can follow: the stream goes on, by the log's definitions or by the server's.
async fn a_statement_that_is_not_understood_does_not_end_the_stream(flavor: Flavor) {
    let server = start(flavor, &[]);
    for metadata in ["FULL", "MINIMAL"] {
        with_metadata(&server, metadata);
        server.admin("USE d; CREATE TABLE t (id INT PRIMARY KEY, a INT)");
        let run = server.run(database("d"));
        let mut token = run.token_now().await;
        server.admin("USE d; ALTER TABLE t ADD COLUMN b INT DEFAULT 5; INSERT INTO t VALUES (1, 1, 1); INSERT INTO t VALUES (2, 2, 2)");
        // As if the statement had not been understood: the definitions say nothing of the table.
        token.definitions = serde_json::json!({"databases": {}, "tables": [{"unknown": {"name": {"database": "d", "table": "t"}}}]});
        let lines = run.afresh().from(&token).go().await.ok();
        let expected = [
            r#"insert t {"id":1,"a":1,"b":1}"#,
            r#"insert t {"id":2,"a":2,"b":2}"#,
        ];
        assert_eq!(shorts(&lines), expected, "{metadata}");
        // Nothing in the log or on the server tells what these rows were.
        server.admin("USE d; ALTER TABLE t DROP COLUMN b");
        let late = run.afresh().from(&token).go().await;
        if metadata == "FULL" {
            assert_eq!(shorts(&late.ok()), expected);
        } else {
            let error = late.error();
            assert_eq!(
                error.kind(),
                headwater_core::ErrorKind::SchemaMismatch,
                "{error:?}"
            );
            assert!(
                error.hint_text().unwrap().contains("binlog_row_metadata"),
                "{error:?}"
            );
        }
    }
}

/// A compressed transaction arrives as one event: its end is there before the definitions of its tables are.
async fn several_unknown_tables_in_one_compressed_transaction_are_read(flavor: Flavor) {
    let server = start(flavor, &[]);
    with_metadata(&server, "MINIMAL");
    server.admin(if flavor.is_mariadb() {
        "SET GLOBAL log_bin_compress = ON, GLOBAL log_bin_compress_min_len = 10"
    } else {
        "SET GLOBAL binlog_transaction_compression = ON"
    });
    let run = server.run(database("d"));
    let mut token = run.token_now().await;
    server.admin(
        "USE d; CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(300)); CREATE TABLE u (x INT, y INT);
         BEGIN; INSERT INTO t VALUES (1, REPEAT('a', 200)); INSERT INTO u VALUES (2, 3); UPDATE t SET a = 'b'; COMMIT",
    );
    let unknown =
        |name: &str| serde_json::json!({"unknown": {"name": {"database": "d", "table": name}}});
    token.definitions =
        serde_json::json!({"databases": {}, "tables": [unknown("t"), unknown("u")]});
    // The statements that made the tables tell what they are, so the log is read from behind them too.
    let known = run.afresh().from(&token).go().await.ok();
    let long = "a".repeat(200);
    let expected = [
        format!(r#"insert t {{"id":1,"a":"{long}"}}"#),
        r#"insert u {"x":2,"y":3}"#.to_owned(),
        format!(r#"update t {{"id":1,"a":"b"}},"old":{{"a":"{long}"}}"#),
    ];
    assert_eq!(shorts(&known), expected);
    let mut behind = run.token_now().await;
    server.admin("USE d; BEGIN; DELETE FROM u; DELETE FROM t; INSERT INTO u VALUES (4, 5); COMMIT");
    behind.definitions = token.definitions.clone();
    assert_eq!(
        shorts(&run.afresh().from(&behind).go().await.ok()),
        [
            r#"delete u {"x":2,"y":3}"#,
            r#"delete t {"id":1,"a":"b"}"#,
            r#"insert u {"x":4,"y":5}"#
        ]
    );
}

async fn a_table_that_is_named_alone_is_followed_through_a_swap(flavor: Flavor) {
    let server = start(flavor, &[]);
    for metadata in ["FULL", "MINIMAL"] {
        with_metadata(&server, metadata);
        server.admin(
            "USE d; CREATE TABLE t (id INT PRIMARY KEY, a INT); INSERT INTO t VALUES (1, 1)",
        );
        let mut run = server.run(table("d", "t"));
        run.options.mode = Mode::Both;
        run.go().await.ok();
        server.admin(
            "USE d; INSERT INTO t VALUES (2, 2); CREATE TABLE _t_new (id INT PRIMARY KEY, a INT, b INT); INSERT INTO _t_new VALUES (1, 1, 0), (2, 2, 0);
             RENAME TABLE t TO _t_old, _t_new TO t; INSERT INTO t VALUES (3, 3, 3); DROP TABLE _t_old",
        );
        let lines = run.go().await.ok();
        assert_eq!(
            shorts(&lines),
            [
                r#"bootstrap t {"id":1,"a":1}"#,
                r#"insert t {"id":2,"a":2}"#,
                r#"insert t {"id":3,"a":3,"b":3}"#
            ]
        );
    }
}

on_every_server!(
    rows_have_the_names_they_were_written_with,
    a_stream_that_stops_between_any_two_statements_goes_on,
    a_statement_that_is_not_understood_does_not_end_the_stream,
    several_unknown_tables_in_one_compressed_transaction_are_read,
    a_table_that_is_named_alone_is_followed_through_a_swap,
);
