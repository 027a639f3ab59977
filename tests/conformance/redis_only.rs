//! What Redis may do to those who use it.
