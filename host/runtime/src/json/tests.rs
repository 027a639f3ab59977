//! What holds for every type and every value of it. Types are real ones, read from components that are made for them.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::{Index, subsequence};
use serde_json::{Value, json};
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Type, Val};

use super::{arguments, write};

/// A type, as far as it can be sent. An option of an option is not made: JSON has one null.
#[derive(Debug, Clone)]
enum Shape {
    /// A type without parts, by its name in WIT.
    Plain(&'static str),
    Char,
    Text,
    List(Box<Shape>),
    Option(Box<Shape>),
    Result(Option<Box<Shape>>, Option<Box<Shape>>),
    Record(Vec<Shape>),
    Tuple(Vec<Shape>),
    Variant(Vec<Option<Shape>>),
    Enum(usize),
    Flags(usize),
}

const PLAIN: [&str; 11] = [
    "bool", "s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "f32", "f64",
];

fn shape() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        4 => proptest::sample::select(&PLAIN).prop_map(Shape::Plain),
        1 => Just(Shape::Char),
        2 => Just(Shape::Text),
        1 => (1_usize..5).prop_map(Shape::Enum),
        1 => (1_usize..9).prop_map(Shape::Flags),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        prop_oneof![
            boxed().prop_map(Shape::List),
            boxed().prop_filter_map("one null", |part| match *part {
                Shape::Option(_) => None,
                _ => Some(Shape::Option(part)),
            }),
            (proptest::option::of(boxed()), proptest::option::of(boxed())).prop_map(|(ok, err)| Shape::Result(ok, err)),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Shape::Record),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Shape::Tuple),
            prop::collection::vec(proptest::option::of(inner.clone()), 1..4).prop_map(Shape::Variant),
        ]
    })
}

/// The name of a field or a case; what is a dash here is none in JSON.
fn name(index: usize) -> String {
    format!("part-n{index}")
}

/// A component that imports a function with one parameter of a type.
#[derive(Default)]
struct Text {
    definitions: String,
    count: usize,
}

impl Text {
    /// Defines a type where it must be, and gives how to refer to it.
    fn refer(&mut self, shape: &Shape) -> String {
        let (definition, named) = match shape {
            Shape::Plain(name) => return (*name).to_owned(),
            Shape::Char => return "char".to_owned(),
            Shape::Text => return "string".to_owned(),
            Shape::List(item) => (format!("(list {})", self.refer(item)), false),
            Shape::Option(content) => (format!("(option {})", self.refer(content)), false),
            Shape::Result(ok, err) => {
                let ok = ok.as_ref().map(|ok| self.refer(ok)).unwrap_or_default();
                let err = err.as_ref().map(|err| format!("(error {})", self.refer(err)));
                (format!("(result {ok} {})", err.unwrap_or_default()), false)
            }
            Shape::Tuple(items) => {
                let items: Vec<String> = items.iter().map(|item| self.refer(item)).collect();
                (format!("(tuple {})", items.join(" ")), false)
            }
            Shape::Record(fields) => {
                let fields = fields.iter().enumerate();
                let fields: Vec<String> = fields
                    .map(|(index, field)| format!("(field \"{}\" {})", name(index), self.refer(field)))
                    .collect();
                (format!("(record {})", fields.join(" ")), true)
            }
            Shape::Variant(cases) => {
                let cases = cases.iter().enumerate();
                let cases: Vec<String> = cases
                    .map(|(index, case)| {
                        let payload = case.as_ref().map(|case| self.refer(case)).unwrap_or_default();
                        format!("(case \"{}\" {payload})", name(index))
                    })
                    .collect();
                (format!("(variant {})", cases.join(" ")), true)
            }
            Shape::Enum(count) => (format!("(enum {})", names(*count)), true),
            Shape::Flags(count) => (format!("(flags {})", names(*count)), true),
        };
        let number = self.count;
        self.count += 1;
        let _ = write!(self.definitions, "(type $d{number} {definition})");
        if !named {
            return format!("$d{number}");
        }
        let _ = write!(
            self.definitions,
            "(import \"t{number}\" (type $t{number} (eq $d{number})))"
        );
        format!("$t{number}")
    }
}

fn names(count: usize) -> String {
    let names: Vec<String> = (0..count).map(|index| format!("\"{}\"", name(index))).collect();
    names.join(" ")
}

fn type_of(shape: &Shape) -> Type {
    let mut text = Text::default();
    let parameter = text.refer(shape);
    let component = format!(
        "(component {} (import \"call\" (func (param \"value\" {parameter}))))",
        text.definitions
    );
    let engine = Engine::default();
    let component = Component::new(&engine, wat::parse_str(&component).unwrap()).unwrap();
    let component = component.component_type();
    let call = component.get_import(&engine, "call").unwrap();
    let ComponentItem::ComponentFunc(call) = call.ty else {
        panic!("it is a function");
    };
    call.params().next().unwrap().1
}

