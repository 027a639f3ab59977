//! Notifications, implemented from their types: the first argument says who receives one, the
//! second is its body, and the name of the function is its name.

use capabilities::Guest;
use contract::Fault;
use runtime::values::{field, list, number, option, text};
use runtime::{Import, Val, json};
use wire::push::{Audience, Push, Recipient};

/// Puts a notification into the queues of the nodes that it is for.
pub(crate) async fn publish(name: &str, import: Import<Guest>) -> Result<(), Fault> {
    let wrong = |what: &str| Fault::Invalid(format!("the notification `{name}` has {what}"));
    let [to, body] = import.arguments.as_slice() else {
        return Err(wrong("other parameters than an audience and a body"));
    };
    let mut parameters = import.signature.parameters();
    let (_, ty) = parameters.nth(1).ok_or_else(|| wrong("no body"))?;
    let to = audience(to).ok_or_else(|| wrong("no audience as its first parameter"))?;
    let mut text = Vec::with_capacity(256);
    json::write(body, &ty, &mut text);
    let mut push = Push::notification(to, name, text).ok_or_else(|| wrong("a body that is no JSON"))?;
    let trace = import.context.trace;
    if trace.sampled {
        push = push.traced(trace.to_string());
    }
    capabilities::publish(&push, &import.guest.services).await
}

/// The outcome as the `result<_, mpim:host/types.error>` that the interface declares.
pub(crate) fn result(outcome: Result<(), Fault>) -> Option<Val> {
    let error = match outcome {
        Ok(()) => return Some(Val::Result(Ok(None))),
        Err(error) => error,
    };
    let (case, message) = match error {
        Fault::Invalid(message) => ("invalid", message),
        Fault::Unavailable(message) => ("unavailable", message),
        Fault::Overloaded(message) => ("overloaded", message),
        Fault::Timeout(message) => ("timeout", message),
    };
    let error = Val::Variant(case.to_owned(), Some(Box::new(Val::String(message))));
    Some(Val::Result(Err(Some(Box::new(error)))))
}

fn audience(val: &Val) -> Option<Audience> {
    let optional = |name: &str| option(field(val, name)?);
    let priority = match field(val, "priority")? {
        Val::Enum(name) => match name.as_str() {
            "low" => 0,
            "normal" => 1,
            "high" => 2,
            _ => 3,
        },
        _ => return None,
    };
    Some(Audience {
        nodes: list(field(val, "nodes")?, |node| text(node).map(str::to_owned))?,
        recipients: list(field(val, "recipients")?, |recipient| {
            Some(Recipient {
                user: number(field(recipient, "user")?)?,
                cursor: option(field(recipient, "cursor")?)?.and_then(number),
            })
        })?,
        topics: list(field(val, "topics")?, |topic| text(topic).map(str::to_owned))?,
        sessions: list(field(val, "sessions")?, number)?,
        except_connection: optional("except-connection")?.and_then(number),
        priority,
        track: optional("track")?.and_then(number),
        close: optional("close")?.and_then(text).map(str::to_owned),
    })
}
