use std::sync::Arc;

use headwater_core::schema::TableName;
use proptest::prelude::*;

use super::*;
use crate::schema::definition::{ColumnType, TableDefinition};

fn rules(mariadb: bool) -> Rules {
    Rules::new("shop", SqlMode::default(), mariadb)
}

fn effects(sql: &str) -> Vec<Effect> {
    parse(sql, &rules(true))
}

fn one(sql: &str) -> Effect {
    let mut effects = effects(sql);
    assert_eq!(effects.len(), 1, "{sql}: {effects:?}");
    effects.remove(0)
}

fn name(table: &str) -> TableName {
    TableName::new("shop", table)
}

fn utf8mb4() -> Charset {
    Charset {
        charset: Some("utf8mb4".into()),
        collation: None,
    }
}

/// The definition that a CREATE TABLE gives, followed by the ALTERs behind it.
fn table(statements: &[&str]) -> TableDefinition {
    let mut table = None;
    for sql in statements {
        for effect in effects(sql) {
            match effect {
                Effect::CreateTable {
                    name,
                    definition: Reading::Known(draft),
                    ..
                } => {
                    table = Some(resolve(&draft, &name, &utf8mb4()).unwrap());
                }
                Effect::AlterTable {
                    changes: Reading::Known(changes),
                    ..
                } => {
                    apply(table.as_mut().unwrap(), &changes).unwrap();
                }
                other => panic!("{sql}: {other:?}"),
            }
        }
    }
    table.unwrap()
}

fn names(table: &TableDefinition) -> Vec<&str> {
    table.columns.iter().map(|column| &*column.name).collect()
}

#[test]
fn statements_that_end_other_followers_are_understood() {
    let statements = [
        // Maxwell #2118, #2166, #1360, #1931, #976, and Debezium's.
        "ALTER TABLE t ADD a INT CONSTRAINT c CHECK (a > 0)",
        "ALTER TABLE t ADD a VARCHAR(9) DEFAULT _utf8mb4'x'",
        "ALTER TABLE t ADD a VARCHAR(9) DEFAULT _latin1 x'41' COLLATE latin1_bin",
        "CREATE TABLE t (a INT) PAGE_COMPRESSED=1 `PAGE_COMPRESSION_LEVEL`=9",
        "SET STATEMENT max_statement_time=0 FOR ALTER TABLE t ADD a INT",
        "ALTER TABLE IF EXISTS t DROP COLUMN IF EXISTS b, ADD COLUMN IF NOT EXISTS c INT",
        "CREATE TABLE t (a INT COMMENT 'x' COMPRESSED='zlib', b TEXT COMPRESSED)",
        "CREATE TABLE t (a ENUM('a', 'b') CHARACTER SET latin1 COLLATE latin1_bin DEFAULT 'a' NOT NULL)",
        "CREATE TABLE t (a INT DEFAULT (1 + (2)), b DATETIME DEFAULT NOW() ON UPDATE NOW(), c INT AS (a) STORED)",
        "CREATE TABLE t (a INT, PRIMARY KEY (a) USING BTREE, FULLTEXT KEY f (b) WITH PARSER ngram, b TEXT)",
        "CREATE TABLE t (a INT, b INT) PARTITION BY RANGE (a) (PARTITION p VALUES LESS THAN (1) ENGINE = InnoDB)",
        "CREATE TABLE t (a INT) ENGINE=InnoDB START TRANSACTION",
        "CREATE TABLE t (a VARCHAR(3) CHARSET 'utf8mb4') CHARACTER SET 'utf8mb4', COLLATE 'utf8mb4_bin'",
        "ALTER TABLE t ADD a INT AFTER b, ALGORITHM = INPLACE, LOCK = NONE;",
        "ALTER TABLE t ADD INDEX i (a(10), b DESC), ADD FULLTEXT (c), ADD SPATIAL INDEX (d)",
        "ALTER TABLE t ADD CONSTRAINT FOREIGN KEY (a) REFERENCES u (a) ON DELETE SET NULL",
        "ALTER TABLE t ADD CONSTRAINT `x` UNIQUE INDEX y (a)",
    ];
    for sql in statements {
        for effect in effects(sql) {
            let known = match &effect {
                Effect::CreateTable { definition, .. } => matches!(definition, Reading::Known(_)),
                Effect::AlterTable { changes, .. } => matches!(changes, Reading::Known(_)),
                Effect::Irrelevant => true,
                _ => false,
            };
            // The last word of the third is not in any grammar, and only makes the statement unknown.
            assert!(known || sql.contains("latin1 x'41'"), "{sql}: {effect:?}");
        }
    }
}

