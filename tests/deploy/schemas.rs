//! Manifests against the schemas of Kubernetes itself, which come with a validator from PyPI. It is installed below
//! `target` when it is wanted for the first time; where it cannot be, the test fails and says what is missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::documents::{all, file, place};

/// The oldest Kubernetes that has all that is used (a pause before the end of a container), and the newest known.
const VERSIONS: [&str; 2] = ["1.30", "1.37"];
/// What Kubernetes learns from others; it has no schema.
const FOREIGN: [&str; 3] = ["Kustomization", "SpinApp", "SpinAppExecutor"];
const REQUIREMENTS: &str = "tests/deploy/requirements.txt";

#[test]
fn manifests_are_what_kubernetes_takes() {
    let documents = all();
    let mut files: Vec<PathBuf> = documents
        .iter()
        .map(|document| place("host/deploy").join(&document.file))
        .collect();
    files.dedup();
    let mut command = python(&environment());
    command.args(["-m", "kubernetes_validate"]);
    for version in VERSIONS {
        command.args(["--kubernetes-version", version]);
    }
    let checked = command.args(["--strict", "--no-warn"]).args(files).output();
    let checked = checked.expect("the validator runs");
    assert!(checked.status.success(), "{}", told(&checked));
    let told = told(&checked);
    for document in documents.iter().filter(|document| !FOREIGN.contains(&document.kind())) {
        let (kind, name) = (document.kind().to_lowercase(), document.name());
        for version in VERSIONS {
            // A kind that the validator does not know is passed over, and would not be told of.
            let passed = format!(
                "{} passed for resource {kind}/{name} against version {version}",
                document.file
            );
            assert!(told.contains(&passed), "not checked: {passed}\n{told}");
        }
    }
}

/// A Python environment that has the validator, and nothing else.
fn environment() -> PathBuf {
    let folder = target().join("deploy");
    let installed = folder.join("requirements.txt");
    let wanted = file(REQUIREMENTS);
    if std::fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) && works(&folder) {
        return folder;
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
    let mut install = python(&folder);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    // Nothing but what is named, with the hash that it is named with, and no code of a package is run to install it.
    install.args([
        "--no-deps",
        "--require-hashes",
        "--only-binary",
        ":all:",
        "--requirement",
    ]);
    run(install.arg(place(REQUIREMENTS)));
    std::fs::write(&installed, wanted).expect("what was installed is written down");
    folder
}

/// Not so when the system has another Python than the one that it was made with.
fn works(environment: &Path) -> bool {
    let tried = python(environment)
        .args(["-c", "import kubernetes_validate.utils"])
        .output();
    tried.is_ok_and(|tried| tried.status.success())
}

/// By the interpreter: the scripts of an environment know the place that it was made in.
fn python(environment: &Path) -> Command {
    Command::new(environment.join("bin/python"))
}

/// Where cargo builds: the program that runs this lies in `deps` below a profile below it.
fn target() -> PathBuf {
    let program = std::env::current_exe().expect("this program");
    let target = program.ancestors().nth(3).map(Path::to_owned);
    target.expect("a folder of cargo's")
}

fn run(command: &mut Command) {
    let done = command.output();
    let done =
        done.unwrap_or_else(|error| panic!("{command:?}: {error}; `apt-get install -y python3-venv` installs it"));
    assert!(
        done.status.success(),
        "{command:?} failed; `apt-get install -y python3-venv` installs what makes environments: {}",
        told(&done)
    );
}

fn told(output: &Output) -> String {
    [&output.stdout, &output.stderr]
        .map(|bytes| String::from_utf8_lossy(bytes))
        .concat()
}
