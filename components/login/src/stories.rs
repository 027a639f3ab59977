//! The component in the world of the tests.

use guest::sql::Value;
use guest::{Audience, Caller, Connection, Error, ErrorCode, Kick};
use native::{Call, Push, World, run as finish};

use crate::Component;
use crate::bindings::exports::mpim::im::login::{Grant, Guest};
use crate::bindings::exports::mpim::im::session_check::Guest as CheckGuest;

const PASSWORD: &str = "correct horse";

fn register(name: &str) -> Result<u64, Error> {
    finish(Component::register(name.to_owned(), PASSWORD.to_owned()))
}

fn login_with(name: &str, password: &str, device: &str, class: Option<&str>) -> Result<Grant, Error> {
    let (name, password, device) = (name.to_owned(), password.to_owned(), device.to_owned());
    finish(Component::login(name, password, device, class.map(str::to_owned)))
}

fn login(device: &str, class: &str) -> Result<Grant, Error> {
    login_with("ana", PASSWORD, device, Some(class))
}

fn is_live(grant: &Grant) -> bool {
    finish(Component::verify(grant.token.clone())).is_ok()
}

fn caller(grant: &Grant) -> Caller {
    Caller {
        user: grant.user,
        session: grant.session,
        device: "d".to_owned(),
        connection: None,
    }
}

/// Who was told since the last time that their session has ended, and why.
fn kicked(world: &World) -> Vec<(Audience, Kick)> {
    let kick = |push| match push {
        Push::Kicked(to, kick) => (to, kick),
        other => panic!("nobody is told {other}"),
    };
    world.pushes().into_iter().map(kick).collect()
}

fn code<T>(outcome: Result<T, Error>) -> Option<ErrorCode> {
    outcome.err().map(|error| error.code)
}

#[test]
fn a_token_stands_for_its_session() {
    let world = World::with_users(0);
    let user = register("Ana").unwrap();
    let grant = login_with("ANA", PASSWORD, "d1", None).unwrap();
    let identity = finish(Component::verify(grant.token.clone())).unwrap();
    assert_eq!((identity.user, identity.session), (user, grant.session));
    assert_eq!(
        (identity.device.as_str(), identity.device_class.as_str()),
        ("d1", "default")
    );
    assert_eq!(identity.expires_at, grant.expires_at);

    let rows = world.store().rows("SELECT token_hash FROM sessions");
    let [[Value::Text(kept)]] = [&rows[0][..]] else {
        panic!("one hash in {rows:?}")
    };
    assert_ne!(*kept, grant.token);
    let unknown = [kept.clone(), String::new(), "x".repeat(1000)];
    for token in unknown {
        assert_eq!(code(finish(Component::verify(token))), Some(ErrorCode::Unauthenticated));
    }
}

#[test]
fn a_name_is_taken_without_regard_to_case() {
    let world = World::with_users(0);
    register("Ana").unwrap();
    assert_eq!(code(register("aNA")), Some(ErrorCode::AlreadyExists));
    assert_eq!(
        world.guards().asked().first(),
        Some(&("register".to_owned(), "all".to_owned()))
    );
}

#[test]
fn an_unknown_name_and_a_wrong_password_have_one_answer_and_one_cost() {
    let world = World::with_users(0);
    register("ana").unwrap();
    let known = login_with("ana", "wrong password", "d", None).unwrap_err();
    let (verified, made) = (world.calls(&[Call::Verify]), world.calls(&[Call::Hash]));
    let unknown = login_with("bob", "wrong password", "d", None).unwrap_err();
    assert_eq!((known.code, known.message), (unknown.code, unknown.message));
    assert_eq!((verified, world.calls(&[Call::Verify])), (1, 2));
    assert_eq!(made, world.calls(&[Call::Hash]));
}

#[test]
fn the_password_of_the_decoy_opens_nothing() {
    let _world = World::with_users(0);
    let denied = login_with("bob", "the password of nobody", "d", None);
    assert_eq!(code(denied), Some(ErrorCode::Unauthenticated));
}

