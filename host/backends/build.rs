//! Builds again when a migration changes: they are part of the library.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
