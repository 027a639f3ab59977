//! Writes the JSON of the types of notifications.

use std::error::Error;
use std::path::Path;

use codegen::Bindings;
use wit_parser::Resolve;

/// The interfaces whose types a body of a notification has.
const INTERFACES: [(&str, &str); 3] = [("host", "types"), ("im", "types"), ("im", "notify")];

fn main() -> Result<(), Box<dyn Error>> {
    let wit = Path::new("../../../wit");
    let mut resolve = Resolve::default();
    for folder in ["host", "im"] {
        println!("cargo::rerun-if-changed=../../../wit/{folder}");
        resolve.push_dir(wit.join(folder))?;
    }
    let mut ids = Vec::new();
    for (id, interface) in resolve.interfaces.iter() {
        let package = interface.package.and_then(|package| resolve.packages.get(package));
        let names = (
            package.map(|package| package.name.name.as_str()),
            interface.name.as_deref(),
        );
        if INTERFACES
            .iter()
            .any(|(package, name)| names == (Some(*package), Some(*name)))
        {
            ids.push(id);
        }
    }
    let bindings = Bindings {
        resolve: &resolve,
        module: "crate::bindings::exports",
    };
    let code = codegen::implementations(&bindings, &ids);
    let folder = std::env::var("OUT_DIR")?;
    std::fs::write(Path::new(&folder).join("json.rs"), code)?;
    Ok(())
}
