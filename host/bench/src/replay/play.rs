//! The file that is performed: who says what, in which order, and where the drops fall. It knows no server.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;

use crate::failure::Failure;

/// How many speakers share a small group: well below the number at which a group counts as large.
pub(super) const SLICE_MEMBERS: usize = 50;
/// What the service takes as one message.
const TEXT_BYTES: usize = 16 << 10;

/// Every line is said twice: to the group of all, and to the small group of its speaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Circle {
    /// The group of all speakers.
    All,
    /// The small group of the speaker.
    Slice,
}

impl Circle {
    /// Both, in the order in which a line is said to them.
    pub(super) const BOTH: [Self; 2] = [Self::All, Self::Slice];
}

/// One message of the performance: a line, said to a circle. The number stands in the client id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(pub(super) u32);

impl Slot {
    /// The line, said to this circle.
    pub(super) fn of(line: usize, circle: Circle) -> Self {
        // A play is bounded so that this fits.
        Self(line as u32 * 2 + circle as u32)
    }

    /// Which line.
    pub(super) fn line(self) -> usize {
        self.0 as usize / 2
    }

    /// To whom.
    pub(super) fn circle(self) -> Circle {
        if self.0.is_multiple_of(2) {
            Circle::All
        } else {
            Circle::Slice
        }
    }
}

/// A line of the play.
#[derive(Debug)]
pub(super) struct Line {
    /// The number of the speaker, in the order of their first lines.
    pub(super) speaker: usize,
    /// What is said.
    pub(super) text: String,
}

/// All lines, in order.
#[derive(Debug)]
pub(super) struct Play {
    lines: Vec<Line>,
    by_speaker: Vec<Vec<usize>>,
}

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    from: std::borrow::Cow<'a, str>,
    text: String,
}

impl Play {
    /// Reads a file of JSON lines.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::other(format!("cannot read {}: {error}", path.display())))?;
        Self::read(&text).map_err(|reason| Failure::other(format!("{}: {reason}", path.display())))
    }

    /// Reads JSON lines.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut play = Self {
            lines: Vec::new(),
            by_speaker: Vec::new(),
        };
        let mut speakers = HashMap::new();
        for (index, written) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let number = index + 1;
            let Written { from, text } =
                serde_json::from_str(written).map_err(|error| format!("line {number}: {error}"))?;
            if text.is_empty() || text.len() > TEXT_BYTES {
                return Err(format!("line {number}: a text has 1 to {TEXT_BYTES} bytes"));
            }
            let fresh = speakers.len();
            let speaker = *speakers.entry(from.into_owned()).or_insert(fresh);
            if speaker == fresh {
                play.by_speaker.push(Vec::new());
            }
            if let Some(lines) = play.by_speaker.get_mut(speaker) {
                lines.push(play.lines.len());
            }
            play.lines.push(Line { speaker, text });
        }
        match play.lines.len() {
            0 => Err("there is no line to perform".to_owned()),
            count if count >= (u32::MAX / 2) as usize => Err("there are too many lines".to_owned()),
            _ => Ok(play),
        }
    }

    /// How many lines there are.
    pub(super) fn lines(&self) -> usize {
        self.lines.len()
    }

    /// A line by its number.
    pub(super) fn line(&self, number: usize) -> Option<&Line> {
        self.lines.get(number)
    }

    /// How many speak.
    pub(super) fn speakers(&self) -> usize {
        self.by_speaker.len()
    }

    /// The numbers of the lines of a speaker, in order.
    pub(super) fn lines_of(&self, speaker: usize) -> &[usize] {
        self.by_speaker.get(speaker).map_or(&[], Vec::as_slice)
    }

    /// The small groups: the speakers of each.
    pub(super) fn slices(&self) -> impl Iterator<Item = Range<usize>> {
        (0..self.speakers())
            .step_by(SLICE_MEMBERS)
            .map(|first| first..self.speakers().min(first + SLICE_MEMBERS))
    }

    /// Who hears what a speaker says to a circle, the speaker included.
    pub(super) fn audience(&self, speaker: usize, circle: Circle) -> Range<usize> {
        let first = speaker / SLICE_MEMBERS * SLICE_MEMBERS;
        match circle {
            Circle::All => 0..self.speakers(),
            Circle::Slice => first..self.speakers().min(first + SLICE_MEMBERS),
        }
    }

    /// How many messages the circle of a speaker has in the end.
    pub(super) fn messages(&self, speaker: usize, circle: Circle) -> usize {
        self.audience(speaker, circle)
            .map(|member| self.lines_of(member).len())
            .sum()
    }

    /// How many messages reach somebody other than their sender, summed over all of them.
    pub(super) fn deliveries(&self) -> u64 {
        let heard = |speaker| Circle::BOTH.map(|circle| self.audience(speaker, circle).len() as u64 - 1);
        (0..self.speakers())
            .map(|speaker| heard(speaker).iter().sum::<u64>() * self.lines_of(speaker).len() as u64)
            .sum()
    }
}

