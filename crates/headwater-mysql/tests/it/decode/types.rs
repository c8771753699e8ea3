//! Every type with its edge values: what is read by a SELECT and what is read from the log are the same cells.

#![allow(clippy::too_many_lines, reason = "lists of values")]

use headwater_mysql::schema::ColumnType;
use headwater_servers::Flavor;

/// Where a type exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    All,
    MariaDb,
    MariaDb118,
    MySql,
}

impl On {
    pub(crate) fn has(self, flavor: Flavor) -> bool {
        match self {
            Self::All => true,
            Self::MariaDb => flavor.is_mariadb(),
            Self::MariaDb118 => flavor == Flavor::MariaDb118,
            Self::MySql => !flavor.is_mariadb(),
        }
    }
}

/// A column's type, and values for it as SQL.
pub(crate) struct Case {
    pub(crate) on: On,
    pub(crate) sql: String,
    pub(crate) column_type: ColumnType,
    pub(crate) values: Vec<String>,
}

fn case(on: On, sql: &str, column_type: ColumnType, values: &[&str]) -> Case {
    Case {
        on,
        sql: sql.to_owned(),
        column_type,
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    }
}

fn text(charset: &str) -> ColumnType {
    ColumnType::Text {
        charset: charset.into(),
        collation: "".into(),
    }
}

pub(crate) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    numbers(&mut cases);
    times(&mut cases);
    strings(&mut cases);
    labels(&mut cases);
    documents(&mut cases);
    mariadb(&mut cases);
    cases
}

fn numbers(cases: &mut Vec<Case>) {
    for (name, bits) in [
        ("tinyint", 8),
        ("smallint", 16),
        ("mediumint", 24),
        ("int", 32),
        ("bigint", 64),
    ] {
        let high = (1_i128 << (bits - 1)) - 1;
        let values: Vec<_> = [-high - 1, -1, 0, 1, high]
            .map(|value| value.to_string())
            .into();
        cases.push(Case {
            on: On::All,
            sql: name.to_owned(),
            column_type: ColumnType::Integer {
                bits,
                unsigned: false,
            },
            values,
        });
        for modifier in ["unsigned", "zerofill"] {
            let high = (1_i128 << bits) - 1;
            cases.push(Case {
                on: On::All,
                sql: format!("{name} {modifier}"),
                column_type: ColumnType::Integer {
                    bits,
                    unsigned: true,
                },
                values: [0, 1, high / 2 + 1, high]
                    .map(|value: i128| value.to_string())
                    .into(),
            });
        }
    }
    for bits in 1..=64_u8 {
        let high = u64::MAX >> (64 - bits);
        cases.push(Case {
            on: On::All,
            sql: format!("bit({bits})"),
            column_type: ColumnType::Bit { bits },
            values: [0, 1, high / 2, high].map(|value| value.to_string()).into(),
        });
    }
    let year = ["0", "1901", "1999", "2155", "'0000'"];
    cases.push(case(On::All, "year", ColumnType::Year, &year));
    let floats = [
        "0",
        "-0e0",
        "1.5",
        "-3.4028234e38",
        "1.17549435e-38",
        "1e-45",
        "16777217",
        "0.1",
        "123456789",
    ];
    cases.push(case(On::All, "float", ColumnType::Float, &floats));
    cases.push(case(
        On::All,
        "float(7,2)",
        ColumnType::Float,
        &["1.255", "-99999.99", "0.005"],
    ));
    let doubles = [
        "0",
        "-0e0",
        "1e20",
        "1.7976931348623157e308",
        "2.2250738585072014e-308",
        "5e-324",
        "0.1",
        "-1e-7",
    ];
    cases.push(case(On::All, "double", ColumnType::Double, &doubles));
    for (precision, scale) in [
        (65, 30),
        (65, 0),
        (30, 30),
        (10, 0),
        (12, 2),
        (18, 9),
        (20, 10),
        (1, 0),
        (1, 1),
        (9, 9),
        (38, 7),
    ] {
        let nines = |count: u8| "9".repeat(usize::from(count));
        let whole = nines(precision - scale);
        let most = if scale > 0 {
            format!("{whole}.{}", nines(scale))
        } else {
            whole
        };
        let least = if scale > 0 {
            format!("0.{}1", "0".repeat(usize::from(scale) - 1))
        } else {
            "1".to_owned()
        };
        let values = [
            "0".to_owned(),
            most.clone(),
            format!("-{most}"),
            least.clone(),
            format!("-{least}"),
            "-0.0".to_owned(),
        ];
        let column_type = ColumnType::Decimal { precision, scale };
        let sql = format!("decimal({precision},{scale})");
        cases.push(Case {
            on: On::All,
            sql: sql.clone(),
            column_type: column_type.clone(),
            values: values.into(),
        });
        cases.push(Case {
            on: On::All,
            sql: format!("{sql} zerofill"),
            column_type,
            values: vec!["0".to_owned(), most, least, "1".to_owned()],
        });
    }
}

