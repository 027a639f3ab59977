//! Messages of groups on both sides of the threshold.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod world;

use group_pull::GroupPull;
use guest::{ErrorCode, MessageState, Qos, Receipt};
use pull_offline::PullOffline;
use send::{Component, Delivery, Send};
use world::{Push, World, caller, run};

const GROUP: u64 = 500;

fn send_with(from: u64, id: &str, qos: Qos) -> Result<Receipt, ErrorCode> {
    let (id, content) = (id.to_owned(), "hello".to_owned());
    run(Component::send_group_message(
        caller(from, "phone"),
        GROUP,
        id,
        content,
        None,
        None,
        Some(qos),
    ))
    .map_err(|error| error.code)
}

fn send(from: u64, id: &str) -> Result<Receipt, ErrorCode> {
    send_with(from, id, Qos::AtLeastOnce)
}

fn pull(user: u64, device: &str, since: Option<u64>) -> Result<Vec<u64>, ErrorCode> {
    run(group_pull::Component::pull(caller(user, device), GROUP, since, None))
        .map(|page| page.messages.iter().map(|message| message.seq).collect())
        .map_err(|error| error.code)
}

fn large(members: &[u64]) -> World {
    let world = World::with_users(6);
    world.set("fan-out-threshold", members.len());
    world.group(GROUP, members);
    world
}

#[test]
fn below_the_threshold_every_other_member_has_an_entry() {
    let world = World::with_users(4);
    world.group(GROUP, &[1, 2, 3]);
    let receipt = send(1, "a").unwrap();
    assert_eq!(
        (receipt.conversation, receipt.seq, receipt.state),
        (GROUP, 1, MessageState::Sending)
    );
    assert_eq!(
        world.rows("SELECT user_id, seq FROM inbox ORDER BY user_id"),
        [[2, 1], [3, 1]]
    );
    let pushes = world.pushes();
    let [Push::Message(to, body), Push::Message(echo, _)] = &pushes[..] else {
        panic!("two pushes")
    };
    let recipients: Vec<_> = to.recipients.iter().map(|to| (to.user, to.cursor)).collect();
    assert_eq!(recipients, [(2, Some(1)), (3, Some(1))]);
    assert_eq!(
        (body.group, body.to, to.track),
        (Some(GROUP), None, Some(receipt.message))
    );
    assert_eq!((echo.recipients[0].user, echo.track), (1, None));
}

#[test]
fn a_message_to_a_group_is_one_query_and_one_batch() {
    let world = World::with_users(4);
    world.group(GROUP, &[1, 2, 3]);
    send(1, "a").unwrap();
    let before = (world.queries(), world.batches());
    send(2, "b").unwrap();
    assert_eq!((world.queries() - before.0, world.batches() - before.1), (1, 1));
}

#[test]
fn at_the_threshold_there_is_one_row_and_a_topic() {
    let world = large(&[1, 2, 3]);
    let receipt = send(1, "a").unwrap();
    assert_eq!(world.one("SELECT COUNT(*) FROM inbox"), 0);
    let pushes = world.pushes();
    let [Push::Message(to, _)] = &pushes[..] else {
        panic!("one push")
    };
    assert_eq!(
        (to.topics.as_slice(), to.nodes.len()),
        (&["group/500".to_owned()][..], 0)
    );
    assert_eq!((to.track, to.except_connection), (Some(receipt.message), Some(100)));
    assert_eq!(pull(2, "phone", None), Ok(vec![1]));
}

#[test]
fn who_is_no_member_can_neither_send_nor_pull() {
    let world = large(&[1, 2]);
    assert_eq!(send(3, "a"), Err(ErrorCode::NotFound));
    assert_eq!(pull(3, "phone", None), Err(ErrorCode::NotFound));
    world.set("fan-out-threshold", 100);
    assert_eq!(send(3, "a"), Err(ErrorCode::NotFound));
}

#[test]
fn a_conversation_of_two_is_no_group() {
    let _world = World::with_users(2);
    let direct = run(Component::send_message(
        caller(1, "phone"),
        2,
        "a".to_owned(),
        "x".to_owned(),
        None,
        None,
        None,
    ))
    .unwrap();
    let sent = run(Component::send_group_message(
        caller(1, "phone"),
        direct.conversation,
        "b".to_owned(),
        "x".to_owned(),
        None,
        None,
        None,
    ));
    assert_eq!(sent.unwrap_err().code, ErrorCode::NotFound);
    let pulled = run(group_pull::Component::pull(
        caller(2, "phone"),
        direct.conversation,
        None,
        None,
    ));
    assert_eq!(pulled.unwrap_err().code, ErrorCode::NotFound);
}

