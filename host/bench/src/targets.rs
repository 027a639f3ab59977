//! What the figures are meant to reach, on two cores that the load generator shares.

use crate::record::{Record, Row};

/// Where a record was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    /// Anywhere.
    Any,
    /// Embedded storage.
    Embedded,
    /// Servers: Redis, or MySQL.
    Servers,
}

/// On which side of the target a figure has to be.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// A target: a figure of the row of that name, or of the last row with these letters in its name.
struct Target {
    what: &'static str,
    benchmark: &'static str,
    on: On,
    row: &'static str,
    /// Several: their sum counts.
    figures: &'static [&'static str],
    bound: Bound,
    /// What would be cheapest to do next where it is missed.
    next: &'static str,
}

const fn target(
    what: &'static str,
    (benchmark, on, row): (&'static str, On, &'static str),
    figures: &'static [&'static str],
    bound: Bound,
) -> Target {
    Target {
        what,
        benchmark,
        on,
        row,
        figures,
        bound,
        next: "",
    }
}

impl Target {
    const fn next(self, next: &'static str) -> Self {
        Self { next, ..self }
    }
}

/// What a component may cost, in terms of the same code called natively.
const fn native(what: &'static str, (on, row): (On, &'static str)) -> Target {
    target(what, ("native", on, row), &["cpu_ratio"], AtMost(1.15)).next(NATIVE_NEXT)
}

const CALL_NEXT: &str = "nothing of ours is in it: Wasmtime's own bookkeeping of tasks and fibers";
const MESSAGE_NEXT: &str = "notifications of several messages in one call of the host";
const SERVERS_NEXT: &str = "one update for all devices that acknowledge together, instead of one each";
const IDLE_SERVERS_NEXT: &str = "most of it is threads that sleep and wake, in the node and in the database, once for each \
                                 statement: a batch and its COMMIT as one compound statement, on servers that know such";
const NATIVE_NEXT: &str = "rows and records that cross the border as one list of bytes; subcalls without Val";

use Bound::{AtLeast, AtMost};
use On::{Any, Embedded, Servers};

const HELLO: (&str, On, &str) = ("http", Embedded, "hello, 32 connections");
const REDIS: (&str, On, &str) = ("http", Servers, "one cache get and one set, 32 connections");
const MYSQL: (&str, On, &str) = ("http", Servers, "one select by key, 32 connections");
const SEND: (&str, On, &str) = ("send", Embedded, "as many as are answered");
const SEND_SERVERS: (&str, On, &str) = ("send", Servers, "as many as are answered");
const AT_500: (&str, On, &str) = ("send", Embedded, "500 offered");
const AT_500_SERVERS: (&str, On, &str) = ("send", Servers, "500 offered");

