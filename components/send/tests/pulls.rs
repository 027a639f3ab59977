//! Inboxes, histories and lists of conversations, as devices read them.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod world;

use guest::{ErrorCode, Qos};
use pull_offline::PullOffline;
use send::{Component, Send};
use world::calls::{ack, cursors, pull, send, send_as};
use world::{World, caller, run};

#[test]
fn a_device_goes_forward_only_and_never_past_the_end() {
    let world = World::with_users(2);
    for id in ["a", "b", "c"] {
        send(1, 2, id).unwrap();
    }
    assert_eq!(ack(2, "phone", &[], Some(2)), Ok(0));
    assert_eq!(ack(2, "phone", &[], Some(1)), Ok(0));
    assert_eq!(world.one("SELECT seq FROM device_cursors"), 2);
    assert_eq!(ack(2, "phone", &[], Some(4)), Err(ErrorCode::Invalid));
    assert_eq!(cursors(&pull(2, "phone", None)), [3]);
    assert_eq!(cursors(&pull(2, "tablet", None)), [1, 2, 3]);
}

#[test]
fn a_pull_keeps_the_cursor_that_it_is_given() {
    let world = World::with_users(2);
    for id in ["a", "b", "c"] {
        send(1, 2, id).unwrap();
    }
    assert_eq!(cursors(&pull(2, "phone", Some(1))), [2, 3]);
    assert_eq!(cursors(&pull(2, "phone", None)), [2, 3]);
    let before = world.batches();
    assert_eq!(cursors(&pull(2, "phone", Some(0))), [1, 2, 3]);
    assert_eq!(world.batches(), before);
    let beyond = run(pull_offline::Component::pull(caller(2, "phone"), Some(4), None));
    assert_eq!(beyond.unwrap_err().code, ErrorCode::Invalid);
}

