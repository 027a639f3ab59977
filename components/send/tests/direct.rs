//! Messages of two users: what is kept, what is pushed, and what a repeat is answered with.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod world;

use guest::{ErrorCode, MessageState, Priority, Qos, Receipt};
use send::{Component, Send};
use world::calls::{ack, pull, send, send_as};
use world::{Fault, Push, World, caller, run};

#[test]
fn a_message_to_an_online_user_is_one_route_one_batch_and_two_pushes() {
    let world = World::with_users(2);
    world.online(&[1, 2]);
    send(1, 2, "first").unwrap();
    world.pushes();
    let before = (world.routed(), world.batches(), world.queries());
    let receipt = send(1, 2, "second").unwrap();
    let after = (world.routed(), world.batches(), world.queries());
    assert_eq!((after.0 - before.0, after.1 - before.1, after.2 - before.2), (1, 1, 0));
    assert_eq!((receipt.seq, receipt.state), (2, MessageState::Sending));

    let pushes = world.pushes();
    let [Push::Message(to, body), Push::Message(echo, _)] = &pushes[..] else {
        panic!("two pushes")
    };
    assert_eq!((to.recipients[0].user, to.recipients[0].cursor), (2, Some(2)));
    assert_eq!((to.track, to.priority), (Some(receipt.message), Priority::High));
    assert_eq!(
        (to.nodes.as_slice(), to.except_connection),
        (&["node-a".to_owned()][..], Some(100))
    );
    assert_eq!(
        (body.id, body.seq, body.to, body.group),
        (receipt.message, 2, Some(2), None)
    );
    assert_eq!(
        (echo.recipients[0].user, echo.recipients[0].cursor, echo.track),
        (1, None, None)
    );
}

#[test]
fn a_message_to_an_offline_user_waits_in_the_inbox() {
    let world = World::with_users(2);
    let receipt = send(1, 2, "a").unwrap();
    assert_eq!(receipt.state, MessageState::Created);
    assert!(world.pushes().is_empty());
    assert_eq!(world.one("SELECT retry_at FROM messages"), -1);
    let page = pull(2, "phone", None);
    assert_eq!(
        (page.entries[0].message.id, page.next, page.more),
        (receipt.message, 1, false)
    );
}

#[test]
fn a_receiver_who_connects_while_the_message_is_written_is_pushed_to() {
    let world = World::with_users(2);
    send(1, 2, "a").unwrap();
    world.before_write(|world| world.online(&[2]));
    let receipt = send(1, 2, "b").unwrap();
    assert_eq!(receipt.state, MessageState::Sending);
    assert_eq!(world.pushes().len(), 1);
    assert!(world.one("SELECT retry_at FROM messages WHERE client_id = 'b'") > 0);
}

#[test]
fn without_routes_a_message_goes_to_every_node() {
    let world = World::with_users(2);
    world.routes_fail(true);
    assert_eq!(send(1, 2, "a").unwrap().state, MessageState::Sending);
    let pushes = world.pushes();
    let Push::Message(to, _) = &pushes[0] else {
        panic!("a message")
    };
    assert!(to.nodes.is_empty());
    assert!(world.one("SELECT retry_at FROM messages") > 0);
}

#[test]
fn a_push_that_fails_does_not_fail_the_send() {
    let world = World::with_users(2);
    world.online(&[2]);
    world.pushes_fail(true);
    assert_eq!(send(1, 2, "a").unwrap().state, MessageState::Sending);
}

#[test]
fn a_repeat_gives_the_first_receipt_with_the_state_of_now() {
    let _world = World::with_users(2);
    let first = send(1, 2, "a").unwrap();
    assert_eq!(send(1, 2, "a").unwrap(), first);
    assert_eq!(ack(2, "phone", &[first.message], None), Ok(1));
    assert_eq!(
        send(1, 2, "a").unwrap(),
        Receipt {
            state: MessageState::Delivered,
            ..first
        }
    );
}

#[test]
fn a_repeat_leaves_no_gap() {
    let world = World::with_users(2);
    for id in ["a", "a", "b", "b", "a", "c"] {
        send(1, 2, id).unwrap();
    }
    assert_eq!(world.rows("SELECT seq FROM messages ORDER BY seq"), [[1], [2], [3]]);
    assert_eq!(world.rows("SELECT seq FROM inbox ORDER BY seq"), [[1], [2], [3]]);
    assert_eq!(world.one("SELECT last_seq FROM inbox_heads"), 3);
}

#[test]
fn the_same_client_id_with_other_content_is_refused() {
    let _world = World::with_users(3);
    let phone = caller(1, "phone");
    send_as(&phone, 2, "a", "one", Qos::AtLeastOnce).unwrap();
    assert_eq!(
        send_as(&phone, 2, "a", "two", Qos::AtLeastOnce),
        Err(ErrorCode::ClientIdReused)
    );
    assert_eq!(
        send_as(&phone, 3, "a", "one", Qos::AtLeastOnce),
        Err(ErrorCode::ClientIdReused)
    );
}

#[test]
fn a_repeat_after_a_recall_still_knows_its_content() {
    let _world = World::with_users(2);
    let first = send(1, 2, "a").unwrap();
    run(Component::recall(caller(1, "phone"), first.message)).unwrap();
    assert_eq!(send(1, 2, "a").unwrap(), first);
}

#[test]
fn a_repeat_of_an_accepted_message_is_not_blocked() {
    let world = World::with_users(2);
    let first = send(1, 2, "a").unwrap();
    world.exec("INSERT INTO blocks VALUES (2, 1, 0)");
    assert_eq!(send(1, 2, "a").unwrap(), first);
    assert_eq!(send(1, 2, "b"), Err(ErrorCode::Blocked));
}

#[test]
fn an_answer_that_was_lost_is_given_again() {
    let world = World::with_users(2);
    send(1, 2, "a").unwrap();
    world.fault(Some(Fault::AnswerLost));
    assert_eq!(send(1, 2, "b"), Err(ErrorCode::Unavailable));
    assert_eq!(send(1, 2, "b").unwrap().seq, 2);
    assert_eq!(world.one("SELECT COUNT(*) FROM messages"), 2);
}

#[test]
fn only_others_who_exist_can_be_sent_to() {
    let _world = World::with_users(1);
    assert_eq!(send(1, 9, "a"), Err(ErrorCode::NotFound));
    assert_eq!(send(1, u64::MAX, "a"), Err(ErrorCode::NotFound));
    assert_eq!(send(1, 1, "a"), Err(ErrorCode::Invalid));
}

#[test]
fn at_most_once_stays_out_of_the_inbox_and_fails_without_a_connection() {
    let world = World::with_users(2);
    let phone = caller(1, "phone");
    assert_eq!(
        send_as(&phone, 2, "a", "x", Qos::AtMostOnce).unwrap().state,
        MessageState::Failed
    );
    world.online(&[2]);
    assert_eq!(
        send_as(&phone, 2, "b", "x", Qos::AtMostOnce).unwrap().state,
        MessageState::Sending
    );
    let pushes = world.pushes();
    let [Push::Message(to, _)] = &pushes[..] else {
        panic!("one push")
    };
    assert_eq!(to.recipients[0].cursor, None);
    assert_eq!(world.one("SELECT COUNT(*) FROM inbox"), 0);
    assert_eq!(world.one("SELECT COUNT(*) FROM messages WHERE retry_at IS NOT NULL"), 0);
}
