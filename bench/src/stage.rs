//! What most commands begin and end with: each server in its turn, started afresh, and what came out on standard output and in a
//! file.

use headwater_servers::Result;

use crate::measure::Outputs;
use crate::report::Machine;
use crate::subject::Scene;
use crate::{Common, flavors, headwater, workload};

/// Has `measure` do its work on each server and append what came out to a text that begins with the machine and `head`. Says
/// whether it did everywhere.
pub(crate) fn on_each(
    common: &Common,
    head: &str,
    mut measure: impl FnMut(&Scene<'_>, &mut String) -> Result<bool>,
) -> Result<bool> {
    // Before anything runs.
    let machine = Machine::look();
    let program = headwater(common.headwater.as_deref())?;
    let mut text = format!("{machine}{head}");
    let mut all_ran = true;
    for flavor in flavors(common.server) {
        let server = workload::start(flavor)?;
        // In the server's own folder: on the same disk, and gone with it.
        let outputs = Outputs::new(server.data_folder().with_file_name("outputs"))?;
        let scene = Scene {
            server: &server,
            headwater: &program,
            outputs: &outputs,
        };
        all_ran &= measure(&scene, &mut text)?;
    }
    print!("{text}");
    common.write(&text)?;
    Ok(all_ran)
}

/// How the text begins where subjects take turns.
pub(crate) fn medians(runs: u16) -> String {
    format!("; medians of {runs} runs, in turns.\n")
}
