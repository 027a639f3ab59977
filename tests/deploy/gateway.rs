//! Nodes without functions: what they say beside other nodes, and the way from them to every function.

use serde_json::Value;

use crate::documents::{Document, file, folder, of_kind, read, texts};
use crate::functions::functions;
use crate::nodes::{check_command_line, flag};

/// The arguments that are added to those of a node.
fn added() -> Vec<String> {
    let changes = read("gateway/remote.yaml");
    let [changes] = changes.as_slice() else {
        panic!("one list of changes")
    };
    let added = changes.at("").as_array().expect("changes").iter().map(|change| {
        assert_eq!((&change["op"], &change["path"]), (&"add".into(), &END.into()));
        change["value"].as_str().expect("an argument").to_owned()
    });
    added.collect()
}

/// Behind the last argument of the one container.
const END: &str = "/spec/template/spec/containers/0/args/-";

#[test]
fn they_are_the_nodes_of_a_cluster_with_arguments_more() {
    let documents = folder("gateway");
    let kustomization = of_kind(&documents, "Kustomization")[0];
    assert_eq!(texts(kustomization.at("/resources"))[0], "../kubernetes");
    let nodes = folder("kubernetes");
    let node = of_kind(&nodes, "Deployment")[0];
    let target = kustomization.at("/patches/0/target");
    assert_eq!(
        (&target["kind"], &target["name"]),
        (&node.kind().into(), &node.name().into())
    );
    let added = added();
    let mut arguments = texts(node.at("/spec/template/spec/containers/0/args"));
    arguments.extend(added.iter().map(String::as_str));
    check_command_line("gateway/remote.yaml", &arguments);
    assert_eq!(flag(&arguments, "--functions"), Some("none"));
}

#[test]
fn they_call_every_function_at_one_name() {
    let documents = folder("gateway");
    let added = added();
    let arguments: Vec<&str> = added.iter().map(String::as_str).collect();
    let name = flag(&arguments, "--remote")
        .and_then(|url| url.strip_prefix("http://"))
        .expect("an address");
    let services: Vec<&str> = of_kind(&documents, "Service").into_iter().map(Document::name).collect();
    assert_eq!(services, [name]);
    let ingresses = of_kind(&documents, "Ingress");
    let inside = ingresses
        .into_iter()
        .find(|ingress| ingress.at("/spec/rules/0/host") == name);
    let paths = inside
        .expect("paths behind the name")
        .at("/spec/rules/0/http/paths")
        .as_array()
        .expect("paths");
    let mut ways: Vec<(&str, &str)> = paths
        .iter()
        .map(|path| {
            let service = &path["backend"]["service"]["name"];
            (
                path["path"].as_str().expect("a path"),
                service.as_str().expect("a name"),
            )
        })
        .collect();
    ways.sort_unstable();
    let mut wanted: Vec<(String, String)> = functions()
        .into_iter()
        .map(|(function, _)| (format!("/v1/{function}"), format!("mpim-{function}")))
        .collect();
    wanted.sort();
    assert_eq!(
        ways,
        wanted
            .iter()
            .map(|(path, name)| (path.as_str(), name.as_str()))
            .collect::<Vec<_>>()
    );
}

#[test]
fn clients_open_sockets_where_a_node_takes_them() {
    let documents = folder("gateway");
    let ingresses = of_kind(&documents, "Ingress");
    let outside = ingresses
        .into_iter()
        .find(|ingress| ingress.name() == "mpim")
        .expect("a way in");
    let paths: Vec<&str> = outside.under("path").into_iter().filter_map(Value::as_str).collect();
    let [path] = paths.as_slice() else { panic!("one path") };
    assert!(file("host/gateway/src/http.rs").contains(&format!(".route(\"{path}\", get(upgrade))")));
}