fn times(cases: &mut Vec<Case>) {
    let dates = [
        "'0000-00-00'",
        "'0000-01-01'",
        "'2020-00-15'",
        "'2020-02-00'",
        "'0001-01-01'",
        "'0999-12-31'",
        "'9999-12-31'",
        "'2024-02-29'",
    ];
    cases.push(case(On::All, "date", ColumnType::Date, &dates));
    for digits in 0..=6_u8 {
        let time = [
            "'00:00:00'",
            "'-00:00:00.000001'",
            "'-00:00:00.01'",
            "'-00:00:00.1'",
            "'-00:00:01.5'",
            "'00:00:00.999999'",
            "'838:59:59'",
            "'-838:59:59'",
            "'838:59:58.999999'",
            "'-838:59:58.999999'",
            "'-01:00:00'",
            "'23:59:59.123456'",
            "'-100:01:02.345678'",
        ];
        let with = |name: &str| format!("{name}({digits})");
        cases.push(case(
            On::All,
            &with("time"),
            ColumnType::Time { digits },
            &time,
        ));
        let datetimes = [
            "'0000-00-00 00:00:00'",
            "'2020-00-15 01:02:03.5'",
            "'0001-01-01 00:00:00.000001'",
            "'0999-12-31 23:59:59.12'",
            "'9999-12-31 23:59:59.4'",
            "'9999-12-31 23:59:59'",
            "'1000-01-01 00:00:00'",
            "'2024-03-31 02:30:00.123456'",
            "'0000-01-01 10:11:12'",
        ];
        cases.push(case(
            On::All,
            &with("datetime"),
            ColumnType::DateTime { digits },
            &datetimes,
        ));
        let timestamps = [
            "'0000-00-00 00:00:00'",
            "'1970-01-01 00:00:01'",
            "'1970-01-01 00:00:01.9'",
            "'2038-01-19 03:14:07'",
            "'2038-01-19 03:14:07.4'",
            "'2024-02-29 12:34:56.654321'",
        ];
        let sql = format!("timestamp({digits}) null");
        cases.push(case(
            On::All,
            &sql,
            ColumnType::Timestamp { digits },
            &timestamps,
        ));
        let far = ["'2106-02-07 06:28:15'", "'2038-01-19 03:14:08.5'"];
        cases.push(case(
            On::MariaDb118,
            &sql,
            ColumnType::Timestamp { digits },
            &far,
        ));
    }
}

fn strings(cases: &mut Vec<Case>) {
    let values = [
        "''",
        "'a'",
        "'  spaces  '",
        "'zero\\0byte'",
        "'naïve \"q\" \\\\ 東京 <a>'",
        "'😀'",
        "repeat('é', 100)",
    ];
    for sql in [
        "varchar(200)",
        "char(100)",
        "tinytext",
        "text",
        "mediumtext",
        "longtext",
        "varchar(10000)",
        "char(255)",
    ] {
        let sql = format!("{sql} character set utf8mb4");
        cases.push(case(On::All, &sql, text("utf8mb4"), &values));
    }
    cases.push(case(
        On::All,
        "varchar(300) character set latin1 collate latin1_bin",
        text("latin1"),
        &["'é€'", "repeat('ÿ',300)"],
    ));
    cases.push(case(On::All, "char(0)", text("utf8mb4"), &["''"]));
    for charset in [
        "armscii8", "ascii", "big5", "cp1250", "cp1251", "cp1256", "cp1257", "cp850", "cp852",
        "cp866", "cp932", "dec8", "eucjpms", "euckr", "gb2312", "gbk", "geostd8", "greek",
        "hebrew", "hp8", "keybcs2", "koi8r", "koi8u", "latin1", "latin2", "latin5", "latin7",
        "macce", "macroman", "sjis", "swe7", "tis620", "ucs2", "ujis", "utf16", "utf16le", "utf32",
        "utf8mb3", "gb18030",
    ] {
        let on = if charset == "gb18030" {
            On::MySql
        } else {
            On::All
        };
        let all = [
            "'plain'",
            "'é ü ß Ž ł'",
            "'Я жду'",
            "'日本語 テスト'",
            "'中文'",
            "'한국'",
            "'αβγ'",
            "'שלום'",
            "'ไทย'",
            "'@[\\\\]^`{|}~'",
            "'€‘’'",
            "'😀'",
        ];
        let values: &[&str] = if charset == "swe7" { &all[1..] } else { &all };
        cases.push(case(
            on,
            &format!("varchar(50) character set {charset}"),
            text(charset),
            values,
        ));
        cases.push(case(
            on,
            &format!("char(20) character set {charset}"),
            text(charset),
            values,
        ));
        cases.push(case(
            on,
            &format!("text character set {charset}"),
            text(charset),
            values,
        ));
    }
    let bytes = [
        "''",
        "'a'",
        "x'00'",
        "x'610000'",
        "x'00ff00'",
        "x'ffffffff'",
    ];
    for length in [4, 200, 255] {
        let sql = format!("binary({length})");
        cases.push(case(On::All, &sql, ColumnType::Binary { length }, &bytes));
    }
    for sql in [
        "varbinary(10)",
        "varbinary(1000)",
        "tinyblob",
        "blob",
        "mediumblob",
        "longblob",
    ] {
        cases.push(case(On::All, sql, ColumnType::VarBinary, &bytes));
    }
    cases.push(case(
        On::All,
        "longblob",
        ColumnType::VarBinary,
        &["repeat('x', 70000)"],
    ));
}

