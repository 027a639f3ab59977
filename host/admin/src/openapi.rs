//! The OpenAPI 3.1 description of the HTTP edge, made from the types of the loaded components, so
//! that it is true by construction; the words are those of their WIT.

use invoke::{Signature, Table};
use runtime::{Interface, Method, Type};
use serde_json::{Map, Value, json};
use wire::json::snake;

const LOCAL: &str = "Every public method of every function. The same methods are called over the WebSocket at /ws with \
    JSON-RPC 2.0, as FUNCTION.METHOD and with the same JSON.";

/// A node knows the types of functions that it runs, and of no others.
const REMOTE: &str = "The other functions of this node are remote, and are described where they run. They are called \
    here all the same: by POST /v1/FUNCTION/METHOD, and over the WebSocket at /ws with JSON-RPC 2.0, as FUNCTION.METHOD.";

/// The description as JSON text, of functions that run here.
pub fn document(table: &Table) -> String {
    let mut document = Document::default();
    let mut tags = Vec::new();
    for function in table.functions() {
        for interface in &function.component.interfaces {
            let methods = function.routes.iter().filter_map(|route| {
                let method = route.binding.as_ref()?;
                (method.interface == interface.name && route.signature.public).then_some((&route.signature, method))
            });
            let mut public = methods.peekable();
            if public.peek().is_some() {
                tags.push(json!({ "name": &*function.name, "description": interface.docs }));
            }
            public.for_each(|(signature, method)| document.add(signature, method, interface));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "mpim",
            "version": env!("CARGO_PKG_VERSION"),
            "description": if table.remote_url().is_none() { LOCAL } else { REMOTE },
        },
        "tags": tags,
        "paths": document.paths,
        "components": {
            "schemas": document.schemas,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
    .to_string()
}

#[derive(Default)]
struct Document {
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
}

impl Document {
    fn add(&mut self, signature: &Signature, method: &Method, interface: &Interface) {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for (name, ty) in method.client_parameters() {
            if !matches!(ty, Type::Option(_)) {
                required.push(snake(name));
            }
            properties.insert(snake(name), self.schema(ty, interface));
        }
        let (result, fails) = match &method.result {
            Some(Type::Result(result)) => (result.ok(), true),
            other => (other.clone(), false),
        };
        let result = result.map_or(json!({ "type": "null" }), |ty| self.schema(&ty, interface));
        let problem = self.problem();
        let mut operation = json!({
            "operationId": signature.full_name(),
            "tags": [&*signature.function],
            "description": method.docs,
            "requestBody": {
                "required": !required.is_empty(),
                "content": { "application/json": { "schema": object(properties, required) } },
            },
            "responses": {
                "200": { "description": "done", "content": { "application/json": { "schema": result } } },
                "default": {
                    "description": if fails { "refused or failed" } else { "failed" },
                    "content": { "application/problem+json": { "schema": problem } },
                },
            },
        });
        if let (true, Some(operation)) = (method.takes_caller, operation.as_object_mut()) {
            operation.insert("security".to_owned(), json!([{ "token": [] }]));
        }
        self.paths.insert(
            format!("/v1/{}/{}", signature.function, signature.name),
            json!({ "post": operation }),
        );
    }

    fn problem(&mut self) -> Value {
        self.schemas.entry("problem").or_insert_with(|| {
            json!({
                "description": "Problem details (RFC 9457) with a stable code.",
                "type": "object",
                "required": ["type", "title", "status", "detail", "code", "retryable"],
                "properties": {
                    "type": { "type": "string" },
                    "title": { "type": "string" },
                    "status": { "type": "integer" },
                    "detail": { "type": "string" },
                    "code": { "type": "string", "description": "In snake case, such as `not_found`." },
                    "retryable": { "type": "boolean", "description": "Whether the same call may succeed later." },
                },
            })
        });
        json!({ "$ref": "#/components/schemas/problem" })
    }

    /// The schema of a type; a record, variant, enum or flags that has a name is referred to by it.
    fn schema(&mut self, ty: &Type, interface: &Interface) -> Value {
        let nameable = matches!(ty, Type::Record(_) | Type::Variant(_) | Type::Enum(_) | Type::Flags(_));
        let named = interface.types.iter().find(|(_, named)| nameable && named == ty);
        let Some((name, _)) = named else {
            return self.inline(ty, interface);
        };
        // Two interfaces may give one name to different types.
        let key = format!("{}.{}", short(&interface.name), snake(name));
        if !self.schemas.contains_key(&key) {
            self.schemas.insert(key.clone(), Value::Null);
            let schema = self.inline(ty, interface);
            self.schemas.insert(key.clone(), schema);
        }
        json!({ "$ref": format!("#/components/schemas/{key}") })
    }

    fn inline(&mut self, ty: &Type, interface: &Interface) -> Value {
        match ty {
            Type::Bool => json!({ "type": "boolean" }),
            Type::S8 => json!({ "type": "integer", "minimum": i8::MIN, "maximum": i8::MAX }),
            Type::U8 => json!({ "type": "integer", "minimum": 0, "maximum": u8::MAX }),
            Type::S16 => json!({ "type": "integer", "minimum": i16::MIN, "maximum": i16::MAX }),
            Type::U16 => json!({ "type": "integer", "minimum": 0, "maximum": u16::MAX }),
            Type::S32 => json!({ "type": "integer", "minimum": i32::MIN, "maximum": i32::MAX }),
            Type::U32 => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
            Type::S64 => json!({ "type": "string", "pattern": "^-?[0-9]+$", "format": "int64" }),
            Type::U64 => json!({ "type": "string", "pattern": "^[0-9]+$", "format": "uint64" }),
            Type::Float32 | Type::Float64 => json!({ "type": "number" }),
            Type::Char => json!({ "type": "string", "minLength": 1, "maxLength": 1 }),
            Type::String => json!({ "type": "string" }),
            Type::List(list) if list.ty() == Type::U8 => json!({ "type": "string", "contentEncoding": "base64" }),
            Type::List(list) => json!({ "type": "array", "items": self.schema(&list.ty(), interface) }),
            Type::Tuple(tuple) => {
                let items: Vec<_> = tuple.types().map(|ty| self.schema(&ty, interface)).collect();
                json!({ "type": "array", "prefixItems": items, "minItems": items.len(), "maxItems": items.len() })
            }
            Type::Record(record) => {
                let (mut properties, mut required) = (Map::new(), Vec::new());
                for field in record.fields() {
                    if !matches!(field.ty, Type::Option(_)) {
                        required.push(snake(field.name));
                    }
                    properties.insert(snake(field.name), self.schema(&field.ty, interface));
                }
                object(properties, required)
            }
            Type::Enum(names) => json!({ "type": "string", "enum": names.names().map(snake).collect::<Vec<_>>() }),
            Type::Flags(names) => {
                let names: Vec<_> = names.names().map(snake).collect();
                json!({ "type": "array", "uniqueItems": true, "items": { "type": "string", "enum": names } })
            }
            Type::Option(option) => self.schema(&option.ty(), interface),
            Type::Variant(variant) => {
                let cases: Vec<_> = variant
                    .cases()
                    .map(|case| self.case(case.name, case.ty.as_ref(), interface))
                    .collect();
                json!({ "oneOf": cases })
            }
            Type::Result(result) => {
                let ok = self.case("ok", result.ok().as_ref(), interface);
                let err = self.case("err", result.err().as_ref(), interface);
                json!({ "oneOf": [ok, err] })
            }
            _ => json!({ "not": {}, "description": "cannot be sent as JSON" }),
        }
    }

    fn case(&mut self, name: &str, payload: Option<&Type>, interface: &Interface) -> Value {
        match payload {
            None => json!({ "const": snake(name) }),
            Some(ty) => {
                let schema = self.schema(ty, interface);
                object(Map::from_iter([(snake(name), schema)]), vec![snake(name)])
            }
        }
    }
}

fn object(properties: Map<String, Value>, required: Vec<String>) -> Value {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// `mpim:im/send@0.1.0` as `send`.
fn short(interface: &str) -> String {
    let plain = runtime::unversioned(interface);
    snake(plain.rsplit('/').next().unwrap_or(plain))
}
