//! Reading a store through the cache; see `mpim:host/cache` for what is promised.
//!
//! A component says what it wants by key and how the missing is loaded: [`cached`] looks all keys up at once, loads all
//! that are missing at once, and fills them in at once. Whoever writes calls [`forget_after`] with the outcome of
//! the write. A layout that changes wants another name of its keys: components of two versions may run
//! at the same time, and each forgets both names until the older is gone.
//!
//! What never changes once it is written needs none of that: [`put`] and [`at_hand`] write and read it by themselves,
//! under keys that [`cached`] does not know. They may read what is a little behind, and they fail without an error. A
//! cache that answers no more would hold every call of theirs for its whole timeout: a breaker lets it rest instead.

use crate::bindings::mpim::host::cache::{Filled, Found};
use crate::{Error, breaker, import, sql, telemetry};

/// The name of the breaker of [`put`] and [`at_hand`].
const BREAKER: &str = "cache";

/// How long what was loaded is kept.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    ttl_ms: u64,
    absence: bool,
}

impl Keep {
    /// Keeps values for at most so long, and for a shorter time of the host's that there is none.
    #[must_use]
    pub const fn for_ms(ttl_ms: u64) -> Self {
        Self { ttl_ms, absence: true }
    }

    /// Keeps values only: for what may come into being without anyone forgetting that it was not there.
    #[must_use]
    pub const fn values_only(self) -> Self {
        Self { absence: false, ..self }
    }

    fn ttl_ms(self, is_value: bool) -> u64 {
        if is_value || self.absence { self.ttl_ms } else { 0 }
    }
}

/// The values of some keys, in the order asked. Those that are not cached are loaded with one call, which is given the
/// indexes of the missing keys and answers one for each, in that order: none where the store has nothing.
pub async fn cached<T: Cached>(
    keys: Vec<String>,
    keep: Keep,
    load: impl AsyncFnOnce(&[usize]) -> Result<Vec<Option<T>>, Error>,
) -> Result<Vec<Option<T>>, Error> {
    let mut values: Vec<Option<T>> = Vec::with_capacity(keys.len());
    let (mut missing, mut tickets) = (Vec::new(), Vec::new());
    for (index, found) in lookup(keys).await?.into_iter().enumerate() {
        let (value, ticket) = match found {
            Found::Absent => (None, None),
            Found::Load(ticket) => (None, Some(ticket)),
            // What cannot be read was written by a component of another version: it is loaded, and not replaced.
            Found::Value(bytes) => match decode(&bytes) {
                Some(value) => (Some(value), None),
                None => (None, Some(0)),
            },
        };
        values.push(value);
        if let Some(ticket) = ticket {
            missing.push(index);
            tickets.push(ticket);
        }
    }
    if missing.is_empty() {
        return Ok(values);
    }
    let loaded = match load(&missing).await {
        Ok(loaded) => loaded,
        Err(error) => {
            fill(tickets.into_iter().map(given_up).collect()).await;
            return Err(error);
        }
    };
    let filled = tickets.iter().zip(&loaded).map(|(ticket, value)| Filled {
        ticket: *ticket,
        value: value.as_ref().map(encode),
        ttl_ms: keep.ttl_ms(value.is_some()),
    });
    fill(filled.filter(|filled| filled.ticket != 0).collect()).await;
    for (index, value) in missing.into_iter().zip(loaded) {
        if let Some(at) = values.get_mut(index) {
            *at = value;
        }
    }
    Ok(values)
}

/// The value of one key; see [`cached`].
pub async fn cached_one<T: Cached>(
    key: String,
    keep: Keep,
    load: impl AsyncFnOnce() -> Result<Option<T>, Error>,
) -> Result<Option<T>, Error> {
    let mut values = cached(vec![key], keep, async |_| Ok(vec![load().await?])).await?;
    Ok(values.pop().flatten())
}

/// Forgets what a write has changed: to be called as soon as its outcome is there. Also a write whose outcome is unknown
/// is forgotten; one that was refused has changed nothing.
pub async fn forget_after<T>(outcome: &Result<T, sql::Error>, keys: Vec<String>) {
    let refused = matches!(
        outcome,
        Err(sql::Error::Unmet(_) | sql::Error::UniqueViolation(_) | sql::Error::Invalid(_))
    );
    if !refused {
        forget(keys).await;
    }
}

