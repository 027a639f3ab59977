//! Messages of large groups through the cache: whatever happens, a page from there is the page of the store, and
//! what was taken back stays so.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod world;

use std::pin::{Pin, pin};
use std::task::{Context, Waker};

use group_pull::GroupPull;
use guest::sql::Error as SqlError;
use guest::{Error, ErrorCode, Message, Qos};
use send::{Component, Delivery, Send};
use world::{Call, Fault, Random, World, caller, run, seed};

const GROUP: u64 = 500;

/// Messages, the next seq, and whether there is more.
type Page = Result<(Vec<Message>, u64, bool), ErrorCode>;

fn large(members: u64) -> World {
    let world = World::with_users(members + 1);
    world.set("fan-out-threshold", 3);
    world.group(GROUP, &(1..=members).collect::<Vec<_>>());
    world.cached(true);
    world
}

fn send_as(from: u64, id: u64, qos: Qos) -> Result<u64, ErrorCode> {
    let call = Component::send_group_message(
        caller(from, "phone"),
        GROUP,
        format!("c{id}"),
        format!("text {id}"),
        None,
        None,
        Some(qos),
    );
    run(call).map(|receipt| receipt.message).map_err(|error| error.code)
}

fn send(from: u64, id: u64) -> u64 {
    send_as(from, id, Qos::AtLeastOnce).unwrap()
}

async fn recall(user: u64, message: u64) -> Result<(), Error> {
    Component::recall(caller(user, "phone"), message).await
}

async fn pull(user: u64, since: Option<u64>, limit: Option<u32>) -> Page {
    let page = group_pull::Component::pull(caller(user, "phone"), GROUP, since, limit).await;
    page.map(|page| (page.messages, page.next, page.more))
        .map_err(|error| error.code)
}

/// The contents from the beginning, as a member pulls them.
fn contents(user: u64) -> Vec<String> {
    let (messages, ..) = run(pull(user, Some(0), None)).unwrap();
    messages.into_iter().map(|message| message.content).collect()
}

/// Goes on with a call for some steps of the host; whether it has ended.
fn go_on<T>(call: &mut Pin<&mut impl Future<Output = T>>, steps: u32) -> bool {
    (0..steps).any(|_| call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready())
}

/// What was read of the store since the last time: queries and their rows.
fn reads(world: &World) -> (u64, u64) {
    world.reads()
}

fn lose_records(world: &World) {
    while world.cache().evict(0).is_some() {}
}

/// A random run, and what was seen in it.
#[derive(Default)]
struct Run {
    sent: Vec<(u64, u64)>,
    ended: u64,
    from_cache: u32,
    recalled_from_cache: usize,
}

const USERS: u64 = 8;

impl Run {
    fn step(&mut self, world: &World, dice: &mut Random) {
        let user = 1 + dice.below(USERS);
        match dice.below(100) {
            0..30 => self.send(world, dice, user),
            30..35 if !self.sent.is_empty() => {
                let (from, message) = self.sent[self.sent.len() - 1 - dice.popular(self.sent.len() as u64) as usize];
                run(recall(from, message)).unwrap();
            }
            35..38 => change(world, user),
            38..44 => world.cache().release(dice.below(100) as usize),
            44..47 => drop(world.cache().evict(dice.below(100) as usize)),
            47..55 if !self.sent.is_empty() => {
                let (_, message) = self.sent[dice.below(self.sent.len() as u64) as usize];
                run(Component::mark_sent(vec![message])).unwrap();
                run(Component::ack(caller(user, "phone"), vec![message], None)).unwrap();
            }
            _ => self.compare(world, dice, user),
        }
    }

    fn send(&mut self, world: &World, dice: &mut Random, user: u64) {
        // Some records come late, some never, and some messages have none.
        world.cache().hold(dice.below(20) == 0);
        world.cached(dice.below(40) > 0);
        let qos = match dice.below(60) {
            0 => Qos::ExactlyOnce,
            1..10 => Qos::AtMostOnce,
            _ => Qos::AtLeastOnce,
        };
        self.ended += 1;
        let sent = send_as(user, self.ended, qos);
        world.cached(true);
        world.cache().hold(false);
        self.sent.extend(sent.map(|message| (user, message)));
    }

