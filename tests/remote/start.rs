//! A node without functions that cannot start says why.

use std::sync::Arc;

use serde_json::json;

use super::fleet::Fleet;
use crate::harness::node::{Folder, mpim};
use crate::harness::{Manifest, Node, http};

/// What `mpim up` says to a usage that is wrong.
fn misused(arguments: &[&str]) -> String {
    let output = mpim().arg("up").args(arguments).output().expect("the binary runs");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    said
}

fn refused(arguments: &[&str]) -> String {
    let started = Node::try_with_arguments(&Manifest::default(), Arc::new(Folder::new()), arguments);
    started.map(|_| ()).expect_err("it must not start")
}

#[test]
fn functions_run_here_or_at_an_address_that_is_named() {
    assert!(misused(&["--functions", "none"]).contains("--remote"));
    assert!(misused(&["--remote", "http://127.0.0.1:1"]).contains("--functions"));
    assert!(misused(&["--functions", "send"]).contains("--remote"));
    assert!(misused(&["--functions", "send,,"]).contains("`none`"));
}

#[test]
fn a_node_without_functions_needs_servers_that_it_shares_with_them() {
    let away = ["--functions", "none", "--remote", "http://127.0.0.1:1"];
    let said = refused(&away);
    assert!(said.contains("--mysql") && said.contains("--redis"), "{said}");
}

#[test]
fn a_token_of_the_operator_that_anybody_could_guess_is_refused() {
    for token in ["short", "sixteen letters, not visible \u{e4}", "with a space inside"] {
        let said = refused(&["--operator-token", token]);
        assert!(said.contains("at least 16 characters"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_a_fleet_share_a_token_of_their_operator() {
    const TOKEN: &str = "the-operator-of-a-fleet";
    let fleet = Fleet::new();
    let whole = fleet.whole();
    let (url, folder) = (whole.url.clone(), whole.kill());
    let token = ["--operator-token", TOKEN];
    let whole = tokio::task::block_in_place(|| fleet.whole_again(&url, folder, &token));
    let edge = fleet
        .try_edge(&[&["--remote", &whole.url], &token[..]].concat())
        .expect("started");
    for node in [&whole, &edge] {
        assert_eq!(http::get(node, "/admin/functions", Some(TOKEN)).await.status, 200);
        let done = http::done(node, "send", "retry-pending", &json!({}), Some(TOKEN)).await;
        assert!(done.is_number(), "{done}");
    }
    assert_eq!(
        http::get(&whole, "/admin/functions", Some(&whole.operator_token()))
            .await
            .status,
        401
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_its_functions_do_not_trust_does_not_start() {
    let fleet = Fleet::new();
    let whole = fleet.whole();
    http::register(&whole, "ann").await;
    let user = http::login(&whole, "ann", "phone").await;
    for token in ["nothing-of-the-kind", user.as_str()] {
        let started = fleet.try_edge(&["--remote", &whole.url, "--remote-token", token]);
        let said = started.map(|_| ()).expect_err(token);
        assert!(said.contains(&whole.url) && said.contains("--remote-token"), "{said}");
        assert!(!said.contains(token), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_without_the_functions_of_the_manifest_is_named() {
    let fleet = Fleet::new();
    let whole = fleet.whole();
    let elsewhere = format!("{}/elsewhere", whole.url);
    let token = whole.operator_token();
    for (url, part) in [
        (elsewhere.as_str(), "do not fit the manifest of this node"),
        ("https://127.0.0.1:1", "TLS is left to a proxy"),
        ("nonsense", "`nonsense` is no address of functions"),
    ] {
        let said = fleet.try_edge(&["--remote", url, "--remote-token", &token]).map(|_| ());
        let said = said.expect_err(url);
        assert!(said.contains(part), "{said}");
    }
}
