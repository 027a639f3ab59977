//! The numbers that stand for states, qualities of service and priorities in the store.

use guest::{MessageState, Priority, Qos};

/// A word of the contract that the store keeps as a number.
pub trait Code: Sized {
    /// The number of this word.
    fn code(self) -> u8;
    /// The word of a number; none when no word has it.
    fn from_code(code: u8) -> Option<Self>;
}

macro_rules! codes {
    ($word:ident { $($variant:ident = $code:literal),* $(,)? }) => {
        impl Code for $word {
            fn code(self) -> u8 {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

// The order of the numbers is the order in which a state moves; `failed` is the last, so that
// nothing comes behind it.
codes!(MessageState { Created = 0, Sending = 1, Sent = 2, Delivered = 3, Read = 4, Failed = 5 });
codes!(Qos { AtMostOnce = 0, AtLeastOnce = 1, ExactlyOnce = 2 });
codes!(Priority { Low = 0, Normal = 1, High = 2, Urgent = 3 });

/// The condition under which a message may move to a state: `state < N`. Every statement that moves
/// a state carries it, which is what makes states move forward only, whoever comes first.
pub fn before(state: MessageState) -> String {
    format!("state < {}", state.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_as_its_word() {
        for code in 0..=5 {
            assert_eq!(MessageState::from_code(code).map(Code::code), Some(code));
        }
        for code in 0..=2 {
            assert_eq!(Qos::from_code(code).map(Code::code), Some(code));
        }
        for code in 0..=3 {
            assert_eq!(Priority::from_code(code).map(Code::code), Some(code));
        }
    }

    #[test]
    fn an_unknown_code_is_no_word() {
        assert_eq!(MessageState::from_code(6), None);
        assert_eq!(Qos::from_code(3), None);
        assert_eq!(Priority::from_code(4), None);
    }

    #[test]
    fn states_are_numbered_in_the_order_in_which_they_move() {
        use MessageState::{Created, Delivered, Failed, Read, Sending, Sent};
        let order = [Created, Sending, Sent, Delivered, Read, Failed].map(Code::code);
        assert!(order.is_sorted_by(|former, latter| former < latter));
        assert_eq!(before(Delivered), "state < 3");
    }
}
