//! One device: reads its registers once.

use std::sync::Arc;
use std::time::Duration;

use tidemill_engine::batch::Number;
use tidemill_engine::error::{Error, Result};

use crate::connection::{Failure, Gateway, Refusal};
use crate::register::Register;
use crate::request::{Limits, Request, requests};

/// The registers that devices have, and their names: the columns of the records.
#[derive(Debug)]
pub(crate) struct Map {
    pub(crate) names: Vec<Arc<str>>,
    pub(crate) registers: Vec<Register>,
}

/// A device, and the requests that read its registers.
pub(crate) struct Device {
    pub(crate) name: Arc<str>,
    pub(crate) unit: u8,
    pub(crate) timeout: Duration,
    map: Arc<Map>,
    /// As few requests as the limits allow.
    planned: Vec<Request>,
    /// Those that it accepts: the planned ones, halved where it has refused them.
    requests: Vec<Request>,
    /// Whether it answered when it was asked last.
    answers: bool,
}

/// What one poll has found.
pub(crate) struct Readout {
    /// By place in the map; none where the device has refused, says that there is none, or does not have the register.
    pub(crate) values: Box<[Option<Number>]>,
    /// How many requests were answered with values.
    pub(crate) answered: usize,
    /// What it refuses.
    pub(crate) refused: Vec<Refused>,
}

/// Registers that a device refuses, and why.
pub(crate) struct Refused {
    pub(crate) why: Refusal,
    request: Request,
}

impl Device {
    /// The device `name` with the registers at these places of `map`.
    pub(crate) fn new(
        name: Arc<str>,
        unit: u8,
        timeout: Duration,
        map: Arc<Map>,
        places: &[usize],
        limits: &Limits,
    ) -> Self {
        let planned = requests(&map.registers, places, limits);
        Self { name, unit, timeout, map, requests: planned.clone(), planned, answers: false }
    }

    /// How many requests a poll takes.
    pub(crate) fn requests(&self) -> usize {
        self.requests.len()
    }

    /// Reads all registers. A request that is refused because of its addresses is halved, for good: so the registers beside a wrong one are read.
    ///
    /// # Errors
    /// Transient, if the device is not available; then nothing is known about any register.
    pub(crate) async fn read(&mut self, gateway: &Gateway) -> Result<Readout> {
        let _turn = if self.answers { None } else { Some(gateway.silent().await) };
        let values = vec![None; self.map.registers.len()].into_boxed_slice();
        let mut readout = Readout { values, answered: 0, refused: Vec::new() };
        let mut at = 0;
        while let Some(request) = self.requests.get(at) {
            match gateway.read(self.unit, request, self.timeout).await {
                Ok(words) => self.fill(request, &words, &mut readout),
                Err(Failure::Refused(why)) => {
                    let halves =
                        why.depends_on_addresses().then(|| request.halves(&self.map.registers)).flatten();
                    if let Some(halves) = halves {
                        self.requests.splice(at..=at, halves);
                        continue;
                    }
                    readout.refused.push(Refused { why, request: request.clone() });
                }
                Err(Failure::Unavailable(error)) => {
                    // Another device may answer next, or the same one with another configuration.
                    self.requests.clone_from(&self.planned);
                    self.answers = false;
                    return Err(error.with_context(&self.name));
                }
            }
            at += 1;
        }
        self.answers = true;
        Ok(readout)
    }

    fn fill(&self, request: &Request, words: &[u16], readout: &mut Readout) {
        readout.answered += 1;
        for &place in &request.members {
            let register = &self.map.registers[place];
            readout.values[place] = register.decode(request.words(register, words));
        }
    }

