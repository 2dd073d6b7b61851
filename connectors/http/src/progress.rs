//! How much of an epoch is delivered already, so that an epoch that failed in the middle is not sent from its beginning.

/// The requests of the current epoch that have succeeded. It is forgotten with the process: then the epoch is sent again as a whole.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    epoch: Option<u64>,
    sent: usize,
}

impl Progress {
    /// `epoch` is delivered now: how many of its requests have succeeded in earlier attempts.
    pub(crate) fn begin(&mut self, epoch: u64) -> usize {
        if self.epoch != Some(epoch) {
            (self.epoch, self.sent) = (Some(epoch), 0);
        }
        self.sent
    }

    /// One more request has succeeded.
    pub(crate) fn step(&mut self) {
        self.sent += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_succeeded_is_known_for_the_same_epoch_only() {
        let mut progress = Progress::default();
        assert_eq!(progress.begin(3), 0);
        progress.step();
        progress.step();
        assert_eq!((progress.begin(3), progress.begin(4), progress.begin(3)), (2, 0, 0));
    }
}
