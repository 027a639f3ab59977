//! Component values of the records that the host itself makes and reads.
//!
//! Records are built by the names of the fields that a component's own type has, so a field that the
//! host does not know is found when the component is loaded, not when it is called.

use wasmtime::component::{Type, Val};

use crate::fault::Fault;
use crate::identity::{Caller, Connection, Identity};

/// A record of the host that can be given to a component.
pub trait ToRecord {
    /// The value of a field of this name; none for a field that the host does not have.
    fn field(&self, name: &str) -> Option<Val>;

    /// The value for a type; none when the type is no record or has a field that the host does not have.
    fn to_val(&self, ty: &Type) -> Option<Val> {
        let Type::Record(record) = ty else { return None };
        let fields = record
            .fields()
            .map(|field| Some((field.name.to_owned(), self.field(field.name)?)));
        fields.collect::<Option<Vec<_>>>().map(Val::Record)
    }
}

impl ToRecord for Caller {
    fn field(&self, name: &str) -> Option<Val> {
        Some(match name {
            "user" => Val::U64(self.user),
            "session" => Val::U64(self.session),
            "device" => Val::String(self.device.to_string()),
            "connection" => Val::Option(self.connection.map(|id| Box::new(Val::U64(id)))),
            _ => return None,
        })
    }
}

impl ToRecord for Connection {
    fn field(&self, name: &str) -> Option<Val> {
        Some(match name {
            "id" => Val::U64(self.id),
            "node" => Val::String(self.node.to_string()),
            "user" => Val::U64(self.identity.user),
            "session" => Val::U64(self.identity.session),
            "device" => Val::String(self.identity.device.to_string()),
            "device-class" => Val::String(self.identity.device_class.to_string()),
            _ => return None,
        })
    }
}

impl ToRecord for Fault {
    /// The error of a function whose call failed before it could answer.
    fn field(&self, name: &str) -> Option<Val> {
        Some(match name {
            "code" => Val::Enum(self.code().replace('_', "-")),
            "message" => Val::String(self.to_string()),
            "retryable" => Val::Bool(self.is_retryable()),
            _ => return None,
        })
    }
}

/// Reads the identity that a `verify` call answered.
pub fn identity(val: &Val) -> Option<Identity> {
    Some(Identity {
        user: number(field(val, "user")?)?,
        session: number(field(val, "session")?)?,
        device: text(field(val, "device")?)?.into(),
        device_class: text(field(val, "device-class")?)?.into(),
        expires_at: number(field(val, "expires-at")?)?,
    })
}

/// A field of a record.
pub fn field<'a>(val: &'a Val, name: &str) -> Option<&'a Val> {
    let Val::Record(fields) = val else { return None };
    fields.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

/// An unsigned number.
pub fn number(val: &Val) -> Option<u64> {
    if let Val::U64(number) = val {
        Some(*number)
    } else {
        None
    }
}

/// A text.
pub fn text(val: &Val) -> Option<&str> {
    if let Val::String(text) = val { Some(text) } else { None }
}

/// The items of a list, each read; none when one cannot be read.
pub fn list<'a, T>(val: &'a Val, read: impl Fn(&'a Val) -> Option<T>) -> Option<Vec<T>> {
    let Val::List(items) = val else { return None };
    items.iter().map(read).collect()
}

/// The content of an option: none for another type, some of none where it is empty.
pub fn option(val: &Val) -> Option<Option<&Val>> {
    if let Val::Option(content) = val {
        Some(content.as_deref())
    } else {
        None
    }
}

/// A failed call as the result of an imported function, where its error type is the record of
/// `mpim:im/types`; none where it has another type.
pub fn fault_result(fault: &Fault, result: &Type) -> Option<Val> {
    let Type::Result(result) = result else { return None };
    let error_type = result.err()?;
    let mut error = fault.to_val(&error_type)?;
    allow_code(&mut error, &error_type);
    Some(Val::Result(Err(Some(Box::new(error)))))
}

/// The host has codes that the function's enum may lack: `internal` stands for those.
fn allow_code(error: &mut Val, ty: &Type) {
    let (Val::Record(fields), Type::Record(record)) = (error, ty) else {
        return;
    };
    let Some((_, Val::Enum(code))) = fields.iter_mut().find(|(name, _)| name == "code") else {
        return;
    };
    let known = record.fields().any(|field| match (field.name, field.ty) {
        ("code", Type::Enum(codes)) => codes.names().any(|name| name == code),
        _ => false,
    });
    if !known {
        "internal".clone_into(code);
    }
}
