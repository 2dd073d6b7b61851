//! A look at the devices before a run, for `tidemill doctor`: each is polled once.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemill_connect::blocking::Blocking;
use tidemill_connect::endpoint::reach;
use tidemill_engine::error::Result;
use tidemill_engine::probe::Probe;

use crate::connection::{Address, Gateway};
use crate::device::Device;
use crate::options::Modbus;
use crate::resolve::Target;

/// Connects to each address, and reads the registers of each device there.
pub(crate) fn probe(options: &Modbus, probe: &mut Probe) {
    let targets = options.map().and_then(|map| options.targets(&Arc::new(map)));
    let Ok(targets) = targets else { return };
    let mut addresses: BTreeMap<Address, Vec<Device>> = BTreeMap::new();
    for Target { address, device, .. } in targets {
        addresses.entry(address).or_default().push(device);
    }
    for (address, devices) in addresses {
        if reach(probe, &address.host, address.port, None).is_none() {
            continue;
        }
        let Ok(blocking) = Blocking::new(Arc::default()) else { return };
        let gateway = Gateway::new(address);
        for mut device in devices {
            probe.step(format!("device {}", device.name), || {
                blocking.wait(read(&mut device, &gateway)).map(|found| ((), found))
            });
        }
    }
}

/// Reads all registers of a device once.
async fn read(device: &mut Device, gateway: &Gateway) -> Result<String> {
    let readout = device.read(gateway).await?;
    match readout.refused.first() {
        Some(refused) => Err(device.refusal(refused)),
        None => Ok(format!("unit {} answers {} requests", device.unit, device.requests())),
    }
}
