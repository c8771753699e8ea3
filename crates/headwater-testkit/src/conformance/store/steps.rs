//! Steps: merged, committed, given up, fenced off.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use headwater_core::ErrorKind;
use headwater_fold::place::Place;
use headwater_fold::store::{Deltas, StateReader, StateStore, Taken};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::StoreHarness;
use super::model::{
    Change, Changes, Held, add, all_time, check, commit, fold, merge, take, try_commit,
};

/// Nothing is there, nothing is served, and what is written to is being built.
pub async fn a_new_store_holds_and_serves_nothing<H: StoreHarness>(harness: &H) {
    let mut store = harness.store();
    let taken = take(&mut store, &[fold("a")]).await;
    let nothing = Taken {
        progress: None,
        is_building: true,
    };
    assert_eq!(taken, nothing);
    let reader = store.reader().expect("a reader");
    assert_eq!(reader.served().await.expect("it can be read"), None);
    assert_eq!(reader.written().await.expect("it can be read"), None);
    // Progress alone is progress.
    commit(&mut store, &json!(1), false).await;
    assert_eq!(reader.served().await.expect("it can be read"), None);
    let written = reader.written().await.expect("it can be read");
    assert_eq!(written, Some(json!(1)));
    drop((store, reader));
    let taken = take(&mut harness.store(), &[fold("a")]).await;
    assert_eq!(taken.progress, Some(json!(1)));
}

/// What was merged, of all folds, is there with its progress: for readers, for the same process, and for the next.
pub async fn aggregates_and_progress_are_committed_together<H: StoreHarness>(harness: &H) {
    let folds = [fold("a"), fold("b")];
    let (mut a, mut b) = (Held::new(), Held::new());
    let mut store = harness.store();
    take(&mut store, &folds).await;
    for turn in 0..5 {
        let keys = ["x", "y", &format!("{turn}")];
        let (one, other) = (
            Changes::append(&keys, &format!("a{turn},")),
            Changes::append(&keys[turn % 2..], &format!("b{turn},")),
        );
        add(&mut store, 0, &one).await;
        add(&mut store, 1, &other).await;
        commit(&mut store, &json!({ "turn": turn }), turn == 0).await;
        merge(&mut a, &one);
        merge(&mut b, &other);
        check(&store, 0, &a, &json!({ "turn": turn })).await;
        check(&store, 1, &b, &json!({ "turn": turn })).await;
    }
    let again = take(&mut store, &folds).await;
    let expected = Taken {
        progress: Some(json!({ "turn": 4 })),
        is_building: false,
    };
    assert_eq!(again, expected, "the same process");
    drop(store);
    let mut next = harness.store();
    assert_eq!(take(&mut next, &folds).await, expected, "the next process");
    check(&next, 0, &a, &json!({ "turn": 4 })).await;
    check(&next, 1, &b, &json!({ "turn": 4 })).await;
}

/// A step that was not committed is not seen, and neither the same process nor the next finds anything of it.
pub async fn what_is_not_committed_is_seen_by_nobody_and_gone<H: StoreHarness>(harness: &H) {
    let folds = [fold("a")];
    let mut held = Held::new();
    let mut store = harness.store();
    take(&mut store, &folds).await;
    let first = Changes::append(&["x", "y", "z"], "1");
    add(&mut store, 0, &first).await;
    commit(&mut store, &json!(1), true).await;
    merge(&mut held, &first);
    let lost = Changes::new([
        (all_time("x"), Change::Append("lost".into())),
        (all_time("y"), Change::Gone),
        (all_time("new"), Change::Append("lost".into())),
        (Place::new(60, b"new"), Change::Append("lost".into())),
    ]);
    for turn in 2..4 {
        add(&mut store, 0, &lost).await;
        check(&store, 0, &held, &json!(turn - 1)).await;
        if turn == 2 {
            assert_eq!(take(&mut store, &folds).await.progress, Some(json!(1)));
        } else {
            drop(store);
            store = harness.store();
            assert_eq!(take(&mut store, &folds).await.progress, Some(json!(2)));
        }
        check(&store, 0, &held, &json!(turn - 1)).await;
        // It neither comes back with the next commit.
        let next = Changes::append(&["x", "next"], "2");
        add(&mut store, 0, &next).await;
        commit(&mut store, &json!(turn), false).await;
        merge(&mut held, &next);
        check(&store, 0, &held, &json!(turn)).await;
    }
}

