//! The same calls with a cache and without one: the same answers, and most reads of membership never reach the store.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod world;

use group_pull::GroupPull;
use guest::ErrorCode;
use guest::sql::Error as SqlError;
use send::{Component, Send};
use world::calls::{ack, send};
use world::{Random, World, caller, run, seed};

const USERS: u64 = 60;
const GROUPS: u64 = 12;
/// The cache is empty at the first.
const CALLS: u64 = 10_000;

/// The answer of a call, without its times.
type Answer = Result<Vec<u64>, ErrorCode>;

fn group_send(user: u64, group: u64, id: u64) -> Answer {
    let content = format!("to {group}");
    let call = Component::send_group_message(
        caller(user, "phone"),
        group,
        format!("g{id}"),
        content,
        None,
        None,
        None,
    );
    let receipt = run(call).map_err(|error| error.code)?;
    Ok(vec![receipt.message, receipt.conversation, receipt.seq])
}

fn group_pull(user: u64, group: u64, since: u64) -> Answer {
    let call = group_pull::Component::pull(caller(user, "phone"), group, Some(since), Some(20));
    let page = run(call).map_err(|error| error.code)?;
    let messages = page.messages.iter().map(|message| message.id);
    Ok(messages.chain([page.next, u64::from(page.more)]).collect())
}

/// A member comes or goes, as the component `groups` writes it: the rows, and then the forgetting.
fn change(world: &World, user: u64, group: u64) {
    let is_member = world.one(&format!(
        "SELECT COUNT(*) FROM members WHERE conversation_id = {group} AND user_id = {user}"
    ));
    if is_member > 0 {
        world.leave(group, user);
    } else {
        world.join(group, user);
    }
    run(membership::forget_after(&Ok::<_, SqlError>(()), group, &[user]));
}

/// A realistic mix, always the same for a seed.
fn play(world: &World, seed: u64) -> Vec<Answer> {
    let mut dice = Random::new(seed);
    for group in 0..GROUPS {
        let members: Vec<u64> = (1..=USERS)
            .filter(|user| (user + group) % (group / 2 + 2) == 0)
            .collect();
        world.group(100 + group, &members);
    }
    let mut last = 0;
    (0..CALLS)
        .map(|call| {
            let (user, group) = (1 + dice.popular(USERS), 100 + dice.popular(GROUPS));
            match dice.below(100) {
                0 => {
                    change(world, user, group);
                    Ok(vec![])
                }
                1..=30 => group_send(user, group, call).inspect(|sent| last = sent[0]),
                31..=40 => {
                    let to = 1 + dice.popular(USERS);
                    let sent = send(user, to, &format!("d{call}"))?;
                    last = sent.message;
                    Ok(vec![sent.message, sent.seq])
                }
                41..=60 => ack(user, "phone", &[last], None).map(|count| vec![u64::from(count)]),
                _ => group_pull(user, group, dice.below(60)),
            }
        })
        .collect()
}

fn world(cached: bool) -> World {
    let world = World::with_users(USERS);
    world.set("fan-out-threshold", 20);
    world.cached(cached);
    world
}

#[test]
fn a_cache_changes_no_answer_and_spares_the_store_nine_reads_of_ten() {
    let seed = seed();
    let without = world(false);
    let expected = play(&without, seed);
    let with = world(true);
    let answers = play(&with, seed);
    for (call, (answer, expected)) in answers.iter().zip(&expected).enumerate() {
        assert_eq!(answer, expected, "call {call} of seed {seed}");
    }
    for kept in [
        "SELECT conversation_id, user_id, joined_seq FROM members",
        "SELECT * FROM inbox",
        "SELECT * FROM inbox_heads",
    ] {
        assert!(with.rows(kept) == without.rows(kept), "{kept} differs for seed {seed}");
    }
    let (hits, misses) = (with.cache().hits(), with.cache().misses());
    let (before, after) = (without.queries(), with.queries());
    println!("{hits} hits, {misses} misses; {before} queries without a cache, {after} with it");
    println!("{} and {} batches", without.batches(), with.batches());
    assert!(hits * 10 > (hits + misses) * 9, "{hits} hits, {misses} misses");
    assert!(
        expected.iter().filter(|answer| answer.is_ok()).count() > 1000,
        "most calls mean something"
    );
}

#[test]
fn a_group_message_needs_no_read_of_the_store() {
    let world = world(true);
    world.group(100, &[1, 2, 3]);
    group_send(1, 100, 1).unwrap();
    let (queries, batches) = (world.queries(), world.batches());
    group_send(1, 100, 2).unwrap();
    assert_eq!((world.queries() - queries, world.batches() - batches), (0, 1));
}

#[test]
fn a_member_whom_the_cache_does_not_know_gets_every_message_and_may_send() {
    let world = world(true);
    world.group(100, &[1, 2]);
    group_send(1, 100, 1).unwrap();
    // The forgetting of this change was lost.
    world.join(100, 3);
    group_send(1, 100, 2).unwrap();
    assert_eq!(world.one("SELECT COUNT(*) FROM inbox WHERE user_id = 3"), 1);
    group_send(3, 100, 3).unwrap();
    world.leave(100, 2);
    assert_eq!(group_send(2, 100, 4), Err(ErrorCode::NotFound));
    assert_eq!(world.one("SELECT COUNT(*) FROM inbox WHERE user_id = 2"), 3);
}

#[test]
fn who_was_removed_reads_nothing_more() {
    let world = world(true);
    world.group(100, &[1, 2]);
    group_send(1, 100, 1).unwrap();
    assert!(group_pull(2, 100, 0).is_ok());
    change(&world, 2, 100);
    assert_eq!(group_pull(2, 100, 0), Err(ErrorCode::NotFound));
    assert_eq!(
        group_pull(1, 100, 2),
        Err(ErrorCode::Invalid),
        "past the end of the group"
    );
}
