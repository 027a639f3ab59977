//! The text that a batch becomes.
//!
//! A batch is one text with all its statements, their values written into them: one way to the server and back for
//! all of them and one for the COMMIT, rather than one for each, while the rows that it locks are locked. What is
//! longer than [`TEXT_BYTES`] goes in several texts.

use super::value;
use config::MysqlSettings;
use contract::sql::{Error, Step, Taken, Value, Widths};
use dialect::gate::{self, Kind, Statement};

/// A text is sent when it has so many bytes.
const TEXT_BYTES: usize = 256 * 1024;

/// A batch, ready to be sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) texts: Vec<Text>,
}

/// Some statements that are sent together; the first text begins with one that begins the transaction.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) sql: String,
    pub(super) marks: Vec<Mark>,
}

/// What is to be known about a statement when it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) kind: Kind,
    pub(super) at_least: u32,
    /// Its row goes into variables, since later statements take values of it; what they are is an answer of its own.
    pub(super) is_kept: bool,
}

/// What begins the first text.
const BEGIN: &str = "START TRANSACTION";

impl Script {
    /// Writes a batch, or says what is wrong with it.
    pub(super) fn of(steps: &[Step], settings: &MysqlSettings) -> Result<Self, Error> {
        let widths = Widths::of(steps)?;
        let mut script = Self::default();
        let mut text = Text {
            sql: BEGIN.to_owned(),
            marks: Vec::new(),
        };
        for (index, step) in steps.iter().enumerate() {
            if !text.sql.is_empty() {
                text.sql.push(';');
            }
            let filled = Filled::of(&step.sql, &step.params, settings)?;
            filled.write_with(&step.taken, &mut text.sql)?;
            let width = widths.width(index);
            if width > 0 {
                let names: Vec<_> = (0..width).map(|column| variable(index, column)).collect();
                let names = names.join(",");
                text.sql.push_str(&format!(" INTO {names};SELECT {names}"));
            }
            text.marks.push(Mark {
                kind: filled.statement.kind,
                at_least: step.at_least,
                is_kept: width > 0,
            });
            if text.sql.len() >= TEXT_BYTES {
                script.texts.push(std::mem::take(&mut text));
            }
        }
        if !text.marks.is_empty() {
            script.texts.push(text);
        }
        Ok(script)
    }

    /// The longest text, in bytes.
    pub(super) fn longest(&self) -> usize {
        self.texts.iter().map(|text| text.sql.len()).max().unwrap_or(0)
    }
}

/// One statement and its values, found to be allowed and within bounds.
#[derive(Debug)]
pub(super) struct Filled<'a> {
    pub(super) statement: Statement<'a>,
    pub(super) params: &'a [Value],
}

impl<'a> Filled<'a> {
    /// Reads a statement, or says what is wrong with it.
    pub(super) fn of(sql: &'a str, params: &'a [Value], settings: &MysqlSettings) -> Result<Self, Error> {
        let most = settings.statement_bytes_max;
        if sql.len() > most {
            return Err(Error::Invalid(format!("a statement has at most {most} bytes")));
        }
        let most = settings.result_bytes_max;
        if params.iter().map(bytes).sum::<usize>() > most {
            return Err(Error::Invalid(format!(
                "the parameters of a statement have at most {most} bytes"
            )));
        }
        let statement = gate::read(sql)?;
        let expected = statement.placeholders.len();
        if params.len() != expected {
            return Err(Error::Invalid(format!(
                "the statement has {expected} parameters, {} are given",
                params.len()
            )));
        }
        Ok(Self { statement, params })
    }

    /// Appends the statement with its values written into it.
    pub(super) fn write(&self, text: &mut String) -> Result<(), Error> {
        self.write_with(&[], text)
    }