/// In one step or several: a merge finds what was put, dropped and kept before.
pub async fn a_merge_finds_what_was_merged_before_it<H: StoreHarness>(harness: &H) {
    let folds = [fold("a"), fold("b")];
    let mut held = [Held::new(), Held::new()];
    let mut store = harness.store();
    take(&mut store, &folds).await;
    let append = |text: &str| Change::Append(text.into());
    let steps = [
        vec![append("1"), append("2"), Change::Gone, append("3")],
        vec![append("4"), Change::Kept, append("5")],
        vec![Change::Gone],
        vec![Change::Gone, append("6"), append("")],
        vec![Change::Kept, Change::Gone, Change::Kept],
        vec![append("")],
        vec![append("7"), Change::Gone],
    ];
    for (number, step) in steps.into_iter().enumerate() {
        for (at, change) in step.into_iter().enumerate() {
            let fold = at % 2;
            let places = ["only", "", "other"].map(|key| (all_time(key), change.clone()));
            let changes = Changes::new(places);
            // Both folds, so that one is not taken for the other.
            for number in [fold, 1 - fold, fold] {
                add(&mut store, number, &changes).await;
                merge(&mut held[number], &changes);
            }
        }
        commit(&mut store, &json!(number), number == 0).await;
        check(&store, 0, &held[0], &json!(number)).await;
        check(&store, 1, &held[1], &json!(number)).await;
    }
}

/// A merge that fails fails as it did, and [`StateStore::take_over`] finds what was committed before.
pub async fn a_merge_that_fails_leaves_nothing<H: StoreHarness>(harness: &H) {
    let folds = [fold("a")];
    let mut held = Held::new();
    let mut store = harness.store();
    take(&mut store, &folds).await;
    let first = Changes::append(&["a", "b", "c"], "1");
    add(&mut store, 0, &first).await;
    merge(&mut held, &first);
    commit(&mut store, &json!(1), true).await;
    let failing = Changes::new([
        (all_time("a"), Change::Append("2".into())),
        (all_time("b"), Change::Fails),
        (all_time("c"), Change::Append("2".into())),
    ]);
    let error = store.merge(0, &failing).await.expect_err("it fails");
    assert_eq!(error.kind(), ErrorKind::SinkRejected, "{error:?}");
    check(&store, 0, &held, &json!(1)).await;
    assert_eq!(take(&mut store, &folds).await.progress, Some(json!(1)));
    add(&mut store, 0, &Changes::new([])).await;
    commit(&mut store, &json!(2), false).await;
    check(&store, 0, &held, &json!(2)).await;
}

/// Whatever JSON it is, with the order of its keys.
pub async fn progress_comes_back_as_it_was<H: StoreHarness>(harness: &H) {
    let folds = [fold("a")];
    let mut store = harness.store();
    take(&mut store, &folds).await;
    let documents = [
        json!({ "z": 1, "a": { "ä\n\"'\u{0}\u{1f600}": [null, true, -0.1, 1e300] } }),
        json!({ "most": u64::MAX, "least": i64::MIN, "part": 0.1 + 0.2 }),
        json!({ "long": "x".repeat(300_000) }),
        json!([]),
        json!("text"),
    ];
    for document in documents {
        commit(&mut store, &document, false).await;
        let found = take(&mut store, &folds).await.progress;
        let text = found.as_ref().map(ToString::to_string);
        assert_eq!(text, Some(document.to_string()), "the same process");
        drop(store);
        store = harness.store();
        assert_eq!(take(&mut store, &folds).await.progress, found);
    }
}

