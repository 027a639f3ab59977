//! Component values of the records that the host itself makes and reads.
//!
//! Records are built by the names of the fields that a component's own type has, so a field that the
//! host does not know is found when the component is loaded, not when it is called.

use call::{Connection, Identity, User};
use wasmtime::component::{Type, Val};

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

impl ToRecord for User {
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

/// Reads a `caller`.
pub fn user(val: &Val) -> Option<User> {
    Some(User {
        user: number(field(val, "user")?)?,
        session: number(field(val, "session")?)?,
        device: text(field(val, "device")?)?.into(),
        connection: option(field(val, "connection")?)?.and_then(number),
    })
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
