//! A component that its host has never heard of: the manifest alone makes it a function.

mod bindings;

use bindings::exports::test::echo::echo::{Caller, Everything, Guest, Mishap, Mood};

/// The component: see `wit/echo.wit` for what each method gives back.
pub struct Component;

impl Guest for Component {
    async fn say(text: String) -> String {
        text
    }

    fn whisper(text: String) -> String {
        text
    }

    async fn shout(thing: Everything) -> Everything {
        Everything {
            text: thing.text.to_uppercase(),
            mood: Mood::VeryLoud,
            ..thing
        }
    }

    async fn whoami(caller: Caller) -> u64 {
        caller.user
    }

    async fn stumble(how: Mishap) -> Result<(), Mishap> {
        Err(how)
    }
}
