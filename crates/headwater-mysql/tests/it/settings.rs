//! Servers whose settings change what names and DDL mean, with definitions that the log does not carry.

use headwater_core::engine::Mode;
use headwater_core::filter::Filter;
use headwater_core::schema::TableName;
use headwater_servers::Flavor;

use crate::harness::{Host, database, on_every_server, shorts, start, table};

const SWAP: &str = "ALTER TABLE D.T RENAME COLUMN a TO b, RENAME COLUMN b TO a;";

async fn names_in_any_letter_case_are_one_where_the_server_folds_them(flavor: Flavor) {
    let server = start(
        flavor,
        &[
            "--lower-case-table-names=1",
            "--binlog-row-metadata=MINIMAL",
        ],
    );
    server.admin(
        "CREATE DATABASE D; CREATE TABLE D.T (id INT PRIMARY KEY, a INT, b INT);
         INSERT INTO d.t VALUES (1, 10, 20), (9, 0, 0);",
    );
    let mut run = server.run(table("D", "T"));
    run.options.mode = Mode::Both;
    let bounded = TableName::new("D", "T");
    run.settings.conditions.insert(bounded, "id < 9".to_owned());
    run.go().await.ok();
    let whole = server.run(database("D")).mode(Mode::Both);
    whole.go().await.ok();
    let lower = server.run(table("d", "t"));
    let token = lower.token_now().await;
    server.admin(&format!(
        "{SWAP} INSERT INTO D.T (id, a, b) VALUES (2, 10, 20); {SWAP}
         USE D; RENAME TABLE T TO Aside, AsIde TO T; INSERT INTO t (id, a, b) VALUES (3, 10, 20);"
    ));
    let follows = [
        r#"insert t {"id":2,"b":20,"a":10}"#,
        r#"insert t {"id":3,"a":10,"b":20}"#,
    ];
    let copied = shorts(&run.go().await.ok());
    assert_eq!(copied[0], r#"bootstrap t {"id":1,"a":10,"b":20}"#);
    assert_eq!(copied[1..], follows);
    assert_eq!(shorts(&whole.go().await.ok())[2..], follows);
    assert_eq!(shorts(&lower.from(&token).go().await.ok()), follows);
}

async fn filters_name_tables_in_any_letter_case_where_the_server_folds_them(flavor: Flavor) {
    let server = start(flavor, &["--lower-case-table-names=1"]);
    server.admin(
        "CREATE DATABASE Shop; CREATE TABLE Shop.Orders (Id INT PRIMARY KEY, State VARCHAR(9));
         CREATE TABLE Shop.Users (id INT PRIMARY KEY); CREATE TABLE Shop.Log (id INT PRIMARY KEY);
         INSERT INTO shop.orders VALUES (1, 'open'), (2, 'Draft'), (3, 'draft');
         INSERT INTO shop.users VALUES (1); INSERT INTO shop.log VALUES (1);",
    );
    let filter: Filter =
        "exclude: *.*, include: SHOP./^Ord/, include: Shop.USERS, exclude: Shop.Orders.STATE=draft"
            .parse()
            .unwrap();
    let selection = database("SHOP").filtered(filter.clone());
    let mut run = server.run(selection).mode(Mode::Both);
    let source = headwater_mysql::MysqlSource::new(run.settings.clone());
    assert!(source.folds_names().await.unwrap());
    run.options.rows = Some(headwater_core::engine::RowFilter {
        filter: filter.folded(),
        updates: headwater_core::filter::Updates::Split,
        text_of: headwater_format::maxwell::push_java_text,
    });
    let mut rows = shorts(&run.go().await.ok());
    rows.sort();
    let copied = [
        r#"bootstrap orders {"Id":1,"State":"open"}"#,
        // Values are compared as they are.
        r#"bootstrap orders {"Id":2,"State":"Draft"}"#,
        r#"bootstrap users {"id":1}"#,
    ];
    assert_eq!(rows, copied);
    server.admin("INSERT INTO Shop.ORDERS VALUES (4, 'draft'), (5, 'new'); INSERT INTO shop.Log VALUES (2); INSERT INTO shop.Users VALUES (2)");
    let lines = shorts(&run.go().await.ok());
    assert_eq!(
        lines[3..],
        [
            r#"insert orders {"Id":5,"State":"new"}"#,
            r#"insert users {"id":2}"#
        ]
    );
}

async fn a_timestamp_is_not_null_where_server_or_session_say_so(flavor: Flavor) {
    let statements = |on: &str| {
        format!(
            "SET explicit_defaults_for_timestamp = {on};
             CREATE TABLE d.made_{on} (at TIMESTAMP, n TIMESTAMP NULL, UNIQUE (at));
             CREATE TABLE d.altered_{on} (id INT); ALTER TABLE d.altered_{on} ADD COLUMN at TIMESTAMP(3) FIRST, ADD UNIQUE u (at);"
        )
    };
    for global in ["ON", "OFF"] {
        let explicit = format!("--explicit-defaults-for-timestamp={global}");
        let server = start(flavor, &["--binlog-row-metadata=MINIMAL", &explicit]);
        server.admin("CREATE DATABASE d");
        let run = server.run(database("d"));
        let token = run.token_now().await;
        let both = [statements("ON"), statements("OFF")].concat();
        server.admin(&format!(
            "CREATE TABLE d.t (at TIMESTAMP, UNIQUE (at)); {both}"
        ));
        let followed = run.afresh().from(&token).go().await.token();
        let read = run.token_now().await;
        assert_eq!(followed.definitions, read.definitions, "{global}");
    }
}

on_every_server!(
    filters_name_tables_in_any_letter_case_where_the_server_folds_them,
    names_in_any_letter_case_are_one_where_the_server_folds_them,
    a_timestamp_is_not_null_where_server_or_session_say_so,
);
