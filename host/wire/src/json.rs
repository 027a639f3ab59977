//! JSON of WIT values: the rules, once for every host.
//!
//! Records are objects with snake_case keys and without the keys of absent options; enums are
//! snake_case strings; variants are a string, or an object of one key when the case has a payload;
//! `u64` and `s64` are decimal strings (JavaScript loses integers above 2^53), and numbers are
//! accepted too; `list<u8>` is base64; tuples are arrays; flags are arrays of strings.
//!
//! Who knows a type only when it runs walks values with what is here; who knows it when it is built has it
//! implement [`Json`]. Both give the same bytes and the same complaints.

mod rules;
mod typed;

pub use rules::{
    JsonPath, Mismatch, array, boolean, bytes, case, float, integer, long, missing, name_of, no_more, object, plain,
    quoted, sequence, serialize, short_float, single, snake, string, tuple, unknown, write_bytes, write_text,
};
pub use typed::{Json, Members, Payload, Record, case_of, enumeration, flags, write_case, write_flags};
