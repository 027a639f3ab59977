//! What `host/deploy` says, held against what it speaks of: the schemas of Kubernetes, `spin.toml`, the command line, the
//! workspace, and its own files, which name each other. Knows no cluster, and starts nothing but the validator.
#![cfg(test)]

mod documents;
mod functions;
mod gateway;
mod image;
mod nodes;
mod references;
mod schemas;
mod unit;
