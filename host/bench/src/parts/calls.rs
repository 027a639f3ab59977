//! What a call costs: its sandbox, the way into the component and back, what the component asks of the host, another
//! function behind it, its JSON.

use call::{Caller, Context};
use capabilities::Guest;
use invoke::Function;
use runtime::{Lease, Sandbox, json};
use serde_json::Value;
use tokio::sync::Mutex;
use wasmtime::component::{ComponentNamedList, Func, Lift, Lower, TypedFunc, Val};

use super::meter::Meter;
use super::stage::{Callee, Functions, LONG, Stage, told};
use crate::failure::Failure;

/// Asks of the host in one call.
const ASKED: [u32; 4] = [0, 1, 2, 8];

/// Measures all of it.
pub(super) async fn measure(meter: &mut Meter, stage: &Stage) -> Result<(), Failure> {
    let functions = stage.load(|_| {}).await?;
    in_a_sandbox(meter, &functions).await?;
    through_invoke(meter, &functions).await?;
    let fresh = stage
        .load(|settings| {
            settings.max_reuse = 1;
            settings.min_warm = 0;
        })
        .await?;
    sandboxes(meter, &fresh).await?;
    as_json(meter, &functions.method("echo")?).await
}

fn name() -> Val {
    Val::String("ann".to_owned())
}

/// Calls of one sandbox, past everything that the host puts around them.
async fn in_a_sandbox(meter: &mut Meter, functions: &Functions) -> Result<(), Failure> {
    let probe = functions.probe()?;
    let warm = Mutex::new(Warm::take(&probe).await?);
    let warm = &warm;
    for (what, method) in [("async", "hello"), ("plain", "greet")] {
        let callee = functions.method(method)?;
        let func = warm.lock().await.func(&callee)?;
        let typed: TypedFunc<(&'static str,), (String,)> = warm.lock().await.typed(func)?;
        let what = format!("warm call, typed, {what} export");
        typed_calls(meter, &what, warm, typed, ("ann",)).await?;
        meter
            .measure(&format!("{what}, one event loop for all"), async |operations| {
                let mut warm = warm.lock().await;
                let store = &mut warm.sandbox().store;
                let calls = store.run_concurrent(async |accessor| {
                    for _ in 0..operations {
                        typed.call_concurrent(accessor, ("ann",)).await?;
                    }
                    wasmtime::Result::Ok(())
                });
                calls.await.flatten().map_err(told)
            })
            .await?;
        dynamic_calls(meter, &what.replace("typed", "dynamic"), warm, func, &[name()]).await?;
    }
    let look = warm.lock().await.func(&functions.method("look")?)?;
    let draw = warm.lock().await.func(&functions.method("draw")?)?;
    for asked in ASKED {
        let typed: TypedFunc<(u32,), (u32,)> = warm.lock().await.typed(look)?;
        let what = format!("warm call, typed, {asked} async asks (cache get)");
        typed_calls(meter, &what, warm, typed, (asked,)).await?;
    }
    for asked in ASKED {
        let what = format!("warm call, dynamic, {asked} async asks (cache get)");
        dynamic_calls(meter, &what, warm, look, &[Val::U32(asked)]).await?;
    }
    for asked in ASKED {
        let typed: TypedFunc<(u32,), (u64,)> = warm.lock().await.typed(draw)?;
        let what = format!("warm call, typed, {asked} plain asks (next id)");
        typed_calls(meter, &what, warm, typed, (asked,)).await?;
    }
    Ok(())
}

async fn typed_calls<P, R>(
    meter: &mut Meter,
    what: &str,
    warm: &Mutex<Warm<'_>>,
    typed: TypedFunc<P, R>,
    arguments: P,
) -> Result<(), Failure>
where
    P: ComponentNamedList + Lower + Copy + Send + Sync + 'static,
    R: ComponentNamedList + Lift + Send + Sync + 'static,
{
    let work = async |operations| {
        let mut warm = warm.lock().await;
        for _ in 0..operations {
            let store = &mut warm.sandbox().store;
            let call = store.run_concurrent(async |accessor| typed.call_concurrent(accessor, arguments).await);
            call.await.flatten().map_err(told)?;
        }
        Ok(())
    };
    meter.measure(what, work).await
}

async fn dynamic_calls(
    meter: &mut Meter,
    what: &str,
    warm: &Mutex<Warm<'_>>,
    func: Func,
    arguments: &[Val],
) -> Result<(), Failure> {
    let work = async |operations| {
        let mut warm = warm.lock().await;
        for _ in 0..operations {
            let mut results = [Val::Bool(false)];
            let store = &mut warm.sandbox().store;
            let call =
                store.run_concurrent(async |accessor| func.call_concurrent(accessor, arguments, &mut results).await);
            call.await.flatten().map_err(told)?;
        }
        Ok(())
    };
    meter.measure(what, work).await
}

/// A sandbox that serves one call which does not end.
struct Warm<'a>(Lease<'a, Guest>);

