//! Those who use a server that is measured.

use client::records::Grant;

/// Somebody with an account and a session.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) password: String,
    pub(crate) grant: Grant,
}
