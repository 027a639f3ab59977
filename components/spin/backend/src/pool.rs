//! A bounded pool of connections: so many and no more, whoever finds none free waits in line.
//!
//! It owns who has a connection and who is next, and refuses to know what a connection is, how one is made and what time
//! it is. Nobody is woken: the tasks of an instance cannot wake each other, so whoever waits asks again. What
//! becomes free is kept for those that came first, so nobody starves.
//!
//! A connection in doubt (somebody was given up in the middle of something) is never used again. It counts until it is
//! dropped, and it is dropped only when no other is in use or being made: Spin can hang where one is dropped while
//! another is opened. As long as there is one nobody is given another, so that this moment comes, and soon. One that has
//! been had for long enough makes no haste: it is used until nobody has any, and dropped then.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::mem;

/// Those that may wait at a time; one more is refused at once.
pub(crate) const WAITING_MAX: usize = 256;

/// The connections of one kind.
#[derive(Debug)]
pub(crate) struct Pool<C>(RefCell<State<C>>);

#[derive(Debug)]
struct State<C> {
    /// Connections that there may be, free, in use, being made and in doubt.
    most: usize,
    free: Vec<C>,
    doubtful: Vec<C>,
    /// Leases that are out, with and without a connection.
    leased: usize,
    waiting: VecDeque<u64>,
    next: u64,
}

/// A position in the line of those that wait. Whoever drops it has left the line.
#[derive(Debug)]
pub(crate) struct Turn<'a, C> {
    pool: &'a Pool<C>,
    number: u64,
}

/// The right to one connection, for one alone. It comes with one that is free, or with none: then one may be made.
#[derive(Debug)]
pub(crate) struct Lease<'a, C> {
    pool: &'a Pool<C>,
    connection: Option<C>,
    is_whole: bool,
    is_old: bool,
}

impl<C> Pool<C> {
    /// One without connections, which may have so many; at least one.
    pub(crate) fn new(most: usize) -> Self {
        Self(RefCell::new(State {
            most: most.max(1),
            free: Vec::new(),
            doubtful: Vec::new(),
            leased: 0,
            waiting: VecDeque::new(),
            next: 0,
        }))
    }

    /// Sets how many connections there may be. Those that are too many are given up when they are given back.
    pub(crate) fn bound(&self, most: usize) {
        self.0.borrow_mut().most = most.max(1);
    }

    /// Stands in line; none where too many do.
    pub(crate) fn stand_in_line(&self) -> Option<Turn<'_, C>> {
        let mut state = self.0.borrow_mut();
        if state.waiting.len() >= WAITING_MAX {
            return None;
        }
        let number = state.next;
        state.next += 1;
        state.waiting.push_back(number);
        Some(Turn { pool: self, number })
    }

    /// A connection that is free right now, before all that wait: for what makes room for others.
    pub(crate) fn spare(&self) -> Option<Lease<'_, C>> {
        let mut state = self.0.borrow_mut();
        let connection = state.free.pop()?;
        state.leased += 1;
        Some(Lease {
            pool: self,
            connection: Some(connection),
            is_whole: true,
            is_old: false,
        })
    }

    /// Uses none of those again that are free: the server that they were made to is gone.
    pub(crate) fn give_up_free(&self) {
        let mut state = self.0.borrow_mut();
        let free = mem::take(&mut state.free);
        state.doubtful.extend(free);
        let dropped = state.take_surplus();
        drop(state);
        drop(dropped);
    }
}

impl<C> State<C> {
    /// Those in doubt, once nobody has or makes a connection.
    fn take_surplus(&mut self) -> Vec<C> {
        match self.leased {
            0 => mem::take(&mut self.doubtful),
            _ => Vec::new(),
        }
    }
}

impl<'a, C> Turn<'a, C> {
    /// How many are served before.
    pub(crate) fn ahead(&self) -> usize {
        let state = self.pool.0.borrow();
        let found = state.waiting.iter().position(|number| *number == self.number);
        found.unwrap_or(0)
    }

    /// What was waited for, when it is there. Whoever has it has left the line.
    pub(crate) fn take(&self) -> Option<Lease<'a, C>> {
        let mut state = self.pool.0.borrow_mut();
        let ahead = state.waiting.iter().position(|number| *number == self.number)?;
        // What those ahead will take when they ask again is theirs.
        let is_there = ahead < state.most.saturating_sub(state.leased);
        if !is_there || !state.doubtful.is_empty() {
            return None;
        }
        state.waiting.remove(ahead);
        state.leased += 1;
        Some(Lease {
            pool: self.pool,
            connection: state.free.pop(),
            is_whole: true,
            is_old: false,
        })
    }
}

impl<C> Drop for Turn<'_, C> {
    fn drop(&mut self) {
        let mut state = self.pool.0.borrow_mut();
        state.waiting.retain(|number| *number != self.number);
    }
}

impl<C> Lease<'_, C> {
    /// The connection.
    pub(crate) fn connection(&self) -> Option<&C> {
        self.connection.as_ref()
    }

    /// The same, to be changed.
    pub(crate) fn connection_mut(&mut self) -> Option<&mut C> {
        self.connection.as_mut()
    }

    /// The connection that was made for it.
    pub(crate) fn fill(&mut self, connection: C) {
        self.connection = Some(connection);
    }

    /// One that has become free meanwhile, so that none has to be made. Whether there is one now.
    pub(crate) fn find(&mut self) -> bool {
        if self.connection.is_none() {
            self.connection = self.pool.0.borrow_mut().free.pop();
        }
        self.connection.is_some()
    }

    /// Says whether the connection may be used again.
    pub(crate) fn judge(&mut self, is_whole: bool) {
        self.is_whole = is_whole;
    }

    /// Says whether the connection has been had for long enough, so that others get theirs.
    pub(crate) fn age(&mut self, is_old: bool) {
        self.is_old = is_old;
    }
}

impl<C> Drop for Lease<'_, C> {
    fn drop(&mut self) {
        let mut state = self.pool.0.borrow_mut();
        state.leased -= 1;
        if let Some(connection) = self.connection.take() {
            let fits = state.leased + state.free.len() < state.most;
            let is_over = self.is_old && state.leased == 0;
            match self.is_whole && fits && !is_over {
                true => state.free.push(connection),
                false => state.doubtful.push(connection),
            }
            if is_over {
                let free = mem::take(&mut state.free);
                state.doubtful.extend(free);
            }
        }
        let dropped = state.take_surplus();
        drop(state);
        drop(dropped);
    }
}

#[cfg(test)]
mod tests;
