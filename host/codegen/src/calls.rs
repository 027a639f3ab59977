//! The calls of an edge: from the name of a method and JSON to a typed call, and from its answer to JSON.

use std::fmt::Write as _;

use wit_parser::{InterfaceId, Resolve, Type, TypeDefKind, WorldId, WorldItem};

use crate::json::is_sendable;
use crate::names::{Bindings, ident};

/// A method of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    /// Its name in WIT.
    pub name: String,
    /// The interface that has it.
    pub interface: InterfaceId,
    /// Whether its first parameter is the record `caller`: it is for logged-in users.
    pub takes_caller: bool,
}

/// What the calls of an edge are written from.
pub struct Edge<'a> {
    /// The bindings of the interfaces, as imports.
    pub bindings: Bindings<'a>,
    /// The methods of the function.
    pub methods: &'a [Method],
    /// The names of the interfaces, without versions, whose methods clients may call.
    pub public: &'a [String],
}

/// The methods of the interfaces that a world exports, of those that can be called with JSON.
pub fn methods(resolve: &Resolve, world: WorldId) -> Vec<Method> {
    let exports = resolve.worlds.get(world).map(|world| &world.exports);
    let interfaces = exports.into_iter().flat_map(|exports| exports.values());
    let interfaces = interfaces.filter_map(|item| match item {
        WorldItem::Interface { id, .. } => Some(*id),
        _ => None,
    });
    interfaces.flat_map(|id| of_interface(resolve, id)).collect()
}

fn of_interface(resolve: &Resolve, id: InterfaceId) -> Vec<Method> {
    let functions = resolve.interfaces.get(id).map(|interface| &interface.functions);
    let functions = functions.into_iter().flat_map(|functions| functions.values());
    functions
        .filter(|function| function.kind.resource().is_none())
        .filter(|function| {
            let mut types = function
                .params
                .iter()
                .map(|param| &param.ty)
                .chain(function.result.iter());
            types.all(|ty| is_sendable(resolve, ty))
        })
        .map(|function| Method {
            name: function.name.clone(),
            interface: id,
            takes_caller: function
                .params
                .first()
                .is_some_and(|param| is_caller(resolve, &param.ty)),
        })
        .collect()
}

/// Whether a type is the record `caller` of the gateway.
fn is_caller(resolve: &Resolve, ty: &Type) -> bool {
    let Type::Id(id) = ty else { return false };
    let Some(definition) = resolve.types.get(*id) else {
        return false;
    };
    match &definition.kind {
        TypeDefKind::Type(ty) => is_caller(resolve, ty),
        TypeDefKind::Record(_) => definition.name.as_deref() == Some("caller"),
        _ => false,
    }
}

