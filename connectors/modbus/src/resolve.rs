//! From the options to registers and devices, with everything checked that can be without a connection.

use std::sync::Arc;
use std::time::Duration;

use tidemill_engine::error::{Error, Result};
use tidemill_engine::time::parse_duration;

use crate::connection::Address;
use crate::device::{Device, Map};
use crate::options::{DeviceOptions, Modbus, RegisterOptions};
use crate::register::{Register, ValueType};
use crate::request::Limits;
use crate::scaling::Scaling;

/// The shortest interval between polls.
const SHORTEST: Duration = Duration::from_millis(10);

/// A device as the run needs it.
pub(crate) struct Target {
    pub(crate) address: Address,
    pub(crate) every: Duration,
    pub(crate) device: Device,
}

impl Modbus {
    /// All registers.
    ///
    /// # Errors
    /// A configuration error that names the register and the option.
    pub(crate) fn map(&self) -> Result<Map> {
        if self.register.is_empty() {
            return Err(Error::config("there is no register")
                .with_help("describe each in a table [[source.register]]"));
        }
        let register = |register: &RegisterOptions| {
            let of = |error: Error| error.with_context(format_args!("register `{}`", register.name));
            self.register(register).map_err(of)
        };
        let registers = self.register.iter().map(register).collect::<Result<_>>()?;
        Ok(Map {
            names: self.register.iter().map(|register| register.name.as_str().into()).collect(),
            registers,
        })
    }

    /// All devices, with the registers that they have.
    ///
    /// # Errors
    /// A configuration error that names the device and the option.
    pub(crate) fn targets(&self, map: &Arc<Map>) -> Result<Vec<Target>> {
        if self.device.is_empty() {
            return Err(
                Error::config("there is no device").with_help("describe each in a table [[source.device]]")
            );
        }
        let limits = self.limits()?;
        let target = |(at, device): (usize, &DeviceOptions)| {
            if device.name.is_empty() {
                return Err(
                    Error::config("`name` of a device is empty").with_help("it is the sensor of its records")
                );
            }
            if self.device[..at].iter().any(|earlier| earlier.name == device.name) {
                return Err(Error::config(format!("two devices are called `{}`", device.name)));
            }
            let of = |error: Error| error.with_context(format_args!("device `{}`", device.name));
            self.target(device, map, &limits).map_err(of)
        };
        self.device.iter().enumerate().map(target).collect()
    }

    fn target(&self, device: &DeviceOptions, map: &Arc<Map>, limits: &Limits) -> Result<Target> {
        if device.address.contains('@') {
            // The rest may be a password, whatever else is wrong: it is not repeated.
            return Err(Error::config("`address` must not contain a user or password")
                .with_help("Modbus has no login: write the host alone, such as \"plc.example\""));
        }
        let address = Address::parse(&device.address).ok_or_else(|| {
            Error::config(format!("`address` {:?} is not a host, with a port or without", device.address))
                .with_help("such as \"plc.example\", \"10.0.0.7:1502\" or \"[fd00::7]:502\"")
        })?;
        let every = duration("every", device.every.as_ref().unwrap_or(&self.every))?;
        if every < SHORTEST {
            return Err(Error::config("`every` is shorter than 10 ms"));
        }
        let timeout = duration("timeout", device.timeout.as_ref().unwrap_or(&self.timeout))?;
        let has = |register: &RegisterOptions| {
            register.devices.is_empty() || register.devices.contains(&device.name)
        };
        let places: Vec<usize> = (0..self.register.len()).filter(|&at| has(&self.register[at])).collect();
        if places.is_empty() {
            return Err(
                Error::config("it has no register").with_help("`devices` of each register names others")
            );
        }
        let device =
            Device::new(device.name.as_str().into(), device.unit, timeout, Arc::clone(map), &places, limits);
        Ok(Target { address, every, device })
    }

    fn limits(&self) -> Result<Limits> {
        let Self { gap, max_registers, max_bits, .. } = *self;
        if !(4..=125).contains(&max_registers) {
            return Err(Error::config(format!("`max_registers` {max_registers} is not between 4 and 125")));
        }
        if !(1..=2000).contains(&max_bits) {
            return Err(Error::config(format!("`max_bits` {max_bits} is not between 1 and 2,000")));
        }
        Ok(Limits { gap, registers: max_registers, bits: max_bits })
    }

    fn register(&self, written: &RegisterOptions) -> Result<Register> {
        let &RegisterOptions { kind, address, bit, word_order, byte_order, .. } = written;
        let is_bool = kind.is_bits() || bit.is_some();
        let ty = written.ty.unwrap_or(if is_bool { ValueType::Bool } else { ValueType::U16 });
        if let Some(other) =
            written.devices.iter().find(|name| self.device.iter().all(|device| device.name != **name))
        {
            return Err(Error::config(format!("`devices` names `{other}`, and no device is called that")));
        }
        if written.name.is_empty() {
            return Err(Error::config("`name` is empty").with_help("it is the name of the measurement"));
        }
        if kind.is_bits() && (bit.is_some() || word_order.is_some() || byte_order.is_some()) {
            return Err(Error::config(format!(
                "a {} is a single bit: it has no `bit`, `word_order` or `byte_order`",
                kind.as_str()
            )));
        }
        if is_bool && ty != ValueType::Bool {
            return Err(Error::config("a single bit is a truth value: `type` must be \"bool\", or left out"));
        }
        if bit.is_some_and(|bit| bit > 15) {
            return Err(Error::config("`bit` is not between 0 and 15"));
        }
        if u32::from(address) + u32::from(ty.width()) > 65_536 {
            return Err(Error::config(format!(
                "the value has {} registers, and the last address is 65,535",
                ty.width()
            )));
        }
        let scaling = scaling(written, ty)?;
        let (word_order, byte_order) =
            (word_order.unwrap_or(self.word_order), byte_order.unwrap_or(self.byte_order));
        Ok(Register { kind, address, ty, bit, word_order, byte_order, scaling })
    }
}

