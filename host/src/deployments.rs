//! Functions and what their components export, as it was found when they were loaded.
//!
//! A function has one version, named by the hash of its component. Nothing here runs code.

use std::collections::HashMap;
use std::sync::Arc;

use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, ComponentExportIndex, Type};

use crate::config::FunctionSettings;
use crate::docs::Docs;

/// A component that was read, before it is linked.
pub struct Version {
    /// The first 16 hex digits of the SHA-256 of the component.
    pub hash: String,
    /// The code.
    pub component: Component,
    /// The exported methods, in the order of the component.
    pub methods: Vec<Arc<Method>>,
    /// Where each method is in the component; the same order.
    pub exports: Vec<ComponentExportIndex>,
    /// The interfaces that it exports, with their versions.
    pub interfaces: Vec<Interface>,
    /// The interfaces that it imports, with their versions.
    pub imports: Vec<String>,
}

/// An exported interface.
pub struct Interface {
    /// With its version, such as `mpim:im/send@0.1.0`.
    pub name: String,
    /// The types that have a name in it.
    pub types: Vec<(String, Type)>,
    /// What its WIT says of it.
    pub docs: String,
}

/// One exported method.
pub struct Method {
    /// The function that exports it.
    pub function: Arc<str>,
    /// The interface, with its version.
    pub interface: String,
    /// The name, unique within the function.
    pub name: String,
    /// Its place among the methods of the version.
    pub index: usize,
    /// Names and types of the parameters, the caller included.
    pub parameters: Vec<(String, Type)>,
    /// What it answers.
    pub result: Option<Type>,
    /// Whether clients may call it.
    pub public: bool,
    /// Whether its first parameter is the caller.
    pub takes_caller: bool,
    /// What its WIT says of it.
    pub docs: String,
    /// How its calls ended.
    pub metrics: CallMetrics,
}

/// Counters of one method.
pub struct CallMetrics {
    /// Seconds that a call took, waiting included.
    pub seconds: metrics::Histogram,
    /// Calls that gave an answer, an error of the function included.
    pub answered: metrics::Counter,
    /// Calls that gave none.
    pub failed: metrics::Counter,
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

/// What is wrong with a component. Each names the function.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The bytes are no component that the engine accepts.
    #[error("{function}: not a component that can be run: {reason}")]
    NotAComponent {
        /// The function.
        function: String,
        /// What the engine said.
        reason: String,
    },
    /// It imports what nobody offers.
    #[error(
        "{function}: imports `{import}`, which neither the host nor another function offers; offered are {offered}"
    )]
    UnknownImport {
        /// The function.
        function: String,
        /// The interface that is not there.
        import: String,
        /// What is.
        offered: String,
    },
    /// An import has other types than what is offered under its name.
    #[error("{function}: an import does not fit: {reason}")]
    ImportMismatch {
        /// The function.
        function: String,
        /// What the engine said.
        reason: String,
    },
    /// The manifest makes an interface public that the component does not export.
    #[error("{function}: the manifest makes `{interface}` public, but the component exports {exported}")]
    NotExported {
        /// The function.
        function: String,
        /// The interface.
        interface: String,
        /// What it exports.
        exported: String,
    },
    /// Two methods of one function have the same name.
    #[error("{function}: the method `{method}` is exported twice")]
    MethodTwice {
        /// The function.
        function: String,
        /// The method.
        method: String,
    },
    /// Two functions export the same interface.
    #[error("`{interface}` is exported by both {first} and {second}")]
    InterfaceTwice {
        /// The interface.
        interface: String,
        /// One of the functions.
        first: String,
        /// The other.
        second: String,
    },
    /// The manifest names a method that is not there.
    #[error("the manifest names `{name}` for {purpose}, which is not exported")]
    UnknownMethod {
        /// The method.
        name: String,
        /// What it is named for.
        purpose: &'static str,
    },
    /// A method that the manifest names has other parameters than its purpose needs.
    #[error("`{name}` does not fit its purpose, {purpose}: {reason}")]
    MethodMismatch {
        /// The method.
        name: String,
        /// What it is named for.
        purpose: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// The sandboxes that shall be warm from the start cannot be made.
    #[error("{function}: no sandbox can be made: {reason}")]
    NoSandbox {
        /// The function.
        function: String,
        /// What the engine said.
        reason: String,
    },
}

