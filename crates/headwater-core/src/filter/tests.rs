use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::batch::{Batch, ChangeKind, RowHead, Verdict};
use crate::schema::{Column, DataType, KeyOrder, SchemaId};
use crate::value::Cell;

fn filter(text: &str) -> Filter {
    text.parse().unwrap()
}

fn passes(text: &str, database: &str, table: &str) -> bool {
    filter(text).may_pass(&TableName::new(database, table))
}

fn schema(columns: &[&str]) -> Arc<TableSchema> {
    let column = |name: &&str| Column {
        name: (*name).into(),
        data_type: DataType::Text,
        nullable: true,
    };
    Arc::new(TableSchema {
        id: SchemaId::fresh(),
        name: TableName::new("foo", "bar"),
        columns: columns.iter().map(column).collect(),
        primary_key: vec![0],
        key: vec![0],
        key_order: KeyOrder::Server,
    })
}

fn text_of(out: &mut Vec<u8>, cell: &Cell<'_>) {
    if let Cell::Text(text) = cell {
        out.extend_from_slice(text.as_bytes());
    }
}

fn push(batch: &mut Batch, value: Option<&str>) {
    match value {
        Some(text) => batch.push_text(text),
        None => batch.push_null(),
    }
}

/// What becomes of a row of `foo.bar` whose only column, `col`, has this value.
fn row(text: &str, column: &str, value: Option<&str>) -> bool {
    let schema = schema(&[column]);
    let mut batch = Batch::new();
    let number = batch.add_schema(&schema);
    let after = batch.mark();
    push(&mut batch, value);
    batch.push_row(head(ChangeKind::Insert, number, None, Some(after)));
    verdict(text, &batch, Updates::Split) == Verdict::Keep
}

fn head(
    kind: ChangeKind,
    schema: u32,
    before: Option<crate::batch::Mark>,
    after: Option<crate::batch::Mark>,
) -> RowHead {
    RowHead {
        kind,
        schema,
        transaction: None,
        before,
        after,
        timestamp_s: 0,
        offset: 0,
        last: false,
    }
}

fn verdict(text: &str, batch: &Batch, updates: Updates) -> Verdict {
    let row = batch.row(0).unwrap();
    let rule = filter(text).of_table(row.schema());
    rule.verdict(&row, updates, text_of, &mut Vec::new())
}

fn update(before: &str, after: &str, updates: Updates) -> Verdict {
    let schema = schema(&["col"]);
    let mut batch = Batch::new();
    let number = batch.add_schema(&schema);
    let old = batch.mark();
    push(&mut batch, Some(before));
    let new = batch.mark();
    push(&mut batch, Some(after));
    batch.push_row(head(ChangeKind::Update, number, Some(old), Some(new)));
    verdict("exclude: foo.bar.col=draft", &batch, updates)
}

#[test]
fn the_last_rule_that_matches_wins() {
    assert!(passes("", "any", "thing"));
    assert!(passes("exclude: *.*, include: foo.bar", "foo", "bar"));
    assert!(!passes("exclude: *.*, include: foo.bar", "foo", "baz"));
    assert!(!passes("include: foo.bar, exclude: foo.*", "foo", "bar"));
    assert!(!passes("blacklist: seria.*", "seria", "var"));
    assert!(passes("blacklist: seria.*", "foo", "bar"));
}

#[test]
fn a_bare_name_is_the_whole_name_and_an_expression_is_found_anywhere() {
    assert!(!passes("exclude: foo.bar", "foo", "bar"));
    assert!(passes("exclude: foo.bar", "foo", "bars"));
    assert!(!passes("exclude: foo./a/", "foo", "bars"));
    assert!(passes("exclude: foo./^a/", "foo", "bars"));
    assert!(!passes(r"exclude: *./a\/b/", "foo", "a/b"));
    assert!(!passes("exclude: `a.b`.c", "a.b", "c"));
    assert!(passes("exclude: `a.b`.c", "axb", "c"));
}

#[test]
fn keywords_commas_and_quotes_are_as_in_maxwell() {
    for text in [
        "include:`foo`.*",
        "include:'foo'.*",
        "INCLUDE : \"foo\" . *",
    ] {
        assert_eq!(filter(text).to_string(), "include: foo.*");
    }
    let both = filter("exclude:*.*include:/foo.*/.bar , Blacklist: 1foo._bar,");
    assert_eq!(
        both.to_string(),
        "exclude: *.*, include: /foo.*/.bar, blacklist: 1foo._bar"
    );
    for same in [
        "",
        r"include: /\w+ \/[a-z]*1/.*",
        "include: 1foo.bar.column=foo",
        "exclude: *.*, include: foo.bar.col=null",
    ] {
        assert_eq!(filter(same).to_string(), same);
    }
}

#[test]
fn a_rule_with_a_column_looks_at_rows_and_lets_its_table_be_read() {
    let text = "exclude: *.*, include: foo.bar.col=val";
    assert!(passes(text, "foo", "bar"));
    assert!(!passes(text, "foo", "baz"));
    assert!(row(text, "col", Some("val")));
    assert!(!row(text, "col", Some("value")));
    assert!(!row(text, "col", None));
    assert!(!row(
        "exclude: *.*, include: no.go.col=val",
        "col",
        Some("val")
    ));
    assert!(row("exclude: foo.bar.col=/^v/", "col", Some("other")));
    assert!(!row("exclude: foo.bar.col=/^v/", "col", Some("val")));
    // A later rule about the table leaves nothing to look at.
    assert!(!passes(
        "include: foo.bar.col=val, exclude: *.*",
        "foo",
        "bar"
    ));
}

