//! The sweep: who is pushed to again, and how often.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod world;

use guest::MessageState;
use send::{Component, Delivery};
use world::calls::{ack, cursors, pull, send};
use world::{Push, World, run};

#[test]
fn what_is_not_acknowledged_is_pushed_again_with_its_cursor() {
    let world = World::with_users(2);
    world.online(&[2]);
    world.set("retry-after-ms", 0);
    send(1, 2, "a").unwrap();
    let message = send(1, 2, "b").unwrap();
    run(Component::mark_sent(vec![message.message])).unwrap();
    world.pushes();
    assert_eq!(run(Component::retry_pending()).unwrap(), 2);
    let pushes = world.pushes();
    let Push::Message(to, body) = &pushes[1] else {
        panic!("a message")
    };
    assert_eq!(
        (body.id, body.state, to.track),
        (message.message, MessageState::Sent, None)
    );
    assert_eq!((to.recipients[0].user, to.recipients[0].cursor), (2, Some(2)));
    ack(2, "phone", &[message.message], None).unwrap();
    assert_eq!(run(Component::retry_pending()).unwrap(), 1);
}

#[test]
fn retries_end_and_leave_the_message_to_the_pull() {
    let world = World::with_users(2);
    world.online(&[2]);
    world.set("retry-after-ms", 0);
    world.set("max-retries", 3);
    send(1, 2, "a").unwrap();
    let pushed: Vec<u32> = (0..5).map(|_| run(Component::retry_pending()).unwrap()).collect();
    assert_eq!(pushed, [1, 1, 1, 0, 0]);
    assert_eq!(cursors(&pull(2, "phone", None)), [1]);
}

#[test]
fn a_message_is_pushed_again_after_its_delay_which_doubles_and_not_before() {
    let world = World::with_users(2);
    world.online(&[2]);
    send(1, 2, "a").unwrap();
    for delay_ms in [5_000, 10_000, 20_000, 40_000, 60_000, 60_000] {
        world.clock().advance_ms(delay_ms - 1);
        assert_eq!(
            run(Component::retry_pending()).unwrap(),
            0,
            "{delay_ms} ms are not over"
        );
        world.clock().advance_ms(1);
        assert_eq!(run(Component::retry_pending()).unwrap(), 1, "{delay_ms} ms are over");
    }
}

#[test]
fn who_lost_their_route_for_a_while_is_pushed_to_afterwards() {
    let world = World::with_users(2);
    world.online(&[2]);
    world.set("retry-after-ms", 0);
    send(1, 2, "a").unwrap();
    world.online(&[]);
    assert_eq!(run(Component::retry_pending()).unwrap(), 0);
    world.online(&[2]);
    assert_eq!(run(Component::retry_pending()).unwrap(), 1);
}

#[test]
fn two_sweeps_at_once_push_a_message_once() {
    let world = World::with_users(2);
    world.online(&[2]);
    world.set("retry-after-ms", 0);
    send(1, 2, "a").unwrap();
    world.pushes();
    world.before_write(|world| world.exec("UPDATE messages SET retry_count = retry_count + 1"));
    assert_eq!(run(Component::retry_pending()).unwrap(), 0);
    assert!(world.pushes().is_empty());
}
