//! The endpoint of a function that runs in this process: its sandboxes.

use call::{Context, Fault};
use capabilities::Guest;
use runtime::{Method, Pool};

use crate::parts::{Parts, Reply};
use crate::signature::Signature;

/// Sandboxes of one release.
pub struct Local {
    pub(crate) pool: Pool<Guest>,
    pub(crate) sandboxes_max: u32,
}

impl Local {
    pub(crate) async fn call(
        &self,
        signature: &Signature,
        binding: Option<&Method>,
        parts: Parts,
        context: Context,
    ) -> Result<Reply, Fault> {
        let (Some(method), Parts::Values(values)) = (binding, parts) else {
            return Err(Fault::Trapped(signature.full_name()));
        };
        self.pool.call(method, &values, context).await.map(Reply::Value)
    }
}