impl Edge<'_> {
    /// The table of methods, and the function that calls them.
    pub fn code(&self) -> String {
        let mut table = String::new();
        let mut arms = String::new();
        for method in self.methods {
            let name = &method.name;
            let public = self.is_public(method.interface);
            let _ = writeln!(
                table,
                "::edge::Method {{ name: {name:?}, public: {public}, takes_caller: {} }},",
                method.takes_caller
            );
            arms.push_str(&self.arm(method).unwrap_or_default());
        }
        format!(
            "/// The methods of the function.\n\
             pub(crate) const METHODS: &[::edge::Method] = &[\n{table}];\n\
             /// Calls a method.\n\
             pub(crate) async fn call(method: &str, params: ::wire::Value, caller: Option<::edge::Caller>) -> ::edge::Answer {{\n\
             let at = ::wire::json::JsonPath::PARAMS;\n\
             match method {{\n{arms}\
             _ => {{ let _ = (params, caller, at); Err(::edge::unknown()) }}\n}}\n}}\n"
        )
    }

    /// The body of the function that says whom a token stands for, by a method that takes a text and gives an identity.
    pub fn verify(&self, method: &Method) -> Option<String> {
        let interface = self.bindings.resolve.interfaces.get(method.interface)?;
        let function = interface.functions.get(&method.name)?;
        let [param] = function.params.as_slice() else {
            return None;
        };
        let Type::String = self.bindings.behind(&param.ty) else {
            return None;
        };
        let TypeDefKind::Result(result) = self.bindings.kind(function.result.as_ref()?)? else {
            return None;
        };
        let (path, name) = (self.bindings.interface(method.interface), ident(&method.name));
        let failure = self.failure(result.err.as_ref()?);
        Some(format!(
            "match {path}::{name}(token).await {{\n\
             Ok(identity) => Ok(::edge::Caller {{ user: identity.user, session: identity.session, \
             device: identity.device, connection: None }}),\n\
             Err(error) => Err({failure}),\n}}"
        ))
    }

    fn is_public(&self, id: InterfaceId) -> bool {
        let name = self.bindings.resolve.id_of(id).unwrap_or_default();
        let name = name.split('@').next().unwrap_or_default();
        self.public.iter().any(|public| public == name)
    }

    fn arm(&self, method: &Method) -> Option<String> {
        let interface = self.bindings.resolve.interfaces.get(method.interface)?;
        let function = interface.functions.get(&method.name)?;
        let mut code = format!("{:?} => {{\n", method.name);
        let taken = function.params.len() - usize::from(method.takes_caller);
        let mutable = if taken > 0 { "mut " } else { "" };
        let _ = writeln!(code, "let {mutable}members = ::wire::json::Members::of(params, &at)?;");
        let mut given = Vec::new();
        for (index, param) in function.params.iter().enumerate() {
            if index == 0 && method.takes_caller {
                let caller = self.bindings.rust(&param.ty)?;
                let _ = writeln!(
                    code,
                    "let caller = caller.ok_or_else(::wire::error::EdgeError::unauthenticated)?;\n\
                     let argument0 = {caller} {{ user: caller.user, session: caller.session, device: caller.device, \
                     connection: caller.connection }};"
                );
            } else {
                let ty = self.bindings.rust(&param.ty)?;
                let _ = writeln!(code, "let argument{index}: {ty} = members.take({:?})?;", param.name);
            }
            given.push(format!("argument{index}"));
        }
        if !method.takes_caller {
            code.push_str("let _ = caller;\n");
        }
        code.push_str("members.end()?;\n");
        let path = self.bindings.interface(method.interface);
        let _ = writeln!(
            code,
            "let answer = {path}::{}({}).await;",
            ident(&method.name),
            given.join(", ")
        );
        code.push_str(&self.answer(function.result.as_ref())?);
        code.push_str("}\n");
        Some(code)
    }

    fn answer(&self, result: Option<&Type>) -> Option<String> {
        let Some(ty) = result else {
            return Some("let () = answer;\nOk(::edge::nothing())\n".to_owned());
        };
        let Some(TypeDefKind::Result(result)) = self.bindings.kind(ty) else {
            return Some("Ok(::edge::json(&answer))\n".to_owned());
        };
        let ok = match result.ok {
            Some(_) => "Ok(value) => Ok(::edge::json(&value)),",
            None => "Ok(()) => Ok(::edge::nothing()),",
        };
        let err = match &result.err {
            Some(ty) => format!("Err(error) => Err({}),", self.failure(ty)),
            None => "Err(()) => Err(::edge::failed()),".to_owned(),
        };
        Some(format!("match answer {{\n{ok}\n{err}\n}}\n"))
    }

    /// What an error says: its code, its message and whether a retry may help.
    fn failure(&self, ty: &Type) -> String {
        if let Type::String = self.bindings.behind(ty) {
            return "::wire::error::EdgeError::answered(\"error\".to_owned(), error, false)".to_owned();
        }
        let path = self.bindings.rust(ty).unwrap_or_default();
        match self.bindings.kind(ty) {
            Some(TypeDefKind::Record(record)) => {
                let field = |name: &str, kinds: fn(&Bindings<'_>, &Type) -> bool| {
                    let field = record.fields.iter().find(|field| field.name == name);
                    field.is_some_and(|field| kinds(&self.bindings, &field.ty))
                };
                let is_word = |bindings: &Bindings<'_>, ty: &Type| {
                    matches!(bindings.kind(ty), Some(TypeDefKind::Enum(_)))
                        || matches!(bindings.behind(ty), Type::String)
                };
                let is_text = |bindings: &Bindings<'_>, ty: &Type| matches!(bindings.behind(ty), Type::String);
                let is_truth = |bindings: &Bindings<'_>, ty: &Type| matches!(bindings.behind(ty), Type::Bool);
                let code = if field("code", is_word) {
                    "Some(::edge::word(&error.code))"
                } else {
                    "None"
                };
                let message = if field("message", is_text) {
                    "Some(error.message)"
                } else {
                    "None"
                };
                let retryable = if field("retryable", is_truth) {
                    "error.retryable"
                } else {
                    "false"
                };
                format!("::edge::refused({code}, {message}, {retryable})")
            }
            Some(TypeDefKind::Enum(names)) => {
                let arms: String = names
                    .cases
                    .iter()
                    .map(|case| self.case(&path, &case.name, ""))
                    .collect();
                format!("match error {{ {arms} }}")
            }
            Some(TypeDefKind::Variant(variant)) => {
                let arms: String = variant
                    .cases
                    .iter()
                    .map(|case| match &case.ty {
                        None => self.case(&path, &case.name, ""),
                        Some(ty) if matches!(self.bindings.behind(ty), Type::String) => {
                            self.case(&path, &case.name, "(text)")
                        }
                        Some(_) => self.case(&path, &case.name, "(_)"),
                    })
                    .collect();
                format!("match error {{ {arms} }}")
            }
            _ => "{ let _ = error; ::edge::failed() }".to_owned(),
        }
    }

    fn case(&self, path: &str, name: &str, payload: &str) -> String {
        let camel = crate::names::camel(name);
        let text = if payload == "(text)" { "Some(text)" } else { "None" };
        format!("{path}::{camel}{payload} => ::edge::case({name:?}, {text}),\n")
    }
}

#[cfg(test)]
mod tests;
