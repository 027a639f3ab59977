//! The small things of the host, so that a change that makes one of them slower shows: `cargo bench -p mpim-bench`. Those that
//! need a component are left out where `cargo xtask fixtures` has not been run.

#![expect(clippy::expect_used, reason = "what cannot be had ends the benchmark that needs it")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use call::{Caller, Context};
use config::manifest::FunctionSource;
use config::{BreakerSettings, FunctionSettings, Settings, ms};
use criterion::{Criterion, criterion_group, criterion_main};
use invoke::{Input, Invoke, Route};
use policy::Breaker;
use runtime::{Engine, Method, Val, json};
use snowflake::{Ids, Loan, now_ms};
use tokio::runtime::Runtime;
use wire::push::{Audience, Push, Recipient};

criterion_group! {
    name = small;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
    targets = calls, pushes, breaker, ids
}
criterion_main!(small);

/// The probe, loaded.
struct Probe {
    runtime: Runtime,
    invoke: Arc<Invoke>,
    folder: PathBuf,
}

impl Probe {
    /// None where the component was not built.
    fn load() -> Option<Self> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/fixtures/bench-probe.wasm");
        let component = std::fs::read(file).ok()?;
        let folder = std::env::temp_dir().join(format!("mpim-small-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let runtime = Runtime::new().expect("a runtime");
        let settings = Settings::default();
        let public = vec!["test:bench/probe".to_owned()];
        let function = FunctionSource {
            component,
            settings: FunctionSettings {
                public,
                max_reuse: u32::MAX,
                ..FunctionSettings::default()
            },
        };
        let invoke = runtime.block_on(async {
            let services = node::services(&folder, "small", &settings).await.expect("a node");
            let engine = Engine::new(&settings.sandboxes, None).expect("an engine");
            let functions = BTreeMap::from([("probe".to_owned(), function)]);
            let (engine, services) = (Arc::new(engine), Arc::new(services));
            let loaded = Invoke::load(functions, None, &settings, &engine, &services);
            loaded.await.expect("the probe is loaded")
        });
        Some(Self {
            runtime,
            invoke,
            folder,
        })
    }

    fn route(&self, name: &str) -> Arc<Route> {
        self.invoke.table().route("probe", name).expect("a method of the probe")
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // What it kept is for nobody.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn calls(criterion: &mut Criterion) {
    let Some(probe) = Probe::load() else {
        println!("calls and JSON are left out: run `cargo xtask fixtures`");
        return;
    };
    let two_asks = [("look", Val::U32(2)), ("hello", Val::String("ann".to_owned()))];
    for (name, argument) in two_asks {
        let route = probe.route(name);
        criterion.bench_function(&format!("invoke/{name}"), |bencher| {
            bencher.iter_custom(|times| {
                probe.runtime.block_on(async {
                    let begun = Instant::now();
                    for _ in 0..times {
                        let context = Context::begin(Caller::Anonymous, route.deadline());
                        let arguments = Input::Values(vec![argument.clone()]);
                        let answer = probe.invoke.call(&route, arguments, context).await;
                        assert!(answer.is_ok(), "the probe answers");
                    }
                    begun.elapsed()
                })
            });
        });
    }
    json_of(criterion, probe.route("echo").binding.as_ref().expect("its types"));
}

const PROFILE: &str = r#"{"given":{"id":"1234567890123456789","name":"Ann Example","age":42,"active":true,"ratio":0.5,"tags":["one","two","three"],"note":"a line of text that says something"}}"#;

fn json_of(criterion: &mut Criterion, echo: &Method) {
    let read = |text: &str| {
        let value = serde_json::from_str(text).expect("JSON");
        json::arguments(echo.client_parameters(), value).expect("the record fits")
    };
    criterion.bench_function("json/in", |bencher| bencher.iter(|| read(black_box(PROFILE))));
    let values = read(PROFILE);
    let (record, ty) = (
        values.first().expect("one argument"),
        echo.result.as_ref().expect("a result"),
    );
    let mut out = Vec::new();
    criterion.bench_function("json/out", |bencher| {
        bencher.iter(|| {
            out.clear();
            json::write(black_box(record), ty, &mut out);
            out.len()
        });
    });
}

fn pushes(criterion: &mut Criterion) {
    let to = Audience {
        nodes: Vec::new(),
        recipients: vec![Recipient {
            user: 1_234_567_890_123,
            cursor: Some(42),
        }],
        topics: Vec::new(),
        sessions: Vec::new(),
        except_connection: Some(77),
        priority: 1,
        track: Some(1_234_567_890_124),
        close: None,
    };
    let body = br#"{"message":{"id":"1234567890124","conversation":"42","seq":"7","text":"a line of text"}}"#;
    let push = Push::notification(to, "message", body.to_vec()).expect("JSON");
    criterion.bench_function("push/encode", |bencher| bencher.iter(|| black_box(&push).encode()));
    let payload = push.encode().expect("encoded").payload;
    criterion.bench_function("push/decode", |bencher| {
        bencher.iter(|| Push::decode(black_box(&payload)))
    });
}

fn breaker(criterion: &mut Criterion) {
    let settings = BreakerSettings::default();
    let breaker = Breaker::new(settings.failures, ms(settings.open_ms));
    criterion.bench_function("breaker/allow and report", |bencher| {
        bencher.iter(|| {
            let now = Instant::now();
            if black_box(&breaker).allow(now) {
                breaker.report(true, now);
            }
        });
    });
}

fn ids(criterion: &mut Criterion) {
    let ids = Ids::default();
    let day = Duration::from_secs(24 * 3600);
    ids.lend(Loan {
        worker: 0,
        after_ms: now_ms(),
        until_ms: now_ms() + 24 * 3600 * 1000,
        ends: Instant::now() + day,
    });
    criterion.bench_function("ids/next", |bencher| bencher.iter(|| black_box(&ids).next()));
}