#[test]
fn logins_are_limited_by_name_without_regard_to_case() {
    let world = World::with_users(0);
    register("ana").unwrap();
    world.guards().limit("login", 1.0, 0.0);
    let refused = login_with("Ana", PASSWORD, "d", None).unwrap_err();
    assert_eq!((refused.code, refused.retryable), (ErrorCode::RateLimited, true));
    assert_eq!(
        world.guards().asked().last(),
        Some(&("login".to_owned(), "ana".to_owned()))
    );
    assert_eq!(world.calls(&[Call::Verify]), 0);
}

#[test]
fn a_login_ends_the_session_of_the_same_device_under_every_policy() {
    for policy in ["kick", "refuse", "allow"] {
        let world = World::with_users(0);
        world.set("policy", policy);
        register("ana").unwrap();
        let first = login("d1", "phone").unwrap();
        let second = login("d1", "tablet").unwrap();
        assert!(!is_live(&first) && is_live(&second), "{policy}");
        let told: Vec<_> = kicked(&world).into_iter().map(|(to, _)| to.sessions).collect();
        assert_eq!(told, [[first.session]], "{policy}");
    }
}

#[test]
fn kick_ends_the_sessions_of_the_same_class_and_tells_them() {
    let world = World::with_users(0);
    register("ana").unwrap();
    register("bob").unwrap();
    let (phone, web) = (login("d1", "phone").unwrap(), login("d2", "web").unwrap());
    let bob = login_with("bob", PASSWORD, "d1", Some("phone")).unwrap();
    let other_phone = login("d3", "phone").unwrap();
    assert!(!is_live(&phone) && is_live(&web) && is_live(&bob) && is_live(&other_phone));

    let kicked = kicked(&world);
    assert_eq!(kicked.len(), 1);
    let (to, kick) = &kicked[0];
    assert_eq!(to.sessions, [phone.session]);
    assert_eq!(to.close.as_deref(), Some("replaced-by-new-login"));
    assert_eq!(to.priority, guest::Priority::Urgent);
    assert!(to.recipients.is_empty() && to.topics.is_empty() && to.nodes.is_empty());
    assert_eq!(
        (kick.reason.as_str(), kick.by_device.as_deref()),
        ("replaced-by-new-login", Some("phone"))
    );
}

#[test]
fn refuse_lets_in_one_device_of_a_class_and_keeps_nothing_of_the_others() {
    let world = World::with_users(0);
    world.set("policy", "refuse");
    register("ana").unwrap();
    let phone = login("d1", "phone").unwrap();
    assert_eq!(code(login("d2", "phone")), Some(ErrorCode::AlreadyExists));
    let web = login("d2", "web").unwrap();
    assert_eq!(code(login("d2", "phone")), Some(ErrorCode::AlreadyExists));
    assert!(is_live(&phone) && is_live(&web));
    assert!(kicked(&world).is_empty());

    finish(Component::logout(caller(&phone))).unwrap();
    assert!(login("d2", "phone").is_ok());
}

#[test]
fn allow_leaves_the_sessions_of_the_same_class() {
    let world = World::with_users(0);
    world.set("policy", "allow");
    register("ana").unwrap();
    let (one, other) = (login("d1", "phone").unwrap(), login("d2", "phone").unwrap());
    assert!(is_live(&one) && is_live(&other));
}

#[test]
fn an_unknown_policy_is_a_fault_of_the_service() {
    let world = World::with_users(0);
    world.set("policy", "deny");
    register("ana").unwrap();
    assert_eq!(code(login("d1", "phone")), Some(ErrorCode::Internal));
}

#[test]
fn a_user_has_no_more_live_sessions_than_the_setting_says() {
    let world = World::with_users(0);
    world.set("policy", "allow");
    world.set("max-sessions", "2");
    register("ana").unwrap();
    let (one, other) = (login("d1", "phone").unwrap(), login("d2", "phone").unwrap());
    assert_eq!(code(login("d3", "phone")), Some(ErrorCode::TooLarge));
    assert!(is_live(&one) && is_live(&other));
    assert!(login("d2", "phone").is_ok());
}

