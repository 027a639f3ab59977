//! Inviting, and the bounds on groups and on users.

use super::*;

#[test]
fn an_invitation_leaves_out_members_unknown_users_and_those_who_blocked() {
    let (world, group) = staffed(JoinPolicy::Open);
    world.exec("INSERT INTO users VALUES (6, 'U6', 'u6', 'x', 1), (7, 'U7', 'u7', 'x', 1)");
    world.exec("INSERT INTO blocks VALUES (6, 3, 1)");
    assert_eq!(invite(3, group, &[7, 6, 5, 4, 3, 99, 5, u64::MAX]).unwrap(), [5, 7]);
    let told = world.told();
    assert_eq!(told.len(), 3);
    assert_eq!(told[0], format!("subscribe [5, 7] group/{group}"));
    assert_eq!(
        told[1],
        format!("GroupChangeKind::Invited 5 in {group} by 3 to [5] [\"group/{group}\"] except Some(300)")
    );
    assert_eq!(invite(3, group, &[7, 5]).unwrap(), []);
    assert_eq!(world.told(), Vec::<String>::new());
    assert_eq!(info(1, group).unwrap().members, 6);
    check(&world);
}

#[test]
fn five_hundred_are_invited_at_once() {
    let world = World::with_users(600);
    world.set("fan-out-threshold", "501");
    let group = create(1, JoinPolicy::InviteOnly);
    let all: Vec<u64> = (2..=501).collect();
    assert_eq!(invite(1, group, &all).unwrap(), all);
    let seen = info(1, group).unwrap();
    assert_eq!((seen.members, seen.fan_out), (501, FanOut::Read));
    let many: Vec<u64> = (2..=502).collect();
    assert_eq!(code(invite(1, group, &many)), Some(ErrorCode::TooLarge));
    assert_eq!(invite(1, group, &[]).unwrap(), []);
    check(&world);
}

#[test]
fn members_of_a_group_by_invitation_do_not_invite() {
    let (world, group) = staffed(JoinPolicy::InviteOnly);
    assert_eq!(code(invite(3, group, &[5])), Some(ErrorCode::Forbidden));
    assert_eq!(invite(2, group, &[5]).unwrap(), [5]);
    check(&world);
}

#[test]
fn a_full_group_takes_no_one_and_keeps_nothing_of_the_attempt() {
    let (world, group) = staffed(JoinPolicy::Open);
    world.set("max-members", "4");
    assert_eq!(code(join(5, group)), Some(ErrorCode::TooLarge));
    assert_eq!(code(invite(1, group, &[5])), Some(ErrorCode::TooLarge));
    assert_eq!(join(4, group).unwrap().members, 4);
    assert_eq!(members(1, group).len(), 4);
    check(&world);
}

#[test]
fn a_user_belongs_to_so_many_groups_and_no_more() {
    let world = World::with_users(2);
    world.set("max-groups-per-user", "2");
    world.exec("INSERT INTO conversations VALUES (77, 1, 2, 0, 0)");
    world.exec("INSERT INTO members VALUES (77, 1, 0, 0, 0, 0), (77, 2, 0, 0, 0, 0)");
    let (first, second) = (create(1, JoinPolicy::Open), create(1, JoinPolicy::Open));
    assert_eq!(
        code(wait(Component::create(caller(1), "g".to_owned(), None))),
        Some(ErrorCode::TooLarge)
    );
    let third = create(2, JoinPolicy::Open);
    assert_eq!(code(join(1, third)), Some(ErrorCode::TooLarge));
    assert_eq!(invite(2, third, &[1]).unwrap(), []);
    assert!(join(1, first).is_ok(), "a repeat is no new group");
    assert_eq!(invite(1, second, &[2]).unwrap(), [2]);
    assert_eq!(code(join(2, first)), Some(ErrorCode::TooLarge));
    world.exec("DELETE FROM members WHERE conversation_id = 77");
    check(&world);
}
