//! What the operator of a node asks: which functions run, and how they are.

use invoke::Table;
use serde::Serialize;

/// The functions of a node.
#[derive(Debug, Serialize)]
pub struct Functions {
    /// In the order of their names.
    pub functions: Vec<FunctionInfo>,
    /// Where the remote functions are, where there are any.
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
    /// Whether a second identical call does no harm.
    pub safe_to_repeat: bool,
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
pub fn functions(table: &Table) -> Functions {
    let functions = table.functions().map(|function| {
        let (counts, max) = function.sandboxes();
        let methods = function.routes.iter().map(|route| MethodInfo {
            name: route.signature.name.clone(),
            interface: route
                .binding
                .as_ref()
                .map(|method| method.interface.clone())
                .unwrap_or_default(),
            public: route.signature.public,
            needs_caller: route.signature.takes_caller,
            safe_to_repeat: route.signature.safe_to_repeat,
        });
        FunctionInfo {
            name: function.name.to_string(),
            version: function.component.hash.clone(),
            methods: methods.collect(),
            imports: function.component.imports.clone(),
            sandboxes: SandboxInfo {
                warm: counts.warm,
                busy: counts.busy,
                max,
            },
        }
    });
    Functions {
        functions: functions.collect(),
        remote: table.remote_url().map(str::to_owned),
    }
}
