//! The edge of each function, as a package of its own in a workspace of its own.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use codegen::{Bindings, Edge, Method, implementations, methods};
use wit_component::WitPrinter;
use wit_parser::{InterfaceId, Resolve};

use crate::functions::{Function, Functions};
use crate::manifest::Manifest;
use crate::write;

/// The packages of WIT that the checkout has whole; those of other components are taken from the components.
const WIT: [&str; 3] = ["wit/host", "wit/im", "wit/spin"];
/// The interface of the adapter that readies ids.
const INSTANCE: &str = "mpim:spin/instance@0.1.0";
/// What a function imports that takes ids.
const IDS: &str = "mpim:host/ids@";

/// The package of a function's edge.
pub(crate) fn package(function: &str) -> String {
    format!("edge-of-{function}")
}

/// Writes all of them.
pub(crate) fn write_all(root: &Path, manifest: &Manifest, functions: &Functions, out: &Path) -> Result<()> {
    let mut members = String::new();
    for (name, function) in functions.iter() {
        let folder = out.join(name);
        let written =
            Written::of(root, manifest, functions, name, function).with_context(|| format!("the edge of {name}"))?;
        write(&folder.join("Cargo.toml"), cargo(root, name).as_bytes())?;
        write(&folder.join("wit/edge.wit"), written.wit.as_bytes())?;
        write(&folder.join("src/lib.rs"), written.code.as_bytes())?;
        let _ = write!(members, "{name:?}, ");
    }
    let workspace = format!(
        "[workspace]\nmembers = [{members}]\nresolver = \"3\"\n\n\
         [profile.component]\ninherits = \"release\"\npanic = \"abort\"\nstrip = true\n"
    );
    write(&out.join("Cargo.toml"), workspace.as_bytes())?;
    // The same versions as everywhere.
    std::fs::copy(root.join("Cargo.lock"), out.join("Cargo.lock"))?;
    Ok(())
}

fn cargo(root: &Path, name: &str) -> String {
    let root = root.display();
    let package = package(name);
    format!(
        "[package]\nname = \"{package}\"\nversion = \"0.1.0\"\nedition = \"2024\"\npublish = false\n\n\
         [lib]\ncrate-type = [\"cdylib\"]\n\n\
         [dependencies]\n\
         edge = {{ path = \"{root}/components/spin/edge\" }}\n\
         wire = {{ package = \"mpim-wire\", path = \"{root}/host/wire\" }}\n\
         spin-sdk = {{ version = \"7\", default-features = false, features = [\"http\"] }}\n\
         wit-bindgen = {{ version = \"0.61\", default-features = false, \
         features = [\"macros\", \"realloc\", \"async\", \"std\", \"bitflags\"] }}\n"
    )
}

struct Written {
    wit: String,
    code: String,
}

impl Written {
    fn of(root: &Path, manifest: &Manifest, functions: &Functions, name: &str, function: &Function) -> Result<Self> {
        let mut resolve = Resolve::default();
        for folder in WIT {
            resolve.push_dir(root.join(folder))?;
        }
        let verify = match &manifest.gateway().verify {
            Some(verify) => Some(
                verify
                    .split_once('.')
                    .context("`gateway.verify` is no FUNCTION.METHOD")?,
            ),
            None => None,
        };
        add(&mut resolve, function)?;
        let mut methods_of_all = own_methods(&resolve, function)?;
        let verifier = match verify {
            Some((verifier, method)) => {
                let verifier = functions.get(verifier)?;
                add(&mut resolve, verifier)?;
                let methods = own_methods(&resolve, verifier)?;
                let found = methods.into_iter().find(|found| found.name == method);
                Some(found.with_context(|| format!("there is no method {method}"))?)
            }
            None => None,
        };
        methods_of_all.sort_by(|one, other| one.name.cmp(&other.name));
        let takes_ids = takes_ids(functions, name)?;
        let wit = world(&mut resolve, &methods_of_all, verifier.as_ref(), takes_ids)?;
        let code = code(manifest, &resolve, name, &methods_of_all, verifier.as_ref(), takes_ids)?;
        Ok(Self { wit, code })
    }
}

/// Adds the packages of a component, where the checkout lacks one of them.
fn add(resolve: &mut Resolve, function: &Function) -> Result<()> {
    if function.exports.iter().any(|export| find(resolve, export).is_err()) {
        resolve.merge(function.resolve.clone())?;
    }
    Ok(())
}

/// The methods of what a component exports, in terms of a resolve that has its packages.
fn own_methods(resolve: &Resolve, function: &Function) -> Result<Vec<Method>> {
    let mut own = methods(&function.resolve, function.world);
    for method in &mut own {
        let id = function
            .resolve
            .id_of(method.interface)
            .context("an interface without a name")?;
        method.interface = find(resolve, &id)?;
    }
    Ok(own)
}

fn find(resolve: &Resolve, name: &str) -> Result<InterfaceId> {
    let found = resolve
        .interfaces
        .iter()
        .find(|(id, _)| resolve.id_of(*id).as_deref() == Some(name));
    found
        .map(|(id, _)| id)
        .with_context(|| format!("there is no interface {name}"))
}