/// A number that looks random and depends on the seed and the index alone (SplitMix64, by Steele, Lea and Flood).
pub(super) fn mix(seed: u64, index: u64) -> u64 {
    let mut word = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Whether the speaker's connection drops after this line.
pub(super) fn drops(seed: u64, line: usize, probability: f64) -> bool {
    // The 53 bits that a double holds.
    let unit = (mix(seed, line as u64) >> 11) as f64 / (1_u64 << 53) as f64;
    unit < probability
}

#[cfg(test)]
mod tests {
    use super::{Circle, Play, Slot, drops};

    const TEXT: &str = r#"{"from":"First Citizen","text":"Speak."}
{"from":"All","text":"Speak, \"speak\"."}

{"from":"First Citizen","text":"First, you know."}
"#;

    #[test]
    fn speakers_are_numbered_in_the_order_of_their_first_lines() -> Result<(), String> {
        let play = Play::read(TEXT)?;
        assert_eq!((play.lines(), play.speakers()), (3, 2));
        assert_eq!(
            (play.lines_of(0), play.lines_of(1)),
            ([0, 2].as_slice(), [1].as_slice())
        );
        assert_eq!(play.line(1).map(|line| line.text.as_str()), Some("Speak, \"speak\"."));
        Ok(())
    }

    #[test]
    fn everybody_hears_all_and_their_slice() -> Result<(), String> {
        let text: String = (0..60)
            .map(|index| format!("{{\"from\":\"s{index}\",\"text\":\"x\"}}\n"))
            .collect();
        let play = Play::read(&text)?;
        assert_eq!(play.slices().collect::<Vec<_>>(), [0..50, 50..60]);
        assert_eq!(
            (play.audience(55, Circle::All), play.audience(55, Circle::Slice)),
            (0..60, 50..60)
        );
        assert_eq!(
            (play.messages(55, Circle::All), play.messages(55, Circle::Slice)),
            (60, 10)
        );
        assert_eq!(play.deliveries(), 60 * 59 + 50 * 49 + 10 * 9);
        Ok(())
    }

    #[test]
    fn a_bad_line_is_named() {
        let bad = format!("{TEXT}{{\"from\":\"All\"}}");
        assert!(Play::read(&bad).is_err_and(|reason| reason.starts_with("line 5:")));
        assert!(Play::read("\n").is_err());
    }

    #[test]
    fn a_slot_is_a_line_and_a_circle() {
        for circle in Circle::BOTH {
            let slot = Slot::of(7, circle);
            assert_eq!((slot.line(), slot.circle()), (7, circle));
        }
    }

    #[test]
    fn drops_depend_on_the_seed_and_fall_about_as_often_as_asked() {
        let at = |seed| (0..10_000).filter(|line| drops(seed, *line, 0.01)).collect::<Vec<_>>();
        assert_eq!(at(1), at(1));
        assert_ne!(at(1), at(2));
        assert!((60..140).contains(&at(1).len()));
        assert!((0..100).all(|line| !drops(3, line, 0.0) && drops(3, line, 1.0)));
    }
}
