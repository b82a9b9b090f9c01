// The checker itself must be able to say no.

import test from "ava";
import { errorViolations, successViolations, versionViolations } from "./schema.ts";

const good = {
  cniVersion: "1.0.0",
  interfaces: [{ name: "eth0", mac: "02:00:00:00:00:01", sandbox: "/run/netns/a" }],
  ips: [{ address: "10.1.0.5/16", gateway: "10.1.0.1", interface: 0 }],
  routes: [{ dst: "0.0.0.0/0" }],
  dns: { nameservers: ["10.1.0.1"] },
};

test("a good result has no violations", (t) => {
  t.deepEqual(successViolations(good, "1.0.0"), []);
  t.deepEqual(successViolations({ cniVersion: "0.2.0", ip4: { ip: "10.1.0.5/16" } }, "0.2.0"), []);
});

const bad: [string, Record<string, unknown>, string, boolean][] = [
  ["wrong version", { ...good, cniVersion: "0.4.0" }, "1.0.0", false],
  ["unknown key", { ...good, extra: 1 }, "1.0.0", false],
  ["mtu before 1.1.0", { ...good, interfaces: [{ name: "eth0", mtu: 1500 }] }, "1.0.0", false],
  ["index out of range", { ...good, ips: [{ address: "10.1.0.5/16", interface: 1 }] }, "1.0.0", false],
  ["address without length", { ...good, ips: [{ address: "10.1.0.5" }] }, "1.0.0", false],
  ["no version per address in 0.4.0", { ...good, cniVersion: "0.4.0" }, "0.4.0", false],
  ["interfaces from an IPAM plugin", good, "1.0.0", true],
  ["bad scope", { cniVersion: "1.1.0", routes: [{ dst: "10.0.0.0/8", scope: 7 }] }, "1.1.0", false],
  ["oldest without address", { cniVersion: "0.2.0" }, "0.2.0", false],
];

for (const [title, result, version, ipam] of bad) {
  test(`refused: ${title}`, (t) => t.not(successViolations(result, version, ipam).length, 0));
}

test("errors and versions", (t) => {
  t.deepEqual(errorViolations({ cniVersion: "1.0.0", code: 7, msg: "x" }), []);
  t.not(errorViolations({ cniVersion: "1.0.0", code: 8, msg: "x" }).length, 0);
  t.not(errorViolations({ code: 7, msg: "x" }).length, 0);
  t.not(errorViolations({ cniVersion: "1.0.0", code: 7, msg: "" }).length, 0);
  t.deepEqual(versionViolations({ cniVersion: "1.0.0", supportedVersions: ["1.0.0"] }), []);
  t.not(versionViolations({ cniVersion: "1.0.0" }).length, 0);
});
