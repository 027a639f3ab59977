//! Lists that the cache keeps: pushed to at either end, and read by a range of indexes.

use super::{Cached, decode, encode};
use crate::{Error, import};

/// Pushes values before the first of a list, the last of them first, and gives the new length. The list lives as long as
/// the push that began it said.
pub async fn push_left<T: Cached>(key: String, values: &[T], ttl_ms: u64) -> Result<u64, Error> {
    let values = values.iter().map(encode).collect();
    Ok(import!(async crate::bindings::mpim::host::cache, push_left, push_left_cached(key, values, ttl_ms))?)
}

/// Pushes values behind the last of a list, and gives the new length. The list lives as long as the push that began it
/// said.
pub async fn push_right<T: Cached>(key: String, values: &[T], ttl_ms: u64) -> Result<u64, Error> {
    let values = values.iter().map(encode).collect();
    Ok(import!(async crate::bindings::mpim::host::cache, push_right, push_right_cached(key, values, ttl_ms))?)
}

/// The values of a list from `start` to `stop`, both included; negative ones count from the end. None for a value that
/// cannot be read, since a component of another version wrote it.
pub async fn range<T: Cached>(key: String, start: i64, stop: i64) -> Result<Vec<Option<T>>, Error> {
    let found = import!(async crate::bindings::mpim::host::cache, range, range_cached(key, start, stop))?;
    Ok(found.iter().map(|bytes| decode(bytes)).collect())
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::rc::Rc;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::cache::{decrement, exists, increment};
    use crate::native::{Answer, CacheTwin, Host};
    use crate::{ErrorCode, HostError};

    struct Cache(CacheTwin);

    impl Host for Cache {
        fn exists_cached(&self, key: String) -> Answer<Result<bool, HostError>> {
            Box::pin(std::future::ready(Ok(self.0.exists(&key))))
        }

        fn increment_cached(&self, key: String, by: i64, _: u64) -> Answer<Result<i64, HostError>> {
            Box::pin(std::future::ready(self.0.increment(key, by)))
        }

        fn decrement_cached(&self, key: String, by: i64, _: u64) -> Answer<Result<i64, HostError>> {
            Box::pin(std::future::ready(self.0.decrement(key, by)))
        }

        fn push_left_cached(&self, key: String, values: Vec<Vec<u8>>, _: u64) -> Answer<Result<u64, HostError>> {
            Box::pin(std::future::ready(self.0.push_left(key, values)))
        }

        fn push_right_cached(&self, key: String, values: Vec<Vec<u8>>, _: u64) -> Answer<Result<u64, HostError>> {
            Box::pin(std::future::ready(self.0.push_right(key, values)))
        }

        fn range_cached(&self, key: String, start: i64, stop: i64) -> Answer<Result<Vec<Vec<u8>>, HostError>> {
            Box::pin(std::future::ready(self.0.range(&key, start, stop)))
        }
    }

    fn wait<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => answer,
            Poll::Pending => panic!("nothing waits in this test"),
        }
    }

    fn key() -> String {
        "k".to_owned()
    }

    #[test]
    fn a_list_grows_at_both_ends_and_is_read_by_range() {
        crate::native::give(Rc::new(Cache(CacheTwin::default())));
        assert!(!wait(exists(key())).unwrap());
        assert_eq!(wait(push_right(key(), &[1_u64, 2], 9)).unwrap(), 2);
        assert_eq!(wait(push_left(key(), &[3_u64, 4], 9)).unwrap(), 4);
        let read = |start, stop| wait(range::<u64>(key(), start, stop)).unwrap();
        assert_eq!(read(0, -1), [Some(4), Some(3), Some(1), Some(2)]);
        assert_eq!(read(-3, 1), [Some(3)]);
        assert_eq!(read(-9, -8), []);
        assert!(wait(exists(key())).unwrap());
        let as_text = wait(range::<String>(key(), 0, 0)).unwrap();
        assert_eq!(as_text, [None], "another version wrote it");
    }

    #[test]
    fn the_other_kind_is_refused() {
        crate::native::give(Rc::new(Cache(CacheTwin::default())));
        assert_eq!(wait(increment(key(), 5, 9)).unwrap(), 5);
        assert_eq!(wait(decrement(key(), 7, 9)).unwrap(), -2);
        let refused = wait(push_left(key(), &[1_u64], 9)).unwrap_err();
        assert_eq!((refused.code, refused.retryable), (ErrorCode::Internal, false));
        assert!(wait(range::<u64>(key(), 0, -1)).is_err());
        wait(push_left("l".to_owned(), &[1_u64], 9)).unwrap();
        assert!(wait(increment("l".to_owned(), 1, 9)).is_err());
    }
}