#[test]
fn what_changes_no_table_is_irrelevant() {
    let statements = [
        "",
        "  ",
        ";",
        "# Dummy event replacing event type 160",
        "/* only */ -- comments",
        "CREATE OR REPLACE ALGORITHM=MERGE DEFINER=`a`@`%` SQL SECURITY INVOKER VIEW v AS SELECT 1",
        "CREATE DEFINER=root@localhost TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN DROP TABLE x; END",
        "CREATE USER a@b IDENTIFIED BY 'c'",
        "GRANT ALL ON *.* TO a",
        "DROP ROLE r",
        "ALTER USER a ACCOUNT LOCK",
        "CREATE TEMPORARY TABLE t (a INT)",
        "DROP TEMPORARY TABLE t",
        "CREATE OR REPLACE TEMPORARY TABLE t (a INT)",
        "ANALYZE TABLE t",
        "OPTIMIZE TABLE t",
        "FLUSH TABLES",
        "REPAIR TABLE t",
        "CREATE INDEX i ON t (a)",
        "SET PASSWORD FOR a = 'x'",
        "ALTER EVENT e ENABLE",
        "DROP FUNCTION IF EXISTS f",
        "RENAME USER a TO b",
        "SET STATEMENT a=1 FOR ANALYZE TABLE t",
        "ALTER TABLE t ENGINE=InnoDB",
        "ALTER TABLE t FORCE",
    ];
    for sql in statements {
        assert_eq!(one(sql), Effect::Irrelevant, "{sql}");
    }
    for sql in [
        "BEGIN",
        "COMMIT",
        "XA START 'a'",
        "SAVEPOINT s",
        "ROLLBACK TO s",
        "START TRANSACTION",
    ] {
        assert_eq!(one(sql), Effect::TransactionControl, "{sql}");
    }
    for sql in [
        "INSERT INTO t VALUES (1)",
        "update t set a=1",
        "/* x */ DELETE FROM t",
    ] {
        assert_eq!(one(sql), Effect::StatementRows, "{sql}");
    }
}

#[test]
fn what_is_not_understood_is_unknown_for_its_tables_only() {
    let unknown = [
        "ALTER TABLE t FROBNICATE a, ADD b INT",
        "ALTER TABLE t ADD a HYPERINT",
        "ALTER TABLE t ADD a INT QUANTUM",
        "ALTER TABLE t ADD a INT 'unclosed",
        "ALTER TABLE t DROP SYSTEM VERSIONING",
        "ALTER TABLE t CONVERT TO CHARACTER SET DEFAULT",
    ];
    for sql in unknown {
        let expected = Effect::AlterTable {
            name: name("t"),
            changes: Reading::Unknown,
            rename_to: None,
        };
        assert_eq!(one(sql), expected, "{sql}");
    }
    for sql in [
        "CREATE TABLE t (a HYPERINT)",
        "CREATE TABLE t SELECT 1 AS a",
        "CREATE TABLE t (a INT) AS SELECT 1",
    ] {
        let known = matches!(
            one(sql),
            Effect::CreateTable {
                definition: Reading::Unknown,
                ..
            }
        );
        assert!(known, "{sql}");
    }
    let renamed = one("ALTER TABLE t FROBNICATE a, RENAME TO u");
    assert!(matches!(renamed, Effect::AlterTable { rename_to: Some(to), .. } if to == name("u")));
    let Effect::Unparsable { tables, .. } = one("VACUUM TABLE a.b, c") else {
        panic!()
    };
    assert_eq!(tables, [TableName::new("a", "b"), name("c")]);
    let Effect::Unparsable { tables, database } = one("DISTRIBUTE EVERYTHING") else {
        panic!()
    };
    assert!(tables.is_empty() && &*database == "shop");
}

#[test]
fn oracle_mode_makes_types_unknown() {
    let rules = Rules::new("shop", SqlMode::from_bits(0x200), true);
    let effects = parse("CREATE TABLE t (a DATE)", &rules);
    assert!(matches!(
        &effects[0],
        Effect::CreateTable {
            definition: Reading::Unknown,
            ..
        }
    ));
}

