//! Conversion to a stage.

use std::sync::Arc;

use super::Stage;

/// Types that can be used as a stage: a [`Stage`], or an implementation for one sensor, one series or one record
/// ([`SensorStage`](super::SensorStage), [`SeriesStage`](super::SeriesStage), [`RowStage`](super::RowStage)). `P` identifies the protocol
/// and is inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a stage",
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
