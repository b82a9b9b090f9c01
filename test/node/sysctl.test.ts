// Rows of sysctls: equal settings share one, and devices that come and go leave none behind.

import test from "ava";
import { Kernel } from "../../src/node/kernel.ts";
import { DevKind } from "../../src/node/net-device.ts";
import { devSysctl } from "../../src/node/sysctl.ts";

const kernel = (): Kernel => new Kernel({ seed: 1, frames: 4, largeFrames: 1, frameBytes: 128 });

test("devices with equal settings share a row, whatever the order they were set in", (t) => {
  const k = kernel();
  const ns = k.addNamespace("n0", -1);
  const [a, b, c] = ["a", "b", "c"].map((name) => k.addDevice(ns, DevKind.VETH, name)) as [
    number,
    number,
    number,
  ];
  k.setDevSysctl(a, "proxy_arp", 1);
  k.setDevSysctl(a, "rp_filter", 2);
  k.setDevSysctl(b, "rp_filter", 2);
  k.setDevSysctl(b, "proxy_arp", 1);
  t.is(k.dev.conf[a], k.dev.conf[b]);
  t.is(k.devValue(b, devSysctl("rp_filter")), 2);
  t.is(k.devValue(b, devSysctl("proxy_arp")), 1);
  t.is(k.dev.conf[c], 0, "the defaults are nobody's to change");
  k.setDevSysctl(b, "proxy_arp", 0);
  t.is(k.devValue(a, devSysctl("proxy_arp")), 1, "a change is one device's own");
  k.setDevSysctl(b, "rp_filter", 0);
  t.is(k.dev.conf[b], 0, "back at the defaults");
});

test("ten thousand devices of a forwarding node leave no row behind", (t) => {
  const k = kernel();
  const ns = k.addNamespace("n0", -1);
  k.setNsSysctl(ns, "net.ipv4.ip_forward", 1);
  const before = k.devConf.values.length;
  for (let i = 0; i < 10_000; i++) {
    const d = k.addDevice(ns, DevKind.VETH, "veth");
    t.true(k.isForwarding(d));
    k.removeDevice(d);
  }
  t.is(k.devConf.values.length, before);
});
