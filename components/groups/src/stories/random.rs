//! Any run of changes keeps the rows of a group consistent.

use super::*;

/// How many kinds of change there are.
const KINDS: usize = 8;

/// A small generator of numbers below a bound, the same on every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn any_run_of_changes_keeps_counts_and_owners_right() {
    let host = host(1..=8);
    host.set("max-members", "6");
    host.set("max-groups-per-user", "5");
    let mut dice = Dice(7);
    let mut kept = [0; KINDS];
    for _ in 0..4000 {
        let kind = dice.below(KINDS as u64);
        let outcome = change(&host, &mut dice, kind);
        if let Err(error) = &outcome {
            assert_ne!(error.code, ErrorCode::Internal, "{error:?}");
            assert_ne!(error.code, ErrorCode::Overloaded, "{error:?}");
        }
        kept[usize::try_from(kind).unwrap()] += u32::from(outcome.is_ok());
        check(&host);
        let most = "SELECT COUNT(*) FROM members GROUP BY user_id HAVING COUNT(*) > 5";
        assert_eq!(host.number(&format!("SELECT COUNT(*) FROM ({most})")), 0);
        assert_eq!(
            host.number("SELECT COUNT(*) FROM chat_groups WHERE member_count > 6"),
            0
        );
    }
    assert!(
        kept.iter().all(|kept| *kept > 10),
        "too few changes of a kind were kept: {kept:?}"
    );
}

/// A change of a kind, half of them by the owner, in one of the first groups that there are.
fn change(host: &TestHost, dice: &mut Dice, kind: u64) -> Result<(), Error> {
    let target = 1 + dice.below(8);
    let place = dice.below(5);
    let number = |sql: String| u64::try_from(host.number(&format!("SELECT COALESCE(({sql}), 0)"))).unwrap();
    let group = number(format!("SELECT id FROM chat_groups ORDER BY id LIMIT 1 OFFSET {place}"));
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