/// Nobody knows what became of a commit whose answer never came: it was made as a whole, or not at all, and
/// [`StateStore::take_over`] says which.
pub async fn a_commit_that_was_given_up_was_made_or_not<H: StoreHarness>(harness: &H) {
    let folds = [fold("a")];
    let mut held = Held::new();
    let mut store = harness.store();
    take(&mut store, &folds).await;
    commit(&mut store, &json!(0), true).await;
    let mut progress = json!(0);
    for turn in 1..30 {
        let changes = Changes::append(&["x", "y", &format!("{turn}")], &format!("{turn},"));
        add(&mut store, 0, &changes).await;
        let asked = json!(turn);
        let given_up = {
            // As often as it says "not yet", up to some number; then the future is dropped.
            let mut left = turn % 7;
            let mut committing = pin!(try_commit(&mut store, &asked, false));
            std::future::poll_fn(|context| match committing.as_mut().poll(context) {
                Poll::Ready(made) => Poll::Ready(made.map(|()| false)),
                Poll::Pending if left == 0 => Poll::Ready(Ok(true)),
                Poll::Pending => {
                    left -= 1;
                    Poll::Pending
                }
            })
            .await
            .expect("a commit")
        };
        if turn % 3 == 0 {
            drop(store);
            store = harness.store();
        }
        let taken = take_soon(&mut store, &folds).await;
        let found = taken.progress.expect("there was a commit before");
        assert!(
            found == asked || given_up && found == progress,
            "{found} after {asked}, {progress} before"
        );
        if found == asked {
            merge(&mut held, &changes);
            progress = found;
        }
        check(&store, 0, &held, &progress).await;
    }
}

