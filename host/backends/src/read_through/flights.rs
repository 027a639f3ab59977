//! Which keys are being loaded on this node, and by the holder of which ticket.
//!
//! A flight begins with a ticket and ends with its fill, with the end of a lookup that could not hand the ticket over,
//! or by itself when its time has passed: a loader that died holds nobody up for longer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

/// The loads of this node.
#[derive(Debug, Default)]
pub(super) struct Flights {
    /// By key: the ticket that loads it.
    keys: HashMap<String, u64>,
    tickets: HashMap<u64, Flight>,
}

#[derive(Debug)]
struct Flight {
    key: String,
    caller: String,
    /// What the fill expects in the cache; none when another node's claim is there, or none could be made.
    claim: Option<Vec<u8>>,
    lapses: Instant,
    /// Dropped with the flight, which is what wakes those who wait.
    ends: watch::Sender<()>,
}

impl Flights {
    /// Whether a key is being loaded.
    pub(super) fn is_flying(&self, key: &str, now: Instant) -> bool {
        let flight = self.keys.get(key).and_then(|ticket| self.tickets.get(ticket));
        flight.is_some_and(|flight| now < flight.lapses)
    }

    /// Ready when the load of a key ends; and when it lapses.
    pub(super) fn ended(&mut self, key: &str) -> Option<(impl Future<Output = ()> + use<>, Instant)> {
        let flight = self.tickets.get(self.keys.get(key)?)?;
        let mut ends = flight.ends.subscribe();
        let ended = async move { while ends.changed().await.is_ok() {} };
        Some((ended, flight.lapses))
    }

    /// Begins a flight, unless the key has one, or there are as many as may be. One that has lapsed is none.
    fn start(&mut self, ticket: u64, flight: Flight, most: usize) -> bool {
        let now = Instant::now();
        if self.is_flying(&flight.key, now) {
            return false;
        }
        if self.tickets.len() >= most {
            self.tickets.retain(|_, flight| now < flight.lapses);
            let tickets = &self.tickets;
            self.keys.retain(|_, ticket| tickets.contains_key(ticket));
        }
        if self.tickets.len() >= most {
            return false;
        }
        if let Some(lapsed) = self.keys.insert(flight.key.clone(), ticket) {
            self.tickets.remove(&lapsed);
        }
        self.tickets.insert(ticket, flight);
        true
    }

    /// Ends the flights of some keys.
    pub(super) fn end_loads_of(&mut self, keys: &[String]) {
        for key in keys {
            if let Some(ticket) = self.keys.remove(key) {
                self.tickets.remove(&ticket);
            }
        }
    }

    fn end(&mut self, ticket: u64) {
        if let Some(flight) = self.tickets.remove(&ticket)
            && self.keys.get(&flight.key) == Some(&ticket)
        {
            self.keys.remove(&flight.key);
        }
    }
}

/// Flights that end when this is dropped, so that a lookup or a fill that is given up leaves no one waiting.
pub(super) struct Held<'a> {
    flights: &'a Mutex<Flights>,
    tickets: Vec<u64>,
}

impl<'a> Held<'a> {
    /// Holds nothing yet.
    pub(super) fn none(flights: &'a Mutex<Flights>) -> Self {
        let tickets = Vec::new();
        Self { flights, tickets }
    }

    /// Holds those of the tickets that fly and that the caller was given.
    pub(super) fn these(flights: &'a Mutex<Flights>, caller: &str, tickets: &[u64]) -> Self {
        let flying = lock(flights);
        let own = |ticket: &&u64| flying.tickets.get(ticket).is_some_and(|flight| flight.caller == caller);
        let tickets = tickets.iter().filter(own).copied().collect();
        drop(flying);
        Self { flights, tickets }
    }

    /// Begins a flight and holds it; whether it could.
    pub(super) fn start(&mut self, caller: &str, key: String, ticket: u64, lapses: Instant, most: usize) -> bool {
        let flight = Flight {
            key,
            caller: caller.to_owned(),
            claim: None,
            lapses,
            ends: watch::Sender::new(()),
        };
        let started = lock(self.flights).start(ticket, flight, most);
        if started {
            self.tickets.push(ticket);
        }
        started
    }

    /// Notes the claim that was made for a ticket.
    pub(super) fn claimed(&mut self, ticket: u64, claim: Vec<u8>) {
        if let Some(flight) = lock(self.flights).tickets.get_mut(&ticket) {
            flight.claim = Some(claim);
        }
    }

    /// The key of a ticket and its claim, where it has one.
    pub(super) fn claim(&self, ticket: u64) -> Option<(String, Vec<u8>)> {
        if !self.tickets.contains(&ticket) {
            return None;
        }
        let mut flights = lock(self.flights);
        let flight = flights.tickets.get_mut(&ticket)?;
        Some((flight.key.clone(), flight.claim.take()?))
    }

    /// Ends one of the flights.
    pub(super) fn end(&mut self, ticket: u64) {
        lock(self.flights).end(ticket);
    }

    /// Lets the flights go on: from now on who has the tickets ends them.
    pub(super) fn hand_over(mut self) {
        self.tickets.clear();
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.tickets.is_empty() {
            return;
        }
        let mut flights = lock(self.flights);
        for ticket in &self.tickets {
            flights.end(*ticket);
        }
    }
}

/// Takes a lock whose holder may have panicked: what it guards is whole between any two statements.
pub(super) fn lock(flights: &Mutex<Flights>) -> MutexGuard<'_, Flights> {
    flights.lock().unwrap_or_else(PoisonError::into_inner)
}
