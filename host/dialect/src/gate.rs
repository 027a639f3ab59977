//! What a statement of a guest may be, read from its text before the server sees it.
//!
//! Reading and changing rows is all: one SELECT, INSERT, UPDATE or DELETE (or a WITH before one), no comments, no
//! variables, no files, no locks by name, no tables of the server itself. The text is read with the rules that the
//! sessions set: a quote ends at the next quote of its kind, doubled ones are part of
//! the text, a backslash is a letter. It finds the `?` outside of quotes, which is where values go.
//!
//! This is a fence, not a wall. The privileges of the database's user are the wall: they should be those to read
//! and change the rows of its one database, and nothing else once the schema is there.

use contract::sql::Error;

/// The table in which the applied migrations are written down; guests may not write it.
pub const HISTORY: &str = "refinery_schema_history";

/// Databases of the server itself.
const SERVERS_OWN: [&str; 4] = ["information_schema", "mysql", "performance_schema", "sys"];

/// Functions that do more than give a value: they wait, lock, read files, or leave something in the session.
const EFFECTS: [&str; 17] = [
    "benchmark",
    "get_lock",
    "is_free_lock",
    "is_used_lock",
    "lastval",
    "last_insert_id",
    "load_file",
    "master_gtid_wait",
    "master_pos_wait",
    "nextval",
    "release_all_locks",
    "release_lock",
    "setval",
    "sleep",
    "source_pos_wait",
    "wait_for_executed_gtid_set",
    "wait_until_sql_thread_after_gtids",
];

/// Whether a statement may change rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It returns rows and is without effect.
    Read,
    /// It changes rows.
    Write,
}

/// A statement that may be run.
#[derive(Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    /// The text, without a closing semicolon.
    pub text: &'a str,
    /// Whether it may change rows.
    pub kind: Kind,
    /// Where the `?` are, in bytes.
    pub placeholders: Vec<usize>,
}

/// Reads a statement.
pub fn read(sql: &str) -> Result<Statement<'_>, Error> {
    let mut reader = Reader {
        sql,
        at: 0,
        kind: None,
        placeholders: Vec::new(),
    };
    while let Some(byte) = reader.peek(0) {
        if byte == b';' {
            break;
        }
        reader.token(byte)?;
    }
    if sql
        .get(reader.at..)
        .is_some_and(|rest| !rest.trim_matches([';', ' ', '\t', '\r', '\n']).is_empty())
    {
        return Err(invalid("only one statement at a time is allowed"));
    }
    Ok(Statement {
        text: sql.get(..reader.at).unwrap_or_default(),
        kind: reader.kind.ok_or_else(|| invalid("the statement is empty"))?,
        placeholders: reader.placeholders,
    })
}

struct Reader<'a> {
    sql: &'a str,
    at: usize,
    kind: Option<Kind>,
    placeholders: Vec<usize>,
}

