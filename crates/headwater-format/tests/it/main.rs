//! Events of whole rows.

mod events;
mod routes;
mod shape;
mod support;
