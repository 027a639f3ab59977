//! Batches: each message is kept and answered as if it were alone.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod world;

use guest::{ErrorCode, Qos, Receipt};
use send::{AckCall, Component, Delivery, Send, SendMessageCall, Wanted as Draft};
use world::calls::{cursors, pull, send};
use world::{Push, Random, World, caller, run, seed};

fn draft(to: u64, id: &str) -> Draft {
    Draft {
        to,
        client_id: id.to_owned(),
        content: "hello".to_owned(),
        content_type: None,
        priority: None,
        qos: None,
    }
}

fn send_all(from: u64, drafts: Vec<Draft>) -> Vec<Result<Receipt, ErrorCode>> {
    let answers = run(Component::send_messages(caller(from, "phone"), drafts)).unwrap();
    answers
        .into_iter()
        .map(|answer| answer.map_err(|error| error.code))
        .collect()
}

/// Sends for each sender what it wants.
fn batch_send_message(messages: Vec<(u64, Draft)>) -> Vec<Result<Receipt, ErrorCode>> {
    let call = |(from, draft): (u64, Draft)| SendMessageCall {
        caller: caller(from, "phone"),
        to: draft.to,
        client_id: draft.client_id,
        content: draft.content,
        content_type: draft.content_type,
        priority: draft.priority,
        qos: draft.qos,
    };
    let answers = run(Component::batch_send_message(messages.into_iter().map(call).collect())).unwrap();
    answers
        .into_iter()
        .map(|answer| answer.map_err(|error| error.code))
        .collect()
}

fn seqs(answers: &[Result<Receipt, ErrorCode>]) -> Vec<Result<u64, ErrorCode>> {
    answers
        .iter()
        .map(|answer| answer.as_ref().map(|receipt| receipt.seq).map_err(|error| *error))
        .collect()
}

#[test]
fn messages_to_one_receiver_are_one_route_one_batch_and_a_push_each() {
    let world = World::with_users(2);
    world.online(&[2]);
    send(1, 2, "first").unwrap();
    world.pushes();
    let before = (world.routed(), world.batches(), world.queries());
    let answers = send_all(1, vec![draft(2, "a"), draft(2, "b"), draft(2, "c")]);
    let after = (world.routed(), world.batches(), world.queries());
    assert_eq!((after.0 - before.0, after.1 - before.1, after.2 - before.2), (1, 1, 0));
    assert_eq!(seqs(&answers), [Ok(2), Ok(3), Ok(4)]);
    let pushed = world.pushes().into_iter().map(|push| {
        let Push::Message(to, body) = push else {
            panic!("a message")
        };
        (to.recipients.first().unwrap().cursor, body.seq, body.client_id)
    });
    let expected = [(2, 2, "a"), (3, 3, "b"), (4, 4, "c")].map(|(cursor, seq, id)| (Some(cursor), seq, id.to_owned()));
    assert_eq!(pushed.collect::<Vec<_>>(), expected);
    assert_eq!(cursors(&pull(2, "phone", None)), [1, 2, 3, 4]);
}

#[test]
fn what_is_refused_costs_the_others_nothing() {
    let world = World::with_users(3);
    world.exec("INSERT INTO blocks (owner_id, peer_id, created_at) VALUES (3, 1, 0)");
    let drafts = vec![
        draft(2, "a"),
        draft(3, "blocked"),
        draft(1, "oneself"),
        draft(2, ""),
        draft(99, "nobody"),
        draft(2, "b"),
        draft(3, "blocked too"),
        draft(3, "blocked as well"),
    ];
    let expected = [
        Ok(1),
        Err(ErrorCode::Blocked),
        Err(ErrorCode::Invalid),
        Err(ErrorCode::Invalid),
        Err(ErrorCode::NotFound),
        Ok(2),
        Err(ErrorCode::Blocked),
        Err(ErrorCode::Blocked),
    ];
    assert_eq!(seqs(&send_all(1, drafts)), expected);
}