/// Forgets keys.
pub async fn forget(keys: Vec<String>) {
    import!(async crate::bindings::mpim::host::cache, forget, forget(keys));
}

/// What was [`set`] under some keys, in the order asked; none also where it cannot be read, since a component of another
/// version wrote it. These are not the keys of [`cached`].
pub async fn get_many<T: Cached>(keys: Vec<String>) -> Result<Vec<Option<T>>, Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let found = import!(async crate::bindings::mpim::host::cache, get_many, get_cached(keys))?;
    Ok(found.into_iter().map(|bytes| decode(&bytes?)).collect())
}

/// Replaces what is under a key, for a while: what a writer knows and readers need not find in the store yet.
pub async fn set<T: Cached>(key: String, value: &T, ttl_ms: u64) -> Result<(), Error> {
    let value = encode(value);
    Ok(import!(async crate::bindings::mpim::host::cache, set, set_cached(key, value, ttl_ms))?)
}

/// Writes a value that never changes, for whoever finds it [`at_hand`]. What cannot be written is counted.
pub async fn put<T: Cached>(key: String, value: &T, ttl_ms: u64) {
    if guarded(set(key, value, ttl_ms)).await.is_none() {
        telemetry::count("mpim_cache_puts_lost", 1);
    }
}

/// The values that were [`put`] under some keys, in the order asked; none for what is not there or cannot be read.
pub async fn at_hand<T: Cached>(keys: Vec<String>) -> Vec<Option<T>> {
    let count = keys.len();
    match guarded(get_many(keys)).await {
        Some(found) if found.len() == count => found,
        _ => std::iter::repeat_with(|| None).take(count).collect(),
    }
}

async fn guarded<T>(call: impl Future<Output = Result<T, Error>>) -> Option<T> {
    if !breaker::allow(BREAKER) {
        return None;
    }
    let answer = call.await;
    // A refusal is an answer.
    breaker::report(BREAKER, answer.as_ref().err().is_none_or(|error| !error.retryable));
    answer.ok()
}

async fn lookup(keys: Vec<String>) -> Result<Vec<Found>, Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    Ok(import!(async crate::bindings::mpim::host::cache, lookup, lookup(keys))?)
}

async fn fill(entries: Vec<Filled>) {
    if !entries.is_empty() {
        import!(async crate::bindings::mpim::host::cache, fill, fill(entries));
    }
}

fn given_up(ticket: u64) -> Filled {
    Filled {
        ticket,
        value: None,
        ttl_ms: 0,
    }
}

/// What can be kept in the cache.
pub trait Cached: Sized {
    /// Appends the bytes of the value.
    fn write(&self, bytes: &mut Vec<u8>);
    /// Takes the value from the front of the bytes; none when it is not there.
    fn read(bytes: &mut &[u8]) -> Option<Self>;
}

fn encode<T: Cached>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.write(&mut bytes);
    bytes
}

/// None also where bytes are left over.
fn decode<T: Cached>(mut bytes: &[u8]) -> Option<T> {
    let value = T::read(&mut bytes)?;
    bytes.is_empty().then_some(value)
}

/// Integers, big end first.
macro_rules! cached_integer {
    ($($integer:ty),*) => {
        $(impl Cached for $integer {
            fn write(&self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_be_bytes());
            }

            fn read(bytes: &mut &[u8]) -> Option<Self> {
                let (first, rest) = bytes.split_first_chunk()?;
                *bytes = rest;
                Some(Self::from_be_bytes(*first))
            }
        })*
    };
}
cached_integer!(u8, u32, u64);

impl Cached for String {
    fn write(&self, bytes: &mut Vec<u8>) {
        u32::try_from(self.len()).unwrap_or(u32::MAX).write(bytes);
        bytes.extend(self.as_bytes());
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let length = usize::try_from(u32::read(bytes)?).ok()?;
        let (text, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        Some(std::str::from_utf8(text).ok()?.to_owned())
    }
}

impl<T: Cached> Cached for Vec<T> {
    fn write(&self, bytes: &mut Vec<u8>) {
        u32::try_from(self.len()).unwrap_or(u32::MAX).write(bytes);
        for each in self {
            each.write(bytes);
        }
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let length = u32::read(bytes)?;
        (0..length).map(|_| T::read(bytes)).collect()
    }
}

/// Tuples, part after part.
macro_rules! cached_tuple {
    ($($part:ident $index:tt),*) => {
        impl<$($part: Cached),*> Cached for ($($part,)*) {
            fn write(&self, bytes: &mut Vec<u8>) {
                $(self.$index.write(bytes);)*
            }

            fn read(bytes: &mut &[u8]) -> Option<Self> {
                Some(($($part::read(bytes)?,)*))
            }
        }
    };
}
cached_tuple!(A 0, B 1);
cached_tuple!(A 0, B 1, C 2);
cached_tuple!(A 0, B 1, C 2, D 3, E 4);

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::pin::pin;
    use std::rc::Rc;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::native::{Answer, CacheTwin, Host};
    use crate::{ErrorCode, HostError};