    /// A refusal as an error that says what to do.
    pub(crate) fn refusal(&self, refused: &Refused) -> Error {
        let Refused { why, request } = refused;
        let names: Vec<_> =
            request.members.iter().map(|&place| format!("`{}`", self.map.names[place])).collect();
        let kind = request.kind.as_str();
        let last = u32::from(request.start) + u32::from(request.count) - 1;
        let place = match request.count {
            1 => format!("{kind} {last}"),
            _ => format!("{kind}s {} to {last}", request.start),
        };
        Error::config(format!("{}: refuses {}, {place}: {why}", self.name, names.join(", ")))
            .with_help("compare `kind`, `address` (from 0) and `type` with the manual of the device; with refused = \"null\" the run goes on without these registers")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register::{Kind, ValueType};
    use crate::testing::{Asked, LIMIT, Reply, register, wait};

    const PATIENT: Duration = Duration::from_secs(20);

    /// What a device answers.
    type Answer = fn(Asked) -> Reply;

    /// The device `a` with a register at each of these addresses.
    fn device(addresses: &[u16], gap: u16, timeout: Duration) -> Device {
        let registers =
            addresses.iter().map(|&address| register(Kind::Holding, address, ValueType::U16)).collect();
        let names = addresses.iter().map(|address| format!("r{address}").into()).collect();
        let places: Vec<usize> = (0..addresses.len()).collect();
        let limits = Limits { gap, registers: 125, bits: 2000 };
        Device::new("a".into(), 1, timeout, Arc::new(Map { names, registers }), &places, &limits)
    }

    fn values(readout: &Readout) -> Vec<Option<f64>> {
        readout.values.iter().map(|value| value.map(Number::as_f64)).collect()
    }

    /// What the device answers to one poll, and the polls after a failure, in words.
    fn polls(
        device: &mut Device,
        address: &crate::connection::Address,
        count: usize,
    ) -> Vec<Result<Vec<Option<f64>>>> {
        let gateway = Gateway::new(address.clone());
        wait(async {
            let mut all = Vec::new();
            for _ in 0..count {
                all.push(device.read(&gateway).await.map(|readout| values(&readout)));
            }
            all
        })
    }

    #[test]
    fn registers_beside_a_wrong_one_are_read_and_it_is_named() {
        let is_wrong = |asked: Asked| (asked.start..asked.start + asked.count).contains(&5);
        let (address, asked) = crate::testing::device(move |asked| match is_wrong(asked) {
            true => Reply::Body(asked.exception(2)),
            false => Reply::Body(asked.addresses()),
        });
        let mut device = device(&[1, 2, 3, 5, 6, 40], 1, PATIENT);
        let gateway = Gateway::new(address.clone());
        let (readout, before) = wait(async {
            let readout = device.read(&gateway).await.expect("an answer");
            let before = asked.lock().expect("no panic").len();
            device.read(&gateway).await.expect("an answer");
            (readout, before)
        });
        assert_eq!(values(&readout), [Some(1.0), Some(2.0), Some(3.0), None, Some(6.0), Some(40.0)]);
        assert_eq!(readout.refused.len(), 1);
        let error = device.refusal(&readout.refused[0]).to_string();
        assert!(error.contains("a: refuses `r5`, holding register 5: illegal data address"), "{error}");
        // From then on, it is asked by itself.
        let spans: Vec<_> = asked.lock().expect("no panic")[before..]
            .iter()
            .map(|asked| (asked.start, asked.count))
            .collect();
        assert_eq!(spans, [(1, 2), (3, 1), (5, 1), (6, 1), (40, 1)]);
        assert_eq!(device.requests(), 5);
    }

    #[test]
    fn another_exception_is_no_reason_to_ask_for_less() {
        for code in [1, 4, 8, 77] {
            let (address, asked) = crate::testing::device(move |asked| Reply::Body(asked.exception(code)));
            let mut device = device(&[1, 2], 0, PATIENT);
            let readout =
                wait(async { device.read(&Gateway::new(address.clone())).await }).expect("an answer");
            assert_eq!(
                (readout.answered, readout.refused.len(), asked.lock().expect("no panic").len()),
                (0, 1, 1)
            );
            let error = device.refusal(&readout.refused[0]).to_string();
            assert!(
                error.contains("`r1`, `r2`, holding registers 1 to 2")
                    && error.contains(&format!("exception {code}")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_device_that_is_not_available_is_an_error_that_passes() {
        for (code, words) in
            [(5, "still works"), (6, "is busy"), (10, "no way"), (11, "does not answer the gateway")]
        {
            let (address, _) = crate::testing::device(move |asked| Reply::Body(asked.exception(code)));
            let error =
                polls(&mut device(&[1], 0, PATIENT), &address, 1).remove(0).expect_err("an exception");
            assert!(error.is_transient() && error.message().contains(words), "{error}");
            assert!(error.message().starts_with(&format!("a: {address}: ")), "{error}");
        }
        let gone = crate::connection::Address { host: "127.0.0.1".into(), port: 1 };
        let error = polls(&mut device(&[1], 0, PATIENT), &gone, 1).remove(0).expect_err("nobody listens");
        assert!(
            error.is_transient() && error.message().contains("no connection: connection refused"),
            "{error}"
        );
    }

    #[test]
    fn a_connection_that_was_closed_between_polls_is_made_again() {
        let (address, asked) = crate::testing::device(|asked| Reply::Last(asked.addresses()));
        let all = polls(&mut device(&[7], 0, PATIENT), &address, 3);
        assert!(all.iter().all(|poll| poll.as_ref().is_ok_and(|values| *values == [Some(7.0)])), "{all:?}");
        assert_eq!(asked.lock().expect("no panic").len(), 3);
    }

    #[test]
    fn what_does_not_fit_is_an_error_and_the_next_poll_begins_anew() {
        let first = |wrong: Answer, limit| {
            let is_first = std::sync::atomic::AtomicBool::new(true);
            let answer = move |asked: Asked| match is_first.swap(false, std::sync::atomic::Ordering::Relaxed)
            {
                true => wrong(asked),
                false => Reply::Body(asked.addresses()),
            };
            let (address, _) = crate::testing::device(answer);
            let mut all = polls(&mut device(&[7, 8], 0, limit), &address, 1);
            all.extend(polls(&mut device(&[7, 8], 0, PATIENT), &address, 1));
            assert!(all[1].as_ref().is_ok_and(|values| *values == [Some(7.0), Some(8.0)]), "{all:?}");
            all.remove(0).expect_err("a wrong answer").to_string()
        };
        let cases: [(Answer, &str); 6] = [
            (
                |asked| Reply::Body(vec![asked.function, 2, 0, 7]),
                "the answer has 1 values, and 2 were asked for",
            ),
            (|asked| Reply::Body(vec![asked.function, 6, 0, 7, 0, 8, 0, 9]), "has 3 values"),
            (|_| Reply::Body(vec![4, 4, 0, 7, 0, 8]), "that to another request"),
            (|_| Reply::Bytes(vec![9, 9, 0, 0, 0, 7, 1, 3, 4, 0, 7, 0, 8]), "that to another request"),
            (|_| Reply::Bytes(vec![9, 9, 0, 1, 0, 3, 1, 3, 0]), "not Modbus TCP"),
            (|_| Reply::Nothing, "closed before the answer came"),
        ];
        for (wrong, expected) in cases {
            let error = first(wrong, PATIENT);
            assert!(error.contains(expected), "{error:?} has no {expected:?}");
        }
        assert!(first(|asked| Reply::Late(asked.addresses()), LIMIT).contains("no answer within 0.5 s"));
    }

    #[test]
    fn a_late_answer_is_not_taken_for_the_next_one() {
        let (address, asked) = crate::testing::device(|asked| match asked.start {
            7 => Reply::Late(asked.addresses()),
            _ => Reply::Body(asked.addresses()),
        });
        let gateway = Gateway::new(address.clone());
        wait(async {
            assert!(device(&[7], 0, LIMIT).read(&gateway).await.is_err());
            let readout = device(&[8], 0, PATIENT).read(&gateway).await.expect("an answer");
            assert_eq!(values(&readout), [Some(8.0)]);
        });
        assert_eq!(asked.lock().expect("no panic").len(), 2);
    }
}