/// Whether anything that runs in the composition of a function takes ids.
fn takes_ids(functions: &Functions, name: &str) -> Result<bool> {
    for name in functions.closure(name)? {
        let imports = &functions.get(&name)?.imports;
        if imports.iter().any(|import| import.starts_with(IDS)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The WIT of the edge, with all that it mentions, in one text.
fn world(resolve: &mut Resolve, methods: &[Method], verifier: Option<&Method>, takes_ids: bool) -> Result<String> {
    let mut imports: Vec<String> = methods
        .iter()
        .chain(verifier)
        .filter_map(|method| resolve.id_of(method.interface))
        .chain(takes_ids.then(|| INSTANCE.to_owned()))
        .collect();
    imports.sort();
    imports.dedup();
    let mut text = "package mpim:edge;\n\nworld edge {\n".to_owned();
    for import in imports {
        let _ = writeln!(text, "    import {import};");
    }
    text.push_str("}\n");
    let edge = resolve.push_str("edge.wit", &text)?;
    let others: Vec<_> = resolve
        .packages
        .iter()
        .map(|(id, _)| id)
        .filter(|id| *id != edge)
        .collect();
    let mut printer = WitPrinter::default();
    printer.print(resolve, edge, &others)?;
    Ok(printer.output.to_string())
}

fn code(
    manifest: &Manifest,
    resolve: &Resolve,
    name: &str,
    methods: &[Method],
    verifier: Option<&Method>,
    takes_ids: bool,
) -> Result<String> {
    let component = manifest.component.get(name).context("it is not in the manifest")?;
    let edge = Edge {
        bindings: Bindings {
            resolve,
            module: "crate::bindings",
        },
        methods,
        public: &component.settings().public,
    };
    let interfaces: Vec<InterfaceId> = resolve.interfaces.iter().map(|(id, _)| id).collect();
    let bound = bound(resolve, &interfaces, methods, verifier);
    let verify = match verifier {
        Some(method) => edge.verify(method).context("the method that verifies has another signature")?,
        None => "let _ = token;\n\
                 Err(::wire::error::EdgeError::permanent(\"unauthenticated\", \"this node has no way to verify tokens\"))"
            .to_owned(),
    };
    let prepare = match takes_ids {
        true => {
            "use crate::bindings::mpim::spin::instance::{Error, prepare};\n\
             prepare().await.map_err(|error| {\n\
             let (code, text) = match error {\n\
             Error::Invalid(text) | Error::Unavailable(text) => (\"unavailable\", text),\n\
             Error::Overloaded(text) => (\"overloaded\", text),\n\
             Error::Timeout(text) => (\"timeout\", text),\n};\n\
             ::wire::error::EdgeError::passing(code, text)\n})"
        }
        false => "Ok(())",
    };
    let gateway = manifest.gateway();
    let (frame, answer) = (gateway.frame_max_bytes, gateway.answer_max_bytes);
    Ok(format!(
        "//! The edge of `{name}`, written from its WIT.\n\
         #![cfg(target_arch = \"wasm32\")]\n\n\
         mod bindings {{\n\
         ::wit_bindgen::generate!({{ path: \"wit/edge.wit\", world: \"mpim:edge/edge\", generate_all, async: true }});\n\
         }}\n\n\
         mod json {{\n{}}}\n\n\
         mod calls {{\n{}}}\n\n\
         struct Function;\n\n\
         impl ::edge::Function for Function {{\n\
         const NAME: &'static str = {name:?};\n\
         const FRAME_MAX_BYTES: usize = {frame};\n\
         const ANSWER_MAX_BYTES: usize = {answer};\n\
         const METHODS: &'static [::edge::Method] = calls::METHODS;\n\n\
         async fn prepare() -> Result<(), ::wire::error::EdgeError> {{\n{prepare}\n}}\n\n\
         async fn verify(token: String) -> Result<::edge::Caller, ::wire::error::EdgeError> {{\n{verify}\n}}\n\n\
         async fn call(method: &str, params: ::wire::Value, caller: Option<::edge::Caller>) -> ::edge::Answer {{\n\
         calls::call(method, params, caller).await\n}}\n\
         }}\n\n\
         #[::spin_sdk::http_service]\n\
         async fn handle(request: ::edge::Request) -> ::edge::Response {{\n\
         ::edge::serve::<Function>(request).await\n}}\n",
        implementations(&edge.bindings, &bound),
        edge.code(),
    ))
}

/// The interfaces that the edge has bindings of: those that it imports, and those whose types these use.
fn bound(resolve: &Resolve, all: &[InterfaceId], methods: &[Method], verifier: Option<&Method>) -> Vec<InterfaceId> {
    let mut bound: Vec<InterfaceId> = methods.iter().chain(verifier).map(|method| method.interface).collect();
    let mut at = 0;
    while let Some(id) = bound.get(at).copied() {
        at += 1;
        let used = resolve.interface_direct_deps(id);
        for id in used {
            if !bound.contains(&id) {
                bound.push(id);
            }
        }
    }
    bound.sort();
    bound.dedup();
    bound.retain(|id| all.contains(id));
    bound
}
