//! Where a release can be invoked, and the state of the policies that stand before it.

use std::pin::Pin;
use std::time::{Duration, Instant};

use call::{Context, Fault};
use policy::{Breaker, Bulkhead};
use runtime::Method;

use crate::local::Local;
use crate::parts::{Parts, Reply};
use crate::remote::Remote;
use crate::signature::Signature;

/// Where a release can be invoked.
pub(crate) struct Endpoint {
    pub(crate) kind: Kind,
    pub(crate) breaker: Breaker,
    pub(crate) bulkhead: Bulkhead,
    /// The longest that a call may take, waiting included.
    pub(crate) deadline: Duration,
}

/// The kinds of endpoints there are.
pub(crate) enum Kind {
    /// Sandboxes of this process.
    Local(Box<Local>),
    /// Another host, over HTTP.
    Remote(Box<Remote>),
}

impl Endpoint {
    /// The call itself. What it needs while it runs is allocated once: all that await it, up to the socket of a client,
    /// stay small, and are not copied with it.
    pub(crate) fn call<'a>(
        &'a self,
        signature: &'a Signature,
        binding: Option<&'a Method>,
        parts: Parts,
        context: Context,
    ) -> Pin<Box<dyn Future<Output = Result<Reply, Fault>> + Send + 'a>> {
        match &self.kind {
            Kind::Local(local) => Box::pin(local.call(signature, binding, parts, context)),
            Kind::Remote(remote) => Box::pin(remote.call(signature, parts, context)),
        }
    }

    /// Why a call is turned away when too many are under way.
    pub(crate) fn full(&self, signature: &Signature) -> Fault {
        Fault::Overloaded(match &self.kind {
            Kind::Local(_) => format!("every sandbox of {} is busy", signature.function),
            Kind::Remote(_) => "too many calls of remote functions are under way".to_owned(),
        })
    }

    /// Since when an endpoint has had its time for a call that came to it at some time. Sandboxes are the function's own: that
    /// all were busy says something about it. Time spent on the way to another host says nothing of that.
    pub(crate) fn asked_since(&self, came: Instant) -> Instant {
        match self.kind {
            Kind::Local(_) => came,
            Kind::Remote(_) => tokio::time::Instant::now().into_std(),
        }
    }

    /// What the end of a call says about the health of the endpoint; none when it says nothing, as a full bulkhead does,
    /// or a caller that left too little of its time.
    pub(crate) fn verdict<T>(&self, outcome: &Result<T, Fault>, asked: Instant, now: Instant) -> Option<bool> {
        match outcome {
            Ok(_) => Some(true),
            Err(Fault::Trapped(_)) => Some(false),
            Err(Fault::Unavailable(_)) => matches!(self.kind, Kind::Remote(_)).then_some(false),
            Err(Fault::DeadlineExceeded(_)) => {
                (now.saturating_duration_since(asked) >= self.deadline / 2).then_some(false)
            }
            Err(_) => None,
        }
    }
}
