//! Whatever can be made a stage.

use std::sync::Arc;

use super::Stage;

/// What can stand as a stage: a [`Stage`], or what is written for one sensor, one series or one record ([`SensorStage`](super::SensorStage),
/// [`SeriesStage`](super::SeriesStage), [`RowStage`](super::RowStage)). `P` says by which of these, and is found by itself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no stage",
    label = "implement `Stage`, `SensorStage`, `SeriesStage` or `RowStage` for it"
)]
pub trait IntoStage<P: ?Sized> {
    /// The stage.
    fn into_stage(self) -> Arc<dyn Stage>;
}

impl<S: Stage + 'static> IntoStage<dyn Stage> for S {
    fn into_stage(self) -> Arc<dyn Stage> {
        Arc::new(self)
    }
}
