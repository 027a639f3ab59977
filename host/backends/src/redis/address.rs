//! What may be shown of a URL.

use redis::IntoConnectionInfo;

/// The host and port of a URL, which is all of it that may be shown.
pub(super) fn shown(url: &str) -> String {
    match url.into_connection_info() {
        Ok(info) => info.addr().to_string(),
        Err(_) => "an unreadable url".to_owned(),
    }
}
