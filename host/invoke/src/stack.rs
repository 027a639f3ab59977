//! The policies around every call, in their order. Each is a state machine of its own that is told the time, or until when
//! to wait; what it keeps belongs to the endpoint.

use call::{Context, Fault};
use tokio::time::Instant;

use crate::parts::{Parts, Reply};
use crate::target::Target;

/// One call of one method with all its arguments:
///
/// 1. **depth**: functions do not call each other without end;
/// 2. **breaker**: an endpoint that fails again and again is left alone for a while;
/// 3. **bulkhead**: so many calls are under way at once, and so many wait;
/// 4. **deadline**: waiting included, kept by the endpoint itself;
/// 5. **measures**.
pub(crate) async fn invoke(target: &Target, parts: Parts, context: Context, depth_max: u32) -> Result<Reply, Fault> {
    if context.depth > depth_max {
        return Err(Fault::Overloaded(format!(
            "functions call each other more than {depth_max} deep"
        )));
    }
    let endpoint = &target.endpoint;
    let begun = now();
    if !endpoint.breaker.allow(begun) {
        return Err(Fault::BreakerOpen(target.signature.full_name()));
    }
    let mut asked = begun;
    let outcome = match endpoint.bulkhead.enter(context.deadline).await {
        Ok(_permit) => {
            asked = endpoint.asked_since(begun);
            let (signature, binding) = (&target.signature, target.binding.as_deref());
            endpoint.call(signature, binding, parts, context).await
        }
        Err(_full) => Err(endpoint.full(&target.signature)),
    };
    let ended = now();
    if let Some(success) = endpoint.verdict(&outcome, asked, ended) {
        endpoint.breaker.report(success, ended);
    }
    if let Some(metrics) = &target.signature.metrics {
        metrics.seconds.record(ended - begun);
        match &outcome {
            Ok(_) => metrics.answered.increment(1),
            Err(_) => metrics.failed.increment(1),
        }
    }
    outcome
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
