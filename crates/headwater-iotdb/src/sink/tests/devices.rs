//! Devices are known by the values that make them.

use headwater_core::batch::Batch;

use super::super::devices::{DEVICES_MAX, Devices};
use super::super::pending::Device;
use super::{Reading, plan, push, schema};

/// What the device of a pump is found to be.
fn place(devices: &mut Devices, plan: &crate::mapping::Plan, pump: &str) -> Device {
    let row = Reading {
        id: 1,
        pump: Some(pump.to_owned()),
        minute: 1,
        flow: None,
        note: None,
    };
    let mut batch = Batch::new();
    push(&mut batch, &schema("readings"), None, Some(&row));
    let image = batch.row(0).unwrap().after().unwrap();
    let mut device = Device {
        path: "what was there before".to_owned(),
        ..Device::default()
    };
    devices.place(plan, &image, &mut device).unwrap();
    device
}

#[test]
fn a_device_is_found_again_and_no_two_have_one_number() {
    let mut devices = Devices::default();
    let (plan, other_plan) = (plan(), plan());
    let north = place(&mut devices, &plan, "north");
    let mut reckoned = north.clone();
    reckoned.reckon();
    assert_eq!(north, reckoned, "the hash is that of the path");
    assert_eq!(north.path, "root.plan.north");
    assert!(north.number.is_some());
    assert_eq!(place(&mut devices, &plan, "north"), north);
    let under_another = place(&mut devices, &other_plan, "north");
    assert_eq!(
        (&under_another.path, under_another.hash),
        (&north.path, north.hash)
    );
    let mut latest = north.number.max(under_another.number);
    assert_ne!(under_another.number, north.number);
    // More than are known at once.
    for number in 0..DEVICES_MAX {
        let found = place(&mut devices, &plan, &format!("pump_{number}"));
        assert_eq!(found.path, format!("root.plan.pump_{number}"));
        assert!(found.number.is_none() || found.number > latest);
        latest = latest.max(found.number);
    }
    let again = place(&mut devices, &plan, "north");
    assert_eq!(again.path, north.path);
    assert!(again.number > latest, "it was forgotten meanwhile");
}
