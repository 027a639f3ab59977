//! What is written for a small function.

use super::*;

const WIT: &str = "
package test:words@1.0.0;

interface words {
    record caller { user: u64, session: u64, device: string, connection: option<u64> }
    variant error { not-there, full(string), odd(u32) }
    echo: async func(caller: caller, text: string) -> result<string, error>;
    %type: func(word: option<list<u8>>) -> u32;
    hidden: func(error: error-of-others) -> u32;
    type error-of-others = future<u32>;
}

interface inner {
    sweep: async func();
}

world function { export words; export inner; }
";

fn edge<R>(test: impl Fn(&Edge<'_>) -> R) -> R {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("words.wit", WIT).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let methods = methods(&resolve, world);
    let bindings = Bindings {
        resolve: &resolve,
        module: "crate::bindings",
    };
    let public = ["test:words/words".to_owned()];
    test(&Edge {
        bindings,
        methods: &methods,
        public: &public,
    })
}

#[test]
fn methods_know_whether_clients_may_call_them_and_who_must_be_logged_in() {
    let code = edge(|edge| edge.code());
    assert!(code.contains(r#"name: "echo", public: true, takes_caller: true"#));
    assert!(code.contains(r#"name: "type", public: true, takes_caller: false"#));
    assert!(code.contains(r#"name: "sweep", public: false, takes_caller: false"#));
    assert!(
        code.contains("crate::bindings::test::words::words::type_(argument0)"),
        "{code}"
    );
}

#[test]
fn a_method_that_takes_what_json_cannot_say_is_left_out() {
    assert!(!edge(|edge| edge.code()).contains("hidden"));
}

#[test]
fn every_case_of_an_error_has_its_code() {
    let code = edge(|edge| edge.code());
    assert!(code.contains(r#"Error::NotThere => ::edge::case("not-there", None)"#));
    assert!(code.contains(r#"Error::Full(text) => ::edge::case("full", Some(text))"#));
    assert!(code.contains(r#"Error::Odd(_) => ::edge::case("odd", None)"#));
}

#[test]
fn types_of_interfaces_are_written_and_read_by_their_names_in_wit() {
    let code = edge(|edge| {
        let interfaces: Vec<_> = edge.methods.iter().map(|method| method.interface).collect();
        crate::implementations(&edge.bindings, &interfaces[..1])
    });
    assert!(code.contains(r#".field("connection", &self.connection)"#));
    assert!(code.contains(r#"["not-there", "full", "odd"]"#));
}