#[test]
fn a_repeat_to_a_group_gives_the_first_receipt_even_after_leaving() {
    let world = World::with_users(3);
    world.group(GROUP, &[1, 2, 3]);
    let first = send(1, "a").unwrap();
    assert_eq!(send(1, "a").unwrap(), first);
    world.leave(GROUP, 1);
    assert_eq!(send(1, "a").unwrap(), first);
    assert_eq!(send(1, "b"), Err(ErrorCode::NotFound));
}

#[test]
fn who_joins_while_a_message_is_written_has_it_or_joined_behind_it() {
    let world = World::with_users(4);
    world.group(GROUP, &[1, 2, 3]);
    send(1, "a").unwrap();
    world.before_write(|world| world.join(GROUP, 4));
    send(1, "b").unwrap();
    assert_eq!(world.rows("SELECT user_id, seq FROM inbox WHERE user_id = 4"), [[4, 1]]);
}

#[test]
fn a_group_that_crosses_the_threshold_while_a_message_is_written_changes_its_way() {
    let world = World::with_users(4);
    world.set("fan-out-threshold", 4);
    world.group(GROUP, &[1, 2, 3]);
    world.before_write(|world| world.join(GROUP, 4));
    send(1, "a").unwrap();
    assert_eq!(world.one("SELECT COUNT(*) FROM inbox"), 0);
    world.before_write(|world| world.leave(GROUP, 4));
    send(1, "b").unwrap();
    assert_eq!(world.one("SELECT COUNT(*) FROM inbox"), 2);
    assert_eq!(world.rows("SELECT seq FROM messages ORDER BY seq"), [[1], [2]]);
}

#[test]
fn who_leaves_while_a_message_is_written_no_longer_sends_it() {
    let world = World::with_users(3);
    world.group(GROUP, &[1, 2, 3]);
    world.before_write(|world| world.leave(GROUP, 1));
    assert_eq!(send(1, "a"), Err(ErrorCode::NotFound));
    assert_eq!(world.one("SELECT COUNT(*) FROM messages"), 0);
}

#[test]
fn a_group_of_one_can_be_written_to() {
    let world = World::with_users(1);
    world.group(GROUP, &[1]);
    assert_eq!(send(1, "a").unwrap().seq, 1);
    assert_eq!(pull(1, "phone", None), Ok(vec![1]));
}

#[test]
fn at_most_once_to_a_group_is_pushed_to_its_topic_alone() {
    let world = World::with_users(3);
    world.group(GROUP, &[1, 2, 3]);
    send_with(1, "a", Qos::AtMostOnce).unwrap();
    assert_eq!(world.one("SELECT COUNT(*) FROM inbox"), 0);
    assert_eq!(world.one("SELECT retry_at FROM messages"), -1);
}

#[test]
fn a_group_message_that_a_socket_took_is_not_pushed_again() {
    let world = large(&[1, 2, 3]);
    world.set("retry-after-ms", 0);
    let taken = send(1, "a").unwrap();
    let missed = send(1, "b").unwrap();
    run(Component::mark_sent(vec![taken.message])).unwrap();
    world.pushes();
    assert_eq!(run(Component::retry_pending()).unwrap(), 1);
    let pushes = world.pushes();
    let [Push::Message(to, body)] = &pushes[..] else {
        panic!("one push")
    };
    assert_eq!((body.id, to.topics.len()), (missed.message, 1));
}

#[test]
fn acknowledging_a_group_message_moves_no_state_but_that_of_the_device() {
    let world = World::with_users(4);
    world.group(GROUP, &[1, 2, 3]);
    let plain = send(1, "a").unwrap();
    let once = send_with(1, "b", Qos::ExactlyOnce).unwrap();
    let ids = vec![plain.message, once.message];
    assert_eq!(
        run(Component::ack(caller(2, "phone"), ids.clone(), Some(2))).unwrap(),
        0
    );
    assert_eq!(run(Component::ack(caller(4, "phone"), ids, None)).unwrap(), 0);
    assert_eq!(
        world.rows("SELECT message_id, user_id FROM deliveries"),
        [[once.message as i64, 2]]
    );
    assert_eq!(world.rows("SELECT state FROM messages ORDER BY seq"), [[1], [2]]);
    assert_eq!(pull(2, "phone", Some(0)), Ok(vec![1]));
    assert_eq!(pull(2, "tablet", Some(0)), Ok(vec![1, 2]));
    let inbox = run(pull_offline::Component::pull(caller(2, "phone"), Some(0), None)).unwrap();
    assert_eq!((inbox.entries.len(), inbox.next), (1, 2));
}

