//! A custom section at the end of a component: tools that do not know it pass over it. It carries the text of the
//! WIT, whose comments the binary form has lost.

/// The name of the section that carries WIT text.
const NAME: &str = "mpim:wit";
/// The line between two packages.
const DIVIDER: &str = "//// next package\n";

/// How a component begins: the magic bytes, the version, and the layer that tells it from a module.
const COMPONENT: [u8; 8] = [0x00, b'a', b's', b'm', 0x0d, 0x00, 0x01, 0x00];
const CUSTOM_SECTION: u8 = 0;

/// Whether these are the bytes of a component.
pub(crate) fn is_component(bytes: &[u8]) -> bool {
    bytes.starts_with(&COMPONENT)
}

/// Joins the files of one package to one text. Its `package` line has to come first, so the file that has it does.
pub(crate) fn package(mut files: Vec<String>) -> String {
    let names_package = |text: &String| text.lines().any(|line| line.starts_with("package "));
    files.sort_by_key(|text| !names_package(text));
    files.iter().map(|text| format!("{}\n", text.trim_end())).collect()
}

/// Appends the WIT text of some packages to a component.
pub(crate) fn append(component: &mut Vec<u8>, packages: &[String]) {
    let text = packages.join(DIVIDER);
    let mut content = Vec::new();
    leb128(NAME.len(), &mut content);
    content.extend_from_slice(NAME.as_bytes());
    content.extend_from_slice(text.as_bytes());
    component.push(CUSTOM_SECTION);
    leb128(content.len(), component);
    component.append(&mut content);
}

/// Appends an unsigned integer: seven bits a byte, the lowest first, the eighth bit where more follow.
fn leb128(mut value: usize, out: &mut Vec<u8>) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::{COMPONENT, append, is_component, leb128, package};

    #[test]
    fn integers_take_seven_bits_a_byte() {
        let encoded = |value| {
            let mut out = Vec::new();
            leb128(value, &mut out);
            out
        };
        assert_eq!(encoded(0), [0]);
        assert_eq!(encoded(127), [0x7f]);
        assert_eq!(encoded(128), [0x80, 0x01]);
        assert_eq!(encoded(624_485), [0xe5, 0x8e, 0x26]);
    }

    #[test]
    fn the_section_follows_the_component() {
        let mut bytes = COMPONENT.to_vec();
        append(&mut bytes, &["package a:b;\n".to_owned(), "package c:d;\n".to_owned()]);
        let text = "package a:b;\n//// next package\npackage c:d;\n";
        let mut expected = COMPONENT.to_vec();
        expected.extend([0, (1 + 8 + text.len()) as u8, 8]);
        expected.extend(b"mpim:wit");
        expected.extend(text.as_bytes());
        assert!(is_component(&bytes) && bytes == expected);
    }

    #[test]
    fn the_file_that_names_the_package_comes_first() {
        let files = [
            "interface a {}\n",
            "interface b {}",
            "/// Words.\npackage x:y@0.1.0;\n\ninterface types {}\n",
        ];
        let text = package(files.map(str::to_owned).to_vec());
        assert_eq!(
            text,
            "/// Words.\npackage x:y@0.1.0;\n\ninterface types {}\ninterface a {}\ninterface b {}\n"
        );
    }

    #[test]
    fn a_core_module_is_no_component() {
        assert!(!is_component(b"\0asm\x01\0\0\0"));
    }
}
