//! What may be done in a group, and by whom: pure decisions over what the store said.
//!
//! The same rules stand as guards inside the batches of the store, where they decide. Here they say
//! why a batch was refused; where they find no reason any more, the group has changed meanwhile and
//! the batch is tried again.

use crate::bindings::exports::mpim::im::groups::{FanOut, Group, JoinPolicy, Role};
use guest::Error;

/// Most users that one invitation names.
pub(crate) const MOST_INVITED: usize = 500;

const LONGEST_NAME: usize = 128;
const PAGE: u32 = 100;
const LARGEST_PAGE: u32 = 500;

/// A group, and the role in it of the one who asks: none for someone outside.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) group: Group,
    pub(crate) role: Option<Role>,
}

/// The error for a group that is not there, and for one that is none of the caller's business.
pub(crate) fn no_such_group() -> Error {
    Error::not_found("no such group")
}

/// What someone outside is told. That a group by invitation exists is known to its members only.
fn outside(join: JoinPolicy) -> Error {
    match join {
        JoinPolicy::Open => Error::forbidden("only members may do this"),
        JoinPolicy::InviteOnly => no_such_group(),
    }
}

/// A name has 1 to 128 bytes.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Err(Error::invalid(format!(
            "the name of a group has 1 to {LONGEST_NAME} bytes"
        )));
    }
    Ok(())
}

/// The users of an invitation, each once and by id.
pub(crate) fn invited(mut users: Vec<u64>) -> Result<Vec<u64>, Error> {
    if users.len() > MOST_INVITED {
        return Err(Error::too_large(format!(
            "an invitation names at most {MOST_INVITED} users"
        )));
    }
    users.sort_unstable();
    users.dedup();
    Ok(users)
}

/// How many members a page has.
pub(crate) fn page(limit: Option<u32>) -> u32 {
    limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE)
}

/// How the messages of a group of this size reach its members.
pub(crate) fn fan_out(members: u32, threshold: u32) -> FanOut {
    if members >= threshold {
        FanOut::Read
    } else {
        FanOut::Write
    }
}

/// Whether someone may see a group: members, and anyone when it is open.
pub(crate) fn visible(group: Option<Group>, is_member: bool) -> Result<Group, Error> {
    group
        .filter(|group| is_member || is_open(group))
        .ok_or_else(no_such_group)
}

/// Whether anyone may see a group.
pub(crate) fn is_open(group: &Group) -> bool {
    group.join == JoinPolicy::Open
}

/// The group and the role of a member; an error for anyone else.
pub(crate) fn member(standing: Option<Standing>) -> Result<(Group, Role), Error> {
    let Standing { group, role } = standing.ok_or_else(no_such_group)?;
    match role {
        Some(role) => Ok((group, role)),
        None => Err(outside(group.join)),
    }
}

/// Why someone did not join: the group, for one who is a member already; nothing, where joining may succeed now.
pub(crate) fn judge_join(standing: Option<Standing>) -> Result<Option<Group>, Error> {
    let Standing { group, role } = standing.ok_or_else(no_such_group)?;
    match (role, group.join) {
        (Some(_), _) => Ok(Some(group)),
        (None, JoinPolicy::Open) => Ok(None),
        (None, JoinPolicy::InviteOnly) => Err(Error::forbidden("the group is joined by invitation only")),
    }
}

/// The owner leaves as the last member only.
pub(crate) fn judge_leave(group: &Group, role: Role) -> Result<(), Error> {
    if role == Role::Owner && group.members > 1 {
        return Err(Error::forbidden("the owner transfers the group before leaving it"));
    }
    Ok(())
}

/// Admins and the owner invite; in an open group every member does.
pub(crate) fn judge_invite(group: &Group, role: Role) -> Result<(), Error> {
    if role < Role::Admin && group.join == JoinPolicy::InviteOnly {
        return Err(Error::forbidden("only an admin or the owner may invite"));
    }
    Ok(())
}

/// A member is removed by one of a higher role.
pub(crate) fn judge_remove(actor: Role, target: Option<Role>) -> Result<(), Error> {
    if actor == Role::Member {
        return Err(Error::forbidden("only an admin or the owner may remove members"));
    }
    if target_role(target)? >= actor {
        return Err(Error::forbidden("only members of a lower role may be removed"));
    }
    Ok(())
}

/// The owner gives roles, to anyone but the owner.
pub(crate) fn judge_set_role(actor: Role, target: Option<Role>) -> Result<(), Error> {
    if actor != Role::Owner {
        return Err(Error::forbidden("only the owner may give roles"));
    }
    if target_role(target)? == Role::Owner {
        return Err(Error::forbidden("the owner gives the role away by a transfer only"));
    }
    Ok(())
}

/// The owner transfers the group, to a member.
pub(crate) fn judge_transfer(actor: Role, target: Option<Role>) -> Result<(), Error> {
    if actor != Role::Owner {
        return Err(Error::forbidden("only the owner may transfer the group"));
    }
    target_role(target).map(|_| ())
}

fn target_role(target: Option<Role>) -> Result<Role, Error> {
    target.ok_or_else(|| Error::not_found("the user is no member of the group"))
}

#[cfg(test)]
mod tests {

    use super::*;
    use guest::ErrorCode;