#[test]
fn who_has_left_still_acknowledges_what_the_inbox_has() {
    let world = World::with_users(3);
    world.group(GROUP, &[1, 2, 3]);
    let once = send_with(1, "a", Qos::ExactlyOnce).unwrap();
    world.leave(GROUP, 2);
    run(Component::ack(caller(2, "phone"), vec![once.message], None)).unwrap();
    let inbox = run(pull_offline::Component::pull(caller(2, "phone"), Some(0), None)).unwrap();
    assert_eq!((inbox.entries.len(), inbox.next), (0, 1));
}

#[test]
fn a_recall_reaches_inboxes_below_the_threshold_and_the_topic_above() {
    let world = World::with_users(3);
    world.group(GROUP, &[1, 2, 3]);
    let message = send(1, "a").unwrap();
    world.pushes();
    run(Component::recall(caller(1, "phone"), message.message)).unwrap();
    let recalls = "SELECT user_id, seq FROM inbox WHERE kind = 1 ORDER BY user_id";
    assert_eq!(world.rows(recalls), [[2, 2], [3, 2]]);
    world.set("fan-out-threshold", 3);
    let message = send(1, "b").unwrap();
    world.pushes();
    run(Component::recall(caller(1, "phone"), message.message)).unwrap();
    let pushes = world.pushes();
    let [Push::Recalled(to, _)] = &pushes[..] else {
        panic!("one recall")
    };
    assert_eq!(to.topics, ["group/500"]);
    assert_eq!(world.rows(recalls).len(), 2);
}

#[test]
fn a_member_sees_what_was_sent_since_joining() {
    let world = large(&[1, 2, 3]);
    send(1, "a").unwrap();
    world.join(GROUP, 4);
    send(1, "b").unwrap();
    assert_eq!(pull(4, "phone", Some(0)), Ok(vec![2]));
    let history = run(pull_offline::Component::history(
        caller(4, "phone"),
        GROUP,
        None,
        None,
        None,
    ))
    .unwrap();
    assert_eq!(history.iter().map(|message| message.seq).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_read_that_lacks_what_came_first_skips_nothing() {
    let world = large(&[1, 2]);
    for id in ["a", "b", "c"] {
        send(1, id).unwrap();
    }
    world.unsees(&[1]);
    assert_eq!(pull(2, "phone", Some(0)), Ok(vec![1]));
    world.unsees(&[0]);
    assert_eq!(pull(2, "phone", Some(1)), Ok(vec![2, 3]));
}

#[test]
fn the_cursor_of_a_member_goes_forward_only_and_not_past_the_end() {
    let _world = large(&[1, 2, 3]);
    for id in ["a", "b", "c"] {
        send(1, id).unwrap();
    }
    let set = |user, cursor| {
        run(group_pull::Component::set_cursor(caller(user, "phone"), GROUP, cursor)).map_err(|error| error.code)
    };
    assert_eq!(set(2, 2), Ok(()));
    assert_eq!(set(2, 1), Ok(()));
    assert_eq!(pull(2, "phone", None), Ok(vec![3]));
    assert_eq!(set(2, 4), Err(ErrorCode::Invalid));
    assert_eq!(set(5, 1), Err(ErrorCode::NotFound));
    assert_eq!(pull(2, "phone", Some(4)), Err(ErrorCode::Invalid));
    let unread = run(group_pull::Component::unread(caller(2, "phone"))).unwrap();
    assert_eq!((unread.len(), unread[0].cursor, unread[0].unread), (1, 2, 1));
    assert_eq!(set(2, 3), Ok(()));
    assert!(
        run(group_pull::Component::unread(caller(2, "phone")))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn marking_a_group_read_moves_its_cursor() {
    let world = large(&[1, 2, 3]);
    let last = ["a", "b"].map(|id| send(1, id).unwrap())[1];
    assert_eq!(
        run(Component::mark_read(caller(2, "phone"), GROUP, last.seq)).unwrap(),
        0
    );
    assert_eq!(pull(2, "phone", None), Ok(vec![]));
    assert_eq!(world.one("SELECT MAX(state) FROM messages"), 1);
}

#[test]
fn members_of_a_small_group_are_told_how_far_their_inboxes_reach() {
    let world = World::with_users(3);
    world.group(GROUP, &[1, 2, 3]);
    world.set("retry-after-ms", 0);
    send(1, "a").unwrap();
    let second = send(2, "b").unwrap();
    world.pushes();
    assert_eq!(run(Component::retry_pending()).unwrap(), 2);
    let pushes = world.pushes();
    let Push::Pending(to, body) = &pushes[1] else {
        panic!("news of the inbox")
    };
    let heads: Vec<_> = to.recipients.iter().map(|to| (to.user, to.cursor)).collect();
    assert_eq!((heads, body.conversation), (vec![(1, Some(1)), (3, Some(2))], GROUP));
    assert_eq!(to.track, Some(second.message));
    run(Component::mark_sent(vec![second.message])).unwrap();
    assert_eq!(run(Component::retry_pending()).unwrap(), 1);
}