impl<'a> Reader<'a> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.sql.as_bytes().get(self.at + ahead).copied()
    }

    /// Steps over what begins with this byte.
    fn token(&mut self, byte: u8) -> Result<(), Error> {
        match byte {
            b'\'' => {
                self.begun()?;
                self.quoted(byte).map(|_| ())
            }
            b'"' | b'`' => {
                self.begun()?;
                let name = self.quoted(byte)?;
                self.name(name)
            }
            _ if is_of_word(byte) => {
                let word = self.word();
                self.keyword(word)?;
                self.name(word)
            }
            b'-' if self.peek(1) == Some(b'-') => Err(invalid("comments are not allowed")),
            b'/' if self.peek(1) == Some(b'*') => Err(invalid("comments are not allowed")),
            b'#' => Err(invalid("comments are not allowed")),
            b'@' => Err(invalid("variables are not allowed")),
            b':' if self.peek(1) == Some(b'=') => Err(invalid("variables are not allowed")),
            b' ' | b'\t' | b'\r' | b'\n' => {
                self.at += 1;
                Ok(())
            }
            byte if byte.is_ascii_control() => Err(invalid("control characters are not allowed outside of texts")),
            _ => {
                self.begun()?;
                if byte == b'?' {
                    self.placeholders.push(self.at);
                }
                self.at += 1;
                Ok(())
            }
        }
    }

    /// Steps over a quoted text and gives what is in it, where a doubled quote begins a text of its own.
    fn quoted(&mut self, quote: u8) -> Result<&'a str, Error> {
        let start = self.at + 1;
        let rest = self.sql.get(start..).unwrap_or_default();
        let length = rest
            .find(char::from(quote))
            .ok_or_else(|| invalid("a quote is not closed"))?;
        self.at = start + length + 1;
        Ok(rest.get(..length).unwrap_or_default())
    }

    fn word(&mut self) -> &'a str {
        let rest = self.sql.get(self.at..).unwrap_or_default();
        let length = rest.bytes().position(|byte| !is_of_word(byte)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// Something stands here that cannot begin a statement.
    fn begun(&self) -> Result<(), Error> {
        match self.kind {
            Some(_) => Ok(()),
            None => Err(not_allowed()),
        }
    }

    /// What a bare word may mean.
    fn keyword(&mut self, word: &str) -> Result<(), Error> {
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
        let changes = is("insert") || is("update") || is("delete") || is("replace");
        match self.kind {
            None if is("select") || is("with") => self.kind = Some(Kind::Read),
            None if changes && !is("replace") => self.kind = Some(Kind::Write),
            None => return Err(not_allowed()),
            // Before what changes rows there may be a WITH; what locks rows is not without effect either. The
            // function `replace` is no matter.
            Some(Kind::Read) if changes && !self.calls() => self.kind = Some(Kind::Write),
            Some(Kind::Read) if is("into") => return Err(invalid("a result cannot go into anything")),
            Some(_) if is("outfile") || is("dumpfile") => return Err(invalid("files are not allowed")),
            Some(_) => {}
        }
        Ok(())
    }

    /// What a name may be, quoted or not.
    fn name(&self, name: &str) -> Result<(), Error> {
        let is_one_of = |names: &[&str]| names.iter().any(|one| name.eq_ignore_ascii_case(one));
        if self.calls() && is_one_of(&EFFECTS) {
            return Err(invalid("a function that does more than give a value is not allowed"));
        }
        if self.next() == Some(b'.') && is_one_of(&SERVERS_OWN) {
            return Err(invalid("the tables of the server are not allowed"));
        }
        if self.kind == Some(Kind::Write) && name.eq_ignore_ascii_case(HISTORY) {
            return Err(invalid("the history of migrations is not to be written"));
        }
        Ok(())
    }

    fn calls(&self) -> bool {
        self.next() == Some(b'(')
    }

    /// The next byte that is not a space.
    fn next(&self) -> Option<u8> {
        let rest = self.sql.as_bytes().get(self.at..).unwrap_or_default();
        rest.iter().copied().find(|byte| !byte.is_ascii_whitespace())
    }
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || !byte.is_ascii()
}

fn not_allowed() -> Error {
    invalid("the statement is not allowed: only SELECT, INSERT, UPDATE and DELETE are")
}

fn invalid(reason: &str) -> Error {
    Error::Invalid(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholders(sql: &str) -> Vec<usize> {
        read(sql).unwrap().placeholders
    }

    #[test]
    fn question_marks_in_quotes_are_not_places() {
        assert_eq!(placeholders("SELECT ?, '?', \"?\", `?`, '''?', ?"), [7, 32]);
        assert_eq!(placeholders(r"SELECT '\', ?, '\'"), [12]);
        assert_eq!(placeholders("SELECT 'it''s ?', 'é?', ?;  \n"), [25]);
    }

    #[test]
    fn a_closing_semicolon_is_not_part_of_the_statement() {
        assert_eq!(read("SELECT 1 ; ").unwrap().text, "SELECT 1 ");
        assert!(read("SELECT ';'").is_ok());
    }

    #[test]
    fn what_changes_or_locks_rows_is_a_write() {
        for (sql, kind) in [
            ("SELECT replace(name, 'update', '') FROM t", Kind::Read),
            ("with x AS (SELECT 1) SELECT * FROM x", Kind::Read),
            ("SELECT updated_at FROM t", Kind::Read),
            ("WITH x AS (SELECT 1) DELETE FROM t", Kind::Write),
            ("SELECT id FROM t FOR UPDATE", Kind::Write),
            ("\n insert INTO t VALUES (1)", Kind::Write),
        ] {
            assert_eq!(read(sql).unwrap().kind, kind, "{sql}");
        }
    }

    #[test]
    fn all_but_reading_and_changing_rows_is_refused() {
        for sql in [
            "",
            " ; ",
            "(SELECT 1)",
            "CREATE TABLE t (id INT)",
            "SET @x = 1",
            "SELECT @@version",
            "SELECT 1; DROP TABLE t",
            "SELECT 1 -- more",
            "SELECT 1 /*! UNION SELECT 2 */",
            "SELECT 1 # more",
            "SELECT 'open",
            "SELECT 1 INTO OUTFILE 'x'",
            "INSERT INTO t SELECT 1 INTO dumpfile 'x'",
            "SELECT sleep (9)",
            "SELECT `sleep`(9)",
            "SELECT GET_LOCK('x', 1)",
            "SELECT * FROM mysql.user",
            "SELECT * FROM \"information_schema\" . tables",
            "DELETE FROM `refinery_schema_history`",
            "UPDATE refinery_schema_history SET version = 0",
            "REPLACE INTO t VALUES (1)",
            "CALL p()",
            "SELECT\0 1",
        ] {
            assert!(matches!(read(sql), Err(Error::Invalid(_))), "{sql}");
        }
    }
}
