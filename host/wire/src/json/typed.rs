//! JSON of types that are known when a program is built.

use serde_json::{Map, Value};

use super::rules::{
    JsonPath, Mismatch, array, boolean, bytes, case, float, integer, long, missing, name_of, no_more, object, plain,
    quoted, sequence, serialize, short_float, single, snake, string, tuple, unknown, write_bytes,
};

/// A type of WIT, as JSON.
pub trait Json: Sized {
    /// Reads a value.
    fn read(value: Value, at: &JsonPath<'_>) -> Result<Self, Mismatch>;

    /// Writes a value.
    fn write(&self, out: &mut Vec<u8>);

    /// The value that an absent member stands for, where there is one.
    fn absent() -> Option<Self> {
        None
    }

    /// Whether a member of this value is left out.
    fn is_absent(&self) -> bool {
        false
    }

    /// Reads a list of these.
    fn read_list(value: Value, at: &JsonPath<'_>) -> Result<Vec<Self>, Mismatch> {
        let items = array(value, at)?;
        let items = items.into_iter().enumerate();
        items
            .map(|(index, value)| Self::read(value, &at.below(&index.to_string())))
            .collect()
    }

    /// Writes a list of these.
    fn write_list(items: &[Self], out: &mut Vec<u8>) {
        sequence(b"[]", items.iter(), out, |item, out| item.write(out));
    }
}

/// What a case of a variant carries: a value, or nothing.
pub trait Payload: Sized {
    /// Reads what the case `name` carries.
    fn take(payload: Option<Value>, name: &str, at: &JsonPath<'_>) -> Result<Self, Mismatch>;

    /// Writes the case `name`, which carries this.
    fn write_as(&self, name: &str, out: &mut Vec<u8>);
}

impl Payload for () {
    fn take(payload: Option<Value>, name: &str, at: &JsonPath<'_>) -> Result<Self, Mismatch> {
        match payload {
            None | Some(Value::Null) => Ok(()),
            Some(_) => Err(at.below(name).wrong("takes no value")),
        }
    }

    fn write_as(&self, name: &str, out: &mut Vec<u8>) {
        name_of(name, out);
    }
}

impl<T: Json> Payload for T {
    fn take(payload: Option<Value>, name: &str, at: &JsonPath<'_>) -> Result<Self, Mismatch> {
        let at = at.below(name);
        match payload {
            Some(value) => T::read(value, &at),
            None => T::absent().ok_or_else(|| at.wrong("a value is missing")),
        }
    }

    fn write_as(&self, name: &str, out: &mut Vec<u8>) {
        out.push(b'{');
        name_of(name, out);
        out.push(b':');
        self.write(out);
        out.push(b'}');
    }
}

/// Writes a case of a variant.
pub fn write_case(name: &str, payload: &impl Payload, out: &mut Vec<u8>) {
    payload.write_as(name, out);
}

/// Reads a variant: `read` is given the name of the case as WIT has it, and its payload.
pub fn case_of<T>(
    value: Value,
    at: &JsonPath<'_>,
    names: &[&str],
    read: impl FnOnce(usize, &str, Option<Value>) -> Result<T, Mismatch>,
) -> Result<T, Mismatch> {
    let (name, payload) = case(value, at)?;
    match names.iter().position(|known| snake(known) == name) {
        Some(which) => read(which, &name, payload),
        None => Err(unknown(&name, names.iter().map(|name| snake(name)), at)),
    }
}

/// Reads an enum.
pub fn enumeration<T: Copy>(value: Value, at: &JsonPath<'_>, cases: &[(&str, T)]) -> Result<T, Mismatch> {
    let text = string(value, at)?;
    match cases.iter().find(|(name, _)| snake(name) == text) {
        Some((_, case)) => Ok(*case),
        None => Err(unknown(&text, cases.iter().map(|(name, _)| snake(name)), at)),
    }
}

/// Reads flags: the indexes of those that are set.
pub fn flags(value: Value, at: &JsonPath<'_>, names: &[&str]) -> Result<Vec<usize>, Mismatch> {
    let items = array(value, at)?;
    let flag = |item| {
        let text = string(item, at)?;
        let known = names.iter().position(|name| snake(name) == text);
        known.ok_or_else(|| unknown(&text, names.iter().map(|name| snake(name)), at))
    };
    items.into_iter().map(flag).collect()
}

/// Writes flags by the names of those that are set.
pub fn write_flags<'a>(names: impl Iterator<Item = &'a str>, out: &mut Vec<u8>) {
    sequence(b"[]", names, out, name_of);
}

/// The members of an object while they are taken out of it: of a record, or of the arguments of a call.
pub struct Members<'a> {
    object: Map<String, Value>,
    at: &'a JsonPath<'a>,
}

impl<'a> Members<'a> {
    /// Of what must be an object.
    pub fn of(value: Value, at: &'a JsonPath<'a>) -> Result<Self, Mismatch> {
        let object = object(value, at)?;
        Ok(Self { object, at })
    }

    /// The member of a name of WIT.
    pub fn take<T: Json>(&mut self, name: &str) -> Result<T, Mismatch> {
        let key = snake(name);
        match self.object.remove(&key) {
            Some(value) => T::read(value, &self.at.below(&key)),
            None => T::absent().ok_or_else(|| missing(&key, self.at)),
        }
    }

    /// Refuses members that nobody took.
    pub fn end(self) -> Result<(), Mismatch> {
        no_more(&self.object, self.at)
    }
}

