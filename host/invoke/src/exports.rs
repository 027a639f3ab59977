//! Which interfaces a component exports, read from its bytes: enough to know whose function an import means where that
//! function does not run here, and nothing is compiled for it.

use wasmparser::{Parser, Payload};

/// The names of the exports of a component, with their versions; none of what cannot be read.
pub(crate) fn exports(component: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload {
            Ok(Payload::ModuleSection { .. } | Payload::ComponentSection { .. }) => depth += 1,
            Ok(Payload::End(_)) => depth = depth.saturating_sub(1),
            Ok(Payload::ComponentExportSection(section)) if depth == 0 => {
                names.extend(section.into_iter().flatten().map(|export| export.name.name.to_owned()));
            }
            Ok(_) => {}
            Err(_) => return Vec::new(),
        }
    }
    names
}
