//! The order of things on one server: load, then each part's subjects in turns (A B C A B C …), so that a slow minute of
//! the machine hits them all.

use std::io::BufRead;

use headwater_servers::{Error, Flavor, Instance, Result};

use crate::measure::{self, Cost, Outputs};
use crate::subject::{Role, Scene, Subject};
use crate::workload;
use crate::{Bench, Part, headwater};

/// What came out for one part on one server.
#[derive(Debug)]
pub(crate) struct PartResult {
    pub(crate) flavor: Flavor,
    pub(crate) version: String,
    pub(crate) part: Part,
    /// Rows or changes that each subject has read.
    pub(crate) rows: u64,
    pub(crate) subjects: Vec<SubjectResult>,
}

/// What came out for one subject.
#[derive(Debug)]
pub(crate) struct SubjectResult {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// The medians; or why there are none.
    pub(crate) cost: std::result::Result<Cost, String>,
}

impl PartResult {
    /// What did not run, or not rightly.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        self.subjects.iter().filter_map(|subject| {
            let why = subject.cost.as_ref().err()?;
            Some((subject.name.as_str(), why.as_str()))
        })
    }
}

/// Measures the wanted parts on one server.
pub(crate) fn run(flavor: Flavor, wanted: &Bench) -> Result<Vec<PartResult>> {
    let headwater = headwater(wanted.headwater.as_deref())?;
    eprintln!(
        "{}: starting, and loading {} rows",
        flavor.name(),
        wanted.rows
    );
    let server = workload::start(flavor)?;
    // In the server's own folder: on the same disk, and gone with it.
    let folder = server.data_folder().with_file_name("outputs");
    let outputs = Outputs::new(folder)?;
    let scene = Scene {
        server: &server,
        headwater: &headwater,
        outputs: &outputs,
    };
    workload::load(&server, wanted.rows)?;
    let mut results = Vec::new();
    for part in Part::ALL {
        if wanted.only.is_some_and(|only| only != part) {
            continue;
        }
        let (rows, subjects) = subjects(&scene, part, wanted.rows)?;
        results.push(PartResult {
            flavor,
            version: version(&server)?,
            part,
            rows,
            subjects: turns(&scene, &subjects, wanted.runs, part)?,
        });
        if wanted.hold {
            hold(&subjects);
        }
    }
    Ok(results)
}

fn version(server: &Instance) -> Result<String> {
    Ok(server.sql("select version()")?.trim().to_owned())
}

/// Prepares a part, and says how much there is to read and who reads it.
fn subjects(scene: &Scene<'_>, part: Part, rows: u64) -> Result<(u64, Vec<Subject>)> {
    let server = scene.server;
    let (tables, is_small) = match part {
        Part::Snapshot => return Ok((rows, scene.snapshot(rows)?)),
        Part::Log => (["bench.orders"], false),
        Part::LogSmall => (["bench20.*"], true),
    };
    match is_small {
        true => workload::prepare_small_log(server)?,
        false => workload::prepare_log(server, rows)?,
    }
    // Without Headwater the limits can still be measured.
    let token = scene.token(&tables).unwrap_or_else(|error| {
        eprintln!("no token, so headwater will fail: {error}");
        "none".to_owned()
    });
    let place = workload::end_of_log(server)?;
    eprintln!(
        "{}: writing the {} ({rows} changes)",
        server.flavor().name(),
        part.title()
    );
    let written = match is_small {
        true => workload::write_small_log(server, rows)?,
        false => workload::write_log(server, rows)?,
    };
    Ok((
        written.changes,
        scene.log(&place, &token, &tables, written)?,
    ))
}

/// Runs them all in turns; one that fails once is left out from then on.
fn turns(
    scene: &Scene<'_>,
    subjects: &[Subject],
    runs: u16,
    part: Part,
) -> Result<Vec<SubjectResult>> {
    let server = scene
        .server
        .pid()
        .ok_or_else(|| Error::new("the server does not run"))?;
    let mut costs: Vec<std::result::Result<Vec<Cost>, String>> =
        vec![Ok(Vec::new()); subjects.len()];
    for run in 1..=runs {
        for (subject, costs) in subjects.iter().zip(&mut costs) {
            let Ok(so_far) = costs else { continue };
            let done = measure::run(subject.command(), scene.outputs, server)
                .and_then(|cost| subject.check(scene.outputs).map(|()| cost));
            scene.outputs.clear();
            let name = format!(
                "{}, {}, run {run}: {}",
                scene.server.flavor().name(),
                part.title(),
                subject.name
            );
            match done {
                Ok(cost) => {
                    eprintln!(
                        "{name}: {:.2} s, {:.2} s CPU, {} MB",
                        cost.wall.as_secs_f64(),
                        cost.cpu.as_secs_f64(),
                        cost.rss_bytes / 1_000_000
                    );
                    so_far.push(cost);
                }
                Err(error) => {
                    eprintln!("{name}: FAILED: {error}");
                    *costs = Err(error.to_string());
                }
            }
        }
    }
    let results = subjects
        .iter()
        .zip(costs)
        .map(|(subject, costs)| SubjectResult {
            name: subject.name.clone(),
            role: subject.role,
            cost: costs.and_then(|costs| Cost::median(&costs).ok_or_else(|| "no run".to_owned())),
        });
    Ok(results.collect())
}

/// Shows the commands, and waits.
fn hold(subjects: &[Subject]) {
    for subject in subjects {
        eprintln!("{}:\n  {:?}", subject.name, subject.command());
    }
    eprintln!("the server stays until a line comes in");
    // An end of the input is a line, too.
    let _ = std::io::stdin().lock().lines().next();
}
