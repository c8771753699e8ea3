//! The engine, run as a whole.

mod worlds;
