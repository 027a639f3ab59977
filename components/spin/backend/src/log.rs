//! What the adapter itself has to say, to whoever runs the application: lines of JSON on the standard error, as those of
//! functions.

use std::cell::RefCell;
use std::collections::BTreeSet;

use wire::json::Json as _;

thread_local! {
    static SAID: RefCell<BTreeSet<String>> = RefCell::default();
}

/// Says once in the life of the instance that something is set wrong.
pub(crate) fn once(message: &str) {
    if SAID.with_borrow_mut(|said| said.insert(message.to_owned())) {
        let mut text = Vec::new();
        message.to_owned().write(&mut text);
        eprintln!("{{\"level\":\"error\",\"message\":{}}}", String::from_utf8_lossy(&text));
    }
}
