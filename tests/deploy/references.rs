//! Names by which the files name each other: secrets, volumes, labels, ports, and the files themselves.

use serde_json::Value;

use crate::documents::{Document, all, file, folder, names, of_kind, texts};

/// The name that clients know.
const CLIENTS: &str = "im.example.com";
/// Who makes it is not said here: whatever keeps certificates.
const CERTIFICATE: &str = "im-example-com-tls";
/// Where the operator of SpinKube makes a Service listen.
const SPIN_PORT: u64 = 80;

fn has_key(documents: &[Document], secret: &str, key: &str) -> bool {
    of_kind(documents, "Secret")
        .into_iter()
        .any(|document| document.name() == secret && document.at("/stringData").get(key).is_some())
}

#[test]
fn every_key_of_a_secret_that_is_named_is_there() {
    let documents = all();
    for document in &documents {
        let mut named = Vec::new();
        for reference in document.under("secretKeyRef") {
            named.push((reference["name"].as_str(), reference["key"].as_str()));
        }
        for volume in document.under("secret") {
            let keys = volume["items"].as_array().expect("a volume names its keys");
            named.extend(
                keys.iter()
                    .map(|item| (volume["secretName"].as_str(), item["key"].as_str())),
            );
        }
        for secret in document.under("loadFromSecret") {
            named.push((secret.as_str(), Some("runtime-config.toml")));
        }
        for (secret, key) in named {
            let (secret, key) = (secret.expect("a name"), key.expect("a key"));
            assert!(
                has_key(&documents, secret, key),
                "{}: {secret} has no {key}",
                document.file
            );
        }
    }
}

#[test]
fn every_key_of_a_secret_is_used() {
    let documents = all();
    for secret in of_kind(&documents, "Secret") {
        for key in secret.at("/stringData").as_object().expect("keys").keys() {
            let used = documents
                .iter()
                .any(|document| document.under("key").into_iter().any(|named| named == key));
            assert!(
                used || key == "runtime-config.toml",
                "{}: nothing uses {key}",
                secret.file
            );
        }
    }
}

#[test]
fn secrets_are_examples_that_nobody_can_take_for_real() {
    let documents = all();
    for secret in of_kind(&documents, "Secret") {
        assert!(secret.file.ends_with("secret.example.yaml"), "{}", secret.file);
        for (key, value) in secret.at("/stringData").as_object().expect("keys") {
            let value = value.as_str().expect("text");
            assert!(value.contains("CHANGE-ME") || key == "runtime-config.toml", "{key}");
        }
    }
}

#[test]
fn every_config_map_that_is_named_is_there() {
    let documents = all();
    for document in &documents {
        for reference in document.under("configMapRef") {
            let maps = of_kind(&documents, "ConfigMap");
            let found = maps.into_iter().any(|map| reference["name"] == map.name());
            assert!(found, "{}: {reference}", document.file);
        }
    }
}

#[test]
fn an_autoscaler_has_something_to_scale_that_says_what_it_wants_and_not_how_many() {
    let documents = all();
    for scaler in of_kind(&documents, "HorizontalPodAutoscaler") {
        assert_eq!(
            scaler.text("/spec/scaleTargetRef/kind"),
            "Deployment",
            "{}",
            scaler.file
        );
        // The operator of SpinKube makes a Deployment of each SpinApp, and calls it the same.
        let target = documents.iter().find(|document| {
            matches!(document.kind(), "Deployment" | "SpinApp")
                && document.name() == scaler.text("/spec/scaleTargetRef/name")
        });
        let target = target.unwrap_or_else(|| panic!("{}: nothing to scale", scaler.file));
        assert_eq!(target.at("/spec/replicas"), &Value::Null, "{}", target.file);
        assert_eq!(
            target.at("/spec/enableAutoscaling") == &Value::Bool(true),
            target.kind() == "SpinApp"
        );
        // A utilization is one of what was requested.
        let requests = target.under("requests");
        assert!(!requests.is_empty() && requests.iter().all(|wanted| wanted["cpu"].is_string()));
    }
}