    const ROLES: [Role; 3] = [Role::Member, Role::Admin, Role::Owner];

    fn group(join: JoinPolicy, members: u32) -> Group {
        Group {
            id: 7,
            name: "g".to_owned(),
            owner: 1,
            join,
            members,
            fan_out: FanOut::Write,
            created_at: 0,
        }
    }

    fn standing(join: JoinPolicy, role: Option<Role>) -> Option<Standing> {
        Some(Standing {
            group: group(join, 2),
            role,
        })
    }

    fn code<T>(outcome: Result<T, Error>) -> Option<ErrorCode> {
        outcome.err().map(|error| error.code)
    }

    #[test]
    fn roles_rise_from_member_to_owner() {
        assert!(Role::Member < Role::Admin && Role::Admin < Role::Owner);
    }

    #[test]
    fn a_name_is_measured_in_bytes() {
        assert!(check_name("g").is_ok());
        assert!(check_name(&"é".repeat(64)).is_ok());
        assert_eq!(code(check_name(&"é".repeat(65))), Some(ErrorCode::Invalid));
        assert_eq!(code(check_name("")), Some(ErrorCode::Invalid));
    }

    #[test]
    fn an_invitation_names_each_user_once_and_at_most_500() {
        assert_eq!(invited(vec![3, 1, 3]).unwrap(), vec![1, 3]);
        assert!(invited(vec![1; 500]).is_ok());
        assert_eq!(code(invited(vec![1; 501])), Some(ErrorCode::TooLarge));
    }

    #[test]
    fn a_page_stays_within_its_bounds() {
        assert_eq!(
            [page(None), page(Some(0)), page(Some(7)), page(Some(9000))],
            [100, 1, 7, 500]
        );
    }

    #[test]
    fn fan_out_changes_at_the_threshold() {
        assert_eq!([fan_out(99, 100), fan_out(100, 100)], [FanOut::Write, FanOut::Read]);
    }

    #[test]
    fn a_group_by_invitation_is_hidden_from_outside() {
        assert_eq!(
            code(member(standing(JoinPolicy::InviteOnly, None))),
            Some(ErrorCode::NotFound)
        );
        assert_eq!(
            code(visible(Some(group(JoinPolicy::InviteOnly, 2)), false)),
            Some(ErrorCode::NotFound)
        );
        assert!(visible(Some(group(JoinPolicy::InviteOnly, 2)), true).is_ok());
        assert_eq!(
            code(member(standing(JoinPolicy::Open, None))),
            Some(ErrorCode::Forbidden)
        );
        assert!(visible(Some(group(JoinPolicy::Open, 2)), false).is_ok());
        assert_eq!(code(visible(None, false)), Some(ErrorCode::NotFound));
    }

    #[test]
    fn joining_again_gives_the_group_whatever_its_policy() {
        for join in [JoinPolicy::Open, JoinPolicy::InviteOnly] {
            assert!(judge_join(standing(join, Some(Role::Member))).unwrap().is_some());
        }
        assert!(judge_join(standing(JoinPolicy::Open, None)).unwrap().is_none());
        assert_eq!(
            code(judge_join(standing(JoinPolicy::InviteOnly, None))),
            Some(ErrorCode::Forbidden)
        );
    }

    #[test]
    fn only_the_owner_of_others_may_not_leave() {
        for role in ROLES {
            let refused = judge_leave(&group(JoinPolicy::Open, 2), role).is_err();
            assert_eq!(refused, role == Role::Owner);
            assert!(judge_leave(&group(JoinPolicy::Open, 1), role).is_ok());
        }
    }

    #[test]
    fn members_invite_into_open_groups_only() {
        for role in ROLES {
            assert!(judge_invite(&group(JoinPolicy::Open, 2), role).is_ok());
            let refused = judge_invite(&group(JoinPolicy::InviteOnly, 2), role).is_err();
            assert_eq!(refused, role == Role::Member);
        }
    }

    #[test]
    fn a_member_is_removed_by_a_higher_role_only() {
        for actor in ROLES {
            for target in ROLES {
                assert_eq!(
                    judge_remove(actor, Some(target)).is_ok(),
                    target < actor,
                    "{actor:?} removes {target:?}"
                );
            }
        }
        assert_eq!(code(judge_remove(Role::Owner, None)), Some(ErrorCode::NotFound));
        assert_eq!(code(judge_remove(Role::Member, None)), Some(ErrorCode::Forbidden));
    }

    #[test]
    fn roles_and_the_group_are_given_by_the_owner() {
        for actor in [Role::Member, Role::Admin] {
            assert_eq!(
                code(judge_set_role(actor, Some(Role::Member))),
                Some(ErrorCode::Forbidden)
            );
            assert_eq!(
                code(judge_transfer(actor, Some(Role::Member))),
                Some(ErrorCode::Forbidden)
            );
        }
        assert!(judge_set_role(Role::Owner, Some(Role::Admin)).is_ok());
        assert_eq!(
            code(judge_set_role(Role::Owner, Some(Role::Owner))),
            Some(ErrorCode::Forbidden)
        );
        assert!(judge_transfer(Role::Owner, Some(Role::Member)).is_ok());
        assert_eq!(code(judge_transfer(Role::Owner, None)), Some(ErrorCode::NotFound));
    }
}
