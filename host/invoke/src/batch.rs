//! Batching: calls of one method that many callers want at the same moment, made as one call of its batch method.
//!
//! A batch method does what as many calls of the other would. Its only parameter, `calls`, is a list of records whose fields
//! are the other's parameters, the caller among them, or of that parameter where there is one alone, and it gives a list of
//! the other's results. No client may call it: it speaks for every caller that it is given. A call that comes alone is made
//! at once, as itself. A batch is of one release; it runs wherever that does.

use std::sync::Arc;

use call::{Caller, Context};
use config::BatchSettings;
use futures_util::future::join_all;
use runtime::{LoadError, Type, Val};
use serde::Deserialize;
use serde_json::value::RawValue;
use wire::error::EdgeError;

use crate::answer::Answer;
use crate::arguments::CALLS;
use crate::error::{internal, refused};
use crate::gather::{Full, Gather};
use crate::parts::{Parts, Reply};
use crate::stack;
use crate::target::Target;

/// What became of a call.
pub(crate) type Outcome = Result<Answer, EdgeError>;

/// What makes many calls of a method as one.
pub(crate) struct Batch {
    many: Target,
    gather: Gather<Arc<Wanted>, Vec<Outcome>>,
    depth_max: u32,
}

/// Calls that one caller wants, to be made in this order.
struct Wanted {
    context: Context,
    /// The arguments of each, without the caller.
    calls: Vec<Parts>,
}

impl Wanted {
    /// The context of a call that begins now: what waiting for a batch took is not the callee's.
    fn begun(&self, one: &Target) -> Context {
        Context {
            deadline: Context::begin(Caller::System, one.deadline()).deadline,
            ..self.context.clone()
        }
    }
}

impl Batch {
    /// Checks that a method is the batch method of another, as far as the types of both are known.
    pub(crate) fn new(one: &Target, many: Target, settings: &BatchSettings, depth_max: u32) -> Result<Self, LoadError> {
        if let Some(reason) = misfit(one, &many) {
            return Err(LoadError::MethodMismatch {
                name: many.signature.full_name(),
                purpose: "calls in batches",
                reason: format!("{reason} `{}`", one.signature.name),
            });
        }
        Ok(Self {
            many,
            gather: Gather::new(settings.calls_max, settings.waiting_max, settings.in_flight_max),
            depth_max,
        })
    }

    /// Has calls made, with those of whoever else wants some now; what became of each.
    pub(crate) async fn ask(&self, one: &Target, context: Context, calls: Vec<Parts>) -> Vec<Outcome> {
        let count = calls.len();
        let wanted = Arc::new(Wanted { context, calls });
        let asked = self.gather.ask(wanted, count, |wanted| self.make(one, wanted));
        asked.await.unwrap_or_else(|Full| {
            let message = format!("too many calls of {} wait", one.signature.full_name());
            let error = || Err(EdgeError::passing("overloaded", message.clone()));
            std::iter::repeat_with(error).take(count).collect()
        })
    }

    async fn make(&self, one: &Target, wanted: Vec<Arc<Wanted>>) -> Vec<Vec<Outcome>> {
        if let [alone] = wanted.as_slice() {
            return vec![self.make_alone(one, alone).await];
        }
        match self.make_as_one(one, wanted.iter().map(Arc::as_ref)).await {
            Ok(outcomes) => {
                let mut outcomes = outcomes.into_iter();
                let counts = wanted.iter().map(|wanted| wanted.calls.len());
                counts.map(|count| outcomes.by_ref().take(count).collect()).collect()
            }
            Err(error) if error.retryable => wanted.iter().map(|wanted| all(&error, wanted)).collect(),
            // It may be the fault of one of them, which costs the others no more than a second call.
            Err(_) => join_all(wanted.iter().map(|wanted| self.make_alone(one, wanted))).await,
        }
    }

    async fn make_alone(&self, one: &Target, wanted: &Wanted) -> Vec<Outcome> {
        match wanted.calls.as_slice() {
            [parts] => vec![make_one(one, parts.clone(), wanted.begun(one), self.depth_max).await],
            calls => match self.make_as_one(one, [wanted]).await {
                Ok(outcomes) => outcomes,
                // Where the types are not known, it may be one of them that does not fit.
                Err(error) if !error.retryable && one.binding.is_none() => {
                    let mut outcomes = Vec::with_capacity(calls.len());
                    for parts in calls {
                        outcomes.push(make_one(one, parts.clone(), wanted.begun(one), self.depth_max).await);
                    }
                    outcomes
                }
                Err(error) => all(&error, wanted),
            },
        }
    }

