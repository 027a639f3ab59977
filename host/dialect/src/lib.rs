//! How a server of MySQL is spoken to, whatever carries the words there: what a statement of a guest may be, what it
//! takes and gives, and what the server's errors mean.
//!
//! It owns no connection, and compiles to WebAssembly as well.

pub mod failure;
pub mod gate;
pub mod sql;
