//! What a call came to as the result of the imported function that made it.

use call::Fault;
use wasmtime::component::{Type, Val};
use wire::error::EdgeError;

use crate::json;
use crate::values::ToRecord;

/// An error as the record of `mpim:im/types` has it.
struct ErrorRecord<'a> {
    code: &'a str,
    message: &'a str,
    retryable: bool,
}

impl ToRecord for ErrorRecord<'_> {
    fn field(&self, name: &str) -> Option<Val> {
        Some(match name {
            "code" => Val::Enum(self.code.replace('_', "-")),
            "message" => Val::String(self.message.to_owned()),
            "retryable" => Val::Bool(self.retryable),
            _ => return None,
        })
    }
}

/// A failed call as the result of an imported function, where its error type is the record of
/// `mpim:im/types`; none where it has another type.
pub(crate) fn fault_result(fault: &Fault, result: &Type) -> Option<Val> {
    error_result(fault.code(), &fault.to_string(), fault.is_retryable(), result)
}

fn error_result(code: &str, message: &str, retryable: bool, result: &Type) -> Option<Val> {
    let Type::Result(result) = result else { return None };
    let error_type = result.err()?;
    let record = ErrorRecord {
        code,
        message,
        retryable,
    };
    let mut error = record.to_val(&error_type)?;
    allow_code(&mut error, &error_type);
    Some(Val::Result(Err(Some(Box::new(error)))))
}

/// What a call answered in JSON as the result of an imported function; none where it does not fit its type.
pub fn of_outcome(outcome: Result<String, EdgeError>, ty: Option<&Type>) -> Option<Option<Val>> {
    let read = |text: &str, ty: &Type| json::read(serde_json::from_str(text).ok()?, ty).ok();
    match (outcome, ty) {
        (Ok(_), None) => Some(None),
        (Ok(text), Some(Type::Result(result))) => {
            let value = match result.ok() {
                Some(ty) => Some(Box::new(read(&text, &ty)?)),
                None => None,
            };
            Some(Some(Val::Result(Ok(value))))
        }
        (Ok(text), Some(ty)) => Some(Some(read(&text, ty)?)),
        (Err(error), ty) => error_result(&error.code, &error.message, error.retryable, ty?).map(Some),
    }
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
