//! What becomes of a message: acknowledged, read, taken back.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod world;

use guest::{ErrorCode, MessageState, Qos};
use pull_offline::EntryKind;
use send::{Component, Delivery, Send};
use world::calls::{ack, cursors, pull, send, send_as, state};
use world::{Push, World, caller, run};

#[test]
fn a_failed_message_moves_no_more() {
    let _world = World::with_users(2);
    let failed = send_as(&caller(1, "phone"), 2, "a", "x", Qos::AtMostOnce).unwrap();
    run(Component::mark_sent(vec![failed.message])).unwrap();
    assert_eq!(ack(2, "phone", &[failed.message], None), Ok(0));
    assert_eq!(
        run(Component::mark_read(caller(2, "phone"), failed.conversation, 1)).unwrap(),
        0
    );
    assert_eq!(state(1, failed.message), MessageState::Failed);
}

#[test]
fn states_move_forward_only() {
    let _world = World::with_users(2);
    let message = send(1, 2, "a").unwrap();
    run(Component::mark_sent(vec![message.message])).unwrap();
    assert_eq!(state(1, message.message), MessageState::Sent);
    assert_eq!(
        run(Component::mark_read(caller(2, "phone"), message.conversation, 1)).unwrap(),
        1
    );
    assert_eq!(ack(2, "phone", &[message.message], None), Ok(0));
    run(Component::mark_sent(vec![message.message])).unwrap();
    assert_eq!(state(1, message.message), MessageState::Read);
}

#[test]
fn an_acknowledgement_counts_once_and_tells_the_sender_once() {
    let world = World::with_users(3);
    let ids: Vec<u64> = ["a", "b", "c"].map(|id| send(1, 2, id).unwrap().message).to_vec();
    let other = send(3, 2, "a").unwrap();
    let unseen = send(1, 3, "d").unwrap();
    world.pushes();
    let mut all = ids.clone();
    all.extend([other.message, unseen.message, 424_242]);
    assert_eq!(ack(2, "phone", &all, Some(4)), Ok(4));
    let pushes = world.pushes();
    let [Push::Receipt(one, first), Push::Receipt(three, second)] = &pushes[..] else {
        panic!("two receipts")
    };
    assert_eq!((one.recipients[0].user, &first.messages, first.by), (1, &ids, 2));
    assert_eq!(
        (three.recipients[0].user, second.messages.as_slice()),
        (3, &[other.message][..])
    );
    assert_eq!(first.state, MessageState::Delivered);
    assert_eq!(ack(2, "tablet", &all, Some(4)), Ok(0));
    assert!(world.pushes().is_empty());
    assert_eq!(state(1, unseen.message), MessageState::Created);
}

#[test]
fn an_acknowledgement_of_many_messages_is_one_batch() {
    let world = World::with_users(2);
    let ids: Vec<u64> = (0..450).map(|n| send(1, 2, &n.to_string()).unwrap().message).collect();
    // The first of a device makes its cursor.
    assert_eq!(ack(2, "phone", &ids[..1], Some(1)), Ok(1));
    let before = world.batches();
    assert_eq!(ack(2, "phone", &ids, Some(450)), Ok(449));
    assert_eq!(world.batches() - before, 1);
    assert_eq!(ack(2, "phone", &[1; 1001], None), Err(ErrorCode::TooLarge));
}

#[test]
fn an_acknowledgement_that_needs_more_than_the_usual_takes_a_second_batch() {
    let world = World::with_users(2);
    let usual = send(1, 2, "a").unwrap().message;
    let once = send_as(&caller(1, "phone"), 2, "b", "x", Qos::ExactlyOnce)
        .unwrap()
        .message;
    let last = send(1, 2, "c").unwrap().message;
    let cost = |messages: &[u64], up_to: u64| {
        let before = world.batches();
        let moved = ack(2, "phone", messages, Some(up_to)).unwrap();
        (moved, world.batches() - before)
    };
    assert_eq!(cost(&[usual], 1), (1, 2), "no cursor of the device yet");
    assert_eq!(cost(&[once], 2), (1, 2), "exactly once");
    assert_eq!(cost(&[usual, 424_242], 2), (0, 2), "no such message");
    // Past the end, with a message that could be acknowledged: nothing is.
    assert_eq!(ack(2, "phone", &[last], Some(4)), Err(ErrorCode::Invalid));
    assert_eq!(cost(&[last], 3), (1, 1));
    // An older cursor moves nothing back.
    assert_eq!(cost(&[last], 1), (0, 1));
    assert!(pull(2, "phone", None).entries.is_empty());
}