const TARGETS: &[Target] = &[
    target(
        "warm call, typed, ns",
        ("host", Any, "warm call, typed, async export"),
        &["cpu_ns"],
        AtMost(1500.0),
    )
    .next(CALL_NEXT),
    target(
        "warm call, dynamic, ns",
        ("host", Any, "warm call, dynamic, async export"),
        &["cpu_ns"],
        AtMost(2500.0),
    )
    .next(CALL_NEXT),
    target(
        "warm call with two async asks, ns",
        ("host", Any, "warm call, typed, 2 async asks"),
        &["cpu_ns"],
        AtMost(3000.0),
    )
    .next(CALL_NEXT),
    target(
        "fresh sandbox and its first call, ns",
        ("host", Any, "fresh sandbox and its first call"),
        &["cpu_ns"],
        AtMost(20_000.0),
    ),
    target(
        "warm sandbox, bytes",
        ("host", Any, "a warm sandbox"),
        &["resident_bytes"],
        AtMost(65_536.0),
    ),
    target("hello, CPU of a request, µs", HELLO, &["server_cpu_us"], AtMost(25.0)),
    target(
        "hello, requests a second",
        HELLO,
        &["requests_per_s"],
        AtLeast(50_000.0),
    ),
    target(
        "Redis get and set, CPU of a request, µs",
        REDIS,
        &["server_cpu_us"],
        AtMost(60.0),
    ),
    target(
        "Redis get and set, requests a second",
        REDIS,
        &["requests_per_s"],
        AtLeast(20_000.0),
    ),
    target("Redis get and set, p50, µs", REDIS, &["p50_us"], AtMost(1500.0)),
    target(
        "MySQL select, CPU of a request, µs",
        MYSQL,
        &["server_cpu_us"],
        AtMost(70.0),
    ),
    target(
        "MySQL select, requests a second",
        MYSQL,
        &["requests_per_s"],
        AtLeast(14_000.0),
    ),
    target("MySQL select, p50, µs", MYSQL, &["p50_us"], AtMost(2000.0)),
    target(
        "messages, embedded, a second",
        SEND,
        &["accepted_per_s"],
        AtLeast(20_000.0),
    )
    .next(MESSAGE_NEXT),
    target("messages, embedded, p99, ms", SEND, &["p99_ms"], AtMost(50.0)),
    target(
        "messages, embedded, CPU of each, µs",
        SEND,
        &["server_cpu_us"],
        AtMost(60.0),
    )
    .next(MESSAGE_NEXT),
    target("messages, embedded, 500/s: p50, ms", AT_500, &["p50_ms"], AtMost(1.0)),
    target("messages, embedded, 500/s: p99, ms", AT_500, &["p99_ms"], AtMost(5.0)),
    target(
        "messages, servers, a second",
        SEND_SERVERS,
        &["accepted_per_s"],
        AtLeast(10_000.0),
    )
    .next(SERVERS_NEXT),
    target(
        "messages, servers, CPU of each with the stores', µs",
        SEND_SERVERS,
        &["server_cpu_us", "mariadb_cpu_us", "redis_cpu_us"],
        AtMost(150.0),
    )
    .next(SERVERS_NEXT),
    target(
        "messages, servers, 500/s: p50, ms",
        AT_500_SERVERS,
        &["p50_ms"],
        AtMost(1.0),
    )
    .next(IDLE_SERVERS_NEXT),
    target(
        "messages, servers, 500/s: p99, ms",
        AT_500_SERVERS,
        &["p99_ms"],
        AtMost(5.0),
    )
    .next(IDLE_SERVERS_NEXT),
    target(
        "offline pull, messages a second",
        ("offline", Any, "abreast"),
        &["messages_per_s"],
        AtLeast(100_000.0),
    ),
    target(
        "deliveries to 1,000 online, a second",
        ("group", Any, ", 1000 online"),
        &["deliveries_per_s"],
        AtLeast(100_000.0),
    ),
    target(
        "group of 100,000 against one of 100, CPU",
        ("group", Any, "members against 100,"),
        &["server_cpu_us_ratio"],
        AtMost(1.2),
    ),
    target(
        "logins by token, a second",
        ("login", Any, "by token, 64 at a time"),
        &["logins_per_s"],
        AtLeast(10_000.0),
    )
    .next("the five calls of a connection that comes as one; a cheaper handshake than that of a web framework"),
    target(
        "idle connection, bytes",
        ("idle", Any, "connections"),
        &["server_resident_bytes"],
        AtMost(8192.0),
    ),
    target(
        "idle connection, CPU in a second, µs",
        ("idle", Any, "connections"),
        &["server_cpu_us"],
        AtMost(2.0),
    ),
    target(
        "10,000,000 stored messages against 1,000, p50",
        ("scale", Any, "10000000 messages stored, 1000 users against"),
        &["p50_ms_ratio"],
        AtMost(1.3),
    ),
    native("send.send-message against native", (Embedded, "send.send-message, 64")),
    native(
        "pull-offline.pull against native",
        (Embedded, "pull-offline.pull 500, 64"),
    ),
    native(
        "group-pull.pull against native",
        (Embedded, "group-pull.pull 50, stored, 64"),
    ),
    native("login.verify against native", (Embedded, "login.verify, 64")),
    native(
        "presence.set-online against native",
        (Embedded, "presence.set-online, 64"),
    ),
    native(
        "route.route-message against native",
        (Embedded, "route.route-message, 64"),
    ),
    native(
        "send.send-message against native, servers",
        (Servers, "send.send-message, 64"),
    ),
    native(
        "pull-offline.pull against native, servers",
        (Servers, "pull-offline.pull 500, 64"),
    ),
    native(
        "group-pull.pull against native, servers",
        (Servers, "group-pull.pull 50, stored, 64"),
    ),
    native("login.verify against native, servers", (Servers, "login.verify, 64")),
    native(
        "presence.set-online against native, servers",
        (Servers, "presence.set-online, 64"),
    ),
    native(
        "route.route-message against native, servers",
        (Servers, "route.route-message, 64"),
    ),
    target(
        "start with nothing to compile, ms",
        ("start", Any, "nothing to compile"),
        &["ready_ms"],
        AtMost(150.0),
    ),
];

