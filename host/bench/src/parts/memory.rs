//! What a warm sandbox keeps in memory: the difference that a thousand of them make.

use call::{Caller, Context};
use runtime::Val;

use super::calls::pool;
use super::stage::{LONG, Setting, Stage, told};
use crate::failure::Failure;

/// Sandboxes that are there before it is counted, so that what is shared is there too.
const FEW: u32 = 100;
/// Sandboxes that are counted.
const MANY: u32 = 1_000;

/// Bytes that stay resident for one sandbox that has served a call.
pub(super) async fn of_a_sandbox(setting: &Setting<'_>) -> Result<u64, Failure> {
    let all = FEW + MANY;
    let stage = Stage::open(&Setting {
        sandboxes_max: all,
        ..setting.clone()
    })
    .await?;
    let functions = stage
        .load(|settings| {
            settings.max_sandboxes = all;
            settings.min_warm = 0;
        })
        .await?;
    let hello = functions.method("hello")?.binding()?.index;
    let probe = functions.probe()?;
    let sandboxes = pool(&probe)?;
    let (mut warm, mut before) = (Vec::new(), 0);
    for number in 0..all {
        if number == FEW {
            before = resident_bytes()?;
        }
        let mut lease = sandboxes
            .lease(Context::begin(Caller::System, LONG))
            .await
            .map_err(told)?;
        let func = lease.sandbox.methods.get(hello).copied();
        let func = func.ok_or_else(|| Failure::other("a method is gone"))?;
        let store = &mut lease.sandbox.store;
        let (arguments, mut results) = ([Val::String("ann".to_owned())], [Val::Bool(false)]);
        let call =
            store.run_concurrent(async |accessor| func.call_concurrent(accessor, &arguments, &mut results).await);
        call.await.flatten().map_err(told)?;
        warm.push(lease);
    }
    Ok(resident_bytes()?.saturating_sub(before) / u64::from(MANY))
}

fn resident_bytes() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(Failure::other)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024)
        .ok_or_else(|| Failure::other("this system does not tell how much memory is resident"))
}
