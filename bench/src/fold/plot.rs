//! Cost and memory against the number of keys, as a picture.

use std::fmt::Write as _;

use super::{Medians, Way, cost_of};

const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 240.0;
const MARGIN: f64 = 56.0;
const COLORS: [&str; 2] = ["#1f77b4", "#d62728"];

/// What was measured on one server.
#[derive(Debug)]
pub(super) struct Line {
    name: String,
    /// Keys; CPU beyond decoding, in µs a key; the peak of memory, in MB.
    points: Vec<(f64, f64, f64)>,
}

impl Line {
    pub(super) fn new(name: &str, medians: &Medians) -> Self {
        let decoding = cost_of(medians, Way::Decode).map_or(0.0, |cost| cost.cpu.as_secs_f64());
        let point = |(way, cost): &(Way, crate::measure::Cost)| {
            let Way::Fold(keys) = way else { return None };
            let keys = crate::report::float(*keys);
            let beyond_us = (cost.cpu.as_secs_f64() - decoding).max(0.0) * 1e6;
            Some((
                keys,
                beyond_us / keys,
                crate::report::float(cost.rss_bytes) / 1e6,
            ))
        };
        Self {
            name: name.to_owned(),
            points: medians.iter().filter_map(point).collect(),
        }
    }
}

/// The picture, as SVG.
pub(super) fn draw(lines: &[Line]) -> String {
    let (width, height) = (2.0 * (WIDTH + MARGIN) + MARGIN, HEIGHT + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    panel(
        &mut svg,
        MARGIN,
        "CPU beyond decoding, µs a key, by the number of keys",
        lines,
        |point| point.1,
    );
    panel(
        &mut svg,
        WIDTH + 2.0 * MARGIN,
        "peak of memory, MB, by the number of keys",
        lines,
        |point| point.2,
    );
    for (number, (line, color)) in lines.iter().zip(COLORS).enumerate() {
        let y = MARGIN + 16.0 + 16.0 * crate::report::float(number as u64);
        _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{y}\" fill=\"{color}\" text-anchor=\"end\">{}</text>",
            MARGIN + WIDTH - 8.0,
            line.name
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(
    svg: &mut String,
    left: f64,
    title: &str,
    lines: &[Line],
    of: impl Fn(&(f64, f64, f64)) -> f64,
) {
    let all = lines.iter().flat_map(|line| &line.points);
    let (least, most) = all.fold((f64::MAX, f64::MIN), |(least, most), point| {
        (least.min(of(point)), most.max(of(point)))
    });
    let (low, high) = (
        least.max(1e-3).log10().floor(),
        most.max(1e-2).log10().ceil(),
    );
    let x = |keys: f64| left + (keys.log10() - 3.0) / 3.0 * WIDTH;
    let y = |value: f64| {
        MARGIN + HEIGHT - (value.max(1e-3).log10() - low) / (high - low).max(1.0) * HEIGHT
    };
    _ = writeln!(
        svg,
        "<text x=\"{left}\" y=\"{}\">{title}</text>",
        MARGIN - 12.0
    );
    _ = writeln!(
        svg,
        "<rect x=\"{left}\" y=\"{MARGIN}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"none\" stroke=\"#888\"/>"
    );
    for (keys, label) in [
        (1e3, "1,000"),
        (1e4, "10,000"),
        (1e5, "100,000"),
        (1e6, "1 million"),
    ] {
        _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
            x(keys),
            MARGIN + HEIGHT + 18.0
        );
    }
    let mut decade = low;
    while decade <= high {
        let at = y(10f64.powf(decade));
        _ = writeln!(
            svg,
            "<line x1=\"{left}\" x2=\"{}\" y1=\"{at}\" y2=\"{at}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            left + WIDTH,
            left - 6.0,
            at + 4.0,
            10f64.powf(decade)
        );
        decade += 1.0;
    }
    for (line, color) in lines.iter().zip(COLORS) {
        let points: Vec<String> = (line.points.iter())
            .map(|point| format!("{:.1},{:.1}", x(point.0), y(of(point))))
            .collect();
        _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>",
            points.join(" ")
        );
        for point in &points {
            if let Some((x, y)) = point.split_once(',') {
                _ = writeln!(
                    svg,
                    "<circle cx=\"{x}\" cy=\"{y}\" r=\"3\" fill=\"{color}\"/>"
                );
            }
        }
    }
}
