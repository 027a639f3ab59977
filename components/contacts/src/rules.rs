//! What may be asked of a contact: pure decisions, without a store.

use crate::bindings::exports::mpim::im::contacts::ContactState;
use guest::Error;

/// Most users of which `watchers` tells.
pub(crate) const MOST_WATCHERS: u32 = 5000;

const LONGEST_NAME: usize = 64;
const PAGE: u32 = 100;
const LARGEST_PAGE: u32 = 500;

/// The other of two users, who is not the caller.
pub(crate) fn other(caller: u64, user: u64) -> Result<u64, Error> {
    if caller == user {
        return Err(Error::invalid("a user has no contact with themself"));
    }
    Ok(user)
}

/// Two users in the one order in which their rows are taken.
pub(crate) fn in_order(one: u64, other: u64) -> (u64, u64) {
    (one.min(other), one.max(other))
}

/// The key by which a name is found: without regard to case. A name has 1 to 64 characters.
pub(crate) fn name_key(name: &str) -> Result<String, Error> {
    if name.is_empty() || name.chars().nth(LONGEST_NAME).is_some() {
        return Err(Error::invalid(format!("a name has 1 to {LONGEST_NAME} characters")));
    }
    Ok(name.to_lowercase())
}

/// Ids whose names are asked for at once.
pub(crate) fn ids(ids: Vec<u64>) -> Result<Vec<u64>, Error> {
    match ids.len() {
        0 => Err(Error::invalid("no user is named")),
        count if count > LARGEST_PAGE as usize => {
            Err(Error::too_large(format!("at most {LARGEST_PAGE} users at once")))
        }
        _ => Ok(ids),
    }
}

/// How many contacts a page has.
pub(crate) fn page(limit: Option<u32>) -> u32 {
    limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE)
}

/// The same contact, seen from the other side.
pub(crate) fn mirrored(state: ContactState) -> ContactState {
    match state {
        ContactState::Requested => ContactState::Incoming,
        ContactState::Incoming => ContactState::Requested,
        ContactState::Accepted => ContactState::Accepted,
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn no_one_is_their_own_contact() {
        assert!(other(1, 1).is_err());
        assert_eq!(other(1, 2).unwrap(), 2);
    }

    #[test]
    fn two_users_have_one_order() {
        assert_eq!(in_order(1, 2), in_order(2, 1));
    }

    #[test]
    fn a_name_is_found_without_regard_to_case() {
        assert_eq!(name_key("Ana.ÉVA").unwrap(), "ana.éva");
        assert!(name_key("").is_err());
        assert!(name_key(&"é".repeat(64)).is_ok());
        assert!(name_key(&"é".repeat(65)).is_err());
    }

    #[test]
    fn a_page_stays_within_its_bounds() {
        assert_eq!(
            [page(None), page(Some(0)), page(Some(7)), page(Some(9000))],
            [100, 1, 7, 500]
        );
    }

    #[test]
    fn a_state_mirrored_twice_is_itself() {
        for state in [ContactState::Requested, ContactState::Incoming, ContactState::Accepted] {
            assert_eq!(mirrored(mirrored(state)), state);
        }
    }
}
