//! The client with a real server.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::*;
use crate::tablet::{Category, Layout, LayoutColumn, SeriesType};

fn address() -> Address {
    let text = headwater_servers::iotdb::shared().unwrap();
    let (host, port) = text.rsplit_once(':').unwrap();
    Address {
        host: host.to_owned(),
        port: port.parse().unwrap(),
    }
}

fn options(dialect: Dialect) -> SessionOptions {
    SessionOptions {
        user: "root".to_owned(),
        password: SecretString::from("root"),
        tls: None,
        dialect,
        call_timeout: Duration::from_secs(120),
    }
}

async fn open(dialect: Dialect) -> Session {
    Session::open(&address(), &options(dialect)).await.unwrap()
}

fn layout(category: impl Fn(usize) -> Category) -> Arc<Layout> {
    let names = SeriesType::ALL.iter().enumerate();
    let columns = names.map(|(at, &series_type)| LayoutColumn {
        name: format!("m_{}", series_type.name().to_lowercase()),
        series_type,
        category: category(at),
    });
    Arc::new(Layout {
        columns: columns.collect(),
    })
}

/// Appends a value of each type, each null where `null` says so.
fn push(tablet: &mut Tablet, time: i64, null: impl Fn(usize) -> bool) {
    let pushed = tablet.push(time, b"k", |at, out| {
        if null(at) {
            return Ok(false);
        }
        match SeriesType::ALL[at] {
            SeriesType::Boolean => out.push_fixed([1]),
            SeriesType::Int32 => out.push_fixed((-7i32).to_be_bytes()),
            SeriesType::Date => out.push_fixed(20_240_229i32.to_be_bytes()),
            SeriesType::Int64 | SeriesType::Timestamp => out.push_fixed(time.to_be_bytes()),
            SeriesType::Float => out.push_fixed(1.5f32.to_be_bytes()),
            SeriesType::Double => out.push_fixed((-0.1f64).to_be_bytes()),
            SeriesType::Text | SeriesType::String => out.push_bytes("a,b '東".as_bytes()),
            SeriesType::Blob => out.push_bytes(&[0, 255, 7]),
        }
        Ok(true)
    });
    pushed.unwrap();
}

fn value(at: usize, time: i64) -> Value {
    match SeriesType::ALL[at] {
        SeriesType::Boolean => Value::Bool(true),
        SeriesType::Int32 => Value::Int32(-7),
        SeriesType::Date => Value::Int32(20_240_229),
        SeriesType::Int64 | SeriesType::Timestamp => Value::Int64(time),
        SeriesType::Float => Value::Float(1.5),
        SeriesType::Double => Value::Double(-0.1),
        SeriesType::Text | SeriesType::String => Value::Bytes("a,b '東".as_bytes().into()),
        SeriesType::Blob => Value::Bytes([0, 255, 7].as_slice().into()),
    }
}

#[tokio::test]
async fn tablets_of_every_type_are_read_back_as_written() {
    let mut session = open(Dialect::Tree).await;
    let properties = session.properties().await.unwrap();
    assert_eq!(properties.precision, "ms", "{properties:?}");
    for is_aligned in [false, true] {
        let database = format!("root.client_{is_aligned}");
        let _ = session
            .execute(&format!("DELETE DATABASE {database}"))
            .await
            .unwrap();
        let null = |row: i64, at: usize| (row + i64::try_from(at).unwrap()) % 5 == 0;
        let tablets: Vec<Tablet> = ["d1", "`2`"]
            .map(|device| {
                let target = format!("{database}.{device}");
                let mut tablet = Tablet::new(target.into(), layout(|_| Category::Field));
                for row in 0..17 {
                    push(&mut tablet, 1_000 + row, |at| null(row, at));
                }
                tablet
            })
            .into();
        let status = session.insert_tablets(&tablets, is_aligned).await.unwrap();
        assert!(status.is_success(), "{status:?}");
        for tablet in &tablets {
            let names: Vec<&str> = tablet
                .layout
                .columns
                .iter()
                .map(|column| column.name.as_str())
                .collect();
            let query = format!("SELECT {} FROM {}", names.join(", "), tablet.target);
            let rows = session.query(&query).await.unwrap();
            let times: Vec<i64> = (1_000..1_017).collect();
            assert_eq!(rows.times, times);
            for (row, values) in rows.values.iter().enumerate() {
                let row = i64::try_from(row).unwrap();
                let expected: Vec<Value> = (0..10)
                    .map(|at| match null(row, at) {
                        true => Value::Null,
                        false => value(at, 1_000 + row),
                    })
                    .collect();
                assert_eq!(values, &expected, "row {row} of {}", tablet.target);
            }
        }
        let path = format!("{database}.d1.m_int32");
        let status = session
            .delete_points(std::slice::from_ref(&path), 1_003)
            .await
            .unwrap();
        assert!(status.is_success(), "{status:?}");
        let count = session
            .query(&format!("SELECT count(m_int32) FROM {database}.d1"))
            .await
            .unwrap();
        let all = (0..17).filter(|row| !null(*row, 1)).count();
        assert_eq!(
            count.values,
            [[Value::Int64(i64::try_from(all).unwrap() - 1)]]
        );
    }
    session.close().await;
}