    /// The same pull through the cache and past it.
    fn compare(&mut self, world: &World, dice: &mut Random, user: u64) {
        let last = world.one("SELECT last_seq FROM conversations") as u64;
        let back = dice.popular(60);
        let since = (dice.below(10) > 0).then(|| (last + 1).saturating_sub(back));
        let limit = (dice.below(3) > 0).then(|| 1 + dice.below(40) as u32);
        reads(world);
        let through = run(pull(user, since, limit));
        let (_, rows) = reads(world);
        world.cached(false);
        let past = run(pull(user, since, limit));
        world.cached(true);
        assert_eq!(through, past, "user {user} since {since:?} limit {limit:?}");
        let messages = through.map_or(Vec::new(), |(messages, ..)| messages);
        if rows < messages.len() as u64 {
            self.from_cache += 1;
            self.recalled_from_cache += messages.iter().filter(|message| message.recalled_at.is_some()).count();
        }
    }
}

/// A member comes or goes, as the component `groups` writes it. The first three stay.
fn change(world: &World, user: u64) {
    if user <= 3 {
        return;
    }
    let is_member = world.one(&format!("SELECT COUNT(*) FROM members WHERE user_id = {user}"));
    if is_member > 0 {
        world.leave(GROUP, user);
    } else {
        world.join(GROUP, user);
    }
    run(membership::forget_after(&Ok::<_, SqlError>(()), GROUP, &[user]));
}

#[test]
fn a_page_from_the_cache_is_the_page_of_the_store() {
    let seed = seed();
    let mut dice = Random::new(seed);
    let mut run = Run::default();
    let world = large(USERS);
    for _ in 0..6000 {
        run.step(&world, &mut dice);
    }
    let (pages, recalled) = (run.from_cache, run.recalled_from_cache);
    println!("{pages} pages from the cache with {recalled} messages that were taken back");
    assert!(pages > 200 && recalled > 20, "{pages} pages, {recalled} taken back");
}

#[test]
fn what_was_taken_back_is_never_shown_again_however_calls_interleave() {
    for (recalled, pulled) in (0..10).flat_map(|recalled| (0..10).map(move |pulled| (recalled, pulled))) {
        for pulls_before in [false, true] {
            let world = large(4);
            let messages = [1, 2, 3].map(|id| send(1, id));
            if pulls_before {
                contents(3);
            }
            let mut first = pin!(recall(1, messages[1]));
            let done = go_on(&mut first, recalled);
            let mut slow = pin!(pull(2, Some(0), None));
            let had = go_on(&mut slow, pulled);
            if !done {
                run(first).unwrap();
            }
            assert_eq!(contents(3), ["text 1", "", "text 3"], "{recalled} and {pulled} steps");
            if !had {
                run(slow).unwrap();
            }
            reads(&world);
            assert_eq!(contents(3), ["text 1", "", "text 3"], "{recalled} and {pulled} steps");
            assert!(reads(&world).1 < 3, "it came from the cache");
        }
    }
}

#[test]
fn a_record_that_is_put_after_its_message_was_taken_back_is_harmless() {
    let world = large(4);
    world.cache().hold(true);
    let message = send(1, 1);
    contents(2);
    run(recall(1, message)).unwrap();
    world.cache().release(0);
    contents(2);
    reads(&world);
    assert_eq!(contents(2), [""]);
    assert_eq!(reads(&world), (1, 1), "it came from the cache");
}

#[test]
fn a_recall_without_an_answer_is_seen_at_the_latest_when_it_is_repeated() {
    let world = large(4);
    let messages = [1, 2].map(|id| send(1, id));
    contents(2);
    world.fault(Some(Fault::AnswerLost));
    assert!(run(recall(1, messages[0])).is_err());
    assert_eq!(contents(2), ["", "text 2"]);
    // The writer dies once it has committed.
    let mut dying = Box::pin(recall(1, messages[1]));
    while world.one("SELECT COUNT(*) FROM messages WHERE recalled_at IS NULL") > 0 {
        assert!(!go_on(&mut dying.as_mut(), 1));
    }
    drop(dying);
    run(recall(1, messages[1])).unwrap();
    assert_eq!(contents(2), ["", ""]);
}

#[test]
fn without_a_cache_nothing_fails_and_what_was_lost_is_counted() {
    let world = large(4);
    world.cached(false);
    send(1, 1);
    assert_eq!(world.telemetry().counted("mpim_cache_puts_lost"), 1);
    assert_eq!(contents(2), ["text 1"]);
    world.cached(true);
    send(1, 2);
    assert_eq!(contents(2), ["text 1", "text 2"], "one of them has no record");
}

