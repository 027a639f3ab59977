//! What the WIT of a component says in its comments.
//!
//! A component carries the text of its WIT in the custom section `mpim:wit`: packages, one after the
//! other, divided by a line `//// next package`. A component without it works as well, only without words.

use std::collections::HashMap;

use wit_parser::UnresolvedPackageGroup;

/// The comments of a component's interfaces and methods.
#[derive(Debug, Default)]
pub struct Docs {
    /// By interface with its version, and method; an empty method is the interface itself.
    texts: HashMap<(String, String), String>,
}

const SECTION: &str = "mpim:wit";
const DIVIDER: &str = "//// next package\n";

impl Docs {
    /// Reads the comments from a component. What cannot be read is left out: comments are not worth
    /// refusing a component for.
    pub fn of(component: &[u8]) -> Self {
        let mut docs = Self::default();
        let Some(text) = section(component).and_then(|bytes| std::str::from_utf8(bytes).ok()) else {
            return docs;
        };
        for package in text.split(DIVIDER) {
            match UnresolvedPackageGroup::parse("wit", package) {
                Ok(group) => docs.add(&group),
                Err((_, error)) => tracing::debug!(?error, "the WIT text of a component cannot be read"),
            }
        }
        docs
    }

    fn add(&mut self, group: &UnresolvedPackageGroup) {
        let package = &group.main.name;
        for (_, interface) in &group.main.interfaces {
            let Some(name) = &interface.name else { continue };
            let version = package
                .version
                .as_ref()
                .map(|version| format!("@{version}"))
                .unwrap_or_default();
            let name = format!("{}:{}/{name}{version}", package.namespace, package.name);
            self.put(&name, "", interface.docs.contents.as_deref());
            for (method, function) in &interface.functions {
                self.put(&name, method, function.docs.contents.as_deref());
            }
        }
    }

    fn put(&mut self, interface: &str, method: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.texts
                .insert((interface.to_owned(), method.to_owned()), text.trim().to_owned());
        }
    }

    /// What is said of an interface; empty where nothing is.
    pub fn interface(&self, name: &str) -> String {
        self.method(name, "")
    }

    /// What is said of a method; empty where nothing is.
    pub fn method(&self, interface: &str, method: &str) -> String {
        self.texts
            .get(&(interface.to_owned(), method.to_owned()))
            .cloned()
            .unwrap_or_default()
    }
}

/// The payload of the section, from the outermost level of the component.
fn section(component: &[u8]) -> Option<&[u8]> {
    const CUSTOM: u8 = 0;
    let mut rest = component.get(8..)?;
    while let Some((id, after)) = rest.split_first() {
        let (length, after) = leb128(after)?;
        let (body, next) = after.split_at_checked(length)?;
        if *id == CUSTOM {
            let (length, named) = leb128(body)?;
            let (name, payload) = named.split_at_checked(length)?;
            if name == SECTION.as_bytes() {
                return Some(payload);
            }
        }
        rest = next;
    }
    None
}

fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, bytes.get(index + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(sections: &[(&str, &str)]) -> Vec<u8> {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        for (name, payload) in sections {
            let mut body = vec![u8::try_from(name.len()).expect("short")];
            body.extend_from_slice(name.as_bytes());
            body.extend_from_slice(payload.as_bytes());
            let length = body.len();
            bytes.extend([
                0,
                u8::try_from(length & 0x7f | 0x80).expect("seven bits"),
                u8::try_from(length >> 7).expect("short"),
            ]);
            bytes.extend(body);
        }
        bytes
    }

    #[test]
    fn comments_are_found_behind_other_sections() {
        let wit = "package a:b@1.0.0;\n/// The door.\ninterface door {\n  /// Opens it.\n  open: func();\n}\n";
        let docs = Docs::of(&component(&[
            ("producers", "x"),
            (SECTION, &format!("package x:y;\n{DIVIDER}{wit}")),
        ]));
        assert_eq!(docs.interface("a:b/door@1.0.0"), "The door.");
        assert_eq!(docs.method("a:b/door@1.0.0", "open"), "Opens it.");
        assert_eq!(docs.method("a:b/door@1.0.0", "close"), "");
    }

    #[test]
    fn damaged_bytes_give_no_comments() {
        let whole = component(&[(SECTION, "package a:b;")]);
        for end in 0..whole.len() {
            assert!(Docs::of(&whole[..end]).texts.is_empty());
        }
    }
}
