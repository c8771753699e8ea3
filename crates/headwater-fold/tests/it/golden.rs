//! The bytes of aggregates as they are stored: a change of them is a change of every store there is.
//!
//! `tests/golden/NAME.hex` holds them, one value a line. `HEADWATER_GOLDEN=write cargo test -p headwater-fold golden` writes them anew, which only
//! a new version of the form may do.

use std::borrow::Borrow;
use std::fmt::{Debug, Write};
use std::path::PathBuf;

use headwater_core::value::{Cell, Date, DateTime, Time};
use headwater_fold::monoid::{
    Average, Bloom, Count, DecayedSum, Decimal, First, HyperLogLog, Keyed, Last, MapMerge, Max,
    Min, Moment, Monoid, Quantiles, Scalar, Set, SumDecimal, SumFloat, SumInteger, Top,
};

/// Values that show every part of a form: nothing, one input, and all of them.
struct Golden {
    wrong: Vec<String>,
    files: Vec<String>,
}

impl Golden {
    fn holds<M, I>(&mut self, name: &str, monoid: &M, inputs: &[I])
    where
        M: Monoid,
        I: Borrow<M::Input> + Debug,
    {
        let mut text = format!("# {}\n", monoid.name());
        for count in [0, 1, inputs.len()] {
            let mut value = monoid.identity();
            for (number, input) in (1..).zip(&inputs[..count]) {
                let at = Moment {
                    order: (number * 1_000, number),
                    time_us: 3_600_000_000 * (number as i64 - 1),
                };
                monoid.add(&mut value, input.borrow(), at).unwrap();
            }
            let mut bytes = Vec::new();
            monoid.encode(&value, &mut bytes);
            for byte in &bytes {
                write!(text, "{byte:02x}").unwrap();
            }
            text.push('\n');
            assert_eq!(monoid.decode(&bytes).unwrap(), value, "{name}");
        }
        self.files.push(name.to_owned());
        let path = folder().join(format!("{name}.hex"));
        if std::env::var("HEADWATER_GOLDEN").as_deref() == Ok("write") {
            std::fs::write(path, text).unwrap();
        } else if std::fs::read_to_string(&path).ok().as_deref() != Some(&text) {
            self.wrong.push(format!("{name} is now\n{text}"));
        }
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn decimals(texts: &[&str]) -> Vec<Decimal> {
    texts
        .iter()
        .map(|text| Decimal::parse(text).unwrap())
        .collect()
}

#[test]
fn bytes_of_aggregates_are_those_that_stores_hold() {
    let mut golden = Golden {
        wrong: Vec::new(),
        files: Vec::new(),
    };
    numbers(&mut golden);
    values(&mut golden);
    sketches(&mut golden);
    assert!(
        golden.wrong.is_empty(),
        "{}\nIf that is meant, raise the version of the form and run the test with HEADWATER_GOLDEN=write.",
        golden.wrong.join("\n")
    );
    let mut there: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_string_lossy()
                .replace(".hex", "")
        })
        .collect();
    there.sort();
    golden.files.sort();
    assert_eq!(there, golden.files, "a file for each monoid, and no other");
}

fn numbers(golden: &mut Golden) {
    golden.holds("count", &Count, &[(), (), ()]);
    let integers = [5i128, -3, i128::from(u64::MAX) << 40];
    golden.holds("sum-integer", &SumInteger, &integers);
    let texts = [
        "12.50",
        "-0.125",
        "99999999999999999999999999999999999.000000000000000000000000000001",
    ];
    golden.holds("sum-decimal", &SumDecimal, &decimals(&texts));
    let floats = [0.1, 1e30, -2.5e-30, f64::NAN, f64::INFINITY];
    golden.holds("sum-float", &SumFloat, &floats);
    golden.holds("average-integer", &Average(SumInteger), &integers);
    golden.holds("average-decimal", &Average(SumDecimal), &decimals(&texts));
    golden.holds("average-float", &Average(SumFloat), &floats);
    let decayed = DecayedSum::new(3_600_000_000).unwrap();
    golden.holds("decayed", &decayed, &[8.0, 4.0, 1.0]);
    let tuple = (Count, SumInteger, Max::<i64>::default());
    golden.holds("tuple", &tuple, &[((), 7, -1), ((), 8, 4)]);
}

fn values(golden: &mut Golden) {
    golden.holds("min", &Min::<i64>::default(), &[300, -70, 5]);
    let texts = ["one", "two", "three"].map(str::to_owned);
    golden.holds("max", &Max::<String>::default(), &texts);
    golden.holds("first", &First::<i64>::default(), &[3, 4]);
    golden.holds(
        "last",
        &Last::<Vec<u8>>::default(),
        &[vec![1], vec![0, 255]],
    );
    let day = DateTime {
        date: Date {
            year: 2026,
            month: 11,
            day: 21,
        },
        hour: 23,
        minute: 5,
        second: 59,
        micros: 123_000,
        digits: 3,
    };
    let late = Time {
        negative: true,
        hours: 838,
        minute: 59,
        second: 58,
        micros: 0,
        digits: 0,
    };
    let cells = [
        Cell::Null,
        Cell::Int(-7),
        Cell::UInt(u64::MAX),
        Cell::Float(0.1),
        Cell::Double(-0.1),
        Cell::Decimal("-12.340"),
        Cell::Text("Straße"),
        Cell::Bytes(&[0, 255]),
        Cell::Date(day.date),
        Cell::Time(late),
        Cell::DateTime(day),
    ];
    let scalars = cells.map(|cell| Scalar::of(cell).unwrap());
    golden.holds("set", &Set::<Scalar>::new(100), &scalars);
    let entry = |key: &[u8], input| Keyed {
        key: key.to_vec(),
        input,
    };
    let entries = [
        entry(b"b", 2),
        entry(b"", -1),
        entry(b"b", 40),
        entry(b"c", 0),
    ];
    golden.holds("map", &MapMerge::new(SumInteger, 10), &entries);
}

fn sketches(golden: &mut Golden) {
    let items: Vec<Vec<u8>> = (0..40u8).map(|number| vec![number; 3]).collect();
    golden.holds("hll-sparse", &HyperLogLog::default(), &items[..5]);
    golden.holds("hll-dense", &HyperLogLog::new(5).unwrap(), &items);
    golden.holds(
        "bloom-sparse",
        &Bloom::new(1_000, 0.01).unwrap(),
        &items[..3],
    );
    golden.holds("bloom-dense", &Bloom::new(10, 0.1).unwrap(), &items);
    let words: Vec<Vec<u8>> = "a b a c a d b e"
        .split(' ')
        .map(|word| word.into())
        .collect();
    golden.holds("top", &Top::new(3).unwrap(), &words);
    let numbers = [1.0, -2.0, 0.0, 1e9, 1e-9, 3.3, 3.3];
    golden.holds("quantiles", &Quantiles::new(0.01, 2_048).unwrap(), &numbers);
    golden.holds(
        "quantiles-collapsed",
        &Quantiles::new(0.05, 16).unwrap(),
        &numbers,
    );
}
