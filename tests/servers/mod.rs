//! Servers for tests, private to the test that starts them: each on a free port of this machine, with its data in a
//! folder of its own, stopped by its process id when it is dropped. The standard library alone.

pub mod redis;