impl Version {
    /// Reads what a component exports and imports.
    pub fn read(
        function: &str,
        hash: String,
        component: Component,
        settings: &FunctionSettings,
        docs: &Docs,
    ) -> Result<Self, LoadError> {
        let engine = component.engine().clone();
        let ty = component.component_type();
        let mut version = Self {
            hash,
            methods: Vec::new(),
            exports: Vec::new(),
            interfaces: Vec::new(),
            imports: ty.imports(&engine).map(|(name, _)| name.to_owned()).collect(),
            component: component.clone(),
        };
        let function_name: Arc<str> = function.into();
        for (name, item) in ty.exports(&engine) {
            let ComponentItem::ComponentInstance(instance) = item.ty else {
                continue;
            };
            let mut types = Vec::new();
            for (member, item) in instance.exports(&engine) {
                match item.ty {
                    ComponentItem::ComponentFunc(signature) => {
                        let method = method(
                            &function_name,
                            name,
                            member,
                            version.methods.len(),
                            &signature,
                            settings,
                            docs,
                        );
                        version.methods.push(Arc::new(method));
                        version.exports.extend(export_index(&component, name, member));
                    }
                    ComponentItem::Type(ty) => types.push((member.to_owned(), ty)),
                    _ => {}
                }
            }
            version.interfaces.push(Interface {
                name: name.to_owned(),
                types,
                docs: docs.interface(name),
            });
        }
        version.check(function, settings)?;
        Ok(version)
    }

    fn check(&self, function: &str, settings: &FunctionSettings) -> Result<(), LoadError> {
        let mut seen = HashMap::new();
        for method in &self.methods {
            if seen.insert(method.name.as_str(), ()).is_some() {
                return Err(LoadError::MethodTwice {
                    function: function.to_owned(),
                    method: method.name.clone(),
                });
            }
        }
        let exported = || self.interfaces.iter().map(|interface| interface.name.as_str());
        match settings
            .public
            .iter()
            .find(|public| !exported().any(|name| unversioned(name) == public.as_str()))
        {
            Some(interface) => Err(LoadError::NotExported {
                function: function.to_owned(),
                interface: interface.clone(),
                exported: exported().collect::<Vec<_>>().join(", "),
            }),
            None => Ok(()),
        }
    }
}

/// `mpim:im/send@0.1.0` without its version.
pub fn unversioned(interface: &str) -> &str {
    interface.split_once('@').map_or(interface, |(name, _)| name)
}

fn export_index(component: &Component, interface: &str, method: &str) -> Option<ComponentExportIndex> {
    let instance = component.get_export_index(None, interface)?;
    component.get_export_index(Some(&instance), method)
}

fn method(
    function: &Arc<str>,
    interface: &str,
    name: &str,
    index: usize,
    signature: &ComponentFunc,
    settings: &FunctionSettings,
    docs: &Docs,
) -> Method {
    let parameters: Vec<_> = signature.params().map(|(name, ty)| (name.to_owned(), ty)).collect();
    let takes_caller = matches!(parameters.first(), Some((name, Type::Record(_))) if name == "caller");
    Method {
        function: function.clone(),
        interface: interface.to_owned(),
        name: name.to_owned(),
        index,
        result: signature.results().next(),
        public: settings.public.iter().any(|public| public == unversioned(interface)),
        takes_caller,
        docs: docs.method(interface, name),
        metrics: CallMetrics::of(function, name),
        parameters,
    }
}

impl Method {
    /// The parameters that a client gives: all but the caller.
    pub fn client_parameters(&self) -> impl Iterator<Item = (&str, &Type)> + Clone {
        self.parameters
            .iter()
            .skip(usize::from(self.takes_caller))
            .map(|(name, ty)| (name.as_str(), ty))
    }

    /// `FUNCTION.METHOD`.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.function, self.name)
    }
}