    /// Makes calls as one; an outcome for each.
    async fn make_as_one(
        &self,
        one: &Target,
        wanted: impl IntoIterator<Item = &Wanted>,
    ) -> Result<Vec<Outcome>, EdgeError> {
        let mut elements = Vec::new();
        for wanted in wanted {
            for parts in &wanted.calls {
                elements.push(one.element(parts, &wanted.context.caller)?);
            }
        }
        let count = elements.len();
        let context = Context::begin(Caller::System, self.many.deadline());
        let parts = self.many.of_elements(elements)?;
        let reply = stack::invoke(&self.many, parts, context, self.depth_max)
            .await
            .map_err(refused)?;
        let outcomes = outcomes(one, &self.many, reply).map_err(|error| self.many.told_the_host(error))?;
        if outcomes.as_ref().is_none_or(|outcomes| outcomes.len() != count) {
            // What became of some is not known.
            tracing::error!(
                method = self.many.signature.full_name(),
                "it gave another number of results than it was asked for"
            );
        }
        outcomes.filter(|outcomes| outcomes.len() == count).ok_or_else(internal)
    }
}

/// One call by itself.
pub(crate) async fn make_one(target: &Target, parts: Parts, context: Context, depth_max: u32) -> Outcome {
    let parts = target.with_caller(parts, &context.caller)?;
    let reply = stack::invoke(target, parts, context, depth_max)
        .await
        .map_err(refused)?;
    Answer::of(target, reply)
}

fn all(error: &EdgeError, wanted: &Wanted) -> Vec<Outcome> {
    wanted.calls.iter().map(|_| Err(error.clone())).collect()
}

/// What became of each call, from the list that the batch method gave; none where it is no such list.
fn outcomes(one: &Target, many: &Target, reply: Reply) -> Result<Option<Vec<Outcome>>, EdgeError> {
    match (reply, &one.binding) {
        (Reply::Value(value), Some(method)) => match runtime::answer(value) {
            Ok(Some(Val::List(results))) => {
                let outcome = |result| Answer::of_value(runtime::answer(Some(result)), method);
                Ok(Some(results.into_iter().map(outcome).collect()))
            }
            Ok(_) => Ok(None),
            Err(error) => Err(crate::error::answered(error.as_ref())),
        },
        (Reply::Json(text), _) => {
            let text = text?;
            let results = serde_json::from_str::<Vec<&RawValue>>(&text).ok();
            Ok(results.map(|results| results.into_iter().map(|result| outcome(result, many)).collect()))
        }
        (Reply::Value(_), None) => Ok(None),
    }
}

/// A result in JSON: `"ok"`, `{"ok": …}` or `{"err": …}`, whose error is the project's.
fn outcome(result: &RawValue, many: &Target) -> Outcome {
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    enum Given<'a> {
        #[serde(borrow)]
        Ok(&'a RawValue),
        Err(Refusal),
    }
    #[derive(Deserialize)]
    struct Refusal {
        code: String,
        message: String,
        retryable: bool,
    }
    if result.get() == "\"ok\"" {
        return Ok(Answer::of_json("null".to_owned()));
    }
    match serde_json::from_str(result.get()) {
        Ok(Given::Ok(value)) => Ok(Answer::of_json(value.get().to_owned())),
        Ok(Given::Err(error)) => Err(EdgeError::answered(error.code, error.message, error.retryable)),
        Err(error) => {
            tracing::error!(method = many.signature.full_name(), %error, "one of its results cannot be read");
            Err(internal())
        }
    }
}

/// Why a method is not the batch method of another.
fn misfit(one: &Target, many: &Target) -> Option<&'static str> {
    if one.signature.function != many.signature.function {
        return Some("it must be of the same function as");
    }
    let (Some(one_type), Some(many_type)) = (&one.binding, &many.binding) else {
        return None;
    };
    if many_type.takes_caller {
        return Some("it must take no caller of its own, as the batch method of");
    }
    if one_type.takes_caller && !one.signature.public {
        return Some("only what clients may call is batched for callers, which is not so of");
    }
    if many.signature.public && one_type.takes_caller {
        return Some("it must not be public, since it speaks for the callers of");
    }
    let fits = match many_type.parameters.as_slice() {
        [(name, Type::List(list))] if name == CALLS => match (one_type.parameters.as_slice(), list.ty()) {
            ([(_, ty)], element) if !one_type.takes_caller => *ty == element,
            (parameters, Type::Record(record)) => record
                .fields()
                .map(|field| (field.name, field.ty))
                .eq(parameters.iter().map(|(name, ty)| (name.as_str(), ty.clone()))),
            _ => false,
        },
        _ => false,
    };
    if !fits {
        return Some(
            "its only parameter must be `calls`, a list of records whose fields are the parameters, or a list of the only \
             parameter, of",
        );
    }
    match (many_type.ok_type(), &one_type.result) {
        (Some(Type::List(list)), Some(result)) if list.ty() == *result => {}
        _ => return Some("it must give a list of the results of"),
    }
    // A batch that fails is made again call by call.
    (!one.signature.safe_to_repeat).then_some("`safe_to_repeat` of the manifest must name what it repeats,")
}
