//! `tidemill generate`: writes the source `synthetic` to a file, with an ordinary pipeline.

use super::args::GenerateArgs;
use super::failure::Outcome;
use super::run::drive;
use tidemill_core::error::{Error, Result};
use tidemill_engine::pipeline::Spec;

pub(super) fn generate(args: &GenerateArgs) -> Outcome {
    let sink = sink_for(&args.output)?;
    let mut text = String::from("[source]\ntype = \"synthetic\"\n");
    for (name, value) in [("sensors", args.sensors), ("records", args.records), ("seed", args.seed)] {
        if let Some(value) = value {
            text += &format!("{name} = {value}\n");
        }
    }
    // The path is text of TOML, in which `${` would be a variable.
    let path = toml::Value::from(args.output.replace("${", "$${"));
    text += &format!("[[sink]]\ntype = \"{sink}\"\npath = {path}\n");
    if args.output.ends_with(".tsv") {
        text += "delimiter = \"\\t\"\n";
    }
    let spec =
        args.set.iter().fold(Spec::new("generate", text), |spec, set| spec.with_set(format!("source.{set}")));
    drive(&spec.resolve()?, &args.drive).map(drop)
}

/// The sink for a file of this name.
fn sink_for(path: &str) -> Result<&'static str> {
    let extension = std::path::Path::new(path).extension().and_then(|extension| extension.to_str());
    match extension {
        _ if path == "-" => Ok("csv"),
        Some("csv" | "tsv") => Ok("csv"),
        Some("jsonl" | "ndjson") => Ok("jsonl"),
        Some("parquet") => Ok("parquet"),
        _ => Err(Error::usage(format!("the file type of {path} cannot be determined from its name"))
            .with_help("end it in .csv, .jsonl or .parquet")),
    }
}