#[tokio::test]
async fn a_table_takes_tags_attributes_and_fields() {
    let mut session = open(Dialect::Table { database: None }).await;
    for statement in [
        "DROP DATABASE IF EXISTS client_table",
        "CREATE DATABASE client_table",
        "USE client_table",
        "CREATE TABLE pumps (site STRING TAG, model STRING ATTRIBUTE, flow DOUBLE FIELD)",
    ] {
        let status = session.execute(statement).await.unwrap();
        assert!(status.is_success(), "{statement}: {status:?}");
    }
    let column = |name: &str, series_type, category| LayoutColumn {
        name: name.to_owned(),
        series_type,
        category,
    };
    let layout = Layout {
        columns: vec![
            column("site", SeriesType::String, Category::Tag),
            column("model", SeriesType::String, Category::Attribute),
            column("flow", SeriesType::Double, Category::Field),
        ],
    };
    let mut tablet = Tablet::new("pumps".into(), Arc::new(layout));
    for (time, site) in [(1, Some("north")), (2, None), (3, Some("south"))] {
        let pushed = tablet.push(time, b"k", |at, out| {
            match (at, site) {
                (0, None) => return Ok(false),
                (0, Some(site)) => out.push_bytes(site.as_bytes()),
                (1, _) => out.push_bytes(b"M"),
                _ => out.push_fixed((time as f64).to_be_bytes()),
            }
            Ok(true)
        });
        pushed.unwrap();
    }
    let status = session.insert_into_table(&tablet).await.unwrap();
    assert!(status.is_success(), "{status:?}");
    let delete = "DELETE FROM pumps WHERE time = 3 AND site = 'south'";
    assert!(session.execute(delete).await.unwrap().is_success());
    let rows = session
        .query("SELECT time, site, model, flow FROM pumps ORDER BY time")
        .await
        .unwrap();
    let text = |text: &str| Value::Bytes(text.as_bytes().into());
    assert_eq!(
        rows.values,
        [
            [
                Value::Int64(1),
                text("north"),
                text("M"),
                Value::Double(1.0)
            ],
            [Value::Int64(2), Value::Null, text("M"), Value::Double(2.0)],
        ]
    );
    session.close().await;
}

#[tokio::test]
async fn many_rows_come_in_portions() {
    let mut session = open(Dialect::Tree).await;
    let _ = session
        .execute("DELETE DATABASE root.client_many")
        .await
        .unwrap();
    let mut tablet = Tablet::new("root.client_many.d".into(), layout(|_| Category::Field));
    for row in 0..25_000 {
        push(&mut tablet, row, |at| at > 2);
    }
    let status = session.insert_tablets(&[tablet], true).await.unwrap();
    assert!(status.is_success(), "{status:?}");
    let rows = session
        .query("SELECT m_int64 FROM root.client_many.d")
        .await
        .unwrap();
    assert_eq!(rows.times, (0..25_000).collect::<Vec<i64>>());
    // Connections stay usable after an answer that ended early.
    assert!(session.query("SELECT nonsense FRM").await.is_err());
    assert_eq!(session.query("SHOW VERSION").await.unwrap().values.len(), 1);
}

#[tokio::test]
async fn a_wrong_password_is_told_apart() {
    let mut wrong = options(Dialect::Tree);
    wrong.password = SecretString::from("wrong");
    let error = Session::open(&address(), &wrong).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
}

#[tokio::test]
async fn nobody_at_the_port_is_temporary() {
    let nobody = Address {
        host: "127.0.0.1".to_owned(),
        port: 1,
    };
    let error = Session::open(&nobody, &options(Dialect::Tree))
        .await
        .unwrap_err();
    assert!(error.is_temporary(), "{error}");
}
