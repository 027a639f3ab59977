//! The component against the real schema, in-process: what each method does to the store and whom it tells.

mod belonging;
mod inviting;
mod random;
mod ranks;

use crate::Component;
use crate::bindings::exports::mpim::im::group_topics::Guest as _;
use crate::bindings::exports::mpim::im::groups::{FanOut, Group, Guest, JoinPolicy, Member, Role};
use guest::{Caller, Error, ErrorCode};
use native::{Call, Random, World, run as wait};

fn caller(user: u64) -> Caller {
    native::caller(user, "phone")
}

fn create(user: u64, join: JoinPolicy) -> u64 {
    wait(Component::create(caller(user), "friends".to_owned(), Some(join)))
        .unwrap()
        .id
}

fn join(user: u64, group: u64) -> Result<Group, Error> {
    wait(Component::join(caller(user), group))
}

fn leave(user: u64, group: u64) -> Result<(), Error> {
    wait(Component::leave(caller(user), group))
}

fn invite(user: u64, group: u64, users: &[u64]) -> Result<Vec<u64>, Error> {
    wait(Component::invite(caller(user), group, users.to_vec()))
}

fn remove(user: u64, group: u64, target: u64) -> Result<(), Error> {
    wait(Component::remove(caller(user), group, target))
}

fn set_role(user: u64, group: u64, target: u64, role: Role) -> Result<(), Error> {
    wait(Component::set_role(caller(user), group, target, role))
}

fn transfer(user: u64, group: u64, target: u64) -> Result<(), Error> {
    wait(Component::transfer(caller(user), group, target))
}

fn info(user: u64, group: u64) -> Result<Group, Error> {
    wait(Component::info(caller(user), group))
}

fn members(user: u64, group: u64) -> Vec<(u64, Role)> {
    let page = wait(Component::members(caller(user), group, None, None)).unwrap();
    page.iter().map(|member: &Member| (member.user, member.role)).collect()
}

fn code<T>(outcome: Result<T, Error>) -> Option<ErrorCode> {
    outcome.err().map(|error| error.code)
}

/// What holds after every change: the count is right, and each group has one owner, the one that it names.
fn check(world: &World) {
    let wrong = world.one(
        "SELECT COUNT(*) FROM chat_groups g WHERE \
         g.member_count <> (SELECT COUNT(*) FROM members m WHERE m.conversation_id = g.id) \
         OR (SELECT COUNT(*) FROM members m WHERE m.conversation_id = g.id AND m.role = 2) <> 1 \
         OR NOT EXISTS (SELECT 1 FROM members m WHERE m.conversation_id = g.id AND m.user_id = g.owner_id AND m.role = 2)",
    );
    assert_eq!(wrong, 0);
    let orphans = "SELECT COUNT(*) FROM members WHERE conversation_id NOT IN (SELECT id FROM chat_groups)";
    assert_eq!(world.one(orphans), 0);
}

/// A group of 1 (owner), 2 (admin), 3 and 4, with 5 outside; nothing told yet.
fn staffed(join: JoinPolicy) -> (World, u64) {
    let world = World::with_users(5);
    let group = create(1, join);
    invite(1, group, &[2, 3, 4]).unwrap();
    set_role(1, group, 2, Role::Admin).unwrap();
    world.told();
    (world, group)
}