#[test]
fn a_record_that_cannot_be_read_or_is_another_seqs_sends_the_reader_to_the_store() {
    let world = large(4);
    send(1, 1);
    send(1, 2);
    let key = |seq: u64| format!("record/1/{GROUP}/{seq}");
    let second = world.cache().get(&key(2)).unwrap();
    for wrong in [vec![7], second] {
        world.cache().set(key(1), wrong);
        assert_eq!(contents(2), ["text 1", "text 2"]);
    }
}

#[test]
fn a_record_is_there_before_the_push_and_only_for_a_large_group() {
    let world = large(4);
    let mut sending = pin!(Component::send_group_message(
        caller(1, "phone"),
        GROUP,
        "a".to_owned(),
        "x".to_owned(),
        None,
        None,
        None
    ));
    while world.cache().get(&format!("record/1/{GROUP}/1")).is_none() {
        assert!(!go_on(&mut sending.as_mut(), 1));
    }
    assert_eq!(world.pushes().len(), 0);
    run(sending).unwrap();
    world.set("fan-out-threshold", 100);
    lose_records(&world);
    send(1, 1);
    assert_eq!(world.cache().evict(0), None);
}

#[test]
fn what_a_device_has_acknowledged_exactly_once_is_not_given_again() {
    let _world = large(4);
    send(1, 1);
    let once = send_as(1, 2, Qos::ExactlyOnce).unwrap();
    send(1, 3);
    run(Component::ack(caller(2, "phone"), vec![once], None)).unwrap();
    assert_eq!(contents(2), ["text 1", "text 3"]);
    assert_eq!(contents(3), ["text 1", "text 2", "text 3"]);
}

#[test]
fn a_very_long_message_has_no_record() {
    let world = large(4);
    world.set("max-content-bytes", 20_000);
    for (id, length) in [("a", 16_384), ("b", 16_385)] {
        let (id, content) = (id.to_owned(), "x".repeat(length));
        run(Component::send_group_message(
            caller(1, "phone"),
            GROUP,
            id,
            content,
            None,
            None,
            None,
        ))
        .unwrap();
    }
    assert_eq!(world.cache().evict(0), Some(format!("record/1/{GROUP}/1")));
    assert_eq!(world.cache().evict(0), None);
}

#[test]
fn what_was_taken_back_far_behind_the_end_stays_so_while_the_end_moves() {
    for steps in 0..10 {
        let _world = large(4);
        let first = send(1, 1);
        for id in 2..=500 {
            send(1, id);
        }
        run(recall(1, first)).unwrap();
        let mut slow = pin!(pull(2, Some(0), Some(100)));
        if go_on(&mut slow, steps) {
            break;
        }
        for id in 501..=510 {
            send(1, id);
        }
        // What this one loads was taken back does not reach back as far as the slow one reads.
        run(pull(3, Some(505), None)).unwrap();
        let (messages, ..) = run(slow).unwrap();
        assert_eq!(
            (messages.len(), messages[0].content.as_str()),
            (100, ""),
            "{steps} steps"
        );
    }
}

#[test]
fn who_has_everything_costs_one_row() {
    let world = large(4);
    send(1, 1);
    contents(2);
    reads(&world);
    let calls = world.calls(Call::CACHE);
    assert_eq!(run(pull(2, Some(1), None)), Ok((vec![], 1, false)));
    assert_eq!(run(pull(2, Some(2), None)), Err(ErrorCode::Invalid));
    assert_eq!((reads(&world), world.calls(Call::CACHE) - calls), ((2, 2), 2));
}

#[test]
fn two_hundred_members_with_the_last_fifty_messages_cost_the_store_a_tenth_of_the_rows() {
    const MEMBERS: u64 = 200;
    let cost = |with_records: bool| {
        let world = large(MEMBERS);
        for id in 0..60 {
            send(1, id);
        }
        if !with_records {
            lose_records(&world);
        }
        let mut total = 0;
        // At first nobody's membership is cached.
        for round in ["first", "second"] {
            reads(&world);
            let before = world.calls(Call::CACHE);
            for member in 1..=MEMBERS {
                let (messages, ..) = run(pull(member, Some(10), Some(50))).unwrap();
                assert_eq!(messages.len(), 50);
            }
            let ((queries, rows), calls) = (reads(&world), world.calls(Call::CACHE) - before);
            println!(
                "{round} pulls, records {with_records}: {queries} queries, {rows} rows, {calls} calls of the cache"
            );
            total += rows;
        }
        total
    };
    let (without, with) = (cost(false), cost(true));
    assert!(with * 10 < without, "{with} of {without} rows");
}
