//! Functions of a world that call each other: each is the real component, with settings, leases and a cache of its own.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use contacts::{Contacts as _, Relations as _};
use guest::route::Decision;
use guest::{Connection, breaker, rate_limit};
use login::Login as _;
use native::{Call, Fault, Push, World, caller, connection, run};
use presence::{Presence as _, PresenceLease as _};
use route::Route as _;
use send::Send as _;

/// The functions of an application, wired as the manifest wires them.
struct Application {
    world: World,
    contacts: World,
    presence: World,
    route: World,
    send: World,
}

fn application(users: u64) -> Application {
    let world = World::with_users(users);
    let application = Application {
        contacts: world.function("contacts"),
        presence: world.function("presence"),
        route: world.function("route"),
        send: world.function_with_cache("send", "groups"),
        world: world.clone(),
    };
    let contacts = application.contacts.clone();
    world.answer_watchers(move |users| Box::pin(contacts.within(contacts::Component::watchers(users))));
    let route = application.route.clone();
    world.answer_routes(move |users| {
        let route = route.clone();
        Box::pin(async move {
            let decision = route.within(route::Component::route_message(users)).await?;
            Ok(Decision {
                nodes: decision.nodes,
                online: decision.online,
                multi_connection: decision.multi_connection,
                offline: decision.offline,
            })
        })
    });
    application
}

impl Application {
    fn befriend(&self, one: u64, other: u64) {
        for (from, to) in [(one, other), (other, one)] {
            let request = contacts::Component::request(caller(from, "phone"), to);
            run(self.contacts.within(request)).unwrap();
        }
    }

    fn connect(&self, connection: &Connection) {
        let registered = route::Component::register_connection(connection.clone());
        run(self.route.within(registered)).unwrap();
        let online = presence::Component::set_online(connection.clone());
        run(self.presence.within(online)).unwrap();
    }

    fn send(&self, from: u64, to: u64, id: &str) -> Result<guest::Receipt, guest::Error> {
        let (from, content) = (caller(from, "phone"), "hello".to_owned());
        let sent = send::Component::send_message(from, to, id.to_owned(), content, None, None, None);
        run(self.send.within(sent))
    }
}

#[test]
fn presence_tells_those_whom_contacts_names() {
    let application = application(3);
    application.befriend(1, 2);
    application.world.pushes();
    application.connect(&connection(7, 2, "phone"));
    assert_eq!(application.world.told(), ["2 online: true to [1] [] except None"]);
    // A lease that nobody renews.
    application.world.clock().advance_ms(60 * 60 * 1000);
    let status = presence::Component::get_status(caller(1, "phone"), 2);
    assert!(!run(application.presence.within(status)).unwrap().online);
}

#[test]
fn a_message_goes_to_the_nodes_that_route_names() {
    let application = application(3);
    application.connect(&connection(200, 2, "phone"));
    application.world.pushes();
    application.send(1, 2, "a").unwrap();
    let pushes = application.world.pushes();
    let [Push::Message(to, message)] = &pushes[..] else {
        panic!("one message, not {pushes:?}")
    };
    assert_eq!(
        (to.nodes.as_slice(), to.recipients[0].user),
        (["n".to_owned()].as_slice(), 2)
    );
    assert_eq!(message.created_at, application.world.clock().now_ms());
    // The route cannot be asked: the message goes to every node.
    application.world.fail(&[Call::Route], Fault::Refused);
    application.send(1, 2, "b").unwrap();
    let pushes = application.world.pushes();
    let Push::Message(to, _) = &pushes[0] else {
        panic!("a message, not {pushes:?}")
    };
    assert!(to.nodes.is_empty());
}

#[test]
fn what_is_a_functions_own_is_unknown_to_others() {
    let application = application(1);
    application.connect(&connection(100, 1, "phone"));
    let metadata = application.world.metadata();
    assert_eq!(metadata.members("presence/online"), ["1"]);
    assert!(metadata.members("route/online").is_empty() && metadata.members("online").is_empty());
    application.world.set("retry-after-ms", 1);
    application.send.set("retry-after-ms", 2);
    let setting = |function: &World| run(function.within(async { guest::config::value_or("retry-after-ms", 0) }));
    assert_eq!((setting(&application.send), setting(&application.route)), (2, 1));
}

#[test]
fn rates_and_breakers_are_those_of_a_function() {
    let world = World::with_users(0);
    let (send, route) = (world.function("send"), world.function("route"));
    world.guards().limit("send/all", 1.0, 1.0);
    world.guards().limit("route/all", 1.0, 1.0);
    let acquire = |function: &World| run(function.within(async { rate_limit::acquire("all", "1", 1).is_ok() }));
    assert!(acquire(&send) && !acquire(&send) && acquire(&route));
    run(send.within(async { (0..5).for_each(|_| breaker::report("b", false)) }));
    let allow = |function: &World| run(function.within(async { breaker::allow("b") }));
    assert!(!allow(&send) && allow(&route));
}

#[test]
fn a_function_has_the_thread_only_while_its_call_is_polled() {
    let world = World::with_users(0);
    let (send, route) = (world.function("send"), world.function("route"));
    for (function, name) in [(&world, "world"), (&send, "send"), (&route, "route")] {
        function.set("name", name);
    }
    let name = || guest::config::value("name").unwrap();
    let names = run(send.within(async {
        let of_route = run(route.within(async { name() }));
        (of_route, name())
    }));
    assert_eq!(names, ("route".to_owned(), "send".to_owned()));
    assert_eq!(name(), "world");
}

/// What a world is like after some calls, with what they answered.
fn play(seed: u64) -> (String, String) {
    let world = World::seeded(seed, 0);
    let (name, password) = ("ana".to_owned(), "correct horse".to_owned());
    run(login::Component::register(name.clone(), password.clone())).unwrap();
    world.clock().advance_ms(1234);
    let grant = run(login::Component::login(name, password, "phone".to_owned(), None)).unwrap();
    let rows = world.store().rows("SELECT * FROM sessions");
    (grant.token, format!("{rows:?}"))
}

#[test]
fn the_same_seed_is_the_same_run_to_the_last_byte() {
    assert_eq!(play(7), play(7));
    assert_ne!(play(7).0, play(8).0);
}
