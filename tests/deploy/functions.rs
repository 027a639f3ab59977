//! SpinKube: for each function of `spin.toml` one application, one autoscaler and one path, and for each timer one cron.
//!
//! No package carries the schema of a SpinApp. What is checked of it here was written after the types of the operator.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::documents::{Document, file, folder, of_kind, table, texts};

/// The fields of a SpinApp that are in use here, by where they stand.
const FIELDS: [(&str, &[&str]); 6] = [
    (
        "/spec",
        &[
            "checks",
            "components",
            "enableAutoscaling",
            "executor",
            "image",
            "resources",
            "runtimeConfig",
            "variables",
        ],
    ),
    ("/spec/checks", &["liveness", "readiness"]),
    ("/spec/checks/readiness", PROBE),
    ("/spec/checks/liveness", PROBE),
    ("/spec/runtimeConfig", &["loadFromSecret"]),
    ("/spec/resources", &["limits", "requests"]),
];
const PROBE: &[&str] = &[
    "failureThreshold",
    "httpGet",
    "initialDelaySeconds",
    "periodSeconds",
    "successThreshold",
    "timeoutSeconds",
];
/// Where Spin says that it serves.
const HEALTH: &str = "/.well-known/spin/health";

/// The functions of `spin.toml`, and whether each has methods for clients.
pub(crate) fn functions() -> Vec<(String, bool)> {
    let manifest = table("spin.toml");
    let components = manifest["component"].as_table().expect("components");
    let is_public = |component: &toml::Value| {
        let settings = component.get("tool").and_then(|tool| tool.get("mpim"));
        settings.is_some_and(|settings| settings.get("public").is_some())
    };
    let functions = components.iter();
    functions
        .map(|(name, component)| (name.clone(), is_public(component)))
        .collect()
}

fn sorted<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    items.sort();
    items
}

#[test]
fn every_function_is_an_application_of_its_own() {
    let documents = folder("spinkube");
    let names = sorted(functions().into_iter().map(|(name, _)| name));
    for kind in ["SpinApp", "HorizontalPodAutoscaler"] {
        let found = sorted(
            of_kind(&documents, kind)
                .into_iter()
                .map(|document| document.name().to_owned()),
        );
        assert_eq!(found, sorted(names.iter().map(|name| format!("mpim-{name}"))), "{kind}");
    }
    for app in of_kind(&documents, "SpinApp") {
        let name = app.name().trim_start_matches("mpim-");
        assert_eq!(texts(app.at("/spec/components")), [name], "{}", app.file);
        assert_eq!(app.file, format!("spinkube/{name}.yaml"));
    }
}

#[test]
fn the_functions_differ_in_nothing_but_their_names() {
    let mut kinds = BTreeSet::new();
    for (name, _) in functions() {
        let text = file(&format!("host/deploy/spinkube/{name}.yaml"));
        kinds.insert(
            text.lines()
                .map(|line| match line.strip_suffix(&name) {
                    Some(before) => format!("{before}NAME\n"),
                    None => format!("{}\n", line.replace(&format!("`{name}`"), "`NAME`")),
                })
                .collect::<String>(),
        );
    }
    assert_eq!(kinds.len(), 1, "{kinds:#?}");
}

#[test]
fn an_application_has_the_fields_of_a_spin_app() {
    let documents = folder("spinkube");
    for app in of_kind(&documents, "SpinApp") {
        assert_eq!(app.text("/apiVersion"), "core.spinkube.dev/v1alpha1");
        for (pointer, allowed) in FIELDS {
            for field in app.at(pointer).as_object().expect(pointer).keys() {
                assert!(allowed.contains(&field.as_str()), "{}: {pointer}/{field}", app.file);
            }
        }
        let paths: Vec<&Value> = app.under("path");
        assert_eq!(paths, [HEALTH, HEALTH], "{}", app.file);
    }
}

#[test]
fn an_application_runs_by_an_executor_that_is_there() {
    let documents = folder("spinkube");
    let executors = of_kind(&documents, "SpinAppExecutor");
    let [executor] = executors.as_slice() else {
        panic!("one executor")
    };
    for app in of_kind(&documents, "SpinApp") {
        assert_eq!(app.text("/spec/executor"), executor.name(), "{}", app.file);
    }
    // Of the two ways to run an application one has to be chosen.
    assert_eq!(executor.at("/spec/createDeployment"), &Value::Bool(true));
    let config = executor.at("/spec/deploymentConfig");
    assert!(config["spinImage"].is_string() && config.get("runtimeClassName").is_none());
}

#[test]
fn an_application_has_every_variable_of_the_manifest() {
    let manifest = table("spin.toml");
    let documents = folder("spinkube");
    for app in of_kind(&documents, "SpinApp") {
        let variables = app.at("/spec/variables").as_array().expect("variables");
        let name = |variable: &Value| variable["name"].as_str().expect("a name").to_owned();
        let given: Vec<String> = variables.iter().map(name).collect();
        for variable in variables {
            // Of the same name in the Secret, so that nobody has to look it up.
            assert_eq!(
                variable["valueFrom"]["secretKeyRef"]["key"], variable["name"],
                "{}",
                app.file
            );
        }
        if let Some(declared) = manifest.get("variables").and_then(toml::Value::as_table) {
            for name in &given {
                assert!(
                    declared.contains_key(name),
                    "{}: spin.toml has no variable {name}",
                    app.file
                );
            }
            for (name, variable) in declared {
                let has_default = variable.get("default").is_some();
                assert!(has_default || given.contains(name), "{}: {name} has no value", app.file);
            }
        }
    }
}

#[test]
fn clients_reach_the_functions_that_have_methods_for_them() {
    let documents = folder("spinkube");
    let paths = sorted(
        of_kind(&documents, "Ingress")[0]
            .under("path")
            .into_iter()
            .filter_map(Value::as_str),
    );
    let public = functions().into_iter().filter(|(_, is_public)| *is_public);
    assert_eq!(paths, sorted(public.map(|(name, _)| format!("/v1/{name}"))));
    for path in of_kind(&documents, "Ingress")[0]
        .at("/spec/rules/0/http/paths")
        .as_array()
        .expect("paths")
    {
        let function = path["path"].as_str().expect("a path").trim_start_matches("/v1/");
        assert_eq!(path["backend"]["service"]["name"], format!("mpim-{function}"));
        assert_eq!(path["pathType"], "Prefix");
    }
}

#[test]
fn every_timer_of_the_manifest_is_a_cron() {
    let manifest = table("spin.toml");
    let timers = manifest["application"]["tool"]["mpim"]["timer"]
        .as_array()
        .expect("timers");
    let wanted = timers.iter().map(|timer| {
        let (function, method) = timer["call"]
            .as_str()
            .and_then(|call| call.split_once('.'))
            .expect("a call");
        ["call", function, method, "--url", &format!("http://mpim-{function}")].join(" ")
    });
    let documents = folder("spinkube");
    let calls = of_kind(&documents, "CronJob").into_iter().map(command_line);
    assert_eq!(sorted(calls), sorted(wanted));
}

fn command_line(cron: &Document) -> String {
    let container = &cron.pod().expect("a pod")["containers"][0];
    assert_eq!(container["env"][0]["name"], "MPIM_TOKEN");
    assert_eq!(
        container["env"][0]["valueFrom"]["secretKeyRef"]["key"],
        "operator_token"
    );
    texts(&container["args"]).join(" ")
}
