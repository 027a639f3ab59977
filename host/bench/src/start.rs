//! How long a node takes from its start until it serves: with nothing compiled yet, and with everything kept compiled.

use clap::Args;
use client::http;
use client::http::Method;
use tokio::time::Instant;

use crate::failure::Failure;
use crate::figures::Figures;
use crate::process::{Folder, Server};
use crate::record::Point;
use crate::terms::Terms;

/// The start of a node, until it answers that it is healthy.
#[derive(Debug, Args)]
pub(crate) struct Start {
    #[command(flatten)]
    terms: Terms,
}

/// Measures and reports.
pub(crate) async fn run(start: Start) -> Result<(), Failure> {
    let terms = &start.terms;
    if terms.url.is_some() {
        return Err(Failure::other("what runs already cannot be started"));
    }
    let mut record = terms.record("start", Figures::default());
    let fresh = async |_: &str| once(&Folder::make()?, terms).await;
    record
        .rows
        .push(terms.runs.row(Point::named("everything to compile"), fresh).await?);
    let kept = Folder::make()?;
    once(&kept, terms).await?;
    let again = async |_: &str| once(&kept, terms).await;
    record
        .rows
        .push(terms.runs.row(Point::named("nothing to compile"), again).await?);
    terms.runs.tell(record)
}

async fn once(folder: &Folder, terms: &Terms) -> Result<Figures, Failure> {
    let begun = Instant::now();
    let server = tokio::task::block_in_place(|| Server::start(folder, &terms.up()))?;
    http::ask(server.address(), Method::GET, "/healthz", None, String::new(), "health").await?;
    let mut figures = Figures::default().with("ready_ms", begun.elapsed().as_secs_f64() * 1e3);
    if let Some(cpu) = server.process().cpu() {
        figures.set("server_cpu_ms", cpu.as_secs_f64() * 1e3);
    }
    Ok(figures)
}