#[test]
fn a_column_is_found_in_any_letter_case() {
    for (rule, column) in [("col", "COL"), ("Col", "col"), ("COL", "Col")] {
        let text = format!("exclude: *.*, include: foo.bar.{rule}=val");
        assert!(row(&text, column, Some("val")), "{rule} {column}");
    }
}

#[test]
fn null_means_null_and_its_word_and_a_star_means_all_of_them() {
    let null = "exclude: *.*, include: foo.bar.col=null";
    for value in [None, Some("null"), Some("NULL")] {
        assert!(row(null, "col", value), "{value:?}");
        assert!(row("exclude: *.*, include: foo.bar.col=*", "col", value));
    }
    assert!(!row(null, "col", Some("Null")));
    assert!(!row(null, "col", Some("")));
    assert!(!row(null, "other", None), "the column is not in the row");
    assert!(!row("exclude: foo.bar.col=NULL", "col", None));
}

#[test]
fn an_update_that_leaves_is_a_delete_and_one_that_enters_an_insert() {
    let split = Updates::Split;
    assert_eq!(update("open", "draft", split), Verdict::AsDelete);
    assert_eq!(update("draft", "open", split), Verdict::AsInsert);
    assert_eq!(update("open", "done", split), Verdict::Keep);
    assert_eq!(update("draft", "draft", split), Verdict::Drop);
    let new = Updates::NewRow;
    assert_eq!(update("open", "draft", new), Verdict::Drop);
    assert_eq!(update("draft", "open", new), Verdict::Keep);
}

#[test]
fn tables_that_no_rule_splits_need_no_look_at_their_rows() {
    let of = |text: &str| filter(text).of_table(&schema(&["col"]));
    assert_eq!(of("include: foo.*"), TableRule::All);
    assert_eq!(of("exclude: foo.*"), TableRule::None);
    assert_eq!(of("exclude: foo.bar.none=1"), TableRule::All);
    assert_eq!(of("exclude: *.*, exclude: foo.bar.col=1"), TableRule::None);
    assert_eq!(of("exclude: foo.bar.col=1, include: *.*"), TableRule::All);
}

#[test]
fn an_error_says_where_and_what_was_expected() {
    let said = |text: &str| {
        let error = text.parse::<Filter>().unwrap_err();
        assert!(error.hint_text().is_some(), "{text}");
        error.to_string()
    };
    for (text, column, part) in [
        ("bl: a.b", 1, "`include`, `exclude` or `blacklist`"),
        ("include a.b", 9, "`:` behind the keyword"),
        ("include: a", 11, "`.` and a table"),
        ("include: a.", 12, "a table"),
        ("include: a.b.", 14, "a column"),
        ("include: a.b.*=1", 14, "the name of one column"),
        ("include: a.b.c", 15, "`=` and a value"),
        ("include: a.b.c=", 16, "a value"),
        ("exclude: é.b, include: /a", 24, "ends this expression"),
        ("include: /a(/.b", 10, "no expression"),
        ("include: /(?!a)/.b", 10, "look-around"),
        ("include: `a.b", 10, "a quote that closes"),
        ("include: 'a*'.b", 10, "a name or an expression"),
        ("include: a-b.c", 11, "`.` and a table"),
    ] {
        let said = said(text);
        assert!(said.contains(part), "{text}: {said}");
        assert!(said.contains(&column.to_string()), "{text}: {said}");
    }
}

fn pattern() -> impl Strategy<Value = Pattern> {
    prop_oneof![
        Just(Pattern::Any),
        "[a-zA-Z0-9_é]{1,8}".prop_map(Pattern::Name),
        "[a-z .$-]{1,8}".prop_map(Pattern::Name),
        "[a-z:=,`']{1,8}".prop_map(Pattern::Name),
        r#"\^?[a-z]{0,3}(\\/|\\\\|\.|\[0-9\]|\(a\|b\)|[*"'`])?\$?"#
            .prop_filter_map("no expression", |text| Pattern::expression(&text).ok()),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    let action = prop_oneof![
        Just(Action::Include),
        Just(Action::Exclude),
        Just(Action::Blacklist)
    ];
    let column = proptest::option::of(("[A-Za-z_][a-z0-9 ]{0,5}", pattern()));
    (action, pattern(), pattern(), column).prop_map(|(action, database, table, column)| Rule {
        action,
        database,
        table,
        column,
    })
}

proptest! {
    #[test]
    fn what_is_printed_is_read_again(rules in proptest::collection::vec(rule(), 0..6)) {
        let filter = Filter::new(rules);
        let read: Filter = filter.to_string().parse().unwrap();
        prop_assert_eq!(read, filter);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(include|exclude| |:|\\.|\\*|/|,|=|`|a|é|\\\\){0,20}") {
        if let Ok(filter) = text.parse::<Filter>() {
            prop_assert_eq!(filter.to_string().parse::<Filter>().unwrap(), filter);
        }
    }
}