#[test]
fn columns_go_to_their_places() {
    let table = table(&[
        "CREATE TABLE t (a INT, b INT, c INT)",
        "ALTER TABLE t ADD d INT FIRST, ADD e INT AFTER a, MODIFY c BIGINT FIRST, DROP b, ADD b DATE",
        "ALTER TABLE t RENAME COLUMN a TO d, RENAME COLUMN d TO a",
    ]);
    assert_eq!(names(&table), ["c", "a", "d", "e", "b"]);
    assert_eq!(table.columns[4].column_type, ColumnType::Date);
}

#[test]
fn keys_follow_their_columns() {
    let table = table(&[
        "CREATE TABLE t (a INT NOT NULL, b INT, c INT UNIQUE, UNIQUE (a, b), UNIQUE KEY k (b(3)), KEY (a))",
        "ALTER TABLE t ADD id SERIAL FIRST, ADD PRIMARY KEY (a, id)",
        "ALTER TABLE t DROP INDEX c, CHANGE a z INT",
    ]);
    assert_eq!(names(&table), ["id", "z", "b", "c"]);
    assert_eq!(table.primary_key, [1, 0]);
    assert!(!table.columns[1].nullable);
    let keys: Vec<_> = table
        .unique_keys
        .iter()
        .map(|key| (&*key.name, key.columns.clone(), key.partial))
        .collect();
    assert_eq!(
        keys,
        [
            ("id", vec![0], false),
            ("a", vec![1, 2], false),
            ("k", vec![2], true)
        ]
    );
}

#[test]
fn character_sets_are_inherited() {
    let table = table(&[
        "CREATE TABLE t (a TEXT, b CHAR(3) CHARSET binary, c VARCHAR(3) COLLATE latin1_bin) COLLATE utf8_bin",
        "ALTER TABLE t ADD d TEXT, DEFAULT CHARSET latin2",
        "ALTER TABLE t ADD e TEXT",
    ]);
    let text = |charset: &str, collation: &str| ColumnType::Text {
        charset: charset.into(),
        collation: collation.into(),
    };
    let types: Vec<_> = table
        .columns
        .iter()
        .map(|column| column.column_type.clone())
        .collect();
    let expected = [
        text("utf8mb3", "utf8mb3_bin"),
        ColumnType::Binary { length: 3 },
        text("latin1", "latin1_bin"),
        text("latin2", ""),
        text("latin2", ""),
    ];
    assert_eq!(types, expected);
    assert_eq!(&*table.charset, "latin2");
}

#[test]
fn an_unknown_default_character_set_makes_a_table_unknown() {
    let Effect::CreateTable {
        definition: Reading::Known(draft),
        ..
    } = one("CREATE TABLE t (a TEXT)")
    else {
        panic!()
    };
    assert!(resolve(&draft, &name("t"), &Charset::default()).is_err());
}

#[test]
fn json_is_text_on_mariadb_only() {
    let Effect::CreateTable {
        definition: Reading::Known(draft),
        ..
    } = parse("CREATE TABLE t (j JSON)", &rules(false)).remove(0)
    else {
        panic!()
    };
    let json = resolve(&draft, &name("t"), &utf8mb4()).unwrap();
    assert_eq!(json.columns[0].column_type, ColumnType::Json);
    let text = table(&["CREATE TABLE t (j JSON, k LONGTEXT CHECK (json_valid(`k`)))"]);
    assert!(
        text.columns
            .iter()
            .all(|column| column.column_type == ColumnType::JsonText)
    );
}

#[test]
fn names_are_folded_where_the_server_folds_them() {
    let rules = Rules {
        lower_case_names: true,
        ..rules(true)
    };
    let expected = Effect::DropTables(vec![
        TableName::new("shop", "abc"),
        TableName::new("x", "y"),
    ]);
    assert_eq!(parse("DROP TABLE ABC, X.`Y`", &rules), [expected]);
}

#[test]
fn a_change_that_does_not_fit_leaves_the_definition_alone() {
    let mut table = table(&["CREATE TABLE t (a INT)"]);
    let before = table.clone();
    for sql in [
        "ALTER TABLE t DROP b",
        "ALTER TABLE t ADD a INT",
        "ALTER TABLE t ADD c INT AFTER d",
    ] {
        let Effect::AlterTable {
            changes: Reading::Known(changes),
            ..
        } = one(sql)
        else {
            panic!("{sql}")
        };
        assert!(apply(&mut table, &changes).is_err(), "{sql}");
        assert_eq!(table, before);
    }
}

