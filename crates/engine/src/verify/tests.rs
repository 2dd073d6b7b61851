use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;
use crate::batch::{Batch, Column, Schema};
use crate::executor::tests::case;
use crate::sensor::Sensors;
use crate::sink::Null;
use crate::source::Synthetic;
use crate::stage::Reach;
use crate::stage::{Flow, Process, Stage};

/// In memory if possible: these tests make files durable hundreds of times, which is not what they test.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("folder")
}

proptest! {
    // 256 pipelines, or PROPTEST_CASES.
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn every_way_of_running_a_pipeline_gives_the_same_bytes(case in case(), seed: u64) {
        let folder = folder();
        std::fs::write(folder.path().join("in.csv"), case.text()).expect("written");
        let make = |out: &Path| {
            let out = out.file_name().expect("a name").to_str().expect("UTF-8").to_owned();
            Ok(case.pipeline(folder.path(), &out))
        };
        let verdict = verify(&make, folder.path(), &VerifyOptions { seed, rounds: 1 }).expect("a verdict");
        prop_assert_eq!(verdict.difference.map(|difference| difference.to_string()), None);
        prop_assert_eq!(verdict.ways, 4);
    }
}

/// Writes how many batches it has seen, which must not affect the output.
struct Counting(Arc<AtomicU64>);

impl Stage for Counting {
    fn name(&self) -> &str {
        "counting"
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    fn reach(&self) -> Reach {
        Reach::Row
    }

    fn keeps_state(&self) -> bool {
        false
    }

    fn output(&self, input: &Schema) -> Result<Schema> {
        Ok(input.clone())
    }

    fn start(&self, _input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        let seen = Arc::clone(&self.0);
        Ok(Box::new(move |mut batch: Batch, _: &Sensors, _: &mut Flow| {
            let at = batch.schema().index_of("value").expect("a column");
            if let Column::F64(numbers) = batch.column_mut(at) {
                numbers.values.to_mut().fill(seen.fetch_add(1, Ordering::Relaxed) as f64);
            }
            Ok(batch)
        }))
    }
}

#[test]
fn a_stage_that_depends_on_how_its_input_is_cut_is_found_out() {
    let folder = tempfile::tempdir().expect("folder");
    let make = |_: &Path| {
        Pipeline::builder()
            .source(Synthetic::default().records(3000))
            .stage(Counting(Arc::default()))
            .sink(Null::default())
            .build()
    };
    let verdict = verify(&make, folder.path(), &VerifyOptions { seed: 1, rounds: 4 }).expect("a verdict");
    let difference = verdict.difference.expect("a difference");
    assert_eq!(difference.file, "all records.csv");
    assert!(difference.line > 1 && difference.plain != difference.other, "{difference}");
}

#[test]
fn a_run_that_fails_for_its_rejects_fails_in_every_way() {
    let folder = tempfile::tempdir().expect("folder");
    let mut text = String::from("t,s,v\n");
    for at in 0..3000 {
        let late = if at % 20 == 7 { 15 } else { 0 };
        text += &format!("{},a,{at}\n", 100 + at - late);
    }
    let input = folder.path().join("in.csv");
    std::fs::write(&input, text).expect("written");
    let toml = format!(
        "[source]\ntype = 'csv'\npath = {input:?}\ntime = 't'\ntime_format = 's'\nsensor = 's'\norder = 'time'\ndisorder = '2s'\n\
         [[sink]]\ntype = 'null'\n"
    );
    let make = |_: &Path| Ok(Pipeline::from_toml(&toml).expect("a pipeline"));
    let options = VerifyOptions { seed: 1, rounds: 1 };
    let verdict = verify(&make, folder.path(), &options).expect("verified");
    assert_eq!(verdict.difference, None);
    assert!(verdict.failure.expect("too many are late").contains("were rejected"));
}
