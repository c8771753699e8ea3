//! `docs/maxwell-settings.md`.

use std::fmt::Write as _;

use super::table::SECTIONS;

const HEAD: &str = "# Maxwell's settings

Every option of Maxwell 1.45.0: what it is called here, the default there and here, and what differs on purpose. *none* means that
there is no such setting; the last column says why none is needed, or what to do instead. Options of events and of Kafka keep their
names, in the file and as flags (`--output_xoffset=false`, or with dashes).

```sh
headwater from-maxwell config.properties > shop.yaml   # what became of each option is said on standard error
```

It ends with 0 if everything that the file asks for is there, with 1 if something is not (the file is printed all the same), and
with 2 if `config.properties` cannot be read. It copies no password and no key: give them by `HEADWATER_MYSQL_PASSWORD` and
`HEADWATER_SECRET_KEY`. As Maxwell does, the file follows the log from now (`mode: cdc`) with Maxwell's own three types of bootstrap
events; `mode: both` copies the rows first.
";

/// The page's text.
pub(crate) fn page() -> String {
    let mut out = HEAD.to_owned();
    for (title, rows) in SECTIONS {
        let _ = write!(
            out,
            "\n## {title}\n\n| Maxwell | its default | here, and the default | what differs |\n|---|---|---|---|\n"
        );
        for row in rows {
            let default = match row.default {
                "" => String::new(),
                text => format!("`{text}`"),
            };
            let _ = writeln!(
                out,
                "| `{}` | {default} | {} | {} |",
                row.name, row.here, row.note
            );
        }
    }
    out
}
