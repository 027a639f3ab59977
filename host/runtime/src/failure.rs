//! Why a call in a sandbox gave no answer.

use call::Fault;
use wasmtime::Trap;

/// The trap of code that runs past its deadline.
#[derive(Debug, thiserror::Error)]
#[error("the deadline of the call passed while the component was running")]
pub(crate) struct DeadlinePassed;

/// What stopped a component in a method, logged once, here. A capability that ends a call says why with a [`Fault`].
pub(crate) fn fault(method: impl FnOnce() -> String, error: &wasmtime::Error) -> Fault {
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return fault.clone();
    }
    let name = method();
    if error.is::<DeadlinePassed>() || error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
        tracing::warn!(method = name, "a component ran past its deadline and was stopped");
        return Fault::DeadlineExceeded(name);
    }
    tracing::error!(method = name, error = format!("{error:#}"), "a component failed");
    Fault::Trapped(name)
}