fn scaling(written: &RegisterOptions, ty: ValueType) -> Result<Option<Scaling>> {
    if written.scale.is_none() && written.offset.is_none() {
        return Ok(None);
    }
    if ty == ValueType::Bool {
        return Err(Error::config("a truth value has no `scale` and no `offset`"));
    }
    let (scale, offset) = (written.scale.unwrap_or(1.0), written.offset.unwrap_or(0.0));
    if scale == 0.0 || !scale.is_finite() || !offset.is_finite() {
        return Err(Error::config(
            "`scale` must be a finite number other than 0, and `offset` a finite number",
        ));
    }
    Ok(Some(Scaling::new(scale, offset)))
}

fn duration(option: &str, text: &str) -> Result<Duration> {
    let nanos = parse_duration(text).map_err(|why| Error::config(format!("`{option}`: {why}")))?;
    Ok(Duration::from_nanos(nanos.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register::Endian;
    use crate::testing::modbus;

    const DEVICE: &str = "[[device]]\nname = 'a'\naddress = 'plc'\n";

    fn error(toml: &str) -> String {
        let options = modbus(toml);
        let checked = options.map().and_then(|map| options.targets(&Arc::new(map)).map(drop));
        checked.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_map_has_its_defaults_from_the_source() {
        let options = modbus(&format!(
            "word_order = 'little'\n{DEVICE}every = '1m'\n[[device]]\nname = 'b'\naddress = '[::1]:1502'\nunit = 7\n\
             [[register]]\nname = 'u'\naddress = 1\n[[register]]\nname = 'f'\naddress = 2\ntype = 'f32'\nbyte_order = 'little'\ndevices = ['b']\n\
             [[register]]\nname = 'flag'\nkind = 'input'\naddress = 9\nbit = 3\n[[register]]\nname = 'coil'\nkind = 'coil'\naddress = 9\n"
        ));
        let map = Arc::new(options.map().expect("a map"));
        let types: Vec<_> = map.registers.iter().map(|register| register.ty).collect();
        assert_eq!(types, [ValueType::U16, ValueType::F32, ValueType::Bool, ValueType::Bool]);
        let orders = (map.registers[1].word_order, map.registers[1].byte_order);
        assert_eq!(orders, (Endian::Little, Endian::Little));
        let targets = options.targets(&map).expect("devices");
        let (one, other) = (&targets[0], &targets[1]);
        assert_eq!((one.address.to_string(), one.every), ("plc:502".to_owned(), Duration::from_mins(1)));
        assert_eq!((other.address.to_string(), other.device.unit), ("[::1]:1502".to_owned(), 7));
        assert_eq!((one.device.requests(), other.device.requests()), (3, 3), "its registers are neighbours");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let register = |more: &str| format!("{DEVICE}[[register]]\nname = 'x'\naddress = 1\n{more}");
        assert_eq!(error(&register("")), "");
        for (toml, expected) in [
            (register("kind = 'coil'\ntype = 'u16'"), "register `x`: a single bit is a truth value"),
            (register("kind = 'coil'\nbit = 1"), "a coil is a single bit"),
            (register("kind = 'discrete'\nword_order = 'big'"), "a discrete input is a single bit"),
            (register("bit = 16"), "`bit` is not between 0 and 15"),
            (register("bit = 1\ntype = 'i16'"), "must be \"bool\""),
            (register("bit = 1\nscale = 2.0"), "no `scale`"),
            (register("scale = 0.0"), "finite number other than 0"),
            (register("offset = nan"), "finite"),
            (register("devices = ['other']"), "no device is called that"),
            (register("").replace("= 1", "= 65535\ntype = 'u32'"), "the last address is 65,535"),
            (register("").replace("'x'", "''"), "`name` is empty"),
            (register("[[device]]\nname = 'a'\naddress = 'b'"), "two devices are called `a`"),
            (register("[[device]]\nname = ''\naddress = 'b'"), "`name` of a device is empty"),
            (
                register("devices = ['a']\n[[device]]\nname = 'b'\naddress = 'b'"),
                "device `b`: it has no register",
            ),
            (register("").replace("'plc'", "'http://plc'"), "device `a`: `address` \"http://plc\""),
            (register("").replace("'plc'", "'plc:99999'"), "is not a host"),
            (register("").replace("'plc'", "'me:planted@plc'"), "must not contain a user or password"),
            (register("").replace("'plc'", "'http://me:planted@plc'"), "must not contain a user or password"),
            (register("").replace("'plc'", "'plc'\nevery = '1ms'"), "`every` is shorter than 10 ms"),
            (register("").replace("'plc'", "'plc'\nevery = 'soon'"), "`every`: "),
            (register("").replace("'plc'", "'plc'\ntimeout = '0s'"), "`timeout`: `0s` is not a duration"),
            (format!("max_registers = 3\n{}", register("")), "`max_registers` 3"),
            (format!("max_registers = 126\n{}", register("")), "`max_registers` 126"),
            (format!("max_bits = 0\n{}", register("")), "`max_bits` 0"),
            (format!("register = []\n{DEVICE}"), "there is no register"),
            ("device = []\n[[register]]\nname = 'x'\naddress = 1".to_owned(), "there is no device"),
        ] {
            let found = error(&toml);
            assert!(found.contains(expected), "{toml}\n{found:?} has no {expected:?}");
            assert!(!found.contains("planted"), "{found:?}");
        }
    }
}