/// Takes over a store that somebody may be about to close.
async fn take_soon<S: StateStore>(
    store: &mut S,
    folds: &[headwater_fold::store::FoldInfo],
) -> Taken {
    // A commit that was given up may hold what is fenced off by being open, until it is made.
    for _ in 0..6_000 {
        match store.take_over(folds, false).await {
            Ok(taken) => return taken,
            Err(error) if error.kind() == ErrorKind::Locked => {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("the store stayed locked for a minute");
}

/// Once a second process has taken over, the first changes nothing, is told so, and does not come back by itself. A store that
/// cannot fence refuses the second instead, for as long as the first is there, and the first goes on.
pub async fn a_newcomer_fences_off_or_is_refused<H: StoreHarness>(harness: &H) {
    let folds = [fold("a")];
    let mut held = Held::new();
    let mut first = harness.store();
    take(&mut first, &folds).await;
    let one = Changes::append(&["x"], "first,");
    add(&mut first, 0, &one).await;
    commit(&mut first, &json!("first"), true).await;
    merge(&mut held, &one);
    add(
        &mut first,
        0,
        &Changes::append(&["x", "late"], "under way,"),
    )
    .await;
    let mut second = harness.store();
    if !harness.fences() {
        let error = second.take_over(&folds, false).await;
        let error = error.expect_err("somebody is there");
        assert_eq!(error.kind(), ErrorKind::Locked, "{error:?}");
        assert!(error.hint_text().is_some(), "says what to do: {error:?}");
        merge(&mut held, &Changes::append(&["x", "late"], "under way,"));
        commit(&mut first, &json!("first, too"), false).await;
        check(&first, 0, &held, &json!("first, too")).await;
        drop(first);
        let taken = take(&mut second, &folds).await;
        assert_eq!(taken.progress, Some(json!("first, too")));
        return;
    }
    let taken = take(&mut second, &folds).await;
    assert_eq!(taken.progress, Some(json!("first")));
    let error = try_commit(&mut first, &json!("too late"), false).await;
    let error = error.expect_err("it was fenced off");
    assert_eq!(error.kind(), ErrorKind::Locked, "{error:?}");
    assert!(error.hint_text().is_some(), "says what to do: {error:?}");
    check(&second, 0, &held, &json!("first")).await;
    let two = Changes::append(&["x", "y"], "second,");
    add(&mut second, 0, &two).await;
    merge(&mut held, &two);
    let error = first.merge(0, &one).await.expect_err("it was fenced off");
    assert_eq!(error.kind(), ErrorKind::Locked, "{error:?}");
    let error = first.take_over(&folds, false).await;
    let error = error.expect_err("it does not come back by itself");
    assert_eq!(error.kind(), ErrorKind::Locked, "{error:?}");
    commit(&mut second, &json!("second"), false).await;
    check(&second, 0, &held, &json!("second")).await;
    // One that had begun no step learns it from its first merge.
    let mut third = harness.store();
    take(&mut third, &folds).await;
    let error = second.merge(0, &one).await.expect_err("it was fenced off");
    assert_eq!(error.kind(), ErrorKind::Locked, "{error:?}");
    try_commit(&mut second, &json!(0), false)
        .await
        .expect_err("it was fenced off");
    check(&third, 0, &held, &json!("second")).await;
}

/// A step of 100,000 places, merged in parts, is seen as a whole or not at all.
pub async fn a_large_step_is_one_step<H: StoreHarness>(harness: &H) {
    const PLACES: u32 = 100_000;
    let folds = [fold("a")];
    let mut store = harness.store();
    take(&mut store, &folds).await;
    let mut held = Held::new();
    let part = |turn: u32, of: u32| {
        let places = (0..PLACES).filter(move |number| number % 4 == of);
        Changes::new(places.map(move |number| {
            let bucket_s = i64::from(number % 3) * 86_400;
            let place = Place::new(bucket_s, format!("key {number:07}").as_bytes());
            let text = format!("{turn}:{number};").into_bytes();
            (place, Change::Append(text))
        }))
    };
    for turn in 0..2 {
        for of in 0..4 {
            let changes = part(turn, of);
            assert_eq!(changes.len(), 25_000);
            add(&mut store, 0, &changes).await;
            merge(&mut held, &changes);
        }
        if turn == 1 {
            let reader = store.reader().expect("a reader");
            let served = super::model::served(&reader).await;
            let places = [Place::new(0, b"key 0000000")];
            let (progress, found) = reader.get_many(&served, 0, &places).await.expect("answers");
            assert_eq!((progress, found), (json!(0), vec![Some(b"0:0;".to_vec())]));
        }
        commit(&mut store, &json!(turn), turn == 0).await;
    }
    check(&store, 0, &held, &json!(1)).await;
}

/// Seeded: merges, commits, steps given up, new processes. What is held is what a store in memory holds.
pub async fn a_random_history_is_what_a_model_says<H: StoreHarness>(harness: &H) {
    let folds = [fold("a"), fold("b"), fold("c")];
    for seed in 0..3 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut store = harness.store();
        store
            .take_over(&folds, true)
            .await
            .expect("the store is taken over");
        commit(&mut store, &json!([seed, 0]), true).await;
        let mut committed = [Held::new(), Held::new(), Held::new()];
        let mut pending = committed.clone();
        let mut progress = json!([seed, 0]);
        for turn in 1..120 {
            match random.random_range(0..10) {
                0..6 => {
                    let number = random.random_range(0..folds.len());
                    let changes = random_changes(&mut random, turn);
                    add(&mut store, number, &changes).await;
                    merge(&mut pending[number], &changes);
                }
                6..8 => {
                    progress = json!([seed, turn]);
                    commit(&mut store, &progress, false).await;
                    committed.clone_from(&pending);
                }
                other => {
                    if other == 9 {
                        drop(store);
                        store = harness.store();
                    }
                    let taken = take(&mut store, &folds).await;
                    assert_eq!(taken.progress.as_ref(), Some(&progress), "seed {seed}");
                    pending.clone_from(&committed);
                }
            }
            if turn % 10 == 0 {
                for (number, held) in committed.iter().enumerate() {
                    check(&store, number, held, &progress).await;
                }
            }
        }
    }
}

fn random_changes(random: &mut StdRng, turn: u32) -> Changes {
    let count = random.random_range(0..40);
    let change = |random: &mut StdRng| {
        let bucket_s = [i64::MIN, -3_600, 0, 3_600][random.random_range(0..4)];
        let key = [random.random_range(0..12u8)];
        let change = match random.random_range(0..10) {
            0..2 => Change::Gone,
            2 => Change::Kept,
            _ => Change::Append(format!("{turn},").into_bytes()),
        };
        (Place::new(bucket_s, &key), change)
    };
    Changes::new((0..count).map(|_| change(random)).collect::<Vec<_>>())
}
