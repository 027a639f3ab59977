//! The variables of an application: what it declares, what it is given, and what a component sees of it. It refuses
//! to know who asks.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use wasmtime::component::{Accessor, ComponentType, Lift, LinkerInstance, Lower};

use crate::guest::Guest;
use crate::template::Template;

/// Why a component does not get a variable, with the words of Spin: `error` of `spin:variables`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(variant)]
pub enum Refusal {
    /// No variable can have this name.
    #[component(name = "invalid-name")]
    InvalidName(String),
    /// The component has no variable of this name.
    #[component(name = "undefined")]
    Undefined(String),
    /// A value that it is made of is missing.
    #[component(name = "provider")]
    Provider(String),
    /// Something else.
    #[component(name = "other")]
    Other(String),
}

/// `spin:variables/variables`.
pub(crate) fn link(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    instance.func_wrap_concurrent("get", |guest: &Accessor<Guest>, (name,): (String,)| {
        let permits = guest.with(|mut guest| guest.get().permits.clone());
        Box::pin(async move { Ok((permits.variables.of_component(&permits.component, &name),)) })
    })
}

/// The variables of an application and of its components.
#[derive(Debug, Default)]
pub struct Variables {
    /// By name, the value unless one is given.
    declared: BTreeMap<String, Option<String>>,
    given: BTreeMap<String, String>,
    /// By component and name.
    components: BTreeMap<String, BTreeMap<String, Template>>,
}

impl Variables {
    /// The variables that an application declares, each with its default. One without must be given.
    pub(crate) fn declare(declared: BTreeMap<String, Option<String>>) -> Result<Self> {
        for name in declared.keys() {
            check_name(name).map_err(|reason| anyhow::anyhow!("invalid variable name: {reason}"))?;
        }
        Ok(Self {
            declared,
            ..Self::default()
        })
    }

    /// Adds those of a component, as templates of the application's.
    pub(crate) fn add_component(&mut self, component: &str, variables: &BTreeMap<String, String>) -> Result<()> {
        let mut templates = BTreeMap::new();
        for (name, text) in variables {
            check_name(name).map_err(|reason| anyhow::anyhow!("invalid variable name: {reason}"))?;
            let template = Template::parse(text).with_context(|| format!("variable {name:?}"))?;
            if let Some(unknown) = template.names().find(|name| !self.declared.contains_key(*name)) {
                bail!("variable {name:?}: unknown variable {unknown:?}");
            }
            templates.insert(name.clone(), template);
        }
        self.components.insert(component.to_owned(), templates);
        Ok(())
    }

    /// Takes the values that the command line and the environment give: the command line comes first, and what is not
    /// declared is ignored. A declared variable without a default must then have one.
    pub fn give(
        &mut self,
        arguments: &BTreeMap<String, String>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<()> {
        for name in self.declared.keys() {
            let from_environment = || environment(&format!("SPIN_VARIABLE_{}", name.to_ascii_uppercase()));
            if let Some(value) = arguments.get(name).cloned().or_else(from_environment) {
                self.given.insert(name.clone(), value);
            }
        }
        let missing = self.declared.iter().filter(|(_, default)| default.is_none());
        let missing: Vec<&str> = missing
            .map(|(name, _)| name.as_str())
            .filter(|name| !self.given.contains_key(*name))
            .collect();
        ensure!(
            missing.is_empty(),
            "no provider resolved required variable(s): {}",
            missing.join(", ")
        );
        Ok(())
    }

    /// What a component gets when it asks for a variable.
    pub fn of_component(&self, component: &str, name: &str) -> Result<String, Refusal> {
        check_name(name).map_err(Refusal::InvalidName)?;
        let template = self.components.get(component).and_then(|own| own.get(name));
        let Some(template) = template else {
            return Err(Refusal::Undefined(format!("no variable for {component:?}.{name:?}")));
        };
        template.fill(|name| self.value(name))
    }

    /// The value of a variable of the application.
    pub(crate) fn value(&self, name: &str) -> Result<String, Refusal> {
        let Some(default) = self.declared.get(name) else {
            return Err(Refusal::InvalidName(name.to_owned()));
        };
        let value = self.given.get(name).or(default.as_ref());
        let missing = || Refusal::Provider(format!("no provider resolved required variable {name:?}"));
        value.cloned().ok_or_else(missing)
    }
}

/// Whether a variable can have this name, stricter than what the manifest lets pass.
fn check_name(name: &str) -> Result<(), String> {
    let allowed = |letter: &char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || *letter == '_';
    let reason = if name.is_empty() {
        "must not be empty".to_owned()
    } else if let Some(letter) = name.chars().find(|letter| !allowed(letter)) {
        format!(
            "invalid character {letter:?}. Variable names may contain only lower-case letters, numbers, and underscores."
        )
    } else if !name.starts_with(|letter: char| letter.is_ascii_lowercase()) {
        "must start with a lowercase ASCII letter".to_owned()
    } else if name.ends_with('_') {
        "must end with a lowercase ASCII letter or digit".to_owned()
    } else if name.contains("__") {
        "must not contain multiple consecutive underscores".to_owned()
    } else {
        return Ok(());
    };
    Err(format!("{name:?}: {reason}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Refusal, Variables};

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn declared() -> Variables {
        let declared = [("url", None), ("port", Some("1")), ("unused", Some(""))];
        let declared = declared.map(|(name, default)| (name.to_owned(), default.map(str::to_owned)));
        let mut variables = Variables::declare(BTreeMap::from(declared)).unwrap();
        variables
            .add_component("login", &map(&[("address", "{{ url }}:{{ port }}")]))
            .unwrap();
        variables
    }

    #[test]
    fn a_component_sees_its_own_variables_alone() {
        let mut variables = declared();
        variables.give(&map(&[("url", "redis://h")]), |_| None).unwrap();
        assert_eq!(variables.of_component("login", "address").unwrap(), "redis://h:1");
        let refusal = variables.of_component("login", "url").unwrap_err();
        assert_eq!(
            refusal,
            Refusal::Undefined("no variable for \"login\".\"url\"".to_owned())
        );
        let refusal = variables.of_component("login", "Url").unwrap_err();
        assert!(
            matches!(refusal, Refusal::InvalidName(reason) if reason.starts_with("\"Url\": invalid character 'U'"))
        );
    }

    #[test]
    fn the_command_line_comes_before_the_environment_and_this_before_the_default() {
        let mut variables = declared();
        let environment = |name: &str| (name != "SPIN_VARIABLE_UNUSED").then(|| format!("<{name}>"));
        variables.give(&map(&[("url", "a")]), environment).unwrap();
        assert_eq!(
            variables.of_component("login", "address").unwrap(),
            "a:<SPIN_VARIABLE_PORT>"
        );
    }

    #[test]
    fn what_has_no_default_must_be_given() {
        let error = declared().give(&map(&[("port", "2")]), |_| None).unwrap_err();
        assert_eq!(error.to_string(), "no provider resolved required variable(s): url");
    }

    #[test]
    fn a_component_cannot_use_what_the_application_does_not_declare() {
        let error = declared().add_component("send", &map(&[("a", "{{ b }}")])).unwrap_err();
        assert_eq!(error.to_string(), "variable \"a\": unknown variable \"b\"");
    }
}
