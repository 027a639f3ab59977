//! The connections that one instance has open, by number. It refuses to know to what.

use std::collections::HashMap;

/// The most that an instance may have open of one kind, as on Spin.
const MOST: usize = 1024;

/// Open connections of one kind.
#[derive(Debug)]
pub(crate) struct Connections<C> {
    next: u32,
    open: HashMap<u32, C>,
}

impl<C> Default for Connections<C> {
    fn default() -> Self {
        Self {
            next: 0,
            open: HashMap::new(),
        }
    }
}

impl<C> Connections<C> {
    /// Keeps a connection; none when there are too many.
    pub(crate) fn keep(&mut self, connection: C) -> Option<u32> {
        if self.open.len() >= MOST {
            return None;
        }
        while self.open.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.open.insert(number, connection);
        Some(number)
    }

    pub(crate) fn find(&self, number: u32) -> Option<&C> {
        self.open.get(&number)
    }

    pub(crate) fn close(&mut self, number: u32) {
        self.open.remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use super::{Connections, MOST};

    #[test]
    fn there_are_so_many_and_no_more() {
        let mut connections = Connections::default();
        let numbers: Vec<u32> = (0..MOST).map(|_| connections.keep(()).unwrap()).collect();
        assert_eq!(connections.keep(()), None);
        connections.close(numbers[7]);
        assert!(connections.find(numbers[7]).is_none());
        assert!(connections.keep(()).is_some_and(|number| !numbers.contains(&number)));
    }
}
