//! The settings of the function, and their defaults.

use guest::config::value_or;

/// Most groups of which any answer tells; no setting allows a user more.
pub(crate) const LONGEST_LIST: u32 = 10_000;

/// From how many members on a group has one row a message.
pub(crate) fn fan_out_threshold() -> u32 {
    value_or("fan-out-threshold", 100)
}

/// How many members a group may have.
pub(crate) fn max_members() -> u32 {
    value_or("max-members", 100_000)
}

/// To how many groups a user may belong.
pub(crate) fn max_groups_per_user() -> u32 {
    value_or("max-groups-per-user", 1000).min(LONGEST_LIST)
}
