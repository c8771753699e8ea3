//! The testkit, tested: the oracle finds each kind of wrong stream, and the suites pass on what is in memory.

mod memory;
mod oracle;
