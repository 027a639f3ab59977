//! What the help texts and defaults of several commands have in common.

/// The data folder of a server that was not told otherwise.
pub(crate) const DEFAULT_DATA: &str = "./data";

/// The last lines of every help text. A macro, because `concat!` takes literals only.
macro_rules! exit_codes {
    () => {
        "Exit codes: 0 done, 1 failed or found differences, 2 wrong usage, 3 cannot reach the server, \
         4 refused by the server, 5 the server ended the session"
    };
}
pub(crate) use exit_codes;