    /// The same, with variables in place of what is taken.
    fn write_with(&self, taken: &[Taken], text: &mut String) -> Result<(), Error> {
        let mut instead = vec![None; if taken.is_empty() { 0 } else { self.params.len() }];
        for taken in taken {
            if let Some(slot) = instead.get_mut(taken.param as usize) {
                *slot = Some(taken);
            }
        }
        let sql = self.statement.text;
        let mut from = 0;
        for (index, (placeholder, param)) in self.statement.placeholders.iter().zip(self.params).enumerate() {
            text.push_str(sql.get(from..*placeholder).unwrap_or_default());
            match instead.get(index).copied().flatten() {
                Some(taken) => {
                    text.push(' ');
                    text.push_str(&variable(taken.step as usize, taken.column));
                }
                None => value::write(text, index, param)?,
            }
            from = placeholder + 1;
        }
        text.push_str(sql.get(from..).unwrap_or_default());
        Ok(())
    }
}

/// What keeps a column of a step for the steps after it. It stays in the session, where the text of a guest cannot name
/// it, and is set anew before it is used.
fn variable(step: usize, column: u32) -> String {
    format!("@s{step}c{column}")
}

fn bytes(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(sql: &str, params: Vec<Value>) -> Step {
        Step {
            sql: sql.to_owned(),
            params,
            at_least: 1,
            taken: Vec::new(),
        }
    }

    #[test]
    fn what_a_step_takes_is_kept_in_variables() {
        let mut insert = step(
            "INSERT INTO t VALUES (?, ? - ?)",
            vec![Value::Null, Value::Null, Value::Integer(2)],
        );
        insert.taken = vec![
            Taken {
                param: 1,
                step: 0,
                column: 1,
            },
            Taken {
                param: 0,
                step: 0,
                column: 0,
            },
        ];
        let script = Script::of(
            &[step("SELECT a, b FROM h", Vec::new()), insert],
            &MysqlSettings::default(),
        )
        .unwrap();
        assert_eq!(
            script.texts[0].sql,
            "START TRANSACTION;SELECT a, b FROM h INTO @s0c0,@s0c1;SELECT @s0c0,@s0c1;INSERT INTO t VALUES ( @s0c0,  @s0c1 -  2)"
        );
        assert_eq!(
            script.texts[0]
                .marks
                .iter()
                .map(|mark| mark.is_kept)
                .collect::<Vec<_>>(),
            [true, false]
        );
    }

    #[test]
    fn a_batch_is_one_text() {
        let steps = [
            step(
                "UPDATE t SET n = n - ? WHERE s = ?;",
                vec![Value::Integer(-3), Value::Text("a'b".to_owned())],
            ),
            step("SELECT '?', n FROM t LIMIT ?", vec![Value::Integer(5)]),
        ];
        let script = Script::of(&steps, &MysqlSettings::default()).unwrap();
        let [text] = script.texts.as_slice() else {
            panic!("one text")
        };
        assert_eq!(
            text.sql,
            "START TRANSACTION;UPDATE t SET n = n -  (-3) WHERE s =  'a''b';SELECT '?', n FROM t LIMIT  5"
        );
        assert_eq!(
            text.marks.iter().map(|mark| mark.kind).collect::<Vec<_>>(),
            [Kind::Write, Kind::Read]
        );
    }

    #[test]
    fn what_is_too_long_goes_in_several_texts() {
        let long = || {
            step(
                "INSERT INTO t VALUES (?)",
                vec![Value::Text("x".repeat(TEXT_BYTES / 2))],
            )
        };
        let script = Script::of(&[long(), long(), long()], &MysqlSettings::default()).unwrap();
        let counts: Vec<_> = script.texts.iter().map(|text| text.marks.len()).collect();
        assert_eq!(counts, [2, 1]);
        assert!(script.texts[1].sql.starts_with("INSERT"));
    }

    #[test]
    fn parameters_are_counted() {
        let few = Script::of(&[step("SELECT ?, ?", vec![Value::Null])], &MysqlSettings::default());
        assert_eq!(
            few,
            Err(Error::Invalid("the statement has 2 parameters, 1 are given".to_owned()))
        );
    }
}
