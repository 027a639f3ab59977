//! What a component exports and imports, read from its types. Nothing here runs code.

use std::collections::HashMap;
use std::sync::Arc;

use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{ComponentExportIndex, Type};

use crate::docs::Docs;
use crate::engine::Compiled;

/// A component that was read, before it is linked.
pub struct Component {
    /// The first 16 hex digits of the SHA-256 of the component.
    pub hash: String,
    /// The code.
    pub(crate) code: wasmtime::component::Component,
    /// The exported methods, in the order of the component.
    pub methods: Vec<Arc<Method>>,
    /// Where each method is in the component; the same order.
    pub(crate) exports: Vec<ComponentExportIndex>,
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

/// One exported method: how this component has it. Another release may have it otherwise.
pub struct Method {
    /// The interface, with its version.
    pub interface: String,
    /// The name, unique within the component.
    pub name: String,
    /// Where it is among the methods of the component.
    pub index: usize,
    /// Names and types of the parameters, the caller included.
    pub parameters: Vec<(String, Type)>,
    /// What it answers.
    pub result: Option<Type>,
    /// Whether its first parameter is the caller.
    pub takes_caller: bool,
    /// What its WIT says of it.
    pub docs: String,
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

impl Component {
    /// Reads what a component exports and imports. `function` is what errors call it.
    pub fn read(function: &str, compiled: Compiled, docs: &Docs) -> Result<Self, LoadError> {
        let code = compiled.component;
        let engine = code.engine().clone();
        let ty = code.component_type();
        let (mut methods, mut exports, mut interfaces) = (Vec::new(), Vec::new(), Vec::new());
        for (name, item) in ty.exports(&engine) {
            let ComponentItem::ComponentInstance(instance) = item.ty else {
                continue;
            };
            let mut types = Vec::new();
            for (member, item) in instance.exports(&engine) {
                match item.ty {
                    ComponentItem::ComponentFunc(signature) => {
                        methods.push(Arc::new(method(name, member, methods.len(), &signature, docs)));
                        exports.extend(export_index(&code, name, member));
                    }
                    ComponentItem::Type(ty) => types.push((member.to_owned(), ty)),
                    _ => {}
                }
            }
            interfaces.push(Interface {
                name: name.to_owned(),
                types,
                docs: docs.interface(name),
            });
        }
        let component = Self {
            hash: compiled.hash,
            imports: ty.imports(&engine).map(|(name, _)| name.to_owned()).collect(),
            code,
            methods,
            exports,
            interfaces,
        };
        component.check_names(function)?;
        Ok(component)
    }

    /// The functions of an imported interface; the import itself where it is a function.
    pub fn imported(&self, import: &str) -> Vec<String> {
        let engine = self.code.engine();
        let component = self.code.component_type();
        let Some(ComponentItem::ComponentInstance(instance)) =
            component.get_import(engine, import).map(|import| import.ty)
        else {
            return vec![import.to_owned()];
        };
        let functions = instance
            .exports(engine)
            .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)));
        functions.map(|(name, _)| name.to_owned()).collect()
    }

    fn check_names(&self, function: &str) -> Result<(), LoadError> {
        let mut seen = HashMap::new();
        let twice = self
            .methods
            .iter()
            .find(|method| seen.insert(method.name.as_str(), ()).is_some());
        match twice {
            Some(method) => Err(LoadError::MethodTwice {
                function: function.to_owned(),
                method: method.name.clone(),
            }),
            None => Ok(()),
        }
    }
}

/// `mpim:im/send@0.1.0` without its version.
pub fn unversioned(interface: &str) -> &str {
    interface.split_once('@').map_or(interface, |(name, _)| name)
}

fn export_index(
    component: &wasmtime::component::Component,
    interface: &str,
    method: &str,
) -> Option<ComponentExportIndex> {
    let instance = component.get_export_index(None, interface)?;
    component.get_export_index(Some(&instance), method)
}

fn method(interface: &str, name: &str, index: usize, signature: &ComponentFunc, docs: &Docs) -> Method {
    let parameters: Vec<_> = signature.params().map(|(name, ty)| (name.to_owned(), ty)).collect();
    Method {
        interface: interface.to_owned(),
        name: name.to_owned(),
        index,
        result: signature.results().next(),
        takes_caller: matches!(parameters.first(), Some((name, Type::Record(_))) if name == "caller"),
        docs: docs.method(interface, name),
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

    /// The type of what it gives when all is well.
    pub fn ok_type(&self) -> Option<Type> {
        match &self.result {
            Some(Type::Result(result)) => result.ok(),
            other => other.clone(),
        }
    }
}
