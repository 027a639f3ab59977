//! The context of a call: a component never sees it and never makes it.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use tokio::time::Instant as Clock;

use crate::caller::Caller;
use crate::trace::Trace;

/// What travels with a call, and with every call that it makes.
#[derive(Debug, Clone)]
pub struct Context {
    /// Who called at the edge.
    pub caller: Caller,
    /// When the call must be done, waiting included.
    pub deadline: Instant,
    /// How many functions are above this one.
    pub depth: u32,
    /// Which try of the same call this is; 0 is the first.
    pub attempt: u32,
    /// The trace that it belongs to.
    pub trace: Trace,
    /// Which part of the callers its caller is of.
    pub cohort: Cohort,
    /// Whether its effects count.
    pub mode: Mode,
}

/// A part of all callers: 0 to 9,999, the same for one user wherever and whenever they call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cohort(u16);

/// Whether what a call does counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// It does.
    #[default]
    Live,
    /// It is made to see what it would do.
    Shadow,
}

impl Context {
    /// That of a call that begins at the edge now, and may take so long.
    pub fn begin(caller: Caller, within: Duration) -> Self {
        Self {
            deadline: (Clock::now() + within).into_std(),
            depth: 0,
            attempt: 0,
            trace: Trace::begin(),
            cohort: Cohort::of(&caller),
            mode: Mode::Live,
            caller,
        }
    }

    /// That of a call that a call with this context makes.
    pub fn below(&self) -> Self {
        Self {
            depth: self.depth.saturating_add(1),
            attempt: 0,
            ..self.clone()
        }
    }

    /// What is left until the deadline.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Clock::now().into_std())
    }
}

impl Cohort {
    /// How many there are.
    pub const COUNT: u16 = 10_000;

    /// That of a caller. Who has no user is in the first one.
    pub fn of(caller: &Caller) -> Self {
        let Some(user) = caller.user() else { return Self(0) };
        // The finalizer of MurmurHash3 (Appleby): ids that follow each other are spread evenly.
        let mut mixed = user.user;
        mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        mixed ^= mixed >> 33;
        Self(u16::try_from(mixed % u64::from(Self::COUNT)).unwrap_or(0))
    }

    /// Its number.
    pub fn number(self) -> u16 {
        self.0
    }
}

/// What of a context travels in one header, beside the caller and the trace, which have headers of their own:
/// `timeout_ms=4900;depth=1;attempt=0;cohort=17;mode=live`. The deadline travels as what is left of it, since clocks differ.
impl fmt::Display for Context {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            Mode::Live => "live",
            Mode::Shadow => "shadow",
        };
        write!(
            out,
            "timeout_ms={};depth={};attempt={};cohort={};mode={mode}",
            self.remaining().as_millis(),
            self.depth,
            self.attempt,
            self.cohort.0
        )
    }
}

/// What a header says of a context that came from another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Travelled {
    timeout: Duration,
    depth: u32,
    attempt: u32,
    cohort: Cohort,
    mode: Mode,
}

/// The header is not one that this project writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be `timeout_ms=N;depth=N;attempt=N;cohort=N;mode=live`")]
pub struct Malformed;

impl FromStr for Travelled {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let mut parts = text.split(';');
        let mut value = |key: &str| {
            let (name, value) = parts.next()?.split_once('=')?;
            (name == key).then_some(value)
        };
        let mut read = || {
            let travelled = Self {
                timeout: Duration::from_millis(value("timeout_ms")?.parse().ok()?),
                depth: value("depth")?.parse().ok()?,
                attempt: value("attempt")?.parse().ok()?,
                cohort: Cohort(value("cohort")?.parse().ok().filter(|number| *number < Cohort::COUNT)?),
                mode: match value("mode")? {
                    "live" => Mode::Live,
                    "shadow" => Mode::Shadow,
                    _ => return None,
                },
            };
            Some(travelled)
        };
        let travelled = read().ok_or(Malformed)?;
        match parts.next() {
            None => Ok(travelled),
            Some(_) => Err(Malformed),
        }
    }
}

impl Travelled {
    /// The context goes on here, for a caller and in a trace that were told apart from it: it has what was left of its
    /// time, or what a call may take here where that is less.
    pub fn go_on(self, caller: Caller, trace: Option<Trace>, within: Duration) -> Context {
        Context {
            depth: self.depth,
            attempt: self.attempt,
            cohort: self.cohort,
            mode: self.mode,
            trace: trace.unwrap_or_else(Trace::begin),
            ..Context::begin(caller, self.timeout.min(within))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::User;

    fn user(user: u64) -> Caller {
        Caller::User(User {
            user,
            session: 2,
            device: "d".into(),
            connection: None,
        })
    }

    #[test]
    fn a_context_goes_on_elsewhere_as_it_was() {
        let mut context = Context::begin(user(7), Duration::from_secs(5)).below();
        context.attempt = 3;
        context.mode = Mode::Shadow;
        let travelled: Travelled = context.to_string().parse().expect("its own words");
        let other = travelled.go_on(context.caller.clone(), Some(context.trace), Duration::from_secs(60));
        assert_eq!((other.depth, other.attempt, other.mode), (1, 3, Mode::Shadow));
        assert_eq!((other.cohort, other.trace), (context.cohort, context.trace));
        let shift = context.deadline.max(other.deadline) - context.deadline.min(other.deadline);
        assert!(shift < Duration::from_secs(1), "{shift:?}");
        let within = Duration::from_millis(10);
        assert!(
            travelled.go_on(Caller::System, None, within).remaining() <= within,
            "no longer than here"
        );
    }

    #[test]
    fn nonsense_is_no_context() {
        let good = "timeout_ms=5;depth=0;attempt=0;cohort=9999;mode=live";
        assert!(good.parse::<Travelled>().is_ok());
        for (part, other) in [
            ("9999", "10000"),
            ("depth=0;", ""),
            ("live", "dead"),
            ("live", "live;"),
            ("=5", "=-5"),
            (good, ""),
        ] {
            let wrong = good.replace(part, other);
            assert_eq!(wrong.parse::<Travelled>(), Err(Malformed), "{wrong}");
        }
    }

    #[test]
    fn users_are_spread_evenly_over_the_cohorts() {
        let mut counts = [0_u32; 10];
        for number in 0..100_000 {
            let cohort = Cohort::of(&user(number)).number();
            counts[usize::from(cohort) * counts.len() / usize::from(Cohort::COUNT)] += 1;
        }
        for count in counts {
            assert!((9_500..10_500).contains(&count), "{counts:?}");
        }
        assert_eq!(Cohort::of(&user(5)), Cohort::of(&user(5)));
        assert_eq!(Cohort::of(&Caller::Anonymous).number(), 0);
    }
}
