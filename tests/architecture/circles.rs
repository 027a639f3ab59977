//! No two files of a crate know each other, neither straight nor by way of others: read from their paths.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{code_lines, files_below};

/// The path of a module within its crate; none of it is the root.
type Module = Vec<String>;

/// The files of a crate that are in circles, each with those of them that it names.
pub(super) fn circles(source: &Path) -> BTreeMap<String, Vec<String>> {
    let code = modules(source);
    let known: BTreeSet<Module> = code.keys().cloned().collect();
    let mut names: BTreeMap<Module, BTreeSet<Module>> = code
        .iter()
        .map(|(module, text)| (module.clone(), named(module, text, &known)))
        .collect();
    // What names nothing that is left can be in no circle.
    loop {
        let left: BTreeSet<Module> = names.keys().cloned().collect();
        for named in names.values_mut() {
            named.retain(|other| left.contains(other));
        }
        names.retain(|_, named| !named.is_empty());
        if names.len() == left.len() {
            break;
        }
    }
    let told = |module: &Module| format!("crate::{}", module.join("::"));
    names
        .iter()
        .map(|(module, named)| (told(module), named.iter().map(told).collect()))
        .collect()
}

/// The code of every file, without what is generated and what is for tests only.
fn modules(source: &Path) -> BTreeMap<Module, String> {
    let mut code = BTreeMap::new();
    for path in files_below(source) {
        let relative = path.strip_prefix(source).expect("below").with_extension("");
        let mut module: Module = relative
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        let is_test = |part: &String| part.starts_with("tests") || part == "stories";
        if path.extension().is_none_or(|extension| extension != "rs") || module.iter().any(is_test) {
            continue;
        }
        if matches!(module.last().map(String::as_str), Some("lib" | "main" | "mod")) {
            module.pop();
        }
        let text = std::fs::read_to_string(&path).expect("readable");
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        // What is generated there names the type that the component is.
        let text = if module.ends_with(&["bindings".to_owned()]) {
            ""
        } else {
            text
        };
        let lines: Vec<&str> = code_lines(text)
            .map(|line| line.split(" // ").next().unwrap_or_default())
            .collect();
        code.insert(module, lines.join("\n"));
    }
    code
}

/// The other files of its crate that the code of a module names.
fn named(module: &Module, code: &str, known: &BTreeSet<Module>) -> BTreeSet<Module> {
    let mut paths = Vec::new();
    for (root, base) in [
        ("crate", Module::new()),
        ("self", module.clone()),
        (
            "super",
            module.iter().take(module.len().saturating_sub(1)).cloned().collect(),
        ),
    ] {
        for rest in after(code, root) {
            expand(&base, rest, &mut paths);
        }
    }
    // A child is named without anything before it.
    for child in known
        .iter()
        .filter(|other| other.len() == module.len() + 1 && other.starts_with(module))
    {
        let name = child.last().expect("not the root");
        for rest in after(code, name) {
            expand(child, rest, &mut paths);
        }
    }
    let file = |path: &Module| {
        (0..=path.len())
            .rev()
            .map(|end| path[..end].to_vec())
            .find(|path| known.contains(path))
    };
    paths.iter().filter_map(file).filter(|other| other != module).collect()
}

/// What follows `word::` wherever a path begins with it.
fn after<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':' || letter == '$';
    code.match_indices(word).filter_map(move |(at, _)| {
        let before = code[..at].chars().next_back();
        let rest = code[at + word.len()..].strip_prefix("::")?;
        (!before.is_some_and(is_part)).then_some(rest)
    })
}

/// Every path that goes on from a base as a text says, which may be a list in braces.
fn expand(base: &Module, text: &str, paths: &mut Vec<Module>) {
    let text = text.trim_start();
    if let Some(list) = text.strip_prefix('{') {
        let mut depth = 0;
        let mut begin = 0;
        for (at, letter) in list.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    expand(base, &list[begin..at], paths);
                    begin = at + 1;
                    if letter == '}' {
                        return;
                    }
                }
                _ => {}
            }
        }
        return;
    }
    let end = text
        .find(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .unwrap_or(text.len());
    let (segment, rest) = text.split_at(end);
    let mut path = base.clone();
    match segment {
        "" | "self" => {}
        "super" => drop(path.pop()),
        segment => path.push(segment.to_owned()),
    }
    match rest.strip_prefix("::") {
        Some(rest) => expand(&path, rest, paths),
        None => paths.push(path),
    }
}

#[test]
fn paths_are_read_from_code() {
    let known = BTreeSet::from(["", "a", "a::b", "c"].map(|path| {
        path.split("::")
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect::<Module>()
    }));
    let names = |module: &str, code: &str| {
        let module: Module = module
            .split("::")
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect();
        let named = named(&module, code, &known);
        named.iter().map(|path| path.join("::")).collect::<Vec<_>>()
    };
    assert_eq!(names("c", "use crate::{a::{self, b::Thing}, Root};"), ["", "a", "a::b"]);
    assert_eq!(names("a::b", "fn f() { super::thing(); crate::c::f() }"), ["a", "c"]);
    assert_eq!(names("a", "mod b;\npub use b::Thing;"), ["a::b"]);
    assert_eq!(
        names("a", "mod b;\nuse other::b::Thing; let b = 1;"),
        Vec::<String>::new()
    );
}