fn labels(cases: &mut Vec<Case>) {
    let list = |labels: &[String]| -> std::sync::Arc<[std::sync::Arc<str>]> {
        labels.iter().map(|label| label.as_str().into()).collect()
    };
    let quoted = |labels: &[String]| {
        let labels: Vec<_> = labels.iter().map(|label| format!("'{label}'")).collect();
        labels.join(",")
    };
    let some: Vec<String> = ["new", "é ü", "Paid", "it"].map(str::to_owned).into();
    for charset in ["utf8mb4", "latin1", "ucs2", "cp1250"] {
        let sql = format!("enum({}) character set {charset}", quoted(&some));
        let labels = list(&some);
        cases.push(case(
            On::All,
            &sql,
            ColumnType::Enum {
                labels: labels.clone(),
            },
            &["'new'", "2", "'PAID'", "4", "'no such'", "0"],
        ));
        let sql = format!("set({}) character set {charset}", quoted(&some));
        cases.push(case(
            On::All,
            &sql,
            ColumnType::Set { labels },
            &["''", "'new'", "15", "'Paid,new'", "'é ü,it'"],
        ));
    }
    let many: Vec<String> = (0..700).map(|number| format!("label {number}")).collect();
    let sql = format!("enum({})", quoted(&many));
    cases.push(case(
        On::All,
        &sql,
        ColumnType::Enum {
            labels: list(&many),
        },
        &["1", "255", "256", "700", "0"],
    ));
    for count in [8, 9, 17, 25, 33, 64_usize] {
        let labels = &many[..count];
        let sql = format!("set({})", quoted(labels));
        let all = (u64::MAX >> (64 - count)).to_string();
        let column_type = ColumnType::Set {
            labels: list(labels),
        };
        cases.push(case(
            On::All,
            &sql,
            column_type,
            &["0", "1", &all, "85", "'label 7'"],
        ));
    }
}

