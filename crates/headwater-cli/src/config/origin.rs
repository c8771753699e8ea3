//! Where the values of a configuration file stand, for what is found wrong with them only later: against the servers.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::problem::{Place, Problem, Refused};

/// A file that was read.
#[derive(Clone)]
pub(crate) struct Origin(Arc<Inner>);

struct Inner {
    /// The file, without a problem so far.
    file: Refused,
    places: HashMap<String, Place>,
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin").finish_non_exhaustive()
    }
}

impl Origin {
    pub(super) fn new(file: Refused, places: HashMap<String, Place>) -> Self {
        Self(Arc::new(Inner { file, places }))
    }

    /// `config.yaml:14:9:` of a path such as `iotdb.mappings[0].measurements[1].type`; none of what is no path of the file.
    pub(crate) fn place(&self, path: &str) -> Option<String> {
        let at = self.nearest(path).filter(|_| path.contains('['))?;
        let problem = Problem::at(at, "");
        Some(self.0.file.line(&problem).trim_end().to_owned())
    }

    /// The file refused, with what is wrong at these paths.
    pub(crate) fn refused(&self, problems: Vec<(String, String)>) -> Refused {
        let problem = |(path, message): (String, String)| Problem {
            at: self.nearest(&path),
            message,
            help: None,
        };
        let mut problems: Vec<Problem> = problems.into_iter().map(problem).collect();
        problems.sort_by_key(|problem| problem.at.as_ref().map(|at| at.bytes.start));
        self.0.file.with(problems)
    }

    /// The place of a value, or where it is not written, of what stands for it: at last that of its section.
    fn nearest(&self, path: &str) -> Option<Place> {
        const STAND_INS: [(&str, &str); 3] = [
            (".field", ".name"),
            (".tags[0]", ".device_field"),
            (".target", ".table"),
        ];
        let places = &self.0.places;
        let mut path = path;
        loop {
            if let Some(place) = places.get(path) {
                return Some(place.clone());
            }
            for (key, other) in STAND_INS {
                let section = path.strip_suffix(key);
                let found = section.and_then(|section| places.get(&format!("{section}{other}")));
                if let Some(place) = found {
                    return Some(place.clone());
                }
            }
            path = path.get(..path.rfind(['.', '['])?)?;
        }
    }
}
