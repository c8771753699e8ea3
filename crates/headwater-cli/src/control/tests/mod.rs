//! The control plane over its real doors, with a stand-in for the engine.

mod doors;
mod interface;
mod shapes;
mod stand_in;