fn documents(cases: &mut Vec<Case>) {
    let values = [
        "'null'",
        "'true'",
        "'false'",
        "'0'",
        "'-1'",
        "'32767'",
        "'32768'",
        "'65535'",
        "'65536'",
        "'-2147483648'",
        "'4294967295'",
        "'9223372036854775807'",
        "'18446744073709551615'",
        "'18446744073709551616'",
        "'1.0'",
        "'1e20'",
        "'1e15'",
        "'123456789012345678.5'",
        "'0.1'",
        "'1e-7'",
        "'1e-15'",
        "'1e-16'",
        "'-1.5e300'",
        "'5e-324'",
        "'-0.0'",
        "'999999999999999.9'",
        "'1e14'",
        "'0.000012345'",
        "'\"text\"'",
        "'\"q\\\\\" b\\\\\\\\ s\\\\/ n\\\\n t\\\\t u\\\\u0001 \\\\u001f \\\\b\\\\f\\\\r é 😀 \\\\u2028 , : \"'",
        "'[]'",
        "'{}'",
        "'[1, [2, [3, {\"a\": [] }]]]'",
        "'{\"bb\": 1, \"a\": {\"c : d, e\": null}, \"ccc\": [true, false], \"\": 0}'",
        "json_array(cast('2015-01-15' as date), cast('2015-01-15 23:24:25.12' as datetime(6)), cast('2015-01-15 23:24:25' as datetime), cast('-12:01:02.5' as time(3)), cast('838:59:59' as time), cast(12.340 as decimal(10,3)), cast(-0.5 as decimal(30,10)), 1e0)",
        "json_object('k', x'cafebabe', 'b', b'101')",
        "json_array(repeat('a', 300), 1)",
        "json_array(repeat('é', 40000), 70000, 3000000000, -5)",
        "json_array(cast(repeat('bin', 100) as binary))",
        "json_array(cast(timestamp'0000-00-00 00:00:00' as datetime))",
        "json_array(st_geomfromtext('POINT(1 2)'))",
        "json_array(2.5e0, -2.5e-10, 1e16, 1.5e16, 123456789.123, 4.35, 0.3e0 + 0.6e0)",
        "json_array(cast(2024 as year), cast(1.5 as float))",
    ];
    cases.push(case(On::MySql, "json", ColumnType::Json, &values));
    cases.push(case(
        On::MariaDb,
        "json",
        ColumnType::JsonText,
        &["'{\"b\" : 1,  \"a\": [ 1.0, 1e5 ] }'", "'\"é\"'", "'[]'"],
    ));
    let geometries = [
        "st_geomfromtext('POINT(30.5 -10)')",
        "st_geomfromtext('POINT(1 2)', 4326)",
        "st_geomfromtext('LINESTRING(0 0,5 5)')",
        "st_geomfromtext('POLYGON((0 0,1 0,1 1,0 0))')",
        "st_geomfromtext('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))')",
        "st_geomfromtext('MULTIPOINT(1 1,2 2)')",
    ];
    cases.push(case(On::All, "geometry", ColumnType::Geometry, &geometries));
    cases.push(case(
        On::All,
        "point",
        ColumnType::Geometry,
        &geometries[..2],
    ));
    cases.push(case(
        On::MySql,
        "vector(3)",
        ColumnType::Vector,
        &["to_vector('[1,2,3.5]')", "to_vector('[-1]')"],
    ));
    cases.push(case(
        On::MariaDb118,
        "vector(3)",
        ColumnType::Vector,
        &["vec_fromtext('[1,2,3.5]')", "vec_fromtext('[0,0,0]')"],
    ));
}

fn mariadb(cases: &mut Vec<Case>) {
    let uuids = [
        "'00000000-0000-0000-0000-000000000000'",
        "'123e4567-e89b-12d3-a456-426655440000'",
        "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
        "'018f3c1e-7b2a-7cc3-98c4-dc0c0c07398f'",
        "'550e8400-e29b-41d4-a716-446655440000'",
        "'00112233-4455-6677-0899-aabbccddee00'",
        "'1ec9414c-232a-6b00-b3c8-9e6bdeced846'",
    ];
    cases.push(case(On::MariaDb, "uuid", ColumnType::Uuid, &uuids));
    let inet6 = [
        "'::'",
        "'::1'",
        "'::ffff:192.168.0.1'",
        "'::1.2.3.4'",
        "'2001:db8::'",
        "'1:0:0:2:0:0:0:3'",
        "'1:0:2:0:3:0:4:0'",
        "'1:2:3:4:5:6:7:8'",
        "'0:0:0:1::'",
        "'::ffff'",
        "'::1:0'",
        "'::ffff:0:0'",
        "'0:1:2:3:4:5:6:7'",
        "'1:2:3:4:5:6:7:0'",
        "'fe80::1'",
        "'0:0:1:0:0:1:0:0'",
        "'::ffff:1:2:3'",
        "'1::1.2.3.4'",
    ];
    cases.push(case(On::MariaDb, "inet6", ColumnType::Inet6, &inet6));
    cases.push(case(
        On::MariaDb,
        "inet4",
        ColumnType::Inet4,
        &[
            "'0.0.0.0'",
            "'127.0.0.1'",
            "'255.255.255.255'",
            "'10.0.0.0'",
        ],
    ));
    let long = [
        "''",
        "'a'",
        "repeat('é', 500)",
        "repeat('x', 20000)",
        "'zero\\0'",
    ];
    cases.push(case(
        On::MariaDb,
        "text compressed character set utf8mb4",
        text("utf8mb4"),
        &long,
    ));
    cases.push(case(
        On::MariaDb,
        "varchar(2000) compressed character set latin1",
        text("latin1"),
        &long[..3],
    ));
    cases.push(case(
        On::MariaDb,
        "blob compressed",
        ColumnType::VarBinary,
        &long,
    ));
    cases.push(case(
        On::MariaDb,
        "varbinary(2000) compressed",
        ColumnType::VarBinary,
        &long[..3],
    ));
}
