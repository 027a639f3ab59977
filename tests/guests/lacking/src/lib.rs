//! A component that imports an interface which nobody offers.

mod bindings;

use bindings::exports::test::lacking::lacking::Guest;
use bindings::test::absent::thing;

/// The component: a host that starts it has not looked at its imports.
pub struct Component;

impl Guest for Component {
    fn ask() -> u32 {
        thing::answer()
    }
}
