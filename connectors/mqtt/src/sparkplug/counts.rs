//! What was met, for the remarks of a run.

/// Counts of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) births: u64,
    pub(crate) deaths: u64,
    /// Gaps in the numbers of messages.
    pub(crate) gaps: u64,
    /// Data of a node or device that was not born.
    pub(crate) unborn: u64,
    /// Requests to be born again.
    pub(crate) asked: u64,
}

impl Counts {
    pub(crate) fn remarks(self) -> Vec<String> {
        let Self { births, deaths, gaps, unborn, asked } = self;
        let mut remarks = vec![format!("Sparkplug: {births} births, {deaths} deaths")];
        if gaps + unborn > 0 {
            remarks.push(format!(
                "Sparkplug: messages were missing {gaps} times, {unborn} messages came before a birth; nodes were asked {asked} times to be born again"
            ));
        }
        remarks
    }
}
