//! The JSON schema of the configuration file.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::file::File;

/// The schema as a value.
pub(crate) fn generate() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    generator.into_root_schema_for::<File>().to_value()
}

/// The schema as `headwater schema` prints it.
pub(crate) fn text() -> String {
    // A value of strings, numbers, lists and maps always prints.
    let mut text = serde_json::to_string_pretty(&generate()).unwrap_or_default();
    text.push('\n');
    text
}
