//! Events of whole rows.

mod events;
mod options;
mod routes;
mod shape;
mod support;
