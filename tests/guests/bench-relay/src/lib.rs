//! A component that calls another one and nothing else.

mod bindings;

use bindings::exports::test::bench_relay::relay::Guest;
use bindings::test::bench::probe;

/// The component.
pub struct Component;

impl Guest for Component {
    async fn pass_on(name: String) -> String {
        probe::hello(name).await
    }
}
