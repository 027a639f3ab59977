//! Methods that the manifest names.

use serde::Deserialize;

use crate::positive::positive;

/// `FUNCTION.METHOD`, as the manifest names a method.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct MethodName {
    /// The function.
    pub function: String,
    /// The method, in the kebab case of WIT.
    pub method: String,
}

impl TryFrom<String> for MethodName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (function, method) = text
            .split_once('.')
            .ok_or_else(|| format!("`{text}` is not of the form FUNCTION.METHOD"))?;
        Ok(Self {
            function: function.to_owned(),
            method: method.to_owned(),
        })
    }
}

impl std::fmt::Display for MethodName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}", self.function, self.method)
    }
}

/// A call that the host makes again and again.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timer {
    /// A method without parameters.
    pub call: MethodName,
    /// From the end of one call to the begin of the next.
    #[serde(deserialize_with = "positive")]
    pub every_ms: u64,
}
