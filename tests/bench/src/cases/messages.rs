//! Routing, sending and acknowledging between two people who are both online.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use contract::sql::Value;
use route::Route as _;
use runtime::Val;
use send::{Delivery as _, Send as _};

use super::{CONTENT, Case, Person, client_id, int, length, turn};
use crate::stand::{Stand, ask, refused};

/// How many pairs write to each other.
const PAIRS: u64 = 64;

struct Pair {
    one: Person,
    other: Person,
    /// How many messages the other has in the inbox.
    received: Cell<u64>,
}

struct Pairs {
    stand: Rc<Stand>,
    pairs: Vec<Pair>,
    /// The messages that are to be acknowledged, and their places, by the number of the call.
    unread: RefCell<HashMap<usize, (u64, u64)>>,
}

pub(super) async fn cases(stand: &Rc<Stand>) -> anyhow::Result<Vec<Case>> {
    let pair = |number| Pair {
        one: Person::new(1_000 + number),
        other: Person::new(2_000 + number),
        received: Cell::new(0),
    };
    let pairs = Rc::new(Pairs {
        stand: stand.clone(),
        pairs: (0..PAIRS).map(pair).collect(),
        unread: RefCell::default(),
    });
    pairs.register().await?;
    Ok(vec![
        nothing(&pairs)?,
        routing(&pairs)?,
        sending(&pairs)?,
        sending_together(&pairs)?,
        acknowledging(&pairs)?,
    ])
}

impl Pairs {
    async fn register(&self) -> anyhow::Result<()> {
        let users = self.people().map(|person| {
            let (user, name) = (person.native.user, format!("user{}", person.native.user));
            (
                "INSERT INTO users (id, name, name_key, password_hash, created_at) VALUES (?, ?, ?, '', 0)".to_owned(),
                vec![int(user), Value::Text(name.clone()), Value::Text(name)],
            )
        });
        self.stand.write(users.collect()).await
    }

    fn people(&self) -> impl Iterator<Item = &Person> {
        self.pairs.iter().flat_map(|pair| [&pair.one, &pair.other])
    }

    /// Everybody is connected.
    async fn connect(&self) -> anyhow::Result<()> {
        let connections = self.people().map(|person| person.connection.clone()).collect();
        let renewed = self.stand.native.route.run(route::Component::renew_routes(connections));
        renewed.await.map_err(refused)
    }

    /// Who sends in a call of many, and the ids of what they send.
    fn together(&self, number: usize) -> impl Iterator<Item = (&Pair, String)> {
        let (senders, each) = TOGETHER;
        let groups = self.pairs.chunks(senders);
        let group = self
            .pairs
            .chunks(senders)
            .nth(number % groups.len().max(1))
            .unwrap_or_default();
        group.iter().flat_map(move |pair| {
            (0..each).map(move |message| {
                pair.received.set(pair.received.get() + 1);
                (pair, format!("together-{number:012}-{message}"))
            })
        })
    }

    async fn send_natively(&self, number: usize) -> anyhow::Result<guest::Receipt> {
        let pair = turn(&self.pairs, number)?;
        let call = send::Component::send_message(
            pair.one.native.clone(),
            pair.other.native.user,
            client_id(number),
            CONTENT.to_owned(),
            None,
            None,
            None,
        );
        let receipt = self.stand.native.send.run(call).await.map_err(refused)?;
        pair.received.set(pair.received.get() + 1);
        Ok(receipt)
    }
}

/// A call that imports nothing: what every call costs.
fn nothing(pairs: &Rc<Pairs>) -> anyhow::Result<Case> {
    let method = pairs.stand.method("route", "route-message")?;
    let (natively, dispatched) = (pairs.clone(), pairs.clone());
    let native = move |_| {
        let pairs = natively.clone();
        async move {
            let call = route::Component::route_message(Vec::new());
            let decision = pairs.stand.native.route.run(call).await.map_err(refused)?;
            Ok(decision.online.len() as u64)
        }
    };
    let component = move |_| {
        let (pairs, method) = (dispatched.clone(), method.clone());
        async move {
            let arguments = vec![Val::List(Vec::new())];
            let answer = ask(&pairs.stand.invoke, &method, None, arguments).await?;
            length(answer.as_ref(), "online")
        }
    };
    Ok(Case::new("route.route-message, nobody", native, component))
}

