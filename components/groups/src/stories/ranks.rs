//! What each role may do, and what someone outside may not.

use super::*;

#[test]
fn a_conversation_of_two_is_no_group() {
    let world = World::with_users(2);
    world.exec("INSERT INTO conversations VALUES (77, 1, 2, 0, 0)");
    world.exec("INSERT INTO members VALUES (77, 1, 0, 0, 0, 0), (77, 2, 0, 0, 0, 0)");
    for outcome in [
        code(join(1, 77)),
        code(leave(1, 77)),
        code(invite(1, 77, &[2])),
        code(remove(1, 77, 2)),
        code(set_role(1, 77, 2, Role::Admin)),
        code(transfer(1, 77, 2)),
        code(info(1, 77)),
        code(wait(Component::members(caller(1), 77, None, None))),
    ] {
        assert_eq!(outcome, Some(ErrorCode::NotFound));
    }
    assert!(wait(Component::mine(caller(1))).unwrap().is_empty());
    assert_eq!(
        world.one("SELECT COUNT(*) FROM members WHERE conversation_id = 77 AND role = 0"),
        2
    );
}

#[test]
fn someone_outside_learns_of_open_groups_only() {
    for (policy, expected) in [
        (JoinPolicy::Open, ErrorCode::Forbidden),
        (JoinPolicy::InviteOnly, ErrorCode::NotFound),
    ] {
        let (_world, group) = staffed(policy);
        for outcome in [
            code(leave(5, group)),
            code(invite(5, group, &[5])),
            code(remove(5, group, 3)),
            code(set_role(5, group, 3, Role::Admin)),
            code(transfer(5, group, 3)),
            code(wait(Component::members(caller(5), group, None, None))),
        ] {
            assert_eq!(outcome, Some(expected));
        }
        assert_eq!(info(5, group).is_ok(), policy == JoinPolicy::Open);
    }
}

#[test]
fn members_are_removed_by_higher_roles() {
    let (world, group) = staffed(JoinPolicy::Open);
    for (by, target) in [(3, 4), (3, 3), (2, 1), (2, 2), (1, 1)] {
        assert_eq!(
            code(remove(by, group, target)),
            Some(ErrorCode::Forbidden),
            "{by} removes {target}"
        );
    }
    assert_eq!(code(remove(1, group, 5)), Some(ErrorCode::NotFound));
    remove(2, group, 3).unwrap();
    assert_eq!(
        world.told(),
        [
            format!("unsubscribe [3] group/{group}"),
            format!("GroupChangeKind::Removed 3 in {group} by 2 to [3] [\"group/{group}\"] except Some(200)"),
        ]
    );
    remove(1, group, 2).unwrap();
    assert_eq!(members(1, group), [(1, Role::Owner), (4, Role::Member)]);
    check(&world);
}

#[test]
fn roles_are_given_by_the_owner_and_told_when_they_change() {
    let (world, group) = staffed(JoinPolicy::Open);
    set_role(1, group, 3, Role::Admin).unwrap();
    assert_eq!(
        world.told(),
        [format!(
            "GroupChangeKind::RoleChanged 3 in {group} by 1 to [3] [\"group/{group}\"] except Some(100)"
        )]
    );
    set_role(1, group, 3, Role::Admin).unwrap();
    assert_eq!(world.told(), Vec::<String>::new());
    assert_eq!(code(set_role(2, group, 3, Role::Member)), Some(ErrorCode::Forbidden));
    assert_eq!(code(set_role(1, group, 3, Role::Owner)), Some(ErrorCode::Invalid));
    assert_eq!(code(set_role(1, group, 1, Role::Admin)), Some(ErrorCode::Forbidden));
    assert_eq!(code(set_role(1, group, 5, Role::Admin)), Some(ErrorCode::NotFound));
    check(&world);
}

#[test]
fn a_transfer_makes_the_former_owner_an_admin() {
    let (world, group) = staffed(JoinPolicy::Open);
    assert_eq!(code(transfer(2, group, 3)), Some(ErrorCode::Forbidden));
    assert_eq!(code(transfer(1, group, 5)), Some(ErrorCode::NotFound));
    assert_eq!(code(transfer(1, group, 1)), Some(ErrorCode::Invalid));
    transfer(1, group, 3).unwrap();
    assert_eq!(
        members(1, group),
        [(1, Role::Admin), (2, Role::Admin), (3, Role::Owner), (4, Role::Member)]
    );
    assert_eq!(info(1, group).unwrap().owner, 3);
    leave(1, group).unwrap();
    check(&world);
}
