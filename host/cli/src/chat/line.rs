//! What a typed line asks for.

/// A typed line, understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Nothing was typed.
    Empty,
    /// A text for the current partner.
    Say(&'a str),
    /// A text for somebody else, once.
    Direct { name: &'a str, text: &'a str },
    /// Makes somebody the current partner.
    To(&'a str),
    /// Lists the groups.
    Groups,
    /// Makes a group and the current partner of it.
    GroupCreate(&'a str),
    /// Joins a group and makes it the current partner.
    Group(u64),
    /// Asks whether somebody is online.
    Who(&'a str),
    /// Shows what was said last.
    History,
    /// Explains.
    Help,
    /// Ends the chat.
    Quit,
    /// A command that is not understood, and why.
    Unknown(&'static str),
}

/// What `/help` prints.
pub(super) const HELP: &str = "\
/to NAME            talk to NAME from now on; #ID names a user by id
@NAME text          say one thing to NAME
/group create NAME  make a group and talk to it
/group ID           join a group and talk to it
/group              list your groups
/who NAME           is NAME online?
/history            what was said last
/quit               leave; so does the end of the input
//text              say something that begins with a slash
Anything else goes to whom you talk to. Times are UTC.";

impl<'a> Line<'a> {
    /// Understands a line.
    pub(super) fn read(typed: &'a str) -> Self {
        let typed = typed.trim_end();
        if typed.trim_start().is_empty() {
            return Self::Empty;
        }
        if let Some(rest) = typed.strip_prefix('@') {
            return match rest.split_once(' ') {
                Some((name, text)) if !name.is_empty() && !text.trim().is_empty() => Self::Direct {
                    name,
                    text: text.trim_start(),
                },
                _ => Self::Unknown("write @NAME and a text"),
            };
        }
        match typed.strip_prefix('/') {
            Some(escaped) if escaped.starts_with('/') => Self::Say(escaped),
            Some(command) => Self::command(command),
            None => Self::Say(typed),
        }
    }

    fn command(command: &'a str) -> Self {
        let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
        match (word, rest.trim()) {
            ("to", "") => Self::Unknown("write /to and a name"),
            ("to", name) => Self::To(name),
            ("who", "") => Self::Unknown("write /who and a name"),
            ("who", name) => Self::Who(name),
            ("group", rest) => Self::group(rest),
            ("history", _) => Self::History,
            ("help", _) => Self::Help,
            ("quit", _) => Self::Quit,
            _ => Self::Unknown("no such command; /help lists them"),
        }
    }

    fn group(rest: &'a str) -> Self {
        if rest.is_empty() {
            return Self::Groups;
        }
        match rest.split_once(' ') {
            Some(("create", name)) => Self::GroupCreate(name.trim()),
            _ if rest == "create" => Self::Unknown("write /group create and a name"),
            _ => match rest.trim_start_matches('#').parse() {
                Ok(id) => Self::Group(id),
                Err(_) => Self::Unknown("write /group and the id of a group, or /group create and a name"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Line;

    #[test]
    fn plain_text_is_said() {
        assert_eq!(Line::read("hello there \n"), Line::Say("hello there"));
        assert_eq!(Line::read("  "), Line::Empty);
        assert_eq!(Line::read("//etc/hosts"), Line::Say("/etc/hosts"));
    }

    #[test]
    fn a_name_and_a_text_go_to_somebody_once() {
        assert_eq!(
            Line::read("@bob how are you"),
            Line::Direct {
                name: "bob",
                text: "how are you"
            }
        );
        assert!(matches!(Line::read("@bob"), Line::Unknown(_)));
    }

    #[test]
    fn commands_take_the_rest_of_the_line() {
        assert_eq!(Line::read("/to Duke of York"), Line::To("Duke of York"));
        assert_eq!(Line::read("/who bob"), Line::Who("bob"));
        assert_eq!(Line::read("/group create the team"), Line::GroupCreate("the team"));
        assert_eq!(Line::read("/group 42"), Line::Group(42));
        assert_eq!(Line::read("/group"), Line::Groups);
        assert_eq!(Line::read("/quit"), Line::Quit);
    }

    #[test]
    fn what_is_not_understood_is_explained() {
        for line in ["/to", "/group x", "/group create", "/nonsense"] {
            assert!(matches!(Line::read(line), Line::Unknown(_)), "{line}");
        }
    }
}