    struct Cache(CacheTwin);

    impl Host for Cache {
        fn lookup(&self, keys: Vec<String>) -> Answer<Result<Vec<Found>, HostError>> {
            let found = self.0.lookup(&keys);
            Box::pin(async { Ok(found) })
        }

        fn fill(&self, entries: Vec<Filled>) -> Answer<()> {
            self.0.fill(entries);
            Box::pin(async {})
        }

        fn forget(&self, keys: Vec<String>) -> Answer<()> {
            self.0.forget(&keys);
            Box::pin(async {})
        }

        fn set_cached(&self, key: String, value: Vec<u8>, _: u64) -> Answer<Result<(), HostError>> {
            self.0.set(key, value);
            Box::pin(async { Ok(()) })
        }

        fn get_cached(&self, keys: Vec<String>) -> Answer<Result<Vec<Option<Vec<u8>>>, HostError>> {
            let values = self.0.get_many(&keys);
            Box::pin(async { Ok(values) })
        }
    }

    fn host() -> Rc<Cache> {
        let host = Rc::new(Cache(CacheTwin::default()));
        crate::native::give(host.clone());
        host
    }

    fn wait<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => answer,
            Poll::Pending => panic!("nothing waits here"),
        }
    }

    fn keys(keys: &[&str]) -> Vec<String> {
        keys.iter().map(|key| (*key).to_owned()).collect()
    }

    /// Reads keys of which the store has all but `none`; gives the values and which were loaded.
    fn read(names: &[&str], keep: Keep) -> (Vec<Option<String>>, Vec<Vec<usize>>) {
        let loads = RefCell::new(Vec::new());
        let values = wait(cached(keys(names), keep, async |missing| {
            loads.borrow_mut().push(missing.to_vec());
            let value = |index: &usize| (names[*index] != "none").then(|| names[*index].to_uppercase());
            Ok(missing.iter().map(value).collect())
        }));
        (values.unwrap(), loads.into_inner())
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn all_that_is_missing_is_loaded_at_once_and_once() {
        host();
        let keep = Keep::for_ms(1000);
        assert_eq!(read(&["a", "b"], keep), (vec![some("A"), some("B")], vec![vec![0, 1]]));
        assert_eq!(read(&["b", "c", "a", "none"], keep).1, [[1, 3]]);
        let (values, loads) = read(&["none", "c", "a"], keep);
        assert_eq!((values, loads), (vec![None, some("C"), some("A")], vec![]));
        assert_eq!(read(&[], keep), (vec![], vec![]));
    }

    #[test]
    fn that_there_is_nothing_is_kept_only_where_it_may_be() {
        host();
        let keep = Keep::for_ms(1000).values_only();
        assert_eq!(read(&["none", "a"], keep).1.len(), 1);
        assert_eq!(read(&["none", "a"], keep), (vec![None, some("A")], vec![vec![0]]));
    }

    #[test]
    fn without_a_cache_everything_is_loaded() {
        struct Nothing;
        impl Host for Nothing {}
        crate::native::give(Rc::new(Nothing));
        for _ in 0..2 {
            assert_eq!(read(&["a"], Keep::for_ms(1)), (vec![some("A")], vec![vec![0]]));
        }
    }

    #[test]
    fn a_load_that_fails_is_not_kept_and_told() {
        host();
        let failed = wait(cached_one::<u64>("a".to_owned(), Keep::for_ms(1), async || {
            Err(Error::internal("down"))
        }));
        assert_eq!(failed.unwrap_err().code, ErrorCode::Internal);
        let load = async || Ok(Some(7));
        assert_eq!(
            wait(cached_one("a".to_owned(), Keep::for_ms(1), load)).unwrap(),
            Some(7_u64)
        );
    }

    #[test]
    fn a_write_forgets_unless_it_was_refused() {
        let host = host();
        let keep = Keep::for_ms(1000);
        let refused: [Result<(), sql::Error>; 2] = [
            Err(sql::Error::Unmet(0)),
            Err(sql::Error::UniqueViolation(String::new())),
        ];
        let done = [Ok(()), Err(sql::Error::Timeout(String::new()))];
        for (outcomes, loads) in [(refused, 0), (done, 1)] {
            for outcome in outcomes {
                read(&["a"], keep);
                wait(forget_after(&outcome, keys(&["a"])));
                assert_eq!(read(&["a"], keep).1.len(), loads, "{outcome:?}");
            }
        }
        assert!(host.0.hits() > 0);
    }

    #[test]
    fn what_another_version_has_set_is_as_if_it_were_not_there() {
        struct Kept;
        impl Host for Kept {
            fn get_cached(&self, keys: Vec<String>) -> Answer<Result<Vec<Option<Vec<u8>>>, HostError>> {
                assert_eq!(keys, ["a", "b", "c"]);
                let values = vec![Some(encode(&7_u64)), None, Some(b"another".to_vec())];
                Box::pin(async { Ok(values) })
            }
        }
        crate::native::give(Rc::new(Kept));
        let values = wait(get_many::<u64>(keys(&["a", "b", "c"])));
        assert_eq!(values.unwrap(), [Some(7), None, None]);
    }

    #[test]
    fn what_was_put_is_at_hand_and_nothing_else_is() {
        host();
        wait(put("a".to_owned(), &7_u64, 1000));
        wait(put("text".to_owned(), &"x".to_owned(), 1000));
        let found: Vec<Option<u64>> = wait(at_hand(keys(&["b", "a", "text"])));
        assert_eq!(found, [None, Some(7), None]);
        assert_eq!(read(&["a"], Keep::for_ms(1)).1.len(), 1, "the keys are others");
    }

    #[test]
    fn a_cache_that_answers_no_more_is_let_rest() {
        #[derive(Default)]
        struct Dead {
            asked: Cell<u32>,
            failures: Cell<u32>,
            lost: Cell<u64>,
        }
        impl Host for Dead {
            fn set_cached(&self, _: String, _: Vec<u8>, _: u64) -> Answer<Result<(), HostError>> {
                self.asked.set(self.asked.get() + 1);
                Box::pin(async { Err(HostError::Timeout("no answer".to_owned())) })
            }
            fn get_cached(&self, _: Vec<String>) -> Answer<Result<Vec<Option<Vec<u8>>>, HostError>> {
                self.asked.set(self.asked.get() + 1);
                Box::pin(async { Err(HostError::Timeout("no answer".to_owned())) })
            }
            fn allow_call(&self, _: &str) -> bool {
                self.failures.get() < 2
            }
            fn report_call(&self, _: &str, success: bool) {
                assert!(!success);
                self.failures.set(self.failures.get() + 1);
            }
            fn counter(&self, name: &str, by: u64, _: &[(String, String)]) {
                assert_eq!(name, "mpim_cache_puts_lost");
                self.lost.set(self.lost.get() + by);
            }
        }
        let host = Rc::new(Dead::default());
        crate::native::give(host.clone());
        for _ in 0..3 {
            wait(put("a".to_owned(), &7_u64, 1000));
            assert_eq!(wait(at_hand::<u64>(keys(&["a", "b"]))), [None, None]);
        }
        assert_eq!((host.asked.get(), host.failures.get(), host.lost.get()), (2, 2, 3));
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        let value = (7_u64, "é".to_owned(), vec![(1_u64, 2_u8), (3, 4)]);
        let bytes = encode(&value);
        assert_eq!(decode::<(u64, String, Vec<(u64, u8)>)>(&bytes), Some(value));
        assert_eq!(decode::<(u64, String)>(&bytes), None, "bytes are left over");
        for end in 0..bytes.len() {
            assert_eq!(decode::<(u64, String, Vec<(u64, u8)>)>(&bytes[..end]), None);
        }
        assert_eq!(decode::<Vec<u64>>(&[255; 4]), None, "a length alone reserves nothing");
    }
}
