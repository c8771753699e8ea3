//! Events of whole rows.

mod events;
mod shape;
mod support;
