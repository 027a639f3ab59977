//! Who may call what.

use std::cell::RefCell;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use wire::json::{JsonPath, Members};

use wire::Value;
use wire::error::EdgeError;

use super::*;
use crate::function::BATCH_BODIES;

const OPERATOR: &str = "an operator's token";

thread_local! {
    static CALLED: RefCell<Vec<(String, Option<Caller>)>> = const { RefCell::new(Vec::new()) };
}

struct Words;

impl Function for Words {
    const NAME: &'static str = "words";
    const FRAME_MAX_BYTES: usize = 64;
    const ANSWER_MAX_BYTES: usize = 16;
    const METHODS: &'static [Method] = &[
        Method {
            name: "echo",
            public: true,
            takes_caller: true,
        },
        Method {
            name: "hello",
            public: true,
            takes_caller: false,
        },
        Method {
            name: "sweep",
            public: false,
            takes_caller: false,
        },
    ];

    async fn prepare() -> Result<(), EdgeError> {
        Ok(())
    }

    async fn verify(token: String) -> Result<Caller, EdgeError> {
        match token.as_str() {
            "ann" => Ok(ann()),
            _ => Err(EdgeError::permanent("unauthenticated", "unknown token")),
        }
    }

    async fn call(method: &str, params: Value, caller: Option<Caller>) -> Answer {
        CALLED.with_borrow_mut(|called| called.push((method.to_owned(), caller)));
        let at = JsonPath::PARAMS;
        let mut members = Members::of(params, &at)?;
        let text: Option<String> = members.take("text")?;
        members.end()?;
        Ok(json(&text))
    }
}

fn ann() -> Caller {
    Caller {
        user: 1,
        session: 2,
        device: "d".to_owned(),
        connection: None,
    }
}

/// What a request gives, and who was told to call.
fn ask(method: &str, token: Option<&str>, callers: &[&[u8]], body: &str) -> (Answer, Vec<(String, Option<Caller>)>) {
    let authorization = token.map(|token| format!("Bearer {token}"));
    let parts = Parts {
        names: ("words", method),
        content_type: None,
        authorization: authorization.as_deref(),
        callers,
        body: body.as_bytes(),
    };
    let mut answering = pin!(answer::<Words>(parts, OPERATOR));
    let Poll::Ready(answer) = answering.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("nothing here waits");
    };
    (answer, CALLED.take())
}

fn code(answer: &Answer) -> &str {
    answer.as_ref().map_or_else(|error| error.code.as_str(), |_| "ok")
}

#[test]
fn a_token_stands_for_its_user_and_a_method_for_users_wants_one() {
    let (answer, called) = ask("echo", Some("ann"), &[], r#"{"text":"a"}"#);
    assert_eq!(answer, Ok(b"\"a\"".to_vec()));
    assert_eq!(called, [("echo".to_owned(), Some(ann()))]);
    for token in [None, Some("bob")] {
        let (answer, called) = ask("echo", token, &[], "");
        assert_eq!(code(&answer), "unauthenticated");
        assert!(called.is_empty());
    }
}

#[test]
fn a_private_method_is_for_the_operator_in_person() {
    assert_eq!(code(&ask("sweep", Some(OPERATOR), &[], "").0), "ok");
    let callers: [&[&[u8]]; 2] = [&[b"anonymous"], &[br#"{"user":"1","session":"2","device":"d"}"#]];
    for callers in callers {
        assert_eq!(code(&ask("sweep", Some(OPERATOR), callers, "").0), "unknown_method");
    }
    for token in [None, Some("ann")] {
        let (answer, called) = ask("sweep", token, &[], "");
        assert_eq!(code(&answer), "unknown_method");
        assert!(called.is_empty());
    }
}

#[test]
fn an_operator_calls_on_behalf_of_whom_it_names() {
    let callers: [&[u8]; 1] = [br#"{"user":"1","session":2,"device":"d","connection":"7"}"#];
    let (answer, called) = ask("echo", Some(OPERATOR), &callers, "");
    assert_eq!(code(&answer), "ok");
    let caller = Caller {
        connection: Some(7),
        ..ann()
    };
    assert_eq!(called, [("echo".to_owned(), Some(caller))]);
    assert_eq!(code(&ask("echo", Some(OPERATOR), &[], "").0), "unauthenticated");
    assert_eq!(
        code(&ask("echo", Some(OPERATOR), &[b"anonymous"], "").0),
        "unauthenticated"
    );
    for nonsense in [
        &b"{}"[..],
        b"",
        b"[1]",
        br#"{"user":"1","session":"2","device":"d","more":1}"#,
    ] {
        assert_eq!(code(&ask("hello", Some(OPERATOR), &[nonsense], "").0), "invalid");
    }
    let twice: [&[u8]; 2] = [b"anonymous", b"anonymous"];
    assert_eq!(code(&ask("hello", Some(OPERATOR), &twice, "").0), "invalid");
}

#[test]
fn nobody_else_names_a_caller() {
    for token in [None, Some("ann"), Some("")] {
        let (answer, called) = ask("hello", token, &[br#"{"user":"1","session":"2","device":"d"}"#], "");
        assert_eq!(answer.map_err(|error| error.status().as_u16()), Err(403));
        assert!(called.is_empty());
    }
}

#[test]
fn bodies_and_answers_are_bounded() {
    let long = format!(r#"{{"text":"{}"}}"#, "a".repeat(64));
    assert_eq!(code(&ask("hello", None, &[], &long).0), "too_large");
    let answered = format!(r#"{{"text":"{}"}}"#, "a".repeat(30));
    assert_eq!(code(&ask("hello", None, &[], &answered).0), "too_large");
    assert_eq!(code(&ask("hello", None, &[], "{").0), "parse_error");
    assert_eq!(code(&ask("hello", None, &[], r#"{"txt":"a"}"#).0), "invalid");
}

#[test]
fn the_operator_in_person_may_ask_a_batch() {
    let body = |bytes: usize| format!("{{{}}}", " ".repeat(bytes - 2));
    let most = Words::FRAME_MAX_BYTES * BATCH_BODIES;
    assert_eq!(code(&ask("sweep", Some(OPERATOR), &[], &body(most)).0), "ok");
    assert_eq!(code(&ask("sweep", Some(OPERATOR), &[], &body(most + 1)).0), "too_large");
    // On behalf of a client, and for anybody else, a body is that of a client.
    let long = body(Words::FRAME_MAX_BYTES + 1);
    assert_eq!(
        code(&ask("hello", Some(OPERATOR), &[b"anonymous"], &long).0),
        "too_large"
    );
    assert_eq!(code(&ask("sweep", Some("ann"), &[], &long).0), "too_large");
}
