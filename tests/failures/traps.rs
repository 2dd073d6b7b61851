//! Parts that do what real ones do, until a trap at one of their calls panics.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidemill::Error;
use tidemill::batch::{Batch, Schema};
use tidemill::error::Result;
use tidemill::sensor::{SensorId, SensorLookup, Sensors};
use tidemill::sink::{Block, Job, Prepare, Repeat, Sink, SinkCheckpoint, SinkContext, SinkSpec};
use tidemill::source::{Input, Offset, OpenOptions, Progress, Source, SourceSpec, Traits};
use tidemill_core::stage::{
    Cut, CutKind, Fit, Fitted, Flow, Groups, Made, Pieces, Process, Reach, Shards, Share, Stage,
};

/// Panics when the call that it waits for is made.
pub(super) struct Trap {
    pub(super) at: &'static str,
    pub(super) is_set: AtomicBool,
    pub(super) is_sprung: AtomicBool,
}

impl Trap {
    pub(super) fn pass(&self, call: &str) {
        if self.at == call && self.is_set.load(Ordering::Acquire) {
            self.is_sprung.store(true, Ordering::Release);
            panic!("planted in {call}");
        }
    }
}

/// A part, and the trap on its way.
pub(super) struct Trapped<T: ?Sized> {
    trap: Arc<Trap>,
    inner: Box<T>,
}

pub(super) fn trapped<T: ?Sized>(trap: &Arc<Trap>, inner: Box<T>) -> Trapped<T> {
    Trapped { trap: Arc::clone(trap), inner }
}

impl SourceSpec for Trapped<dyn SourceSpec> {
    fn name(&self) -> &str {
        self.trap.pass("source.name");
        self.inner.name()
    }
    fn parameters(&self) -> serde_json::Value {
        self.inner.parameters()
    }
    fn traits(&self) -> Traits {
        self.trap.pass("source.traits");
        self.inner.traits()
    }
    fn can_resume(&self) -> bool {
        true
    }
    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        self.trap.pass("source.open");
        Ok(Box::new(trapped(&self.trap, self.inner.open(options)?)))
    }
}

impl Source for Trapped<dyn Source> {
    fn schema(&self) -> &Arc<Schema> {
        self.trap.pass("source.schema");
        self.inner.schema()
    }
    fn begin(&mut self) -> Result<()> {
        self.trap.pass("source.begin");
        self.inner.begin()
    }
    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        self.trap.pass("source.next");
        self.inner.next(sensors)
    }
    fn drain(&mut self, goes_on: bool, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        self.trap.pass("source.drain");
        self.inner.drain(goes_on, sensors)
    }
    fn offset(&self) -> Offset {
        self.inner.offset()
    }
    fn seek(&mut self, offset: Offset) -> Result<()> {
        self.inner.seek(offset)
    }
    fn save(&self) -> Result<Option<Vec<u8>>> {
        self.trap.pass("source.save");
        self.inner.save()
    }
    fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.trap.pass("source.restore");
        self.inner.restore(state)
    }
    fn received(&self) -> Option<tidemill::time::Timestamp> {
        self.trap.pass("source.received");
        self.inner.received()
    }
    fn remarks(&self) -> Vec<String> {
        self.trap.pass("source.remarks");
        self.inner.remarks()
    }
    fn progress(&self) -> Progress {
        self.trap.pass("source.progress");
        self.inner.progress()
    }
    fn bytes(&self) -> u64 {
        self.trap.pass("source.bytes");
        self.inner.bytes()
    }
}

/// A stage whose calls begin with `at`.
pub(super) struct TrappedStage {
    pub(super) at: &'static str,
    pub(super) part: Trapped<dyn Stage>,
}

impl TrappedStage {
    fn pass(&self, call: &str) {
        self.part.trap.pass(&format!("{}.{call}", self.at));
    }
    fn within<T: ?Sized>(&self, inner: Box<T>) -> Within<T> {
        Within { at: self.at, part: trapped(&self.part.trap, inner) }
    }
}

