//! The way to one method: where it is invoked, and how its calls are made as one.

use std::ops::Deref;

use crate::batch::Batch;
use crate::signature::Signature;
use crate::target::Target;

/// The way to one method. A call ends on the route that it began with.
pub struct Route {
    target: Target,
    pub(crate) batch: Option<Batch>,
}

impl Route {
    /// Straight to a method.
    pub(crate) fn new(target: Target) -> Self {
        Self { target, batch: None }
    }

    /// To a method that has a batch method.
    pub(crate) fn batched(target: Target, batch: Batch) -> Self {
        Self {
            target,
            batch: Some(batch),
        }
    }

    /// Whether calls of users who are logged in are made in batches.
    pub fn is_batched_for_users(&self) -> bool {
        let Signature {
            public, takes_caller, ..
        } = *self.target.signature;
        self.batch.is_some() && public && takes_caller
    }
}

/// A route is its target, with what is done on the way.
impl Deref for Route {
    type Target = Target;

    fn deref(&self) -> &Target {
        &self.target
    }
}
