//! The table of routes is replaced while calls run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use backends::{Cache, Metadata, Queue, Sql, memory, sqlite};
use call::{Caller, Context};
use capabilities::{Backends, Services};
use config::manifest::FunctionSource;
use config::{FunctionSettings, MethodName, Settings};
use runtime::Engine;
use serde_json::json;
use tokio::task::JoinSet;

use crate::arguments::Input;
use crate::invoke::Invoke;
use crate::load::Sources;

/// A folder for the files of a node, gone with its owner.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a table is made with.
struct Stage {
    settings: Settings,
    engine: Arc<Engine>,
    services: Arc<Services>,
    component: Vec<u8>,
    _folder: Folder,
}

impl Stage {
    fn new(name: &str) -> Self {
        let folder = Folder(std::env::temp_dir().join(format!("mpim-invoke-{name}-{}", std::process::id())));
        std::fs::create_dir_all(&folder.0).expect("a folder");
        let file = folder.0.join("store");
        let settings = Settings::default();
        sqlite::migrate(&file, &settings.sqlite).expect("migrated");
        let backends = Backends {
            sql: Sql::Sqlite(sqlite::Sqlite::open(&file, &settings.sqlite).expect("opened")),
            cache: Cache::Memory(memory::Cache::new(&settings.cache)),
            metadata: Metadata::Memory(memory::Metadata::new(&settings.metadata)),
            queue: Queue::Memory(memory::Queue::new(&settings.queue)),
            local_queue: None,
        };
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/fixtures/echo.wasm");
        Self {
            engine: Arc::new(Engine::new(&settings.sandboxes, Some(folder.0.join("cache"))).expect("an engine")),
            services: Arc::new(Services::new("node", backends, &settings)),
            component: std::fs::read(fixture).expect("run `cargo xtask fixtures` first"),
            settings,
            _folder: folder,
        }
    }

    fn sources(&self) -> Sources {
        let settings = FunctionSettings {
            public: vec!["test:echo/echo".to_owned()],
            safe_to_repeat: vec!["say".to_owned()],
            ..FunctionSettings::default()
        };
        let source = FunctionSource {
            component: self.component.clone(),
            settings,
        };
        BTreeMap::from([("echo".to_owned(), source)])
    }

    async fn load(&self) -> Arc<Invoke> {
        let loaded = Invoke::load(self.sources(), None, &self.settings, &self.engine, &self.services);
        loaded.await.expect("loaded")
    }
}

async fn say(invoke: &Invoke, text: &str) -> String {
    let route = invoke.route("echo", "say").expect("there");
    let context = Context::begin(Caller::Anonymous, route.deadline());
    let answer = invoke.call(&route, Input::Json(json!({ "text": text })), context).await;
    let answer = answer.expect("answered").into_json(1000).expect("short");
    String::from_utf8(answer).expect("UTF-8")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_takes_the_place_of_another_while_calls_run() {
    const TABLES: usize = 40;
    let stage = Stage::new("replace");
    let invoke = stage.load().await;
    let first = Arc::downgrade(invoke.table().functions().next().expect("one"));
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut callers = JoinSet::new();
    for caller in 0..8 {
        let (invoke, stop, calls) = (invoke.clone(), stop.clone(), calls.clone());
        callers.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let text = format!("{caller}-{}", calls.fetch_add(1, Ordering::Relaxed));
                assert_eq!(say(&invoke, &text).await, format!("\"{text}\""));
            }
        });
    }
    // A route that was found before goes on to its release, whatever has taken its place.
    let old = invoke.route("echo", "say").expect("there");
    for _ in 0..TABLES {
        let before = calls.load(Ordering::Relaxed);
        let table = invoke.table_of(stage.sources(), None, &stage.settings, &stage.engine, &stage.services);
        invoke.replace(table.await.expect("made"));
        while calls.load(Ordering::Relaxed) == before {
            tokio::task::yield_now().await;
        }
    }
    assert!(first.upgrade().is_none(), "the first table is gone");
    let context = Context::begin(Caller::Anonymous, old.deadline());
    let late = invoke.call(&old, Input::Json(json!({ "text": "late" })), context).await;
    assert!(late.is_ok(), "a call ends on the route that it began with");
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = callers.join_next().await {
        ended.expect("every call was answered");
    }
    assert!(calls.load(Ordering::Relaxed) > TABLES as u64);
}

#[tokio::test]
async fn what_is_safe_to_repeat_is_checked_when_a_function_is_loaded() {
    let stage = Stage::new("safe");
    let invoke = stage.load().await;
    let safe = |method: &str| {
        let route = invoke.table().route("echo", method).expect("there");
        route.signature.safe_to_repeat
    };
    assert!(safe("say") && !safe("whisper"));
    let mut sources = stage.sources();
    let echo = sources.get_mut("echo").expect("one");
    echo.settings.safe_to_repeat.push("sing".to_owned());
    let loaded = Invoke::load(sources, None, &stage.settings, &stage.engine, &stage.services).await;
    let error = loaded.err().expect("refused").to_string();
    assert!(
        error.contains("echo.sing") && error.contains("safe to repeat"),
        "{error}"
    );
}

#[tokio::test]
async fn a_call_of_a_name_that_is_not_there_is_refused_by_its_name() {
    let stage = Stage::new("unknown");
    let invoke = stage.load().await;
    for (function, method) in [("echo", "sing"), ("nobody", "say")] {
        let error = invoke.route(function, method).err().expect("refused");
        assert_eq!(error.code, "unknown_method");
    }
    let route = invoke.route("echo", "whoami").expect("there");
    let context = Context::begin(Caller::Anonymous, route.deadline());
    let anonymous = invoke.call(&route, Input::Json(json!({})), context).await;
    assert_eq!(anonymous.err().expect("refused").code, "unauthenticated");
    let name = MethodName {
        function: "echo".to_owned(),
        method: "say".to_owned(),
    };
    let error = invoke.check(&name, "a timer", &[]).expect_err("it takes a text");
    assert!(error.to_string().contains("it must take no parameters"), "{error}");
}

#[tokio::test]
async fn a_private_method_is_for_the_host_and_for_other_functions_alone() {
    let stage = Stage::new("private");
    let mut sources = stage.sources();
    sources.get_mut("echo").expect("one").settings.public.clear();
    let loaded = Invoke::load(sources, None, &stage.settings, &stage.engine, &stage.services).await;
    let invoke = loaded.expect("loaded");
    let route = invoke.route("echo", "say").expect("there");
    let call = |context| invoke.call(&route, Input::Json(json!({ "text": "x" })), context);
    let context = |caller| Context::begin(caller, route.deadline());
    let user = Caller::User(call::User {
        user: 1,
        session: 2,
        device: "d".into(),
        connection: None,
    });
    for caller in [Caller::Anonymous, user.clone()] {
        let error = call(context(caller)).await.err().expect("refused");
        assert_eq!(error.code, "unknown_method");
    }
    assert!(call(context(Caller::System)).await.is_ok());
    assert!(
        call(context(user).below()).await.is_ok(),
        "a function on behalf of a client"
    );
}
