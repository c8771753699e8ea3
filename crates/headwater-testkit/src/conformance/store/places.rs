//! Places: their order, their ranges, and those that are too old.

use headwater_core::{Error, ErrorKind};
use headwater_fold::place::{ALL_TIME, Place};
use headwater_fold::store::{Entry, StateReader, StateStore, Step};
use serde_json::json;

use super::StoreHarness;
use super::model::{
    Change, Changes, Held, add, check, commit, fold, merge, same, scan, served, take,
};

/// Buckets of all kinds, in order.
const BUCKETS_S: [i64; 9] = [
    ALL_TIME,
    i64::MIN + 1,
    -86_400,
    -1,
    0,
    1,
    1_700_000_000,
    1_700_003_600,
    i64::MAX - 1,
];

/// Keys of all kinds: empty, binary, with what texts and patterns escape, of 1 KiB, and each a beginning of another.
fn keys() -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = [
        &b""[..],
        b"\0",
        b"\0\0",
        b"\xff\xff\xff",
        b"42",
        b"4",
        b"eu/42",
        b"\r\n*:{}[]\"'\\\\",
        "\u{1f600} \u{e9}".as_bytes(),
    ]
    .map(<[u8]>::to_vec)
    .into();
    keys.push(vec![b'k'; 1_024]);
    keys.push([vec![b'k'; 1_023], vec![0xfe]].concat());
    keys.push((0..=255).collect());
    keys
}

fn everywhere(text: &str) -> Changes {
    let places = BUCKETS_S.into_iter().flat_map(|bucket_s| {
        let of = move |key: Vec<u8>| Place::new(bucket_s, &key);
        keys().into_iter().map(of)
    });
    let changes = places.map(|place| {
        let text = format!("{text} {}", place.bucket_s());
        (place, Change::Append(text.into_bytes()))
    });
    Changes::new(changes)
}

fn entries<'a>(held: impl Iterator<Item = (&'a Place, &'a Vec<u8>)>) -> Vec<Entry> {
    held.map(|(place, bytes)| Entry {
        place: place.clone(),
        bytes: bytes.clone(),
    })
    .collect()
}

/// A scan hands over places in their order, from its first bucket to before its last, of its fold and no other.
pub async fn places_come_in_order_and_by_range<H: StoreHarness>(harness: &H) {
    let folds = [fold("a"), fold("b"), fold("c")];
    let mut store = harness.store();
    take(&mut store, &folds).await;
    let mut held = Held::new();
    for (number, text) in [(1, "one"), (0, "other"), (2, "another")] {
        add(&mut store, number, &everywhere(text)).await;
    }
    merge(&mut held, &everywhere("one"));
    commit(&mut store, &json!(1), true).await;
    check(&store, 1, &held, &json!(1)).await;
    let reader = store.reader().expect("a reader");
    let served = served(&reader).await;
    let mut ends: Vec<Option<i64>> = BUCKETS_S.map(Some).into();
    ends.extend([None, Some(2), Some(1_700_000_001), Some(i64::MAX)]);
    for from_s in &ends {
        for to_s in &ends {
            let wanted = held.iter().filter(|(place, _)| {
                let bucket_s = place.bucket_s();
                from_s.is_none_or(|from_s| bucket_s >= from_s)
                    && to_s.is_none_or(|to_s| bucket_s < to_s)
            });
            let (progress, found) = scan(&reader, &served, 1, (*from_s, *to_s))
                .await
                .expect("a scan");
            assert_eq!(progress, json!(1));
            same(&found, &entries(wanted));
        }
    }
}

/// What is older than a fold keeps goes with the commit that says so, also what came in the same step; what is of all time, newer, or
/// another fold's stays.
pub async fn old_buckets_are_dropped_and_no_others<H: StoreHarness>(harness: &H) {
    let folds = [fold("a"), fold("b"), fold("c")];
    let mut store = harness.store();
    take(&mut store, &folds).await;
    let mut held = [Held::new(), Held::new(), Held::new()];
    let kept = [
        [None, None, None],
        [Some(0), None, None],
        [Some(0), Some(-5), None],
        [Some(1_700_003_600), Some(i64::MIN + 1), None],
        [Some(i64::MAX), Some(2), None],
    ];
    for (turn, keep_from_s) in kept.into_iter().enumerate() {
        for (number, held) in held.iter_mut().enumerate() {
            let changes = everywhere(&format!("{number}, {turn};"));
            add(&mut store, number, &changes).await;
            merge(held, &changes);
            if let Some(from_s) = keep_from_s[number] {
                held.retain(|place, _| place.bucket_s() >= from_s || place.bucket_s() == ALL_TIME);
            }
        }
        let progress = json!(turn);
        let step = Step {
            progress: &progress,
            serve: turn == 0,
            keep_from_s: &keep_from_s,
        };
        store.commit(step).await.expect("a commit");
        for (number, held) in held.iter().enumerate() {
            check(&store, number, held, &progress).await;
        }
    }
    // Nothing merged: what is old goes all the same.
    let step = Step {
        progress: &json!("last"),
        serve: false,
        keep_from_s: &[None, None, Some(1)],
    };
    store.commit(step).await.expect("a commit");
    held[2].retain(|place, _| place.bucket_s() >= 1 || place.bucket_s() == ALL_TIME);
    for (number, held) in held.iter().enumerate() {
        check(&store, number, held, &json!("last")).await;
    }
}

/// What is handed over may be refused: the scan ends with that.
pub async fn what_a_query_refuses_ends_its_scan<H: StoreHarness>(harness: &H) {
    let mut store = harness.store();
    take(&mut store, &[fold("a")]).await;
    add(&mut store, 0, &Changes::append(&["a", "b", "c"], "1")).await;
    commit(&mut store, &json!(1), true).await;
    let reader = store.reader().expect("a reader");
    let served = served(&reader).await;
    let mut seen = 0;
    let mut each = |_: Entry| {
        seen += 1;
        match seen {
            2 => Err(Error::new(ErrorKind::Unsupported, "enough")),
            _ => Ok(()),
        }
    };
    let scanned = reader.scan(&served, 0, (None, None), &mut each).await;
    let error = scanned.expect_err("it was refused");
    assert_eq!((error.kind(), seen), (ErrorKind::Unsupported, 2));
}