#[test]
fn partitions_move_rows() {
    for (sql, moves) in [
        ("ALTER TABLE t DROP PARTITION p", true),
        ("ALTER TABLE t TRUNCATE PARTITION ALL", true),
        (
            "ALTER TABLE t ADD PARTITION (PARTITION p VALUES IN (1))",
            false,
        ),
        (
            "ALTER TABLE t REORGANIZE PARTITION p INTO (PARTITION q VALUES IN (1))",
            false,
        ),
    ] {
        let expected = Effect::AlterPartition {
            name: name("t"),
            moves_rows: moves,
        };
        assert_eq!(one(sql), expected, "{sql}");
    }
    assert_eq!(
        effects("ALTER TABLE t EXCHANGE PARTITION p WITH TABLE u").len(),
        2
    );
}

/// Words and signs that statements are made of.
const SOUP: &[&str] = &[
    "CREATE",
    "TABLE",
    "ALTER",
    "DROP",
    "RENAME",
    "TO",
    "ADD",
    "COLUMN",
    "MODIFY",
    "CHANGE",
    "INT",
    "VARCHAR",
    "(",
    ")",
    "(",
    ")",
    ",",
    ",",
    ".",
    "a",
    "b",
    "t",
    "`c d`",
    "'x'",
    "5",
    "PRIMARY",
    "KEY",
    "UNIQUE",
    "INDEX",
    "NOT",
    "NULL",
    "DEFAULT",
    "AS",
    "CHECK",
    "json_valid",
    "IF",
    "EXISTS",
    "FIRST",
    "AFTER",
    "CHARACTER",
    "SET",
    "COLLATE",
    "latin1",
    "utf8mb4_bin",
    "ENUM",
    "CONVERT",
    "PARTITION",
    "BY",
    "LIKE",
    "SELECT",
    "ON",
    "WITH",
    "SYSTEM",
    "VERSIONING",
    "PERIOD",
    "FOR",
    "ORDER",
    "=",
    ";",
    "/*!",
    "*/",
    "--",
    "\n",
    "'",
    "`",
    "\"",
    "@",
    "\\",
    "é",
    "SERIAL",
    "JSON",
    "TEXT",
    "REFERENCES",
    "CONSTRAINT",
    "FOREIGN",
    "TRUNCATE",
    "DATABASE",
    "STATEMENT",
    "SEQUENCE",
    "INVISIBLE",
    "GENERATED",
    "ALWAYS",
    "ROW",
    "START",
    "END",
    "OR",
    "REPLACE",
    "WAIT",
    "-",
    "1.5e3",
];

fn survives(sql: &str) {
    let base = table(&["CREATE TABLE t (a INT PRIMARY KEY, b TEXT, c JSON, UNIQUE (b(3)))"]);
    for bits in [0, 4, 0x10_0004, 0x201] {
        for mariadb in [true, false] {
            let rules = Rules::new("shop", SqlMode::from_bits(bits), mariadb);
            let effects = parse(sql, &rules);
            assert!(!effects.is_empty());
            for effect in effects {
                match effect {
                    Effect::AlterTable {
                        changes: Reading::Known(changes),
                        ..
                    } => {
                        let mut table = base.clone();
                        if apply(&mut table, &changes).is_ok() {
                            sound(&table);
                        }
                    }
                    Effect::CreateTable {
                        definition: Reading::Known(draft),
                        name,
                        ..
                    } => {
                        if let Ok(table) = resolve(&draft, &name, &utf8mb4()) {
                            sound(&table);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Keys point at columns that are there.
fn sound(table: &TableDefinition) {
    let keys = table.unique_keys.iter().flat_map(|key| &key.columns);
    assert!(
        table
            .primary_key
            .iter()
            .chain(keys)
            .all(|&column| column < table.columns.len())
    );
    _ = table.to_schema();
}

proptest! {
    #[test]
    fn no_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        survives(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_soup_of_tokens_is_refused(
        head in proptest::sample::select(&["", "CREATE TABLE t (", "ALTER TABLE t ", "ALTER TABLE t ADD "][..]),
        words in proptest::collection::vec(proptest::sample::select(SOUP), 0..40),
    ) {
        survives(&format!("{head}{}", words.join(" ")));
    }
}

#[test]
fn deep_nesting_is_survived() {
    survives(&format!(
        "ALTER TABLE t ADD a INT CHECK {}",
        "(".repeat(100_000)
    ));
    let nested = format!("{}1{}", "(".repeat(50_000), ")".repeat(50_000));
    survives(&format!("CREATE TABLE t (a INT CHECK {nested})"));
    let labels: Arc<str> = vec!["'x'"; 60_000].join(",").into();
    survives(&format!("CREATE TABLE t (a ENUM({labels}))"));
}
