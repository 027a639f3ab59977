//! What a topic is called in Redis, and what its ids tell.
//!
//! The keys of a topic share one hash tag, so that a cluster keeps them together. The two lowest bits of an id are the
//! lane that its entry is in, so that an id alone leads to it.

use crate::link::Link;
use contract::queue::Priority;

/// How many lanes a topic has: one a priority.
pub const LANES: usize = 4;
/// Which of the keys is the log.
pub const LOG: usize = 6;

/// What the keys end in, in the order in which the scripts have them.
const ENDS: [&str; 8] = ["low", "normal", "high", "urgent", "meta", "groups", "log", "dead"];

/// The keys of a topic.
pub fn keys(link: &impl Link, topic: &str) -> Vec<String> {
    let tag = tag(topic);
    ENDS.iter().map(|end| link.key(&format!("{tag}:{end}"))).collect()
}

/// The hash tag of a topic: its name, in braces that end where they should.
pub fn tag(topic: &str) -> String {
    // A tag without anything in it would be none.
    if topic.is_empty() {
        return "{%}".to_owned();
    }
    let name = topic.replace('%', "%25").replace('{', "%7B").replace('}', "%7D");
    format!("{{{name}}}")
}

/// The lane of a priority, low first.
pub fn lane(priority: Priority) -> usize {
    match priority {
        Priority::Low => 0,
        Priority::Normal => 1,
        Priority::High => 2,
        Priority::Urgent => 3,
    }
}

/// The lane that an id is in.
pub fn lane_of(id: u64) -> usize {
    (id % 4) as usize
}

/// The priority of a lane.
pub fn priority(lane: usize) -> Priority {
    match lane {
        0 => Priority::Low,
        1 => Priority::Normal,
        2 => Priority::High,
        _ => Priority::Urgent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_topics_share_a_tag_and_none_is_empty() {
        let topics = ["", "%", "{", "}", "{}", "a", "a}", "{a}", "%7B", "ü"];
        let tags = topics.map(tag);
        for (at, tag) in tags.iter().enumerate() {
            let inner = tag.strip_prefix('{').and_then(|tag| tag.strip_suffix('}')).unwrap();
            assert!(!inner.is_empty() && !inner.contains(['{', '}']), "{tag}");
            assert!(!tags[..at].contains(tag), "{tag}");
        }
    }

    #[test]
    fn an_id_tells_its_priority() {
        for wanted in [Priority::Low, Priority::Normal, Priority::High, Priority::Urgent] {
            assert_eq!(priority(lane_of(4 * 77 + lane(wanted) as u64)), wanted);
        }
    }
}
