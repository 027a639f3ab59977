//! What `wit-bindgen` calls a thing of WIT in Rust.

use heck::{ToSnakeCase, ToUpperCamelCase};
use wit_parser::{InterfaceId, Resolve, Type, TypeDefKind, TypeId, TypeOwner};

/// Words that Rust keeps for itself; in generated code they end in an underscore.
const KEYWORDS: [&str; 50] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "if", "impl", "in", "let", "loop", "macro", "match", "mod",
    "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true",
    "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// Where the bindings of some interfaces are.
#[derive(Debug, Clone, Copy)]
pub struct Bindings<'a> {
    /// The WIT that they were made from.
    pub resolve: &'a Resolve,
    /// The module that they are in: `crate::bindings`, or `crate::bindings::exports` for those that are exported.
    pub module: &'a str,
}

impl Bindings<'_> {
    /// The module of an interface.
    pub fn interface(&self, id: InterfaceId) -> String {
        let interface = self.resolve.interfaces.get(id);
        let package = interface.and_then(|interface| interface.package);
        let package = package.and_then(|package| self.resolve.packages.get(package));
        let name = interface.and_then(|interface| interface.name.as_deref());
        let (Some(package), Some(name)) = (package, name) else {
            // An interface without a name is written where it stands, and has no types of others.
            return self.module.to_owned();
        };
        format!(
            "{}::{}::{}::{}",
            self.module,
            ident(&package.name.namespace),
            ident(&package.name.name),
            ident(name)
        )
    }

    /// A type with a name.
    pub fn named(&self, id: TypeId) -> String {
        let Some(definition) = self.resolve.types.get(id) else {
            return String::new();
        };
        let name = camel(definition.name.as_deref().unwrap_or_default());
        match definition.owner {
            TypeOwner::Interface(interface) => format!("{}::{name}", self.interface(interface)),
            TypeOwner::World(_) | TypeOwner::None => format!("{}::{name}", self.module),
        }
    }

    /// A type as it stands in a signature; none for a type that cannot be sent as JSON.
    pub fn rust(&self, ty: &Type) -> Option<String> {
        Some(match ty {
            Type::Bool => "bool".to_owned(),
            Type::U8 => "u8".to_owned(),
            Type::U16 => "u16".to_owned(),
            Type::U32 => "u32".to_owned(),
            Type::U64 => "u64".to_owned(),
            Type::S8 => "i8".to_owned(),
            Type::S16 => "i16".to_owned(),
            Type::S32 => "i32".to_owned(),
            Type::S64 => "i64".to_owned(),
            Type::F32 => "f32".to_owned(),
            Type::F64 => "f64".to_owned(),
            Type::Char => "char".to_owned(),
            Type::String => "String".to_owned(),
            Type::ErrorContext => return None,
            Type::Id(id) => return self.defined(*id),
        })
    }

    fn defined(&self, id: TypeId) -> Option<String> {
        let definition = self.resolve.types.get(id)?;
        Some(match &definition.kind {
            TypeDefKind::Record(_) | TypeDefKind::Variant(_) | TypeDefKind::Enum(_) | TypeDefKind::Flags(_) => {
                self.named(id)
            }
            TypeDefKind::Type(ty) => self.rust(ty)?,
            TypeDefKind::List(ty) => format!("Vec<{}>", self.rust(ty)?),
            TypeDefKind::Option(ty) => format!("Option<{}>", self.rust(ty)?),
            TypeDefKind::Tuple(tuple) => {
                let types: Option<Vec<_>> = tuple.types.iter().map(|ty| self.rust(ty)).collect();
                format!("({},)", types?.join(", "))
            }
            TypeDefKind::Result(result) => {
                let side = |ty: &Option<Type>| match ty {
                    Some(ty) => self.rust(ty),
                    None => Some("()".to_owned()),
                };
                format!("Result<{}, {}>", side(&result.ok)?, side(&result.err)?)
            }
            _ => return None,
        })
    }

    /// What a type is when no name stands for it.
    pub fn kind(&self, ty: &Type) -> Option<&TypeDefKind> {
        let Type::Id(id) = ty else { return None };
        match &self.resolve.types.get(*id)?.kind {
            TypeDefKind::Type(ty) => self.kind(ty),
            kind => Some(kind),
        }
    }

    /// The type that stands behind names.
    pub fn behind(&self, ty: &Type) -> Type {
        if let Type::Id(id) = ty
            && let Some(TypeDefKind::Type(behind)) = self.resolve.types.get(*id).map(|definition| &definition.kind)
        {
            return self.behind(behind);
        }
        *ty
    }
}

/// A function, a field, a parameter or a module.
pub(crate) fn ident(name: &str) -> String {
    let name = name.to_snake_case();
    match KEYWORDS.contains(&name.as_str()) {
        true => format!("{name}_"),
        false => name,
    }
}

/// A type or a case.
pub(crate) fn camel(name: &str) -> String {
    match name {
        "guest" => "Guest_".to_owned(),
        name => name.to_upper_camel_case(),
    }
}
