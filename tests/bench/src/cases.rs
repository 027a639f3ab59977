//! What is measured: calls of a function, each made natively and as a component.

mod messages;
mod people;
mod pulls;

use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::Context as _;
use contract::sql::Value;
use runtime::Val;

use crate::stand::Stand;

/// What each message says.
const CONTENT: &str = "A message as people write them: some words, and an end. It has a hundred bytes, more or less.";

/// A call under way; it gives a number by which both ways can be compared.
pub(crate) type Call = Pin<Box<dyn Future<Output = anyhow::Result<u64>>>>;

/// How a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Side {
    /// The code of the component, built for this machine.
    Native,
    /// The component.
    Component,
}

/// One kind of call. Calls have numbers, none of which comes twice in a run.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Most calls of one window.
    pub(crate) most: usize,
    /// Calls at once, at most.
    pub(crate) abreast: usize,
    prepare: Box<dyn Fn(Range<usize>) -> Call>,
    native: Box<dyn Fn(usize) -> Call>,
    component: Box<dyn Fn(usize) -> Call>,
}

impl Case {
    fn new<N, C>(
        name: &'static str,
        native: impl Fn(usize) -> N + 'static,
        component: impl Fn(usize) -> C + 'static,
    ) -> Self
    where
        N: Future<Output = anyhow::Result<u64>> + 'static,
        C: Future<Output = anyhow::Result<u64>> + 'static,
    {
        Self {
            name,
            most: 20_000,
            abreast: usize::MAX,
            prepare: Box::new(|_| Box::pin(async { Ok(0) })),
            native: Box::new(move |number| Box::pin(native(number))),
            component: Box::new(move |number| Box::pin(component(number))),
        }
    }

    fn prepared<P>(mut self, most: usize, prepare: impl Fn(Range<usize>) -> P + 'static) -> Self
    where
        P: Future<Output = anyhow::Result<u64>> + 'static,
    {
        self.most = most;
        self.prepare = Box::new(move |numbers| Box::pin(prepare(numbers)));
        self
    }

    fn abreast(mut self, most: usize) -> Self {
        self.abreast = most;
        self
    }

    /// Makes what the calls of these numbers need. It is not measured.
    pub(crate) async fn prepare(&self, numbers: Range<usize>) -> anyhow::Result<()> {
        let done = (self.prepare)(numbers).await;
        done.with_context(|| format!("preparing {}", self.name)).map(drop)
    }

    /// Makes a call.
    pub(crate) fn call(&self, side: Side, number: usize) -> Call {
        match side {
            Side::Native => (self.native)(number),
            Side::Component => (self.component)(number),
        }
    }
}

/// All cases, on one stand.
pub(crate) async fn all(stand: &Rc<Stand>) -> anyhow::Result<Vec<Case>> {
    let mut cases = messages::cases(stand).await?;
    cases.extend(people::cases(stand).await?);
    cases.extend(pulls::cases(stand).await?);
    Ok(cases)
}

/// One of two people who write to each other, over one connection.
struct Person {
    native: guest::Caller,
    component: call::User,
    connection: guest::Connection,
}

impl Person {
    fn new(user: u64) -> Self {
        let (session, id) = (user + 1_000_000, user + 2_000_000);
        let device: Arc<str> = "0123456789abcdef".into();
        Self {
            native: guest::Caller {
                user,
                session,
                device: device.to_string(),
                connection: Some(id),
            },
            connection: guest::Connection {
                id,
                node: crate::stand::NODE.to_owned(),
                user,
                session,
                device: device.to_string(),
                device_class: "phone".to_owned(),
            },
            component: call::User {
                user,
                session,
                device,
                connection: Some(id),
            },
        }
    }
}

/// How many items a field of an answer has.
fn length(answer: Option<&Val>, name: &str) -> anyhow::Result<u64> {
    match answer.and_then(|answer| runtime::values::field(answer, name)) {
        Some(Val::List(items)) => Ok(items.len() as u64),
        _ => anyhow::bail!("the answer has no list `{name}`"),
    }
}

/// One of a ring.
fn turn<T>(ring: &[T], number: usize) -> anyhow::Result<&T> {
    let place = number.checked_rem(ring.len()).context("nobody is there")?;
    ring.get(place).context("nobody is there")
}

/// A name of a message that its sender gives.
fn client_id(number: usize) -> String {
    format!("7a1c9c5e-message-{number:012}")
}

/// A number for the store.
fn int(number: u64) -> Value {
    Value::Integer(number.cast_signed())
}
