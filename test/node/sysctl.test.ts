// Rows of sysctls: equal settings share one, and devices that come and go leave none behind.

import test from "ava";
import { Kernel } from "../../src/node/kernel.ts";
import { DevKind } from "../../src/node/net-device.ts";
import { devSysctl, nsSysctl } from "../../src/node/sysctl.ts";

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

test("a hundred different settings each keep their row; setting one again finds it", (t) => {
  const k = kernel();
  const spaces = Array.from({ length: 100 }, (_, i) => k.addNamespace(`n${i}`, -1));
  for (const [i, ns] of spaces.entries()) k.setNsSysctl(ns, "net.ipv4.ip_default_ttl", 1 + i);
  const column = nsSysctl("net.ipv4.ip_default_ttl");
  t.deepEqual(
    spaces.map((ns) => k.nsValue(ns, column)),
    spaces.map((_, i) => 1 + i),
  );
  const size = k.nsConf.values.length;
  for (const [i, ns] of spaces.entries()) k.setNsSysctl(ns, "net.ipv4.ip_default_ttl", 100 - i);
  t.is(k.nsValue(spaces[0] as number, column), 100);
  t.is(k.nsConf.values.length, size, "the same hundred rows");
});