fn routing(pairs: &Rc<Pairs>) -> anyhow::Result<Case> {
    let method = pairs.stand.method("route", "route-message")?;
    let (natively, dispatched, prepared) = (pairs.clone(), pairs.clone(), pairs.clone());
    let native = move |number| {
        let pairs = natively.clone();
        async move {
            let pair = turn(&pairs.pairs, number)?;
            let users = vec![pair.other.native.user, pair.one.native.user];
            let call = route::Component::route_message(users);
            let decision = pairs.stand.native.route.run(call).await.map_err(refused)?;
            Ok(decision.online.len() as u64)
        }
    };
    let component = move |number| {
        let (pairs, method) = (dispatched.clone(), method.clone());
        async move {
            let pair = turn(&pairs.pairs, number)?;
            let users = [&pair.other, &pair.one].map(|person| Val::U64(person.native.user));
            let arguments = vec![Val::List(users.to_vec())];
            let answer = ask(&pairs.stand.invoke, &method, None, arguments).await?;
            length(answer.as_ref(), "online")
        }
    };
    let prepare = move |_| {
        let pairs = prepared.clone();
        async move { pairs.connect().await.map(|()| 0) }
    };
    Ok(Case::new("route.route-message", native, component).prepared(20_000, prepare))
}

fn sending(pairs: &Rc<Pairs>) -> anyhow::Result<Case> {
    let method = pairs.stand.method("send", "send-message")?;
    let (natively, dispatched, prepared) = (pairs.clone(), pairs.clone(), pairs.clone());
    let native = move |number| {
        let pairs = natively.clone();
        async move { Ok(state(pairs.send_natively(number).await?.state)) }
    };
    let component = move |number| {
        let (pairs, method) = (dispatched.clone(), method.clone());
        async move {
            let pair = turn(&pairs.pairs, number)?;
            let arguments = vec![
                Val::U64(pair.other.native.user),
                Val::String(client_id(number)),
                Val::String(CONTENT.to_owned()),
                Val::Option(None),
                Val::Option(None),
                Val::Option(None),
            ];
            let caller = Some(pair.one.component.clone());
            let receipt = ask(&pairs.stand.invoke, &method, caller, arguments).await?;
            pair.received.set(pair.received.get() + 1);
            match receipt
                .as_ref()
                .and_then(|receipt| runtime::values::field(receipt, "state"))
            {
                Some(Val::Enum(name)) if name == "sending" => Ok(state(guest::MessageState::Sending)),
                other => anyhow::bail!("the message is {other:?}"),
            }
        }
    };
    let prepare = move |_| {
        let pairs = prepared.clone();
        async move { pairs.connect().await.map(|()| 0) }
    };
    Ok(Case::new("send.send-message", native, component).prepared(5_000, prepare))
}

/// How many pairs send in one call of a gateway under load, and how many messages each.
const TOGETHER: (usize, usize) = (8, 5);

/// What a gateway under load makes of what many clients send.
fn sending_together(pairs: &Rc<Pairs>) -> anyhow::Result<Case> {
    let method = pairs.stand.method("send", "batch-send-message")?;
    let (natively, dispatched, prepared) = (pairs.clone(), pairs.clone(), pairs.clone());
    let native = move |number| {
        let pairs = natively.clone();
        async move {
            let call = |(pair, id): (&Pair, String)| send::SendMessageCall {
                caller: pair.one.native.clone(),
                to: pair.other.native.user,
                client_id: id,
                content: CONTENT.to_owned(),
                content_type: None,
                priority: None,
                qos: None,
            };
            let calls = pairs.together(number).map(call).collect();
            let call = send::Component::batch_send_message(calls);
            let answers = pairs.stand.native.send.run(call).await.map_err(refused)?;
            Ok(answers.iter().flatten().map(|receipt| state(receipt.state)).sum())
        }
    };
    let component = move |number| {
        let (pairs, method) = (dispatched.clone(), method.clone());
        async move {
            let call = |(pair, id): (&Pair, String)| {
                let caller = &pair.one.native;
                let connection = caller.connection.map(|connection| Box::new(Val::U64(connection)));
                record([
                    (
                        "caller",
                        record([
                            ("user", Val::U64(caller.user)),
                            ("session", Val::U64(caller.session)),
                            ("device", Val::String(caller.device.clone())),
                            ("connection", Val::Option(connection)),
                        ]),
                    ),
                    ("to", Val::U64(pair.other.native.user)),
                    ("client-id", Val::String(id)),
                    ("content", Val::String(CONTENT.to_owned())),
                    ("content-type", Val::Option(None)),
                    ("priority", Val::Option(None)),
                    ("qos", Val::Option(None)),
                ])
            };
            let calls = pairs.together(number).map(call).collect();
            let answers = ask(&pairs.stand.invoke, &method, None, vec![Val::List(calls)]).await?;
            let Some(Val::List(answers)) = answers else {
                anyhow::bail!("the answers are {answers:?}");
            };
            let sent = answers.iter().filter(|answer| match answer {
                Val::Result(Ok(Some(receipt))) => {
                    let state = runtime::values::field(receipt, "state");
                    matches!(state, Some(Val::Enum(name)) if name == "sending")
                }
                _ => false,
            });
            Ok(sent.count() as u64)
        }
    };
    let prepare = move |_| {
        let pairs = prepared.clone();
        async move { pairs.connect().await.map(|()| 0) }
    };
    Ok(Case::new("send.batch-send-message, 40 messages of 8", native, component).prepared(500, prepare))
}

