//! The value of a sensor's k-th reading: a pure function of the options.

use super::random::Random;
use super::{Quantity, Synthetic};

/// Readings for which a stuck sensor stays the same.
const STUCK_FOR: u64 = 16;
const DAY: f64 = 86_400e9;

/// Streams of random numbers, one per purpose.
enum RandomStream {
    Noise = 1,
    Spike,
    SpikeSign,
    Stuck,
    Nan,
    Null,
    Gap,
    Phase,
}

/// Level, daily amplitude and noise of a kind of sensor, in its unit.
struct Profile {
    level: f64,
    swing: f64,
    noise: f64,
}

fn profile(kind: Quantity) -> Profile {
    match kind {
        // Degrees Celsius.
        Quantity::Temperature => Profile { level: 60.0, swing: 25.0, noise: 3.0 },
        // Kilopascal.
        Quantity::Pressure => Profile { level: 100.0, swing: 8.0, noise: 1.0 },
        // Litres per minute.
        Quantity::Flow => Profile { level: 40.0, swing: 15.0, noise: 2.0 },
    }
}

/// The generator of all series.
#[derive(Clone, Debug)]
pub(super) struct Signal {
    options: Synthetic,
    random: Random,
    interval: i64,
    scale: f64,
}

impl Signal {
    pub(super) fn new(options: &Synthetic, interval: i64) -> Self {
        let scale = 10f64.powi(i32::from(options.decimals));
        Self { options: options.clone(), random: Random::new(options.seed), interval, scale }
    }

    /// Whether reading `k` of series `series` is left out.
    pub(super) fn is_gap(&self, series: u64, k: u64) -> bool {
        self.random.happens(self.options.gaps, stream(RandomStream::Gap, series), k)
    }

    /// The value of reading `k`; `None` for null.
    pub(super) fn value(&self, kind: Quantity, series: u64, k: u64) -> Option<f64> {
        let (random, options) = (self.random, &self.options);
        if random.happens(options.nulls, stream(RandomStream::Null, series), k) {
            return None;
        }
        if random.happens(options.nan, stream(RandomStream::Nan, series), k) {
            return Some(f64::NAN);
        }
        let is_stuck = random.happens(options.stuck, stream(RandomStream::Stuck, series), k / STUCK_FOR);
        let k = if is_stuck { k - k % STUCK_FOR } else { k };
        Some((self.smooth(kind, series, k) * self.scale).round() / self.scale)
    }

    fn smooth(&self, kind: Quantity, series: u64, k: u64) -> f64 {
        let (random, options, profile) = (self.random, &self.options, profile(kind));
        let days = k as f64 * self.interval as f64 / DAY;
        let phase = random.uniform(stream(RandomStream::Phase, series), 0);
        let noise = options.noise * profile.noise * random.normal(stream(RandomStream::Noise, series), k);
        let value = profile.level + profile.swing * wave(days + phase) + options.drift * days + noise;
        if !random.happens(options.spikes, stream(RandomStream::Spike, series), k) {
            return value;
        }
        let sign = if random.bits(stream(RandomStream::SpikeSign, series), k) & 1 == 0 { 1.0 } else { -1.0 };
        value + sign * 4.0 * profile.level
    }
}

/// One stream per purpose and series.
fn stream(purpose: RandomStream, series: u64) -> u64 {
    series << 4 | purpose as u64
}

/// Approximately a sine of period 1, made of two parabolas: additions and multiplications only, so the bits are the same everywhere.
fn wave(x: f64) -> f64 {
    let x = x - x.floor();
    if x < 0.5 { 8.0 * x * (1.0 - 2.0 * x) } else { -8.0 * (x - 0.5) * (2.0 - 2.0 * x) }
}