impl<'a> Warm<'a> {
    async fn take(probe: &'a Function) -> Result<Self, Failure> {
        let context = Context::begin(Caller::System, LONG);
        Ok(Self(pool(probe)?.lease(context).await.map_err(told)?))
    }

    fn sandbox(&mut self) -> &mut Sandbox<Guest> {
        &mut self.0.sandbox
    }

    fn func(&mut self, callee: &Callee) -> Result<Func, Failure> {
        let func = self.sandbox().methods.get(callee.binding()?.index).copied();
        func.ok_or_else(|| Failure::other("a method is gone"))
    }

    fn typed<P, R>(&mut self, func: Func) -> Result<TypedFunc<P, R>, Failure>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        func.typed(&self.sandbox().store).map_err(told)
    }
}

/// The sandboxes of a function.
pub(super) fn pool(function: &Function) -> Result<&runtime::Pool<Guest>, Failure> {
    function
        .pool()
        .ok_or_else(|| Failure::other("the probe does not run here"))
}

/// Calls with everything that the host puts around them.
async fn through_invoke(meter: &mut Meter, functions: &Functions) -> Result<(), Failure> {
    for (what, method) in [("async", "hello"), ("plain", "greet")] {
        let what = format!("call through invoke, {what} export");
        calls(meter, &what, &functions.method(method)?, &[name()]).await?;
    }
    for (method, kind) in [("look", "async asks (cache get)"), ("draw", "plain asks (next id)")] {
        for asked in ASKED {
            let what = format!("call through invoke, {asked} {kind}");
            calls(meter, &what, &functions.method(method)?, &[Val::U32(asked)]).await?;
        }
    }
    calls(
        meter,
        "call through invoke, a record there and back",
        &functions.method("echo")?,
        &[profile()],
    )
    .await?;
    let Some(relay) = functions.relay() else { return Ok(()) };
    calls(meter, "call of a function that calls another", &relay, &[name()]).await
}

/// Calls one after the other.
pub(super) async fn calls(meter: &mut Meter, what: &str, callee: &Callee, arguments: &[Val]) -> Result<(), Failure> {
    let work = async |operations| {
        for _ in 0..operations {
            callee.call(arguments.to_vec()).await?;
        }
        Ok(())
    };
    meter.measure(what, work).await
}

/// `fresh` keeps no sandbox.
async fn sandboxes(meter: &mut Meter, fresh: &Functions) -> Result<(), Failure> {
    let probe = fresh.probe()?;
    let work = async |operations| {
        for _ in 0..operations {
            let lease = pool(&probe)?.lease(Context::begin(Caller::System, LONG)).await;
            drop(lease.map_err(told)?);
        }
        Ok(())
    };
    meter.measure("sandbox made and thrown away", work).await?;
    calls(
        meter,
        "fresh sandbox and its first call",
        &fresh.method("hello")?,
        &[name()],
    )
    .await?;
    calls(
        meter,
        "fresh sandbox and its first call, 2 async asks",
        &fresh.method("look")?,
        &[Val::U32(2)],
    )
    .await
}

const PROFILE: &str = r#"{"given":{"id":"1234567890123456789","name":"Ann Example","age":42,"active":true,"ratio":0.5,"tags":["one","two","three"],"note":"a line of text that says something"}}"#;

/// Text to values, and values to text, as both edges do it.
async fn as_json(meter: &mut Meter, echo: &Callee) -> Result<(), Failure> {
    let method = echo.binding()?;
    let read = || {
        let value: Value = serde_json::from_str(PROFILE).map_err(told)?;
        json::arguments(method.client_parameters(), value).map_err(|_| Failure::other("the record does not fit"))
    };
    let values = read()?;
    meter
        .measure_now("JSON in, a record of 7 fields", || drop(std::hint::black_box(read())))
        .await?;
    let (Some(record), Some(ty)) = (values.first(), &method.result) else {
        return Err(Failure::other("`echo` takes and gives no record"));
    };
    let mut out = Vec::new();
    meter
        .measure_now("JSON out, a record of 7 fields", || {
            out.clear();
            json::write(std::hint::black_box(record), ty, &mut out);
        })
        .await
}

fn profile() -> Val {
    let text = |text: &str| Val::String(text.to_owned());
    let fields = [
        ("id", Val::U64(1_234_567_890_123_456_789)),
        ("name", text("Ann Example")),
        ("age", Val::U32(42)),
        ("active", Val::Bool(true)),
        ("ratio", Val::Float64(0.5)),
        ("tags", Val::List(["one", "two", "three"].map(text).to_vec())),
        (
            "note",
            Val::Option(Some(Box::new(text("a line of text that says something")))),
        ),
    ];
    Val::Record(fields.map(|(name, value)| (name.to_owned(), value)).to_vec())
}
