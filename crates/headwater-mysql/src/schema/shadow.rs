//! The shadow tables of online schema changes. Their rows are copies, and no events: gh-ost copies into `_t_gho`, keeps
//! its own log in `_t_ghc` and leaves the old table as `_t_del`; pt-online-schema-change copies into `_t_new` (with
//! more underscores if that name is taken) and leaves `_t_old`. The last step of both is a RENAME.

use headwater_core::schema::TableName;

/// Whether a table is the shadow of one that is captured. Both lie in one database.
pub fn is_shadow(name: &TableName, mut captured: impl FnMut(&TableName) -> bool) -> bool {
    originals(&name.table)
        .any(|original| captured(&TableName::new(name.database.clone(), original)))
}

/// The tables that one of this name could be the shadow of.
fn originals(table: &str) -> impl Iterator<Item = &str> {
    let inner = table.strip_prefix('_').unwrap_or_default();
    let gh_ost = ["_gho", "_ghc", "_del"]
        .into_iter()
        .flat_map(move |suffix| {
            let original = inner.strip_suffix(suffix);
            // `--timestamp-old-table` puts 14 digits between.
            let stamped =
                original
                    .and_then(|name| name.rsplit_once('_'))
                    .and_then(|(name, stamp)| {
                        let digits =
                            stamp.len() == 14 && stamp.bytes().all(|byte| byte.is_ascii_digit());
                        digits.then_some(name)
                    });
            original.into_iter().chain(stamped)
        });
    let pt = ["_new", "_old"].into_iter().flat_map(move |suffix| {
        let named = inner.strip_suffix(suffix);
        std::iter::successors(named, |name| name.strip_prefix('_'))
    });
    gh_ost.chain(pt).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shadow(table: &str) -> bool {
        is_shadow(&TableName::new("shop", table), |name| {
            *name == TableName::new("shop", "orders")
        })
    }

    #[test]
    fn the_tables_of_both_tools_are_shadows() {
        let shadows = [
            "_orders_gho",
            "_orders_ghc",
            "_orders_del",
            "_orders_20260102030405_del",
            "_orders_new",
            "__orders_new",
            "__________orders_new",
            "_orders_old",
            "__orders_old",
        ];
        for table in shadows {
            assert!(shadow(table), "{table}");
        }
        for table in [
            "orders",
            "orders_new",
            "_users_gho",
            "_orders",
            "_gho",
            "_",
            "__gho",
        ] {
            assert!(!shadow(table), "{table}");
        }
    }
}