#[test]
fn a_password_changed_meanwhile_opens_no_session() {
    let world = World::with_users(0);
    register("ana").unwrap();
    let account = finish(crate::store::account("ana")).unwrap().unwrap();
    world.exec("UPDATE users SET password_hash = 'hash of another'");
    let new = crate::new_session("d1".to_owned(), "phone".to_owned(), &crate::token::make().unwrap());
    let refused = finish(crate::store::open_session(&account, &new, crate::Policy::Kick, 100));
    assert_eq!(code(refused), Some(ErrorCode::Unauthenticated));
}

#[test]
fn an_expired_session_is_not_live_and_in_nobodys_way() {
    let world = World::with_users(0);
    world.set("policy", "refuse");
    world.set("session-ttl-ms", "1000");
    register("ana").unwrap();
    let expired = login("d1", "phone").unwrap();
    world.clock().advance_ms(999);
    assert!(is_live(&expired));
    world.clock().advance_ms(1);
    assert!(!is_live(&expired));
    assert!(finish(Component::sessions(caller(&expired))).unwrap().is_empty());
    assert!(login("d2", "phone").is_ok());
}

#[test]
fn logging_out_ends_the_session_and_closes_its_connections() {
    let world = World::with_users(0);
    register("ana").unwrap();
    let (phone, web) = (login("d1", "phone").unwrap(), login("d2", "web").unwrap());
    finish(Component::logout(caller(&phone))).unwrap();
    finish(Component::logout(caller(&phone))).unwrap();
    assert!(!is_live(&phone) && is_live(&web));
    let kicked = kicked(&world);
    assert!(kicked.iter().all(|(to, kick)| {
        to.sessions == [phone.session] && to.close.as_deref() == Some("logged-out") && kick.by_device.is_none()
    }));
}

#[test]
fn a_user_lists_and_revokes_their_own_sessions_only() {
    let world = World::with_users(0);
    register("ana").unwrap();
    register("bob").unwrap();
    let (phone, web) = (login("d1", "phone").unwrap(), login("d2", "web").unwrap());
    let bob = login_with("bob", PASSWORD, "d1", None).unwrap();
    let listed = finish(Component::sessions(caller(&phone))).unwrap();
    let shape: Vec<(u64, bool)> = listed.iter().map(|session| (session.id, session.current)).collect();
    assert_eq!(shape, [(web.session, false), (phone.session, true)]);

    for foreign in [bob.session, 999, u64::MAX] {
        assert_eq!(
            code(finish(Component::revoke(caller(&phone), foreign))),
            Some(ErrorCode::NotFound)
        );
    }
    assert!(kicked(&world).is_empty());
    finish(Component::revoke(caller(&phone), web.session)).unwrap();
    finish(Component::revoke(caller(&phone), web.session)).unwrap();
    assert!(!is_live(&web) && is_live(&phone) && is_live(&bob));
    assert_eq!(
        kicked(&world).first().and_then(|(to, _)| to.close.clone()).as_deref(),
        Some("revoked")
    );
}

#[test]
fn the_check_names_the_connections_of_ended_and_unknown_sessions() {
    let world = World::with_users(0);
    world.set("policy", "allow");
    world.set("max-sessions", "1000");
    register("ana").unwrap();
    let grants: Vec<Grant> = (0..450)
        .map(|device| login(&format!("d{device}"), "phone").unwrap())
        .collect();
    let connections = grants
        .iter()
        .map(|grant| grant.session)
        .chain([999_999])
        .map(|session| Connection {
            id: session + 1_000_000,
            node: "n".to_owned(),
            user: 1,
            session,
            device: "d".to_owned(),
            device_class: "phone".to_owned(),
        });
    let connections: Vec<Connection> = connections.collect();
    finish(Component::revoke(caller(&grants[0]), grants[300].session)).unwrap();
    let ended = finish(Component::check_sessions(connections)).unwrap();
    assert_eq!(ended, [grants[300].session + 1_000_000, 1_999_999]);
    assert!(finish(Component::check_sessions(Vec::new())).unwrap().is_empty());
}
