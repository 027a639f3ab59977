//! Texts with `{{ name }}` in them. It refuses to know where the values of names come from.

use std::fmt;

/// A text with names that stand for values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Name(String),
}

/// A `{{` without its `}}`.
#[derive(Debug, thiserror::Error)]
#[error("unmatched '{{{{' in template")]
pub(crate) struct Unmatched;

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Self, Unmatched> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let (name, after) = after.split_once("}}").ok_or(Unmatched)?;
            parts.push(Part::Name(name.trim().to_owned()));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// The names whose values it needs.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Name(name) => Some(name.as_str()),
        })
    }

    /// The text with the values for their names.
    pub(crate) fn fill<E>(&self, value: impl Fn(&str) -> Result<String, E>) -> Result<String, E> {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => Ok(text.clone()),
                Part::Name(name) => value(name),
            })
            .collect()
    }
}

impl fmt::Display for Template {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => out.write_str(text),
            Part::Name(name) => write!(out, "{{{{ {name} }}}}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Template;

    #[test]
    fn values_stand_for_their_names() {
        let template = Template::parse("redis://{{host}}:{{ port }}/0").unwrap();
        assert_eq!(template.names().collect::<Vec<_>>(), ["host", "port"]);
        let filled = template.fill(|name| Ok::<_, ()>(format!("<{name}>")));
        assert_eq!(filled.as_deref(), Ok("redis://<host>:<port>/0"));
        assert_eq!(template.to_string(), "redis://{{ host }}:{{ port }}/0");
        assert!(Template::parse("a {{ b").is_err());
    }
}
