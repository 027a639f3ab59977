//! The image: what it is built of, what it runs, and who names it.

use crate::documents::{all, file, place, table};
use crate::nodes::check_command_line;

const CONTAINERFILE: &str = "host/deploy/Containerfile";
/// Where images of one's own would lie.
const REGISTRY: &str = "registry.example.com/";

/// What stands behind the instructions of one name.
fn instructions(name: &str) -> Vec<String> {
    let text = file(CONTAINERFILE);
    let prefix = format!("{name} ");
    text.lines()
        .filter_map(|line| Some(line.strip_prefix(&prefix)?.to_owned()))
        .collect()
}

/// The user and the group that it runs as.
pub(crate) fn user() -> (u64, u64) {
    let user = instructions("USER").pop().expect("a user");
    let (user, group) = user.split_once(':').expect("a user and a group");
    (user.parse().expect("a number"), group.parse().expect("a number"))
}

/// Where it listens.
pub(crate) fn ports() -> Vec<String> {
    instructions("EXPOSE")
}

#[test]
fn it_is_built_of_everything_that_cargo_asks_for() {
    let mut copied: Vec<String> = Vec::new();
    for copy in instructions("COPY").iter().filter(|copy| !copy.starts_with("--")) {
        let mut paths: Vec<&str> = copy.split(' ').collect();
        paths.pop();
        copied.extend(paths.into_iter().map(str::to_owned));
    }
    for path in &copied {
        assert!(place(path).exists(), "{path} is copied and not there");
    }
    let workspace = table("Cargo.toml");
    let members = workspace["workspace"]["members"].as_array().expect("members");
    let folders = members.iter().filter_map(|member| member.as_str()?.split('/').next());
    for path in folders.chain(["Cargo.toml", "Cargo.lock", "spin.toml", ".cargo", "migrations", "wit"]) {
        assert!(copied.iter().any(|copied| copied == path), "{path} is not copied");
    }
}

#[test]
fn it_is_built_by_the_compiler_of_the_workspace() {
    let version = table("Cargo.toml")["workspace"]["package"]["rust-version"]
        .as_str()
        .expect("a version")
        .to_owned();
    assert!(instructions("FROM")[0].contains(&format!("/rust:{version}-")));
    // Which would have another one fetched.
    assert!(!file(CONTAINERFILE).contains("COPY rust-toolchain.toml") && place("rust-toolchain.toml").exists());
    assert!(instructions("RUN").contains(&"cargo xtask build".to_owned()));
}

#[test]
fn it_runs_on_the_debian_that_it_was_built_on() {
    let release = |image: &str| image.split(['-', ':', ' ']).find(|part| *part == "bookworm").is_some();
    let bases = instructions("FROM");
    assert!(bases.len() == 2 && bases.iter().all(|base| release(base)), "{bases:?}");
}

#[test]
fn it_runs_a_node_that_is_not_root() {
    assert!(user().0 > 0 && user().1 > 0);
    let words = |text: String| text.replace(['[', ']', '"', ','], "");
    let command = words(instructions("CMD").pop().expect("a command"));
    check_command_line(CONTAINERFILE, &command.split(' ').collect::<Vec<_>>());
    let [volume] = instructions("VOLUME").try_into().expect("one volume");
    assert!(command.ends_with(&format!("--data {volume}")));
    let entry = words(instructions("ENTRYPOINT").pop().expect("an entry"));
    let owner = format!("--chown={}:{}", user().0, user().1);
    let copies = instructions("COPY");
    assert!(
        copies
            .iter()
            .any(|copy| copy.starts_with("--from=build") && copy.ends_with(&entry))
    );
    assert!(
        copies
            .iter()
            .any(|copy| copy.contains(&owner) && copy.ends_with(&volume))
    );
}

#[test]
fn images_have_the_version_of_the_workspace() {
    let version = table("Cargo.toml")["workspace"]["package"]["version"]
        .as_str()
        .expect("a version")
        .to_owned();
    let mut images: Vec<String> = Vec::new();
    for document in all() {
        for image in document.under("image") {
            let image = image.as_str().expect("a name");
            let kind = if document.kind() == "SpinApp" {
                "mpim-spin"
            } else {
                "mpim"
            };
            assert_eq!(image, format!("{REGISTRY}{kind}:{version}"), "{}", document.file);
            images.push(image.to_owned());
        }
    }
    images.dedup();
    let told = [
        "host/deploy/README.md",
        CONTAINERFILE,
        "host/deploy/spinkube/kustomization.yaml",
    ]
    .map(file)
    .concat();
    for image in images {
        assert!(told.contains(&image), "nobody says how {image} is made");
    }
    for image in told.split(&['`', ' ', '\n']).filter(|word| word.starts_with(REGISTRY)) {
        assert!(image.ends_with(&format!(":{version}")), "{image}");
    }
}
