//! The files that the tests read, and how a value in them is found. Refuses to know what a value means.

use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use serde_json::Value;

/// One document of a YAML file.
#[derive(Debug)]
pub(crate) struct Document {
    /// Its file, from `host/deploy`.
    pub(crate) file: String,
    value: Value,
}

impl Document {
    /// The value at a JSON pointer; null where there is none.
    pub(crate) fn at(&self, pointer: &str) -> &Value {
        self.value.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The text at a JSON pointer, which has to be there.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        let text = self.at(pointer).as_str();
        text.unwrap_or_else(|| panic!("{}: no text at {pointer}", self.file))
    }

    /// What it is.
    pub(crate) fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// What it is called; all that is here goes into one namespace.
    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// Every value that stands under a key, wherever that is.
    pub(crate) fn under(&self, key: &str) -> Vec<&Value> {
        let mut found = Vec::new();
        collect(&self.value, key, &mut found);
        found
    }

    /// The pod that it makes, if it makes pods of its own.
    pub(crate) fn pod(&self) -> Option<&Value> {
        let pointer = match self.kind() {
            "Deployment" | "Job" => "/spec/template/spec",
            "CronJob" => "/spec/jobTemplate/spec/template/spec",
            _ => return None,
        };
        Some(self.at(pointer))
    }
}

fn collect<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(key));
            fields.values().for_each(|field| collect(field, key, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, key, found)),
        _ => {}
    }
}

/// The texts of a list.
pub(crate) fn texts(list: &Value) -> Vec<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// A place in the checkout.
pub(crate) fn place(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The text of a file of the checkout.
pub(crate) fn file(path: &str) -> String {
    std::fs::read_to_string(place(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A TOML file of the checkout.
pub(crate) fn table(path: &str) -> toml::Table {
    file(path).parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names of the files of a folder of `host/deploy`, in order.
pub(crate) fn names(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(place(&format!("host/deploy/{folder}"))).expect("a folder of host/deploy");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Every document of a folder of `host/deploy` that describes an object; changes of one are a list.
pub(crate) fn folder(folder: &str) -> Vec<Document> {
    let names = names(folder).into_iter().filter(|name| name.ends_with(".yaml"));
    let documents = names.flat_map(|name| read(&format!("{folder}/{name}")));
    documents.filter(|document| document.value.is_object()).collect()
}

/// Every document of every folder.
pub(crate) fn all() -> Vec<Document> {
    ["gateway", "kubernetes", "spinkube"]
        .into_iter()
        .flat_map(folder)
        .collect()
}

/// The documents of one kind.
pub(crate) fn of_kind<'a>(documents: &'a [Document], kind: &str) -> Vec<&'a Document> {
    documents.iter().filter(|document| document.kind() == kind).collect()
}

/// The documents of one file of `host/deploy`.
pub(crate) fn read(path: &str) -> Vec<Document> {
    let text = file(&format!("host/deploy/{path}"));
    let documents = yaml_serde::Deserializer::from_str(&text).map(|document| Document {
        file: path.to_owned(),
        value: Value::deserialize(document).unwrap_or_else(|error| panic!("{path}: {error}")),
    });
    documents.collect()
}