fn val(shape: &Shape) -> BoxedStrategy<Val> {
    match shape {
        Shape::Plain("bool") => any::<bool>().prop_map(Val::Bool).boxed(),
        Shape::Plain("s8") => any::<i8>().prop_map(Val::S8).boxed(),
        Shape::Plain("u8") => any::<u8>().prop_map(Val::U8).boxed(),
        Shape::Plain("s16") => any::<i16>().prop_map(Val::S16).boxed(),
        Shape::Plain("u16") => any::<u16>().prop_map(Val::U16).boxed(),
        Shape::Plain("s32") => any::<i32>().prop_map(Val::S32).boxed(),
        Shape::Plain("u32") => any::<u32>().prop_map(Val::U32).boxed(),
        Shape::Plain("s64") => any::<i64>().prop_map(Val::S64).boxed(),
        Shape::Plain("u64") => any::<u64>().prop_map(Val::U64).boxed(),
        Shape::Plain("f32") => any::<f32>().prop_map(Val::Float32).boxed(),
        Shape::Plain(_) => any::<f64>().prop_map(Val::Float64).boxed(),
        Shape::Char => any::<char>().prop_map(Val::Char).boxed(),
        Shape::Text => any::<String>().prop_map(Val::String).boxed(),
        Shape::List(item) => prop::collection::vec(val(item), 0..5).prop_map(Val::List).boxed(),
        Shape::Option(content) => maybe(Some(content)).prop_map(Val::Option).boxed(),
        Shape::Result(ok, err) => prop_oneof![
            payload(ok.as_deref()).prop_map(|ok| Val::Result(Ok(ok))),
            payload(err.as_deref()).prop_map(|err| Val::Result(Err(err))),
        ]
        .boxed(),
        Shape::Record(fields) => {
            let fields: Vec<_> = fields.iter().map(val).collect();
            let named = |values: Vec<Val>| {
                values
                    .into_iter()
                    .enumerate()
                    .map(|(index, value)| (name(index), value))
            };
            fields
                .prop_map(move |values| Val::Record(named(values).collect()))
                .boxed()
        }
        Shape::Tuple(items) => items.iter().map(val).collect::<Vec<_>>().prop_map(Val::Tuple).boxed(),
        Shape::Variant(cases) => {
            let cases = cases.clone();
            (0..cases.len())
                .prop_flat_map(move |index| {
                    payload(cases[index].as_ref()).prop_map(move |payload| Val::Variant(name(index), payload))
                })
                .boxed()
        }
        Shape::Enum(count) => (0..*count).prop_map(|index| Val::Enum(name(index))).boxed(),
        Shape::Flags(count) => {
            let all: Vec<String> = (0..*count).map(name).collect();
            subsequence(all, 0..=*count).prop_map(Val::Flags).boxed()
        }
    }
}

fn maybe(shape: Option<&Shape>) -> BoxedStrategy<Option<Box<Val>>> {
    match shape {
        Some(shape) => proptest::option::of(val(shape).prop_map(Box::new)).boxed(),
        None => Just(None).boxed(),
    }
}

fn payload(shape: Option<&Shape>) -> BoxedStrategy<Option<Box<Val>>> {
    match shape {
        Some(shape) => val(shape).prop_map(|payload| Some(Box::new(payload))).boxed(),
        None => Just(None).boxed(),
    }
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(|number| Value::from(number.to_string())),
        any::<String>().prop_map(Value::from),
        (0_usize..4).prop_map(|index| Value::from(format!("part_n{index}"))),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("part_n[0-3]|ok|err|[a-z]{1,3}", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Puts something else into a place of a value, the value itself being the first.
fn spoil(value: &mut Value, place: &mut usize, other: &Value) {
    if *place == 0 {
        *value = other.clone();
    }
    *place = place.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| spoil(item, place, other)),
        Value::Object(members) => members.values_mut().for_each(|member| spoil(member, place, other)),
        _ => {}
    }
}

fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(members) => members.values().map(size).sum(),
        _ => 0,
    }
}

fn written(value: &Val, ty: &Type) -> Value {
    let mut text = Vec::new();
    write(value, ty, &mut text);
    serde_json::from_slice(&text).unwrap()
}

fn read(input: Value, ty: &Type) -> Result<Val, super::Mismatch> {
    let mut values = arguments([("value", ty)].into_iter(), json!({ "value": input }))?;
    Ok(values.pop().unwrap())
}

#[test]
fn a_number_is_read_to_its_last_bit() {
    let ty = type_of(&Shape::Plain("f64"));
    let number = Val::Float64(-6.210_508_151_400_566e274);
    assert_eq!(read(written(&number, &ty), &ty), Ok(number));
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_it_was((shape, value) in shape().prop_flat_map(|shape| (Just(shape.clone()), val(&shape)))) {
        let ty = type_of(&shape);
        prop_assert_eq!(read(written(&value, &ty), &ty), Ok(value));
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_place_and_what_fits_is_kept(
        (shape, value) in shape().prop_flat_map(|shape| (Just(shape.clone()), val(&shape))),
        place in any::<Index>(),
        other in anything(),
    ) {
        let ty = type_of(&shape);
        let mut input = written(&value, &ty);
        let mut place = place.index(size(&input));
        spoil(&mut input, &mut place, &other);
        match read(input, &ty) {
            Ok(value) => prop_assert_eq!(read(written(&value, &ty), &ty), Ok(value)),
            Err(mismatch) => prop_assert!(mismatch.path.starts_with("params") && !mismatch.reason.is_empty()),
        }
    }
}
