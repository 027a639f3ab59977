//! How connections are written as members of sets, and read back.
//!
//! Two sets know each connection: that of its user, whose members hold all that a route says, and
//! that of its node, whose members name the connection and its user. A text may hold any character:
//! the separator, the escape and control characters are escaped, so that every connection
//! has exactly one member and no text can pass for another field. Owns no set names and no leases.

use std::fmt::Write;

use guest::Connection;

const SEPARATOR: char = '|';
const ESCAPE: char = '%';

/// A connection as the set of its node names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holding {
    pub(crate) connection: u64,
    pub(crate) user: u64,
}

impl From<&Connection> for Holding {
    fn from(connection: &Connection) -> Self {
        Self {
            connection: connection.id,
            user: connection.user,
        }
    }
}

/// The member for the set of the user: `id|session|node|device|class`.
pub(crate) fn route_member(connection: &Connection) -> String {
    format!(
        "{}|{}|{}|{}|{}",
        connection.id,
        connection.session,
        escaped(&connection.node),
        escaped(&connection.device),
        escaped(&connection.device_class),
    )
}

/// The connection that a member of the set of this user stands for; none when it is not of our making.
pub(crate) fn read_route(user: u64, member: &str) -> Option<Connection> {
    let mut fields = member.split(SEPARATOR);
    let connection = Connection {
        id: fields.next()?.parse().ok()?,
        session: fields.next()?.parse().ok()?,
        node: unescaped(fields.next()?)?,
        device: unescaped(fields.next()?)?,
        device_class: unescaped(fields.next()?)?,
        user,
    };
    if fields.next().is_some() {
        return None;
    }
    Some(connection)
}

/// The member for the set of the node: `id|user`.
pub(crate) fn holding_member(holding: Holding) -> String {
    format!("{}|{}", holding.connection, holding.user)
}

/// What a member of the set of a node names; none when it is not of our making.
pub(crate) fn read_holding(member: &str) -> Option<Holding> {
    let (connection, user) = member.split_once(SEPARATOR)?;
    Some(Holding {
        connection: connection.parse().ok()?,
        user: user.parse().ok()?,
    })
}

fn escaped(text: &str) -> String {
    text.chars()
        .fold(String::with_capacity(text.len()), |mut written, character| {
            if character == SEPARATOR || character == ESCAPE || character.is_ascii_control() {
                // Each of these is one byte. Writing into a string cannot fail.
                let _ = write!(written, "{ESCAPE}{:02X}", u32::from(character));
            } else {
                written.push(character);
            }
            written
        })
}

fn unescaped(text: &str) -> Option<String> {
    let mut read = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if char::from(byte) != ESCAPE {
            read.push(byte);
            continue;
        }
        let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
        read.push(high << 4 | low);
    }
    String::from_utf8(read).ok()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(node: &str, device: &str, class: &str) -> Connection {
        Connection {
            id: u64::MAX,
            node: node.to_owned(),
            user: 7,
            session: 9,
            device: device.to_owned(),
            device_class: class.to_owned(),
        }
    }

    #[test]
    fn routes_survive_hostile_names() {
        let hostile = [
            "",
            "|",
            "%",
            "%7C",
            "||||",
            "1|2|n|d|c",
            "%%25|",
            "a\0b",
            "a\nb\r\n",
            "\u{7f}",
            "日本|語%",
            "🦀",
            " / ",
        ];
        for node in hostile {
            for device in hostile {
                for class in hostile {
                    let given = connection(node, device, class);
                    let member = route_member(&given);
                    assert_eq!(member.matches('|').count(), 4, "{member}");
                    assert_eq!(read_route(7, &member), Some(given));
                }
            }
        }
    }

    #[test]
    fn different_connections_have_different_members() {
        let one = connection("n", "a|b", "c");
        let other = connection("n", "a", "b|c");
        assert_ne!(route_member(&one), route_member(&other));
    }

    #[test]
    fn plain_names_stay_readable() {
        assert_eq!(
            route_member(&connection("node-1", "Ana's phone", "mobile")),
            "18446744073709551615|9|node-1|Ana's phone|mobile"
        );
    }

    #[test]
    fn members_of_another_making_are_not_read() {
        for member in [
            "",
            "1",
            "1|2|n|d",
            "1|2|n|d|c|more",
            "x|2|n|d|c",
            "-1|2|n|d|c",
            "18446744073709551616|2|n|d|c",
            "1|2|n|%|c",
            "1|2|n|%4|c",
            "1|2|n|%zz|c",
            "1|2|n|%ff|c",
            "1|2|n|%日|c",
        ] {
            assert_eq!(read_route(7, member), None, "{member}");
        }
    }

    #[test]
    fn holdings_are_read_back() {
        let member = holding_member(Holding::from(&connection("n", "d", "c")));
        assert_eq!(
            read_holding(&member),
            Some(Holding {
                connection: u64::MAX,
                user: 7
            })
        );
        for member in ["", "1", "1|", "|1", "1|2|3", "a|1"] {
            assert_eq!(read_holding(member), None, "{member}");
        }
    }
}
