//! `wire::json::Json` for the types of interfaces.

use std::fmt::Write as _;

use wit_parser::{Case, Enum, Flags, InterfaceId, Record, Resolve, Type, TypeDefKind, TypeId, Variant};

use crate::names::{Bindings, camel, ident};

/// The longest tuple: `wire::json::Json` has no longer one, nor does Rust show or compare one.
const TUPLE_MAX: usize = 12;

/// Implementations for every type that these interfaces define, but for those that cannot be sent.
pub fn implementations(bindings: &Bindings<'_>, interfaces: &[InterfaceId]) -> String {
    let mut code = String::new();
    for interface in interfaces.iter().filter_map(|id| bindings.resolve.interfaces.get(*id)) {
        for id in interface.types.values() {
            code.push_str(&implementation(bindings, *id).unwrap_or_default());
        }
    }
    code
}

fn implementation(bindings: &Bindings<'_>, id: TypeId) -> Option<String> {
    let definition = bindings.resolve.types.get(id)?;
    if !is_sendable(bindings.resolve, &Type::Id(id)) {
        return None;
    }
    let path = bindings.named(id);
    let (read, write) = match &definition.kind {
        TypeDefKind::Record(record) => of_record(record),
        TypeDefKind::Enum(names) => of_enum(&path, names),
        TypeDefKind::Variant(variant) => of_variant(&path, variant),
        TypeDefKind::Flags(flags) => of_flags(&path, flags),
        _ => return None,
    };
    Some(format!(
        "impl ::wire::json::Json for {path} {{\n\
         fn read(value: ::wire::Value, at: &::wire::json::JsonPath<'_>) -> Result<Self, ::wire::json::Mismatch> {{\n\
         {read}\n}}\n\
         fn write(&self, out: &mut Vec<u8>) {{\n{write}\n}}\n}}\n"
    ))
}

/// Whether values of a type can be sent as JSON.
pub(crate) fn is_sendable(resolve: &Resolve, ty: &Type) -> bool {
    let Type::Id(id) = ty else {
        return !matches!(ty, Type::ErrorContext);
    };
    let Some(definition) = resolve.types.get(*id) else {
        return false;
    };
    let all = |types: Vec<&Type>| types.into_iter().all(|ty| is_sendable(resolve, ty));
    match &definition.kind {
        TypeDefKind::Enum(_) | TypeDefKind::Flags(_) => true,
        TypeDefKind::Record(record) => all(record.fields.iter().map(|field| &field.ty).collect()),
        TypeDefKind::Variant(variant) => all(variant.cases.iter().filter_map(|case| case.ty.as_ref()).collect()),
        TypeDefKind::Tuple(tuple) => tuple.types.len() <= TUPLE_MAX && all(tuple.types.iter().collect()),
        TypeDefKind::Type(ty) | TypeDefKind::List(ty) | TypeDefKind::Option(ty) => is_sendable(resolve, ty),
        TypeDefKind::Result(result) => all(result.ok.iter().chain(result.err.iter()).collect()),
        _ => false,
    }
}

fn of_record(record: &Record) -> (String, String) {
    let mut read = "let mut members = ::wire::json::Members::of(value, at)?;\nlet this = Self {\n".to_owned();
    let mut write = "::wire::json::Record::begin(out)".to_owned();
    for field in &record.fields {
        let (name, ident) = (&field.name, ident(&field.name));
        // Writing into a string does not fail, here and below.
        let _ = writeln!(read, "{ident}: members.take({name:?})?,");
        let _ = write!(write, ".field({name:?}, &self.{ident})");
    }
    read.push_str("};\nmembers.end()?;\nOk(this)");
    write.push_str(".end();");
    (read, write)
}

fn of_enum(path: &str, names: &Enum) -> (String, String) {
    let mut read = "::wire::json::enumeration(value, at, &[".to_owned();
    let mut write = "let name = match self {\n".to_owned();
    for case in &names.cases {
        let (name, camel) = (&case.name, camel(&case.name));
        let _ = write!(read, "({name:?}, {path}::{camel}),");
        let _ = writeln!(write, "{path}::{camel} => {name:?},");
    }
    read.push_str("])");
    write.push_str("};\n::wire::json::name_of(name, out);");
    (read, write)
}

fn of_variant(path: &str, variant: &Variant) -> (String, String) {
    let names: Vec<&str> = variant.cases.iter().map(|case| case.name.as_str()).collect();
    let mut read = format!("::wire::json::case_of(value, at, &{names:?}, |which, name, payload| match which {{\n");
    let mut write = "match self {\n".to_owned();
    let last = variant.cases.len().saturating_sub(1);
    for (which, case) in variant.cases.iter().enumerate() {
        let Case { name, ty, .. } = case;
        let camel = camel(name);
        let pattern = if which == last {
            "_".to_owned()
        } else {
            which.to_string()
        };
        let take = "::wire::json::Payload::take(payload, name, at)";
        let _ = match ty {
            Some(_) => writeln!(read, "{pattern} => {take}.map({path}::{camel}),"),
            None => writeln!(read, "{pattern} => {take}.map(|()| {path}::{camel}),"),
        };
        let _ = match ty {
            Some(_) => writeln!(
                write,
                "{path}::{camel}(value) => ::wire::json::write_case({name:?}, value, out),"
            ),
            None => writeln!(
                write,
                "{path}::{camel} => ::wire::json::write_case({name:?}, &(), out),"
            ),
        };
    }
    read.push_str("})");
    write.push('}');
    (read, write)
}

fn of_flags(path: &str, flags: &Flags) -> (String, String) {
    let names: Vec<&str> = flags.flags.iter().map(|flag| flag.name.as_str()).collect();
    let constants: Vec<String> = names
        .iter()
        .map(|name| format!("{path}::{}", heck::AsShoutySnakeCase(name)))
        .collect();
    let constants = constants.join(", ");
    let read = format!(
        "let all = [{constants}];\n\
         let set = ::wire::json::flags(value, at, &{names:?})?;\n\
         Ok(set.into_iter().filter_map(|at| all.get(at)).fold({path}::empty(), |set, flag| set | *flag))"
    );
    let write = format!(
        "let all = [{constants}];\n\
         let names = {names:?}.into_iter().zip(all).filter(|(_, flag)| self.contains(*flag)).map(|(name, _)| name);\n\
         ::wire::json::write_flags(names, out);"
    );
    (read, write)
}
