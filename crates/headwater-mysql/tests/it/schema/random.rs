//! Random alterations of one table, from a seed.

use std::fmt::Write as _;

use headwater_mysql::schema::{ColumnType, TableDefinition};

/// The seed: from the environment; else always the same one, but in a soak (`HEADWATER_SOAK`) a new one.
pub(super) fn seed() -> u64 {
    let given = std::env::var("HEADWATER_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let now = || {
        std::time::UNIX_EPOCH.elapsed().map_or(1, |since| {
            since.as_secs() << 20 | u64::from(since.subsec_micros())
        })
    };
    let soak = std::env::var_os("HEADWATER_SOAK").is_some();
    given.unwrap_or_else(|| if soak { now() } else { 20_261_121 })
}

/// Random numbers (splitmix64, Steele and others 2014), the same for one seed.
pub(super) struct Random(u64);

const TYPES: &[&str] = &[
    "INT",
    "INT UNSIGNED",
    "TINYINT(1)",
    "BIGINT(20) UNSIGNED ZEROFILL",
    "SMALLINT SIGNED",
    "MEDIUMINT",
    "BOOL",
    "VARCHAR(20)",
    "VARCHAR(20) CHARACTER SET latin1",
    "CHAR(3) COLLATE utf8mb4_bin",
    "TEXT",
    "LONGTEXT CHARSET utf8mb4",
    "NVARCHAR(10)",
    "VARBINARY(9)",
    "BINARY(4)",
    "BLOB",
    "DECIMAL(10,2)",
    "NUMERIC",
    "FLOAT",
    "FLOAT(30)",
    "DOUBLE PRECISION",
    "DATE",
    "DATETIME(3)",
    "TIME(6)",
    "TIMESTAMP NULL",
    "YEAR",
    "BIT(9)",
    "ENUM('a','b''c','d,e')",
    "SET('x','y)')",
    "JSON",
    "TINYTEXT",
    "REAL",
    "DEC(5)",
    "INT8",
    "CHAR",
    "POINT",
    "VARCHAR(7) BINARY",
];

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn column(&mut self) -> String {
        format!("c{}", self.below(12))
    }

    fn attributes(&mut self) -> String {
        let mut text = String::new();
        if self.one_in(3) {
            text.push_str(" NOT NULL");
        } else if self.one_in(4) {
            text.push_str(" NULL");
        }
        if self.one_in(5) {
            text.push_str(" COMMENT 'it''s, (a) comment'");
        }
        if self.one_in(12) {
            text.push_str(" UNIQUE");
        }
        text
    }

    fn place(&mut self) -> String {
        match self.below(4) {
            0 => " FIRST".to_owned(),
            1 => format!(" AFTER `{}`", self.column()),
            _ => String::new(),
        }
    }

    /// A statement on the table `t`, which may well be refused.
    pub(super) fn statement(&mut self, now: Option<&TableDefinition>, mariadb: bool) -> String {
        let Some(now) = now else {
            return self.create();
        };
        if now.columns.len() > 14 || self.one_in(60) {
            return "DROP TABLE t".to_owned();
        }
        if self.one_in(25) {
            return self.index(now);
        }
        let mut sql = "ALTER TABLE t ".to_owned();
        for index in 0..=self.below(3) {
            if index > 0 {
                sql.push_str(", ");
            }
            let change = self.change(now, mariadb);
            sql.push_str(&change);
        }
        sql
    }

    fn create(&mut self) -> String {
        let mut sql = "CREATE TABLE t (id INT".to_owned();
        for index in 0..self.below(6) {
            _ = write!(sql, ", c{index} {}{}", self.pick(TYPES), self.attributes());
        }
        let tail = self.pick(&[
            ")",
            ", PRIMARY KEY (id))",
            ", UNIQUE (id))",
            ", KEY (id), UNIQUE (id))",
        ]);
        sql.push_str(tail);
        sql.push_str(self.pick(&[
            "",
            " CHARSET latin1",
            " COLLATE=utf8mb4_bin COMMENT 'x'",
            " ENGINE=InnoDB, DEFAULT CHARACTER SET = utf8mb3",
        ]));
        sql
    }

    fn known(&mut self, now: &TableDefinition) -> String {
        if self.one_in(10) {
            return self.column();
        }
        now.columns[self.below(now.columns.len())].name.to_string()
    }

    fn index(&mut self, now: &TableDefinition) -> String {
        let column = self.known(now);
        match now.unique_keys.first() {
            Some(key) if self.one_in(2) => format!("DROP INDEX `{}` ON t", key.name),
            _ => format!("CREATE UNIQUE INDEX u{} ON t (`{column}`)", self.below(100)),
        }
    }

    fn change(&mut self, now: &TableDefinition, mariadb: bool) -> String {
        let known = self.known(now);
        let (kind, attributes) = (self.pick(TYPES), self.attributes());
        match self.below(14) {
            0..=2 => format!(
                "ADD COLUMN `{}` {kind}{attributes}{}",
                self.column(),
                self.place()
            ),
            3 => format!("ADD ({} {kind}, {} INT)", self.column(), self.column()),
            4 => format!("DROP COLUMN `{known}`"),
            5 | 6 => format!("MODIFY `{known}` {kind}{attributes}{}", self.place()),
            7 => format!(
                "CHANGE `{known}` {} {kind}{attributes}{}",
                self.column(),
                self.place()
            ),
            8 => format!("RENAME COLUMN `{known}` TO {}", self.column()),
            9 => self
                .pick(&[
                    "DROP PRIMARY KEY",
                    "ADD PRIMARY KEY (id)",
                    "FORCE",
                    "ENGINE=InnoDB",
                ])
                .to_owned(),
            10 => format!("ADD UNIQUE u{} (`{known}`, id)", self.below(100)),
            // A text that lost its check of JSON with its character set is not followed back to JSON.
            11 if now
                .columns
                .iter()
                .any(|column| column.column_type == ColumnType::JsonText) =>
            {
                "CONVERT TO CHARACTER SET utf8mb4".to_owned()
            }
            11 => self
                .pick(&[
                    "CONVERT TO CHARACTER SET utf8mb4",
                    "DEFAULT CHARSET latin1",
                    "CONVERT TO CHARSET latin1",
                    "COLLATE utf8mb4_bin",
                ])
                .to_owned(),
            12 if mariadb => format!("DROP COLUMN IF EXISTS `{known}`"),
            12 => format!("ALTER COLUMN `{known}` SET INVISIBLE"),
            _ => format!("ADD INDEX (`{known}`)"),
        }
    }
}
