//! Making a group, joining it, leaving it, and hearing it.

use super::*;

#[test]
fn a_new_group_has_its_owner_as_only_member() {
    let world = World::with_users(1);
    let made = wait(Component::create(caller(1), "friends".to_owned(), None)).unwrap();
    assert_eq!(
        (made.owner, made.members, made.join, made.fan_out),
        (1, 1, JoinPolicy::Open, FanOut::Write)
    );
    assert_eq!(members(1, made.id), [(1, Role::Owner)]);
    let seen = info(1, made.id).unwrap();
    assert_eq!(
        (seen.id, seen.name, seen.created_at),
        (made.id, "friends".to_owned(), made.created_at)
    );
    assert_eq!(world.told()[0], format!("subscribe [1] group/{}", made.id));
    check(&world);
}

#[test]
fn a_name_out_of_bounds_makes_no_group() {
    let world = World::with_users(1);
    assert_eq!(
        code(wait(Component::create(caller(1), String::new(), None))),
        Some(ErrorCode::Invalid)
    );
    assert_eq!(
        code(wait(Component::create(caller(1), "x".repeat(129), None))),
        Some(ErrorCode::Invalid)
    );
    assert_eq!(world.one("SELECT COUNT(*) FROM conversations"), 0);
}

#[test]
fn joining_counts_once_however_often_it_is_repeated() {
    let world = World::with_users(2);
    let group = create(1, JoinPolicy::Open);
    world.told();
    assert_eq!(join(2, group).unwrap().members, 2);
    assert_eq!(
        world.told(),
        [
            format!("subscribe [2] group/{group}"),
            format!("GroupChangeKind::Joined 2 in {group} by 2 to [2] [\"group/{group}\"] except Some(200)"),
        ]
    );
    assert_eq!(join(2, group).unwrap().members, 2);
    assert_eq!(world.told(), [format!("subscribe [2] group/{group}")]);
    check(&world);
}

#[test]
fn a_member_begins_after_the_last_message_also_when_coming_back() {
    let world = World::with_users(3);
    let group = create(1, JoinPolicy::Open);
    world.exec("UPDATE conversations SET last_seq = 41");
    join(2, group).unwrap();
    invite(1, group, &[3]).unwrap();
    let begun = "SELECT COUNT(*) FROM members WHERE joined_seq = 41 AND read_seq = 41 AND user_id IN (2, 3)";
    assert_eq!(world.one(begun), 2);
    leave(2, group).unwrap();
    world.exec("UPDATE conversations SET last_seq = 50");
    join(2, group).unwrap();
    assert_eq!(world.one("SELECT joined_seq FROM members WHERE user_id = 2"), 50);
}

#[test]
fn a_group_by_invitation_is_joined_by_members_alone() {
    let (world, group) = staffed(JoinPolicy::InviteOnly);
    assert_eq!(code(join(5, group)), Some(ErrorCode::Forbidden));
    assert_eq!(join(3, group).unwrap().members, 4);
    assert_eq!(code(join(5, 9999)), Some(ErrorCode::NotFound));
    check(&world);
}

#[test]
fn a_member_who_leaves_is_unsubscribed_and_told() {
    let (world, group) = staffed(JoinPolicy::Open);
    leave(3, group).unwrap();
    assert_eq!(
        world.told(),
        [
            format!("unsubscribe [3] group/{group}"),
            format!("GroupChangeKind::Left 3 in {group} by 3 to [3] [\"group/{group}\"] except Some(300)"),
        ]
    );
    assert_eq!(info(1, group).unwrap().members, 3);
    check(&world);
}

#[test]
fn the_owner_leaves_last_and_the_group_ends() {
    let (world, group) = staffed(JoinPolicy::Open);
    assert_eq!(code(leave(1, group)), Some(ErrorCode::Forbidden));
    for user in [2, 3, 4, 1] {
        leave(user, group).unwrap();
        check(&world);
    }
    assert_eq!(code(info(1, group)), Some(ErrorCode::NotFound));
    assert_eq!(world.one("SELECT COUNT(*) FROM members"), 0);
    assert_eq!(world.one("SELECT COUNT(*) FROM conversations"), 1);
    assert_eq!(code(join(5, group)), Some(ErrorCode::NotFound));
}

/// User 2 joins by another call, after so many batches.
fn overtake(world: &World, batches: u32, group: u64) {
    world.before(&[Call::Batch], batches, move |world| {
        world.exec(&format!(
            "INSERT INTO members VALUES ({group}, 2, 0, 0, 0, 0); \
             UPDATE chat_groups SET member_count = 2 WHERE id = {group}"
        ));
    });
}

#[test]
fn a_group_does_not_end_under_one_who_joins_meanwhile() {
    let world = World::with_users(2);
    let group = create(1, JoinPolicy::Open);
    overtake(&world, 1, group);
    assert_eq!(code(leave(1, group)), Some(ErrorCode::Forbidden));
    assert_eq!(info(2, group).unwrap().members, 2);
    check(&world);
}

#[test]
fn a_join_that_another_of_the_same_user_overtakes_counts_once() {
    let world = World::with_users(2);
    let group = create(1, JoinPolicy::Open);
    overtake(&world, 0, group);
    assert_eq!(join(2, group).unwrap().members, 2);
    check(&world);
}

#[test]
fn members_are_paged_by_user_id() {
    let (_world, group) = staffed(JoinPolicy::Open);
    let page = |after, limit| -> Vec<u64> {
        let page = wait(Component::members(caller(3), group, after, Some(limit))).unwrap();
        page.iter().map(|member| member.user).collect()
    };
    assert_eq!(page(None, 3), [1, 2, 3]);
    assert_eq!(page(Some(3), 3), [4]);
    assert_eq!(page(Some(4), 3), []);
}

#[test]
fn a_user_hears_the_topics_of_their_groups() {
    let world = World::with_users(2);
    let (first, second) = (create(1, JoinPolicy::Open), create(1, JoinPolicy::InviteOnly));
    create(2, JoinPolicy::Open);
    let mine: Vec<u64> = wait(Component::mine(caller(1)))
        .unwrap()
        .iter()
        .map(|group| group.id)
        .collect();
    assert_eq!(mine, [first, second]);
    let mut topics = wait(Component::topics(native::connection(1, 1, "mobile"))).unwrap();
    topics.sort();
    assert_eq!(topics, [format!("group/{first}"), format!("group/{second}")]);
    check(&world);
}

#[test]
fn a_lost_hint_fails_no_change() {
    let (world, group) = staffed(JoinPolicy::Open);
    world.take_away(Call::PUSHES);
    join(5, group).unwrap();
    remove(1, group, 3).unwrap();
    assert_eq!(info(1, group).unwrap().members, 4);
}

#[test]
fn what_was_read_once_is_read_again_without_the_store_until_it_changes() {
    let world = World::with_users(2);
    let group = create(1, JoinPolicy::Open);
    info(1, group).unwrap();
    assert_eq!(world.calls_of(&[Call::Query], || info(1, group).unwrap()), 0);
    join(2, group).unwrap();
    assert_ne!(
        world.calls_of(&[Call::Query], || assert_eq!(info(1, group).unwrap().members, 2)),
        0
    );
}