/// A record while it is written.
pub struct Record<'a> {
    out: &'a mut Vec<u8>,
    begun: bool,
}

impl<'a> Record<'a> {
    /// Begins a record.
    pub fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, begun: false }
    }

    /// Writes a field, unless it is absent.
    pub fn field(mut self, name: &str, value: &impl Json) -> Self {
        if value.is_absent() {
            return self;
        }
        if self.begun {
            self.out.push(b',');
        }
        self.begun = true;
        name_of(name, self.out);
        self.out.push(b':');
        value.write(self.out);
        self
    }

    /// Ends it.
    pub fn end(self) {
        self.out.push(b'}');
    }
}

macro_rules! short_integers {
    ($($integer:ty),*) => {$(
        impl Json for $integer {
            fn read(value: Value, at: &JsonPath<'_>) -> Result<Self, Mismatch> {
                integer(&value, at, <$integer>::MIN, <$integer>::MAX)
            }

            fn write(&self, out: &mut Vec<u8>) {
                plain(self, out);
            }
        }
    )*};
}

macro_rules! long_integers {
    ($($integer:ty),*) => {$(
        impl Json for $integer {
            fn read(value: Value, at: &JsonPath<'_>) -> Result<Self, Mismatch> {
                integer(&long(value, at)?, at, <$integer>::MIN, <$integer>::MAX)
            }

            fn write(&self, out: &mut Vec<u8>) {
                quoted(self, out);
            }
        }
    )*};
}

short_integers!(i8, i16, u16, i32, u32);
long_integers!(i64, u64);

impl Json for u8 {
    fn read(value: Value, at: &JsonPath<'_>) -> Result<Self, Mismatch> {
        integer(&value, at, Self::MIN, Self::MAX)
    }

    fn write(&self, out: &mut Vec<u8>) {
        plain(self, out);
    }

    fn read_list(value: Value, at: &JsonPath<'_>) -> Result<Vec<Self>, Mismatch> {
        bytes(value, at)
    }

    fn write_list(items: &[Self], out: &mut Vec<u8>) {
        write_bytes(items, out);
    }
}

impl Json for bool {
    fn read(value: Value, at: &JsonPath<'_>) -> Result<Self, Mismatch> {
        boolean(&value, at)
    }

    fn write(&self, out: &mut Vec<u8>) {
        plain(self, out);
    }
}

impl Json for f32 {
    fn read(value: Value, at: &JsonPath<'_>) -> Result<Self, Mismatch> {
        short_float(&value, at)
    }

    fn write(&self, out: &mut Vec<u8>) {
        serialize(self, out);
    }
}

impl Json for f64 {
    fn read(value: Value, at: &JsonPath<'_>) -> Result<Self, Mismatch> {
        float(&value, at)
    }

    fn write(&self, out: &mut Vec<u8>) {
        serialize(self, out);
    }
}

impl Json for char {
    fn read(value: Value, at: &JsonPath<'_>) -> Result<Self, Mismatch> {
        single(value, at)
    }

    fn write(&self, out: &mut Vec<u8>) {
        serialize(self, out);
    }
}

impl Json for String {
    fn read(value: Value, at: &JsonPath<'_>) -> Result<Self, Mismatch> {
        string(value, at)
    }

    fn write(&self, out: &mut Vec<u8>) {
        serialize(self, out);
    }
}

impl<T: Json> Json for Vec<T> {
    fn read(value: Value, at: &JsonPath<'_>) -> Result<Self, Mismatch> {
        T::read_list(value, at)
    }

    fn write(&self, out: &mut Vec<u8>) {
        T::write_list(self, out);
    }
}

impl<T: Json> Json for Option<T> {
    fn read(value: Value, at: &JsonPath<'_>) -> Result<Self, Mismatch> {
        match value {
            Value::Null => Ok(None),
            value => T::read(value, at).map(Some),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.write(out),
            None => out.extend_from_slice(b"null"),
        }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T: Payload, E: Payload> Json for Result<T, E> {
    fn read(value: Value, at: &JsonPath<'_>) -> Result<Self, Mismatch> {
        case_of(value, at, &["ok", "err"], |which, name, payload| match which {
            0 => T::take(payload, name, at).map(Ok),
            _ => E::take(payload, name, at).map(Err),
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Ok(value) => value.write_as("ok", out),
            Err(error) => error.write_as("err", out),
        }
    }
}

macro_rules! tuples {
    ($(($count:literal: $($item:ident $at:tt),*))*) => {$(
        impl<$($item: Json),*> Json for ($($item,)*) {
            fn read(value: Value, at: &JsonPath<'_>) -> Result<Self, Mismatch> {
                let mut items = tuple(value, $count, at)?.into_iter();
                Ok(($($item::read(items.next().unwrap_or_default(), at)?,)*))
            }

            fn write(&self, out: &mut Vec<u8>) {
                out.push(b'[');
                $(
                    if $at > 0 {
                        out.push(b',');
                    }
                    self.$at.write(out);
                )*
                out.push(b']');
            }
        }
    )*};
}

tuples! {
    (1: A 0)
    (2: A 0, B 1)
    (3: A 0, B 1, C 2)
    (4: A 0, B 1, C 2, D 3)
    (5: A 0, B 1, C 2, D 3, E 4)
    (6: A 0, B 1, C 2, D 3, E 4, F 5)
    (7: A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (8: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
    (9: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8)
    (10: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9)
    (11: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10)
    (12: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11)
}