#[test]
fn a_repeat_among_new_ones_has_its_first_receipt() {
    let world = World::with_users(2);
    let first = send(1, 2, "a").unwrap();
    let answers = send_all(1, vec![draft(2, "b"), draft(2, "a"), draft(2, "c"), draft(2, "c")]);
    assert_eq!(seqs(&answers), [Ok(2), Ok(1), Ok(3), Ok(3)]);
    assert_eq!(answers.get(1).unwrap().as_ref().unwrap().message, first.message);
    assert_eq!(cursors(&pull(2, "phone", None)), [1, 2, 3]);
    assert_eq!(world.one("SELECT COUNT(*) FROM messages"), 3);
}

#[test]
fn too_many_at_once_are_refused() {
    let _world = World::with_users(2);
    let drafts = (0..101).map(|index| draft(2, &index.to_string())).collect();
    let refused = run(Component::send_messages(caller(1, "phone"), drafts)).unwrap_err();
    assert_eq!(refused.code, ErrorCode::TooLarge);
}

#[test]
fn messages_of_several_senders_are_one_batch() {
    let world = World::with_users(4);
    for (from, to) in [(1, 2), (2, 3), (4, 2)] {
        send(from, to, "first").unwrap();
    }
    // The inbox of 1 is there from now on: what is not the usual case is not kept with others.
    send(2, 1, "hello").unwrap();
    // 1 and 2 write to each other at the same moment, and two write to 2.
    let messages = vec![
        (1, draft(2, "a")),
        (1, draft(2, "b")),
        (2, draft(1, "a")),
        (2, draft(3, "b")),
        (4, draft(2, "a")),
        (1, draft(2, "c")),
    ];
    let before = (world.batches(), world.queries());
    assert_eq!(
        seqs(&batch_send_message(messages)),
        [Ok(3), Ok(4), Ok(5), Ok(2), Ok(2), Ok(6)],
        "seqs of a conversation in the order of the call"
    );
    let after = (world.batches(), world.queries());
    assert_eq!((after.0 - before.0, after.1 - before.1), (1, 0));
    assert_eq!(cursors(&pull(2, "phone", None)), [1, 2, 3, 4, 5, 6]);
    assert_eq!(cursors(&pull(1, "phone", None)), [1, 2]);
}

#[test]
fn what_is_refused_of_one_sender_costs_another_nothing() {
    let world = World::with_users(3);
    world.exec("INSERT INTO blocks (owner_id, peer_id, created_at) VALUES (3, 1, 0)");
    for (from, to) in [(1, 2), (2, 3)] {
        send(from, to, "first").unwrap();
    }
    let messages = vec![
        (1, draft(2, "a")),
        (1, draft(3, "blocked")),
        (2, draft(3, "not blocked")),
        (2, draft(2, "oneself")),
        (3, draft(99, "nobody")),
        (2, draft(3, "first")),
        (1, draft(2, "b")),
    ];
    let expected = [
        Ok(2),
        Err(ErrorCode::Blocked),
        Ok(2),
        Err(ErrorCode::Invalid),
        Err(ErrorCode::NotFound),
        Ok(1),
        Ok(3),
    ];
    assert_eq!(seqs(&batch_send_message(messages)), expected);
}

