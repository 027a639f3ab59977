//! What the operator of a node asks: which functions run, and how they are.

use serde::Serialize;

use crate::dispatch::Dispatch;

/// The functions of a node.
#[derive(Debug, Serialize)]
pub struct Functions {
    /// In the order of their names.
    pub functions: Vec<FunctionInfo>,
    /// Where functions run that this node calls elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
}

/// One function.
#[derive(Debug, Serialize)]
pub struct FunctionInfo {
    /// Its name in the manifest.
    pub name: String,
    /// The hash of its component.
    pub version: String,
    /// What it exports.
    pub methods: Vec<MethodInfo>,
    /// What it imports, with versions.
    pub imports: Vec<String>,
    /// How many sandboxes it has.
    pub sandboxes: SandboxInfo,
}

/// One method.
#[derive(Debug, Serialize)]
pub struct MethodInfo {
    /// Its name.
    pub name: String,
    /// The interface that it belongs to, with its version.
    pub interface: String,
    /// Whether clients may call it.
    pub public: bool,
    /// Whether it is for logged-in users.
    pub needs_caller: bool,
}

/// The pool of a function.
#[derive(Debug, Serialize)]
pub struct SandboxInfo {
    /// Idle and ready.
    pub warm: usize,
    /// Serving a call.
    pub busy: u32,
    /// The most that there may be.
    pub max: u32,
}

/// The functions as they are now: those that run here, and where others do.
pub fn functions(dispatch: Option<&Dispatch>, elsewhere: Option<&str>) -> Functions {
    let functions = dispatch.into_iter().flat_map(Dispatch::functions).map(|function| {
        let counts = function.sandboxes.counts();
        let methods = function.version.methods.iter().map(|method| MethodInfo {
            name: method.name.clone(),
            interface: method.interface.clone(),
            public: method.public,
            needs_caller: method.takes_caller,
        });
        FunctionInfo {
            name: function.name.to_string(),
            version: function.version.hash.clone(),
            methods: methods.collect(),
            imports: function.version.imports.clone(),
            sandboxes: SandboxInfo {
                warm: counts.warm,
                busy: counts.busy,
                max: counts.max,
            },
        }
    });
    Functions {
        functions: functions.collect(),
        remote: elsewhere.map(str::to_owned),
    }
}
