//! The value of a sensor's k-th reading: a pure function of the options.

use super::random::{Purpose, Random, stream};
use super::{Quantity, Synthetic};

/// Readings for which a stuck sensor stays the same.
const STUCK_FOR: u64 = 16;
const DAY: f64 = 86_400e9;

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

/// What an odd record writes in another way than the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OddPart {
    /// The time, with six decimals.
    Time,
    /// The values, which are so near zero that their text has an exponent.
    Value,
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
        self.random.happens(self.options.gaps, stream(Purpose::Gap, series), k)
    }

    /// The part of reading `k` of the sensor with this `turn` that is written in another way, if any is.
    pub(super) fn odd_part(&self, turn: u64, k: u64) -> Option<OddPart> {
        let is_odd = self.random.happens(self.options.odd?, stream(Purpose::Odd, turn), k);
        let of_time = self.random.bits(stream(Purpose::OddPart, turn), k) & 1 == 0;
        is_odd.then_some(if of_time { OddPart::Time } else { OddPart::Value })
    }

    /// The value of reading `k`; `None` for null.
    pub(super) fn value(&self, kind: Quantity, series: u64, k: u64) -> Option<f64> {
        let (random, options) = (self.random, &self.options);
        if random.happens(options.nulls, stream(Purpose::Null, series), k) {
            return None;
        }
        if random.happens(options.nan, stream(Purpose::Nan, series), k) {
            return Some(f64::NAN);
        }
        let is_stuck = random.happens(options.stuck, stream(Purpose::Stuck, series), k / STUCK_FOR);
        let k = if is_stuck { k - k % STUCK_FOR } else { k };
        Some((self.smooth(kind, series, k) * self.scale).round() / self.scale)
    }

    fn smooth(&self, kind: Quantity, series: u64, k: u64) -> f64 {
        let (random, options, profile) = (self.random, &self.options, profile(kind));
        let days = k as f64 * self.interval as f64 / DAY;
        let phase = random.uniform(stream(Purpose::Phase, series), 0);
        let noise = options.noise * profile.noise * random.normal(stream(Purpose::Noise, series), k);
        let value = profile.level + profile.swing * wave(days + phase) + options.drift * days + noise;
        if !random.happens(options.spikes, stream(Purpose::Spike, series), k) {
            return value;
        }
        let sign = if random.bits(stream(Purpose::SpikeSign, series), k) & 1 == 0 { 1.0 } else { -1.0 };
        value + sign * 4.0 * profile.level
    }
}

/// Approximately a sine of period 1, made of two parabolas: additions and multiplications only, so the bits are the same everywhere.
fn wave(x: f64) -> f64 {
    let x = x - x.floor();
    if x < 0.5 { 8.0 * x * (1.0 - 2.0 * x) } else { -8.0 * (x - 0.5) * (2.0 - 2.0 * x) }
}