impl Stage for TrappedStage {
    fn name(&self) -> &str {
        self.part.inner.name()
    }
    fn parameters(&self) -> serde_json::Value {
        self.part.inner.parameters()
    }
    fn reach(&self) -> Reach {
        self.pass("reach");
        self.part.inner.reach()
    }
    fn keeps_state(&self) -> bool {
        self.pass("keeps_state");
        self.part.inner.keeps_state()
    }
    fn output(&self, input: &Schema) -> Result<Schema> {
        self.pass("output");
        self.part.inner.output(input)
    }
    fn start(&self, input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        self.pass("start");
        Ok(Box::new(self.within(self.part.inner.start(input)?)))
    }
    fn shards(&self, input: &Arc<Schema>, count: usize) -> Result<Option<Box<dyn Shards>>> {
        self.pass("shards");
        let shards = self.part.inner.shards(input, count)?;
        Ok(shards.map(|shards| Box::new(self.within(shards)) as Box<dyn Shards>))
    }
    fn fit(&self, input: &Arc<Schema>) -> Result<Option<Box<dyn Fit>>> {
        self.pass("fit");
        let fit = self.part.inner.fit(input)?;
        Ok(fit.map(|fit| Box::new(self.within(fit)) as Box<dyn Fit>))
    }
    fn fitted(&self) -> Option<String> {
        self.pass("fitted");
        self.part.inner.fitted()
    }
    fn gives_up(&self) -> bool {
        self.part.inner.gives_up()
    }
}

/// Something that a stage gave.
struct Within<T: ?Sized> {
    at: &'static str,
    part: Trapped<T>,
}

impl<T: ?Sized> Within<T> {
    fn pass(&self, call: &str) {
        self.part.trap.pass(&format!("{}.{call}", self.at));
    }
}

/// What is inside of another one of its kind.
fn inside<T: ?Sized + 'static>(other: Box<dyn Any>) -> Result<Box<T>>
where
    Within<T>: Any,
{
    let within = other.downcast::<Within<T>>().map_err(|_| Error::internal("another part"))?;
    Ok(within.part.inner)
}

impl Process for Within<dyn Process> {
    fn process(&mut self, batch: Batch, sensors: &Sensors, flow: &mut Flow) -> Result<Batch> {
        self.pass("process");
        self.part.inner.process(batch, sensors, flow)
    }
    fn finish(&mut self, sensors: &Sensors, flow: &mut Flow) -> Result<Option<Batch>> {
        self.pass("finish");
        self.part.inner.finish(sensors, flow)
    }
    fn give_up(&mut self, gone: &[SensorId], sensors: &Sensors, flow: &mut Flow) -> Result<Option<Batch>> {
        self.pass("give_up");
        self.part.inner.give_up(gone, sensors, flow)
    }
    fn merge(&mut self, other: Box<dyn Process>) -> Result<()> {
        self.pass("merge");
        self.part.inner.merge(inside(other)?)
    }
    fn held(&self) -> u64 {
        self.pass("held");
        self.part.inner.held()
    }
    fn save(&self) -> Result<Vec<u8>> {
        self.pass("save");
        self.part.inner.save()
    }
    fn restore(&mut self, state: &[u8], sensors: &Sensors) -> Result<()> {
        self.pass("restore");
        self.part.inner.restore(state, sensors)
    }
}

impl Shards for Within<dyn Shards> {
    fn count(&self) -> usize {
        self.pass("count");
        self.part.inner.count()
    }
    fn step(&self, shard: usize, batch: &Batch, share: Share<'_>, sensors: &Sensors) -> Result<Made> {
        self.pass("step");
        self.part.inner.step(shard, batch, share, sensors)
    }
    fn assemble(
        &self,
        batch: Batch,
        groups: &Groups,
        made: Vec<Made>,
        sensors: &Sensors,
        flow: &mut Flow,
    ) -> Result<Batch> {
        self.pass("assemble");
        self.part.inner.assemble(batch, groups, made, sensors, flow)
    }
    fn finish(&self, sensors: &Sensors, flow: &mut Flow) -> Result<Option<Batch>> {
        self.pass("finish");
        self.part.inner.finish(sensors, flow)
    }
    fn give_up(&self, gone: &[SensorId], sensors: &Sensors, flow: &mut Flow) -> Result<Option<Batch>> {
        self.pass("give_up");
        self.part.inner.give_up(gone, sensors, flow)
    }
    fn cut(&self, kind: CutKind) -> Result<Cut> {
        self.pass("save");
        self.part.inner.cut(kind)
    }
    fn restore(&mut self, cuts: Vec<Pieces>, sensors: &Sensors) -> Result<()> {
        self.pass("restore");
        self.part.inner.restore(cuts, sensors)
    }
}

