//! How a message lies in the store, for the components that write, read and page messages.
//!
//! It owns the columns of the table `messages` and their order, the numbers that stand for states,
//! qualities and priorities, the cursor of a device, the bounds of pages, and what of the messages
//! of large groups is in the cache. It refuses to know who may see which message: that is the rule of the
//! component that asks.

mod codes;
pub mod cursor;
mod page;
pub mod record;
mod row;

pub use codes::{Code, before};
pub use page::{Room, bounded, page, page_after, page_back, page_stale};
pub use row::{COLUMNS, SEQ, WIDTH, read};