#[test]
fn pages_follow_each_other_without_gaps() {
    let _world = World::with_users(2);
    for n in 0..7 {
        send(1, 2, &n.to_string()).unwrap();
    }
    let mut seen = Vec::new();
    let mut since = Some(0);
    loop {
        let page = run(pull_offline::Component::pull(caller(2, "phone"), since, Some(3))).unwrap();
        seen.extend(cursors(&page));
        since = Some(page.next);
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(since, Some(7));
}

#[test]
fn exactly_once_is_not_given_again_to_the_device_that_has_it() {
    let world = World::with_users(2);
    let once = send_as(&caller(1, "phone"), 2, "a", "x", Qos::ExactlyOnce).unwrap();
    let again = send(1, 2, "b").unwrap();
    assert_eq!(ack(2, "phone", &[once.message, again.message], None), Ok(2));
    assert_eq!(ack(2, "phone", &[once.message], None), Ok(0));
    let page = pull(2, "phone", Some(0));
    assert_eq!((cursors(&page), page.next), (vec![2], 2));
    assert_eq!(cursors(&pull(2, "tablet", Some(0))), [1, 2]);
    assert_eq!(world.one("SELECT COUNT(*) FROM deliveries"), 1);
}

#[test]
fn a_page_that_passes_everything_still_moves_on() {
    let _world = World::with_users(2);
    let once = send_as(&caller(1, "phone"), 2, "a", "x", Qos::ExactlyOnce).unwrap();
    ack(2, "phone", &[once.message], None).unwrap();
    let page = pull(2, "phone", Some(0));
    assert_eq!((page.entries.len(), page.next, page.more), (0, 1, false));
}

#[test]
fn a_read_that_lacks_what_came_first_skips_nothing() {
    let world = World::with_users(2);
    let conversation = (0..6).fold(0, |_, n| send(1, 2, &n.to_string()).unwrap().conversation);
    let cursors = |since| {
        let page = pull(2, "phone", Some(since));
        let cursors = page.entries.iter().map(|entry| entry.cursor).collect::<Vec<_>>();
        (cursors, page.next, page.more)
    };
    world.unsees(&[4]);
    assert_eq!(
        cursors(0),
        (vec![1, 2, 3, 4], 4, true),
        "it ends before what is not seen"
    );
    world.unsees(&[0]);
    assert_eq!(cursors(4), (vec![5, 6], 6, false), "it is read again");
    world.unsees(&[0, 1]);
    assert_eq!(cursors(3), (vec![4], 4, true));
    let history = |before, after| {
        let page = pull_offline::Component::history(caller(2, "phone"), conversation, before, after, None);
        run(page).unwrap().iter().map(|message| message.seq).collect::<Vec<_>>()
    };
    world.unsees(&[0]);
    assert_eq!(history(None, Some(1)), [2, 3, 4, 5, 6]);
    world.unsees(&[2]);
    assert_eq!(history(None, Some(1)), [2, 3]);
    world.unsees(&[2]);
    assert_eq!(history(None, None), [6, 5, 4, 3, 2, 1]);
    // An operator has removed what was old.
    world.exec("DELETE FROM inbox WHERE seq < 3");
    assert_eq!(cursors(0), (vec![3, 4, 5, 6], 6, false));
}

#[test]
fn history_further_back_may_be_that_of_a_copy_and_lacks_nothing() {
    let world = World::with_users(2);
    let conversation = send(1, 2, "0").unwrap().conversation;
    let seqs = |before, limit| {
        let page = pull_offline::Component::history(caller(1, "phone"), conversation, Some(before), None, Some(limit));
        run(page).unwrap().iter().map(|message| message.seq).collect::<Vec<_>>()
    };
    let say = |numbers: std::ops::Range<u32>| numbers.for_each(|n| assert!(send(1, 2, &n.to_string()).is_ok()));
    say(1..6);
    world.store().copy();
    say(6..9);
    let asked = |before, limit| {
        let queries = world.queries();
        let seqs = seqs(before, limit);
        (seqs, world.queries() - queries)
    };
    assert_eq!(asked(6, 2), (vec![5, 4], 0), "it is there as a whole");
    assert_eq!(asked(3, 5), (vec![2, 1], 0), "back to the first");
    assert_eq!(asked(8, 2), (vec![7, 6], 1), "the copy lacks the newer one");
    assert_eq!(asked(u64::MAX, 1).0.len(), 1);
    world.exec("UPDATE members SET joined_seq = 2");
    world.store().copy();
    assert_eq!(asked(5, 5), (vec![4, 3], 1), "where it ends, something may be missing");
}

#[test]
fn history_is_read_in_both_directions() {
    let _world = World::with_users(3);
    let conversation = (0..5).fold(0, |_, n| send(1, 2, &n.to_string()).unwrap().conversation);
    let history = |user, before, after| {
        run(pull_offline::Component::history(
            caller(user, "phone"),
            conversation,
            before,
            after,
            Some(2),
        ))
        .map(|messages| messages.iter().map(|message| message.seq).collect::<Vec<_>>())
        .map_err(|error| error.code)
    };
    assert_eq!(history(1, None, None), Ok(vec![5, 4]));
    assert_eq!(history(2, Some(4), None), Ok(vec![3, 2]));
    assert_eq!(history(2, None, Some(1)), Ok(vec![2, 3]));
    assert_eq!(history(2, None, Some(5)), Ok(vec![]));
    assert_eq!(history(3, None, None), Err(ErrorCode::NotFound));
    assert_eq!(history(1, Some(1), Some(1)), Err(ErrorCode::Invalid));
}

#[test]
fn conversations_tell_what_is_unread_on_both_sides() {
    let world = World::with_users(3);
    send(1, 2, "a").unwrap();
    let last = send(1, 2, "b").unwrap();
    send(2, 1, "answer").unwrap();
    world.exec(&format!(
        "UPDATE conversations SET last_at = 1 WHERE id = {}",
        last.conversation
    ));
    send(3, 2, "a").unwrap();
    run(Component::mark_read(caller(2, "phone"), last.conversation, 1)).unwrap();
    let list = |user| run(pull_offline::Component::conversations(caller(user, "phone"), None)).unwrap();
    let two = list(2);
    assert_eq!(
        two.iter().map(|c| (c.peer, c.unread, c.last_seq)).collect::<Vec<_>>(),
        [(Some(3), 1, 1), (Some(1), 1, 3)]
    );
    assert_eq!(
        two[1].last.as_ref().map(|message| message.content.as_str()),
        Some("hello")
    );
    let one = list(1);
    assert_eq!((one[0].read_seq, one[0].peer_read_seq, one[0].unread), (0, Some(1), 1));
}

#[test]
fn a_page_of_long_messages_ends_early_and_the_next_goes_on() {
    let world = World::with_users(2);
    let long = "x".repeat(16 * 1024);
    for n in 0..150 {
        send_as(&caller(1, "phone"), 2, &n.to_string(), &long, Qos::AtLeastOnce).unwrap();
    }
    let page = |since| {
        run(pull_offline::Component::pull(
            caller(2, "phone"),
            Some(since),
            Some(500),
        ))
        .unwrap()
    };
    let first = page(0);
    assert_eq!((first.entries.len(), first.next, first.more), (128, 128, true));
    let second = page(first.next);
    assert_eq!((second.entries.len(), second.next, second.more), (22, 150, false));
    // A store that gives no more than a hundred of these rows at once: the page is a short one.
    world.most_rows(100);
    let short = page(0);
    assert_eq!((short.entries.len(), short.next, short.more), (64, 64, true));
}
