//! The two forms of a query: a statement that the connection keeps prepared, and a text with its values in it.
//!
//! Prepared it goes, since the server then reads the statement once for each connection and not once for each query. As a text
//! go what the driver or the protocol would read otherwise than the sessions do: a colon or a backslash, which
//! the driver takes for its own names and escapes; bytes, which the protocol does not tell from texts.

use mysql_async::Params;

use super::script::Filled;
use super::value;
use config::MysqlSettings;
use contract::sql::{Error, Value};
use dialect::gate::Kind;

/// A statement without effect, ready to be sent.
#[derive(Debug)]
pub(super) struct Query<'a> {
    filled: Filled<'a>,
    /// The values of a statement that is to be prepared.
    params: Option<Params>,
}

impl<'a> Query<'a> {
    /// Reads a query, or says what is wrong with it.
    pub(super) fn of(sql: &'a str, params: &'a [Value], settings: &MysqlSettings) -> Result<Self, Error> {
        let filled = Filled::of(sql, params, settings)?;
        if filled.statement.kind != Kind::Read {
            return Err(Error::Invalid("a query must be a statement without effect".to_owned()));
        }
        let params = match settings.statements_max > 0 && is_read_alike(&filled) {
            true => Some(bind(params)?),
            false => None,
        };
        Ok(Self { filled, params })
    }

    /// The statement and its values, where it is to be prepared.
    pub(super) fn prepared(&self) -> Option<(&'a str, &Params)> {
        let params = self.params.as_ref()?;
        Some((self.filled.statement.text, params))
    }

    /// The statement with its values written into it.
    pub(super) fn text(&self) -> Result<String, Error> {
        let mut text = String::with_capacity(self.filled.statement.text.len() + 64);
        self.filled.write(&mut text)?;
        Ok(text)
    }
}

fn is_read_alike(filled: &Filled<'_>) -> bool {
    let bytes = filled.params.iter().any(|param| matches!(param, Value::Blob(_)));
    !bytes && !filled.statement.text.contains([':', '\\'])
}

fn bind(params: &[Value]) -> Result<Params, Error> {
    if params.is_empty() {
        return Ok(Params::Empty);
    }
    let bound = params
        .iter()
        .enumerate()
        .map(|(index, param)| value::bind(index, param));
    Ok(Params::Positional(bound.collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_prepared(sql: &str, params: &[Value]) -> bool {
        Query::of(sql, params, &MysqlSettings::default())
            .unwrap()
            .prepared()
            .is_some()
    }

    #[test]
    fn what_the_driver_would_read_otherwise_goes_as_a_text() {
        assert!(is_prepared("SELECT '?', ?", &[Value::Null]));
        assert!(!is_prepared("SELECT ':x', ?", &[Value::Null]));
        assert!(!is_prepared(r"SELECT '\', ?", &[Value::Null]));
        assert!(!is_prepared("SELECT ?", &[Value::Blob(vec![255])]));
    }

    #[test]
    fn nothing_is_prepared_where_nothing_may_be_kept() {
        let settings = MysqlSettings {
            statements_max: 0,
            ..MysqlSettings::default()
        };
        let query = Query::of("SELECT ?", &[Value::Integer(-1)], &settings).unwrap();
        assert!(query.prepared().is_none());
        assert_eq!(query.text().unwrap(), "SELECT  (-1)");
    }
}