impl Fit for Within<dyn Fit> {
    fn fork(&self) -> Box<dyn Fit> {
        self.pass("fork");
        let inner = self.part.inner.fork();
        Box::new(Self { at: self.at, part: trapped(&self.part.trap, inner) })
    }
    fn merge(&mut self, fork: Box<dyn Fit>) -> Result<()> {
        self.pass("merge");
        self.part.inner.merge(inside(fork)?)
    }
    fn observe(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        self.pass("observe");
        self.part.inner.observe(batch, sensors)
    }
    fn finish(&mut self, sensors: &Sensors) -> Result<Option<Fitted>> {
        self.pass("finish");
        let fitted = self.part.inner.finish(sensors)?;
        let stage = |stage| Box::new(TrappedStage { at: self.at, part: trapped(&self.part.trap, stage) });
        Ok(fitted.map(|Fitted { stage: fixed, remarks }| Fitted { stage: stage(fixed), remarks }))
    }
}

impl SinkSpec for Trapped<dyn SinkSpec> {
    fn name(&self) -> &str {
        self.inner.name()
    }
    fn parameters(&self) -> serde_json::Value {
        self.inner.parameters()
    }
    fn takes(&self) -> tidemill::sink::Takes {
        self.trap.pass("sink.takes");
        self.inner.takes()
    }
    fn repeat(&self) -> Repeat {
        self.inner.repeat()
    }
    fn check(&self, schema: &Schema) -> Result<()> {
        self.trap.pass("sink.check");
        self.inner.check(schema)
    }
    fn can_resume(&self) -> bool {
        self.trap.pass("sink.can_resume");
        self.inner.can_resume()
    }
    fn open(&self, schema: &Arc<Schema>, context: &SinkContext) -> Result<Box<dyn Sink>> {
        self.trap.pass("sink.open");
        Ok(Box::new(trapped(&self.trap, self.inner.open(schema, context)?)))
    }
}

impl Sink for Trapped<dyn Sink> {
    fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        self.trap.pass("sink.write");
        self.inner.write(batch, sensors)
    }
    fn give_up(&mut self, gone: &[SensorId]) -> Result<()> {
        self.trap.pass("sink.give_up");
        self.inner.give_up(gone)
    }
    fn reject(&mut self, rejection: &tidemill::error::Rejection) -> Result<()> {
        self.trap.pass("sink.reject");
        self.inner.reject(rejection)
    }
    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        self.trap.pass("sink.preparer");
        let preparer = self.inner.preparer()?;
        Some(Arc::new(TrappedPreparer(Arc::clone(&self.trap), preparer)))
    }
    fn accept(&mut self, block: Block) -> Result<Option<Job>> {
        self.trap.pass("sink.accept");
        let trap = Arc::clone(&self.trap);
        let job = self.inner.accept(block)?;
        Ok(job.map(|job| {
            Box::new(move || {
                trap.pass("sink.job");
                job()
            }) as Job
        }))
    }
    fn push(&mut self) -> Result<()> {
        self.trap.pass("sink.push");
        self.inner.push()
    }
    fn flush(&mut self) -> Result<()> {
        self.trap.pass("sink.flush");
        self.inner.flush()
    }
    fn save(&mut self, epoch: u64) -> Result<Option<SinkCheckpoint>> {
        self.trap.pass("sink.save");
        let trap = Arc::clone(&self.trap);
        let saved = self.inner.save(epoch)?;
        Ok(saved.map(|SinkCheckpoint { state, outputs, settle, deliver }| {
            let settle = Box::new(move || {
                trap.pass("sink.settle");
                settle()
            });
            SinkCheckpoint { state, outputs, settle, deliver }
        }))
    }
    fn commit(&mut self) -> Result<Vec<String>> {
        self.trap.pass("sink.commit");
        self.inner.commit()
    }
}

struct TrappedPreparer(Arc<Trap>, Arc<dyn Prepare>);

impl Prepare for TrappedPreparer {
    fn prepare(&self, batch: &Batch, sensors: &Sensors) -> Result<Block> {
        self.0.pass("sink.prepare");
        self.1.prepare(batch, sensors)
    }
}
