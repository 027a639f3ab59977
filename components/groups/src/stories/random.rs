//! Changes in any order: they keep the rows of a group consistent.

use super::*;

/// How many kinds of change there are.
const KINDS: usize = 8;

#[test]
fn any_order_of_changes_keeps_counts_and_owners_right() {
    let world = World::with_users(8);
    world.set("max-members", "6");
    world.set("max-groups-per-user", "5");
    let mut dice = Random::new(native::seed());
    let mut kept = [0; KINDS];
    for _ in 0..4000 {
        let kind = dice.below(KINDS as u64);
        let outcome = change(&world, &mut dice, kind);
        if let Err(error) = &outcome {
            assert_ne!(error.code, ErrorCode::Internal, "{error:?}");
            assert_ne!(error.code, ErrorCode::Overloaded, "{error:?}");
        }
        kept[usize::try_from(kind).unwrap()] += u32::from(outcome.is_ok());
        check(&world);
        let most = "SELECT COUNT(*) FROM members GROUP BY user_id HAVING COUNT(*) > 5";
        assert_eq!(world.one(&format!("SELECT COUNT(*) FROM ({most})")), 0);
        assert_eq!(world.one("SELECT COUNT(*) FROM chat_groups WHERE member_count > 6"), 0);
    }
    assert!(
        kept.iter().all(|kept| *kept > 10),
        "too few changes of a kind were kept: {kept:?}"
    );
}

/// A change of a kind, half of them by the owner, in one of the first groups that there are.
fn change(world: &World, dice: &mut Random, kind: u64) -> Result<(), Error> {
    let target = 1 + dice.below(8);
    let offset = dice.below(5);
    let number = |sql: String| u64::try_from(world.one(&format!("SELECT COALESCE(({sql}), 0)"))).unwrap();
    let group = number(format!(
        "SELECT id FROM chat_groups ORDER BY id LIMIT 1 OFFSET {offset}"
    ));
    let user = match dice.below(2) {
        0 => 1 + dice.below(8),
        _ => number(format!("SELECT owner_id FROM chat_groups WHERE id = {group}")).max(1),
    };
    let policy = if target.is_multiple_of(2) {
        JoinPolicy::Open
    } else {
        JoinPolicy::InviteOnly
    };
    match kind {
        0 => wait(Component::create(caller(user), "g".to_owned(), Some(policy))).map(|_| ()),
        1 => join(user, group).map(|_| ()),
        2 => leave(user, group),
        3 => invite(user, group, &[target, user % 8 + 1]).map(|_| ()),
        4 => remove(user, group, target),
        5 => set_role(user, group, target, Role::Admin),
        6 => set_role(user, group, target, Role::Member),
        _ => transfer(user, group, target),
    }
}
