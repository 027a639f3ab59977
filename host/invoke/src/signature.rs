//! What a method is called, and what may be done with it: it outlives releases.

use std::sync::Arc;

use config::FunctionSettings;
use runtime::{Method, unversioned};

/// One method of a function, whatever release serves it.
pub struct Signature {
    /// The function.
    pub function: Arc<str>,
    /// The name, unique within the function.
    pub name: String,
    /// Whether clients may call it.
    pub public: bool,
    /// Whether it is for logged-in users: its first parameter is the caller, filled in by the host.
    pub takes_caller: bool,
    /// Whether a second identical call does no harm.
    pub safe_to_repeat: bool,
    /// How its calls ended; none of a remote method, whose endpoint is measured instead.
    pub(crate) metrics: Option<CallMetrics>,
}

/// Measures of one method.
pub(crate) struct CallMetrics {
    /// Seconds that a call took, waiting included.
    pub(crate) seconds: metrics::Histogram,
    /// Calls that gave an answer, an error of the function included.
    pub(crate) answered: metrics::Counter,
    /// Calls that gave none.
    pub(crate) failed: metrics::Counter,
}

impl CallMetrics {
    fn of(function: &str, method: &str) -> Self {
        let labels = [("function", function.to_owned()), ("method", method.to_owned())];
        let ended = |how: &str| {
            let labels = [labels[0].clone(), labels[1].clone(), ("outcome", how.to_owned())];
            metrics::counter!("mpim_invokes_total", &labels)
        };
        Self {
            seconds: metrics::histogram!("mpim_invoke_seconds", &labels),
            answered: ended("answered"),
            failed: ended("failed"),
        }
    }
}

impl Signature {
    /// That of a method that a component exports, as the manifest has its function.
    pub(crate) fn of(function: &Arc<str>, method: &Method, settings: &FunctionSettings) -> Self {
        Self {
            function: function.clone(),
            name: method.name.clone(),
            public: settings
                .public
                .iter()
                .any(|public| public == unversioned(&method.interface)),
            takes_caller: method.takes_caller,
            safe_to_repeat: settings.safe_to_repeat.contains(&method.name),
            metrics: Some(CallMetrics::of(function, &method.name)),
        }
    }

    /// That of a method of which nothing but its names is known: who may call it is decided where it runs.
    pub(crate) fn unknown(function: &str, method: &str) -> Self {
        Self {
            function: function.into(),
            name: method.to_owned(),
            public: true,
            takes_caller: false,
            safe_to_repeat: false,
            metrics: None,
        }
    }

    /// `FUNCTION.METHOD`.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.function, self.name)
    }
}