#[test]
fn what_selects_pods_selects_those_of_the_nodes() {
    let documents = folder("kubernetes");
    let nodes = of_kind(&documents, "Deployment");
    let [node] = nodes.as_slice() else {
        panic!("one Deployment")
    };
    let job = of_kind(&documents, "Job")[0].at("/spec/template/metadata/labels");
    let labels = node.at("/spec/template/metadata/labels");
    let selects = |selector: &Value, labels: &Value| {
        let selector = selector.as_object().expect("labels");
        !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    };
    let mut selectors = vec![of_kind(&documents, "Service")[0].at("/spec/selector")];
    selectors.extend(documents.iter().flat_map(|document| document.under("matchLabels")));
    assert_eq!(selectors.len(), 4);
    for selector in selectors {
        assert!(selects(selector, labels), "{selector} does not select the nodes");
        assert!(!selects(selector, job), "{selector} selects what is no node");
    }
}

#[test]
fn what_is_mounted_is_a_volume_and_the_other_way_round() {
    for document in all() {
        let Some(pod) = document.pod() else { continue };
        let list = |value: &Value| {
            let mut names: Vec<String> = value
                .as_array()
                .into_iter()
                .flatten()
                .map(|item| item["name"].as_str().expect("a name").to_owned())
                .collect();
            names.sort();
            names
        };
        assert_eq!(
            list(&pod["volumes"]),
            list(&pod["containers"][0]["volumeMounts"]),
            "{}",
            document.file
        );
    }
}

#[test]
fn a_service_reaches_the_port_of_the_nodes() {
    let documents = folder("kubernetes");
    let ports = of_kind(&documents, "Deployment")[0].at("/spec/template/spec/containers/0/ports");
    let service = of_kind(&documents, "Service")[0];
    assert_eq!(service.at("/spec/ports/0/targetPort"), &ports[0]["name"]);
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let probe = documents.iter().flat_map(|document| document.under(probe)).next();
        assert_eq!(probe.expect("all three probes")["httpGet"]["port"], ports[0]["name"]);
    }
}

#[test]
fn an_ingress_leads_to_what_is_there() {
    let documents = all();
    for ingress in of_kind(&documents, "Ingress") {
        for backend in ingress.under("backend") {
            let (name, port) = (&backend["service"]["name"], &backend["service"]["port"]);
            let target = documents
                .iter()
                .find(|document| matches!(document.kind(), "Service" | "SpinApp") && *name == document.name());
            let target = target.unwrap_or_else(|| panic!("{}: {name} is not there", ingress.file));
            match target.kind() {
                "SpinApp" => assert_eq!(port["number"], SPIN_PORT, "{}", ingress.file),
                _ => assert_eq!(&port["name"], target.at("/spec/ports/0/name"), "{}", ingress.file),
            }
        }
        // Clients come from outside, and bring passwords and tokens.
        if ingress.at("/spec/rules/0/host") == CLIENTS {
            assert_eq!(ingress.at("/spec/tls/0/hosts/0"), CLIENTS, "{}", ingress.file);
            assert_eq!(ingress.text("/spec/tls/0/secretName"), CERTIFICATE, "{}", ingress.file);
        }
    }
}

#[test]
fn a_kustomization_leaves_out_only_what_is_applied_by_itself() {
    for folder in ["gateway", "kubernetes", "spinkube"] {
        let apart = ["kustomization.yaml", "migrate.yaml", "secret.example.yaml"];
        let documents = self::folder(folder);
        let kustomization = of_kind(&documents, "Kustomization")[0];
        let mut files = names(folder);
        files.retain(|name| !apart.contains(&name.as_str()));
        let mut used = texts(kustomization.at("/resources"));
        used.retain(|path| !path.starts_with("../"));
        used.extend(kustomization.under("path").into_iter().filter_map(Value::as_str));
        used.sort_unstable();
        assert_eq!(used, files);
    }
}

#[test]
fn the_readme_tells_of_every_part() {
    let readme = file("host/deploy/README.md");
    for name in names("").into_iter().filter(|name| name != "README.md") {
        assert!(readme.contains(&format!("({name})")), "{name}");
    }
}
