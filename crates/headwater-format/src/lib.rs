//! Event encodings: how a row of a batch becomes the bytes that a sink writes.
//!
//! [`maxwell`] is Maxwell's JSON. The modules beside it hold what an encoding is made of: JSON strings ([`escape`]),
//! floating point in Java's form ([`java_float`]), dates and times ([`temporal`]), geometries as text ([`wkt`]).
//! Everything appends to a `Vec<u8>` that the caller keeps, and nothing allocates per row.

mod append;
pub mod escape;
pub mod java_float;
pub mod maxwell;
pub mod temporal;
pub mod wkt;