/// Whatever is sent in a batch is kept, pushed and answered as if it had been sent one by one, by whomever.
#[test]
fn in_a_batch_or_one_by_one_is_the_same() {
    let mut dice = Random::new(seed());
    for round in 0..200 {
        let senders = [1, 3][usize::try_from(dice.below(2)).unwrap()];
        let messages: Vec<(u64, Draft)> = (0..=dice.below(24))
            .map(|_| {
                let draft = Draft {
                    qos: [None, None, None, Some(Qos::AtMostOnce), Some(Qos::ExactlyOnce)]
                        .get(usize::try_from(dice.below(5)).unwrap())
                        .copied()
                        .flatten(),
                    content: "x".repeat(usize::try_from(dice.below(8).min(2)).unwrap()),
                    ..draft(dice.below(4) + 1, &dice.below(60).to_string())
                };
                (dice.below(senders) + 1, draft)
            })
            .collect();
        let online: Vec<u64> = (1..=3).filter(|_| dice.below(2) == 0).collect();
        let acquainted = dice.below(4) > 0;
        let blocked = dice.below(4) == 0;
        let tell = |batched: bool| {
            let world = World::with_users(3);
            if acquainted {
                for (from, to) in [(1, 2), (2, 3), (3, 1)] {
                    send(from, to, "first").unwrap();
                }
            }
            if blocked {
                world.exec("INSERT INTO blocks (owner_id, peer_id, created_at) VALUES (3, 1, 0)");
            }
            world.pushes();
            world.online(&online);
            let answers = if batched {
                batch_send_message(messages.clone())
            } else {
                messages
                    .iter()
                    .flat_map(|one| batch_send_message(vec![one.clone()]))
                    .collect()
            };
            for receipt in answers.iter().flatten() {
                let seq = format!("SELECT seq FROM messages WHERE id = {}", receipt.message);
                assert_eq!(world.one(&seq), i64::try_from(receipt.seq).unwrap());
            }
            let answers: Vec<_> = answers
                .into_iter()
                .map(|answer| answer.map(|receipt| receipt.state))
                .collect();
            let mut pushes: Vec<_> = world
                .pushes()
                .into_iter()
                .map(|push| match push {
                    Push::Message(to, body) => {
                        for recipient in to.recipients.iter().filter(|one| one.cursor.is_some()) {
                            let seq = format!(
                                "SELECT seq FROM inbox WHERE user_id = {} AND message_id = {}",
                                recipient.user, body.id
                            );
                            assert_eq!(world.one(&seq), i64::try_from(recipient.cursor.unwrap()).unwrap());
                        }
                        let to: Vec<_> = to
                            .recipients
                            .iter()
                            .map(|one| (one.user, one.cursor.is_some()))
                            .collect();
                        (to, body.sender, body.client_id)
                    }
                    _ => panic!("a message"),
                })
                .collect();
            pushes.sort();
            for (table, of) in [("messages", "conversation_id"), ("inbox", "user_id")] {
                let gaps = format!(
                    "SELECT COUNT(*) FROM (SELECT 1 FROM {table} GROUP BY {of} \
                     HAVING COUNT(*) <> MAX(seq) OR MIN(seq) <> 1 OR COUNT(DISTINCT seq) <> COUNT(*))"
                );
                assert_eq!(world.one(&gaps), 0, "seqs of {table} without gaps");
            }
            // Those of one sender in their order; between senders there is none.
            let rows = world.rows(
                "SELECT m.sender_id, m.recipient_id, m.qos, m.state, i.seq IS NULL, CAST(m.client_id AS INTEGER) \
                 FROM messages m LEFT JOIN inbox i ON i.message_id = m.id \
                 ORDER BY m.sender_id, m.recipient_id, m.seq",
            );
            (answers, pushes, rows)
        };
        assert_eq!(tell(true), tell(false), "round {round}: {messages:?}");
    }
}