#[test]
fn reading_moves_everything_up_to_the_seq_and_tells_the_sender() {
    let world = World::with_users(3);
    let first = send(1, 2, "a").unwrap();
    send(1, 2, "b").unwrap();
    send(2, 1, "answer").unwrap();
    let last = send(1, 2, "c").unwrap();
    let reader = caller(2, "phone");
    assert_eq!(
        run(Component::mark_read(reader.clone(), first.conversation, 3)).unwrap(),
        2
    );
    let pushes = world.pushes();
    let [Push::Receipt(to, change)] = &pushes[..] else {
        panic!("one receipt")
    };
    assert_eq!(
        (to.recipients[0].user, change.messages.len(), change.state),
        (1, 2, MessageState::Read)
    );
    assert_eq!(
        run(Component::mark_read(reader.clone(), first.conversation, 2)).unwrap(),
        0
    );
    assert_eq!(state(1, last.message), MessageState::Created);
    let beyond = run(Component::mark_read(reader, first.conversation, 5)).unwrap_err();
    assert_eq!(beyond.code, ErrorCode::Invalid);
    let stranger = run(Component::mark_read(caller(3, "phone"), first.conversation, 1)).unwrap_err();
    assert_eq!(stranger.code, ErrorCode::NotFound);
}

#[test]
fn reading_goes_on_over_more_than_one_stride() {
    let world = World::with_users(2);
    let conversation = (0..1203).fold(0, |_, n| send(1, 2, &n.to_string()).unwrap().conversation);
    let before = world.batches();
    assert_eq!(
        run(Component::mark_read(caller(2, "phone"), conversation, 1203)).unwrap(),
        1203
    );
    assert_eq!(world.batches() - before, 2);
    assert_eq!(world.one("SELECT COUNT(*) FROM messages WHERE state < 4"), 0);
}

#[test]
fn a_recall_removes_the_content_and_is_an_entry_of_the_inbox() {
    let world = World::with_users(3);
    world.online(&[1, 2]);
    let message = send(1, 2, "a").unwrap();
    world.pushes();
    let code = |result: Result<(), guest::Error>| result.map_err(|error| error.code);
    assert_eq!(
        code(run(Component::recall(caller(2, "phone"), message.message))),
        Err(ErrorCode::Forbidden)
    );
    assert_eq!(
        code(run(Component::recall(caller(3, "phone"), message.message))),
        Err(ErrorCode::NotFound)
    );
    assert_eq!(
        code(run(Component::recall(caller(1, "phone"), 99))),
        Err(ErrorCode::NotFound)
    );
    assert_eq!(
        code(run(Component::recall(caller(1, "phone"), message.message))),
        Ok(())
    );
    assert_eq!(
        code(run(Component::recall(caller(1, "phone"), message.message))),
        Ok(())
    );
    let pushes = world.pushes();
    let [Push::Recalled(to, body)] = &pushes[..] else {
        panic!("one recall")
    };
    assert_eq!((to.recipients[0].user, to.recipients[0].cursor), (2, Some(2)));
    assert_eq!((to.recipients[1].user, to.recipients[1].cursor), (1, None));
    assert_eq!((body.message, body.seq, body.by), (message.message, 1, 1));
    let page = pull(2, "phone", None);
    assert_eq!(cursors(&page), [1, 2]);
    assert_eq!(page.entries[1].kind, EntryKind::Recall);
    assert!(page.entries.iter().all(|entry| entry.message.content.is_empty()));
    assert_eq!(world.one("SELECT COUNT(*) FROM messages WHERE retry_at IS NOT NULL"), 0);
}

#[test]
fn a_recall_comes_too_late_after_its_window() {
    let world = World::with_users(2);
    let messages = ["a", "b"].map(|id| send(1, 2, id).unwrap().message);
    let recall = |message| run(Component::recall(caller(1, "phone"), message)).map_err(|error| error.code);
    world.clock().advance_ms(119_999);
    assert_eq!(recall(messages[0]), Ok(()));
    world.clock().advance_ms(1);
    assert_eq!(recall(messages[1]), Err(ErrorCode::Expired));
    assert_eq!(recall(messages[0]), Ok(()), "it was taken back before");
}

#[test]
fn a_recall_of_what_never_was_in_an_inbox_begins_one() {
    let world = World::with_users(2);
    let message = send_as(&caller(1, "phone"), 2, "a", "x", Qos::AtMostOnce).unwrap();
    run(Component::recall(caller(1, "phone"), message.message)).unwrap();
    assert_eq!(world.rows("SELECT user_id, seq, kind FROM inbox"), [[2, 1, 1]]);
}

#[test]
fn status_is_for_the_sender_alone() {
    let _world = World::with_users(2);
    let one = send(1, 2, "a").unwrap();
    let two = send(1, 2, "b").unwrap();
    let asked = vec![two.message, 77, one.message, two.message];
    assert_eq!(
        run(Component::status(caller(1, "phone"), asked.clone())).unwrap(),
        [two, one]
    );
    assert!(run(Component::status(caller(2, "phone"), asked)).unwrap().is_empty());
}