/// A target and what was measured.
#[derive(Debug, PartialEq)]
pub(crate) struct Held {
    pub(crate) what: &'static str,
    /// With its sign, such as `≤ 60`.
    pub(crate) target: String,
    pub(crate) measured: f64,
    /// How many times the target the figure is, or the target the figure: more than 1 is missed.
    pub(crate) off: f64,
    /// What would be cheapest to do next.
    pub(crate) next: &'static str,
}

/// Every target of which something was measured.
pub(crate) fn held(records: &[Record]) -> Vec<Held> {
    TARGETS.iter().filter_map(|target| target.held(records)).collect()
}

impl Target {
    fn held(&self, records: &[Record]) -> Option<Held> {
        let of = records
            .iter()
            .filter(|record| record.benchmark == self.benchmark && self.on.fits(record));
        let rows: Vec<&Row> = of.flat_map(|record| &record.rows).collect();
        let named = rows.iter().find(|row| row.name == self.row);
        let row = named.or_else(|| rows.iter().rfind(|row| row.name.contains(self.row)))?;
        let measured = self.figure(row)?;
        let (sign, bound, off) = match self.bound {
            AtMost(bound) => ("≤", bound, measured / bound),
            AtLeast(bound) => ("≥", bound, bound / measured.max(f64::MIN_POSITIVE)),
        };
        Some(Held {
            what: self.what,
            target: format!("{sign} {bound}"),
            measured,
            off,
            next: self.next,
        })
    }

    fn figure(&self, row: &Row) -> Option<f64> {
        self.figures.iter().map(|name| row.median.of(name)).sum()
    }
}

impl On {
    fn fits(self, record: &Record) -> bool {
        let servers = ["--mysql", "--redis", "in Redis", "in MySQL"]
            .iter()
            .any(|word| record.server.contains(word));
        match self {
            Any => true,
            Embedded => !servers,
            Servers => servers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::held;
    use crate::figures::Figures;
    use crate::record::{Point, Record, Row};

    fn record(server: &str, row: &str, figures: Figures) -> Record {
        Record {
            benchmark: "send".to_owned(),
            server: server.to_owned(),
            rows: vec![Row::new(Point::named(row), Vec::new(), vec![figures])],
            ..Record::default()
        }
    }

    #[test]
    fn a_target_is_held_against_what_was_measured_where_it_counts() {
        let embedded = Figures::default()
            .with("accepted_per_s", 40_000.0)
            .with("p99_ms", 100.0);
        let servers = Figures::default()
            .with("server_cpu_us", 100.0)
            .with("mariadb_cpu_us", 150.0)
            .with("redis_cpu_us", 50.0);
        let found = held(&[
            record("mpim up", "as many as are answered", embedded),
            record("mpim up --mysql x", "as many as are answered", servers),
        ]);
        let told: Vec<_> = found
            .iter()
            .map(|held| (held.target.as_str(), held.measured, held.off))
            .collect();
        assert_eq!(
            told,
            [("≥ 20000", 40_000.0, 0.5), ("≤ 50", 100.0, 2.0), ("≤ 150", 300.0, 2.0)]
        );
    }
}