/// User, device, messages, cursor.
type Ack = (u64, &'static str, Vec<u64>, Option<u64>);

fn batch_ack(acks: &[Ack]) -> Vec<Result<u32, ErrorCode>> {
    let call = |(user, device, messages, cursor): &Ack| AckCall {
        caller: caller(*user, device),
        messages: messages.clone(),
        cursor: *cursor,
    };
    let answers = run(Component::batch_ack(acks.iter().map(call).collect())).unwrap();
    answers
        .into_iter()
        .map(|answer| answer.map_err(|error| error.code))
        .collect()
}

#[test]
fn acknowledgements_of_several_devices_are_one_batch() {
    let world = World::with_users(3);
    let mut sent: Vec<u64> = [(1, 2, "a"), (3, 2, "a"), (1, 3, "b")]
        .into_iter()
        .map(|(from, to, id)| send(from, to, id).unwrap().message)
        .collect();
    // The devices have no cursor at first: that is a batch of its own for each, after one that came to nothing.
    assert_eq!(
        batch_ack(&[
            (2, "phone", vec![sent[0]], Some(1)),
            (3, "phone", vec![sent[2]], Some(1))
        ]),
        [Ok(1), Ok(1)]
    );
    sent.push(send(3, 2, "c").unwrap().message);
    sent.push(send(1, 3, "c").unwrap().message);
    world.pushes();
    let before = (world.batches(), world.queries());
    let acks = [
        (2, "phone", vec![sent[1], sent[3]], Some(3)),
        (3, "phone", vec![sent[4]], Some(2)),
        // What is another's, and what was counted, counts for nothing.
        (3, "phone", vec![sent[3], sent[4]], None),
    ];
    assert_eq!(batch_ack(&acks), [Ok(2), Ok(1), Ok(0)]);
    assert_eq!((world.batches() - before.0, world.queries() - before.1), (1, 0));
    let told = world.pushes().into_iter().map(|push| match push {
        Push::Receipt(to, change) => (to.recipients[0].user, change.by, change.messages),
        _ => panic!("a receipt"),
    });
    let mut told: Vec<_> = told.collect();
    told.sort();
    assert_eq!(told, [(1, 3, vec![sent[4]]), (3, 2, vec![sent[1], sent[3]])]);
}

/// Whatever is acknowledged in a batch is kept, told and answered as if each had come alone.
#[test]
fn acknowledged_in_a_batch_or_one_by_one_is_the_same() {
    let mut dice = Random::new(seed());
    for round in 0..150 {
        let sent: Vec<(u64, u64, Qos)> = (0..=dice.below(12))
            .map(|_| {
                let from = dice.below(3) + 1;
                let qos = if dice.below(8) == 0 {
                    Qos::ExactlyOnce
                } else {
                    Qos::AtLeastOnce
                };
                (from, (from + dice.below(2)) % 3 + 1, qos)
            })
            .collect();
        // A device, indexes of messages among those sent, one more than there are for an unknown one, and a cursor.
        let acks: Vec<(u64, bool, Vec<u64>, Option<u64>)> = (0..=dice.below(5))
            .map(|_| {
                let index = |dice: &mut Random| {
                    if dice.below(40) == 0 {
                        99
                    } else {
                        dice.below(sent.len() as u64)
                    }
                };
                let some = (0..dice.below(5)).map(|_| index(&mut dice)).collect();
                let cursor = (dice.below(2) == 0).then(|| dice.below(3));
                (dice.below(3) + 1, dice.below(4) > 0, some, cursor)
            })
            .collect();
        let known = dice.below(4) > 0;
        let tell = |batched: bool| {
            let world = World::with_users(3);
            let ids: Vec<u64> = sent
                .iter()
                .enumerate()
                .map(|(index, (from, to, qos))| {
                    let draft = Draft {
                        qos: Some(*qos),
                        ..draft(*to, &index.to_string())
                    };
                    send_all(*from, vec![draft]).remove(0).unwrap().message
                })
                .collect();
            if known {
                for user in 1..=3 {
                    for device in ["phone", "tablet"] {
                        world.exec(&format!(
                            "INSERT INTO device_cursors (user_id, device, seq, updated_at) VALUES ({user}, '{device}', {user} - 1, 0)"
                        ));
                    }
                }
            }
            world.pushes();
            let acks: Vec<Ack> = acks
                .iter()
                .map(|(user, phone, indexes, cursor)| {
                    let id = |index: &u64| ids.get(usize::try_from(*index).unwrap()).copied().unwrap_or(7);
                    let device = if *phone { "phone" } else { "tablet" };
                    (*user, device, indexes.iter().map(id).collect(), *cursor)
                })
                .collect();
            let answers = if batched {
                batch_ack(&acks)
            } else {
                acks.iter()
                    .flat_map(|one| batch_ack(std::slice::from_ref(one)))
                    .collect()
            };
            let name = |id: &u64| ids.iter().position(|known| known == id);
            let mut told: Vec<_> = world
                .pushes()
                .into_iter()
                .flat_map(|push| match push {
                    Push::Receipt(to, change) => {
                        let (to, by) = (to.recipients[0].user, change.by);
                        change.messages.iter().map(|id| (to, by, name(id))).collect::<Vec<_>>()
                    }
                    _ => panic!("a receipt"),
                })
                .collect();
            told.sort();
            let states = world.rows("SELECT CAST(client_id AS INTEGER), state, delivered_at IS NULL, retry_at IS NULL FROM messages ORDER BY id");
            let cursors =
                world.rows("SELECT user_id, device = 'phone', seq FROM device_cursors ORDER BY user_id, device");
            let delivered = world.rows("SELECT CAST(m.client_id AS INTEGER), d.user_id, d.device = 'phone' FROM deliveries d JOIN messages m ON m.id = d.message_id ORDER BY m.id, d.device");
            (answers, told, states, cursors, delivered)
        };
        let (alone, all) = (tell(false), tell(true));
        assert_eq!(all, alone, "round {round}: {sent:?} {acks:?}");
    }
}