fn record<const N: usize>(fields: [(&str, Val); N]) -> Val {
    Val::Record(fields.map(|(name, value)| (name.to_owned(), value)).to_vec())
}

/// Both sides must find the receiver online.
fn state(state: guest::MessageState) -> u64 {
    u64::from(state == guest::MessageState::Sending)
}

fn acknowledging(pairs: &Rc<Pairs>) -> anyhow::Result<Case> {
    let method = pairs.stand.method("send", "ack")?;
    let (natively, dispatched, prepared) = (pairs.clone(), pairs.clone(), pairs.clone());
    let native = move |number| {
        let pairs = natively.clone();
        async move {
            let caller = turn(&pairs.pairs, number)?.other.native.clone();
            let (message, place) = pairs.take_unread(number)?;
            let call = send::Component::ack(caller, vec![message], Some(place));
            let acknowledged = pairs.stand.native.send.run(call).await.map_err(refused)?;
            Ok(u64::from(acknowledged))
        }
    };
    let component = move |number| {
        let (pairs, method) = (dispatched.clone(), method.clone());
        async move {
            let caller = turn(&pairs.pairs, number)?.other.component.clone();
            let (message, place) = pairs.take_unread(number)?;
            let arguments = vec![
                Val::List(vec![Val::U64(message)]),
                Val::Option(Some(Box::new(Val::U64(place)))),
            ];
            match ask(&pairs.stand.invoke, &method, Some(caller), arguments).await? {
                Some(Val::U32(acknowledged)) => Ok(u64::from(acknowledged)),
                other => anyhow::bail!("{other:?} were acknowledged"),
            }
        }
    };
    let prepare = move |numbers: std::ops::Range<usize>| {
        let pairs = prepared.clone();
        async move { pairs.leave_unread(numbers).await.map(|()| 0) }
    };
    Ok(Case::new("send.ack", native, component).prepared(2_000, prepare))
}

impl Pairs {
    fn take_unread(&self, number: usize) -> anyhow::Result<(u64, u64)> {
        let unread = self.unread.borrow_mut().remove(&number);
        unread.ok_or_else(|| anyhow::anyhow!("no message for call {number}"))
    }

    /// Sends a message for each of some calls, many at once: each pair its own, in order.
    async fn leave_unread(self: &Rc<Self>, numbers: std::ops::Range<usize>) -> anyhow::Result<()> {
        self.connect().await?;
        let mut sending = tokio::task::JoinSet::new();
        for first in numbers.clone().take(self.pairs.len()) {
            let (pairs, end) = (self.clone(), numbers.end);
            sending.spawn_local(async move {
                for number in (first..end).step_by(pairs.pairs.len()) {
                    let message = pairs.send_natively(number).await?.message;
                    let place = turn(&pairs.pairs, number)?.received.get();
                    pairs.unread.borrow_mut().insert(number, (message, place));
                }
                anyhow::Ok(())
            });
        }
        while let Some(sent) = sending.join_next().await {
            sent??;
        }
        self.stand.drain().await
    }
}
