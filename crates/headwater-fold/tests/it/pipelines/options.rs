//! What can be set of a run, and what becomes of records that are refused.
