//! Where one method is invoked: what it is called, what types it has, and the endpoint of its release.

use std::sync::Arc;
use std::time::Duration;

use call::{Caller, Context};
use runtime::Method;
use wire::error::EdgeError;

use crate::endpoint::{Endpoint, Kind};
use crate::signature::Signature;

/// One method of one release.
#[derive(Clone)]
pub struct Target {
    /// What outlives the release.
    pub signature: Arc<Signature>,
    /// What does not: types, and where the method is in its component. None where the component is remote.
    pub binding: Option<Arc<Method>>,
    pub(crate) endpoint: Arc<Endpoint>,
}

impl Target {
    /// A method of which nothing but its names is known.
    pub(crate) fn unknown(function: &str, method: &str, endpoint: Arc<Endpoint>) -> Self {
        Self {
            signature: Arc::new(Signature::unknown(function, method)),
            binding: None,
            endpoint,
        }
    }

    /// The longest that a call may take, waiting included.
    pub fn deadline(&self) -> Duration {
        self.endpoint.deadline
    }

    /// What came of a call that the host made of its own: an error of the way there is the host's, not the callee's.
    pub(crate) fn told_the_host(&self, error: EdgeError) -> EdgeError {
        match &self.endpoint.kind {
            Kind::Remote(remote) => remote.told_the_host(error),
            Kind::Local(_) => error,
        }
    }

    /// Whether a call may be made. To a client a private method is as unknown as one that is not there; what a function calls
    /// on behalf of a client may be private.
    pub(crate) fn admit(&self, context: &Context) -> Result<(), EdgeError> {
        let signature = &self.signature;
        let is_of_client = context.depth == 0 && !matches!(context.caller, Caller::System);
        if is_of_client && !signature.public {
            return Err(EdgeError::unknown_method(&signature.function, &signature.name));
        }
        if signature.takes_caller && context.caller.user().is_none() {
            return Err(EdgeError::unauthenticated());
        }
        Ok(())
    }
}
