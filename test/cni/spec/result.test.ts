// Results in and out of every version.

import test from "ava";
import { familyOf, familyOfCidr } from "../../../src/cni/spec/address.ts";
import { CniError, Problems } from "../../../src/cni/spec/error.ts";
import { type CniResult, parseResult } from "../../../src/cni/spec/result.ts";
import { formatResult } from "../../../src/cni/spec/result-version.ts";
import { CNI_VERSIONS, type CniVersion } from "../../../src/cni/spec/version.ts";
import { successViolations } from "../schema.ts";

const full: CniResult = {
  interfaces: [
    { name: "cbr0", mac: "02:00:00:00:00:01", mtu: 1500 },
    { name: "veth1", mac: "02:00:00:00:00:02", mtu: 1500 },
    {
      name: "eth0",
      mac: "02:00:00:00:00:03",
      mtu: 1500,
      sandbox: "/run/netns/a",
      socketPath: "/s",
      pciID: "0:1",
    },
  ],
  ips: [
    { address: "10.1.0.5/16", gateway: "10.1.0.1", interface: 2 },
    { address: "10.2.0.5/16", interface: 2 },
    { address: "fd00::5/64", gateway: "fd00::1", interface: 2 },
  ],
  routes: [
    { dst: "0.0.0.0/0", gw: "10.1.0.1", mtu: 1400, advmss: 1360, priority: 7, table: 254, scope: 0 },
    { dst: "::/0" },
  ],
  dns: { nameservers: ["10.1.0.1"], domain: "a.b", search: ["c.d"], options: ["ndots:5"] },
};

function read(json: Record<string, unknown>, version: CniVersion): CniResult {
  const problems = new Problems();
  const result = parseResult(json, version, "", problems);
  if (problems.list.length > 0) throw new Error(problems.toString());
  return result;
}

for (const version of CNI_VERSIONS) {
  test(`S9 a result in version ${version} has that version's shape and survives a round trip`, (t) => {
    const json = formatResult(full, version);
    t.deepEqual(successViolations(json, version), []);
    t.deepEqual(formatResult(read(json, version), version), json);
  });
}

test("1.1.0 keeps everything", (t) => t.deepEqual(read(formatResult(full, "1.1.0"), "1.1.0"), full));

test("0.2.0 keeps the first address of each family and that family's routes", (t) => {
  t.deepEqual(formatResult(full, "0.2.0"), {
    cniVersion: "0.2.0",
    ip4: { ip: "10.1.0.5/16", gateway: "10.1.0.1", routes: [{ dst: "0.0.0.0/0", gw: "10.1.0.1" }] },
    ip6: { ip: "fd00::5/64", gateway: "fd00::1", routes: [{ dst: "::/0" }] },
    dns: full.dns,
  });
});

test("0.3.x and 0.4.0 say the family of each address", (t) => {
  const { ips } = formatResult(full, "0.4.0") as { ips: { version: string }[] };
  t.deepEqual(
    ips.map((ip) => ip.version),
    ["4", "4", "6"],
  );
});

test("a result without addresses cannot be put into 0.2.0", (t) => {
  const error = t.throws(() => formatResult({ ...full, ips: [] }, "0.2.0"), { instanceOf: CniError });
  t.is(error?.code, 1);
});

test("an empty result prints no empty fields", (t) => {
  t.deepEqual(formatResult({ interfaces: [], ips: [], routes: [], dns: {} }, "1.0.0"), {
    cniVersion: "1.0.0",
  });
});

const ADDRESSES: [string, 0 | 4 | 6][] = [
  ["10.0.0.1", 4],
  ["10.0.0.256", 0],
  ["10.0.0", 0],
  ["::", 6],
  ["::1", 6],
  ["fe80::1234:5678:9abc", 6],
  ["1:2:3:4:5:6:7:8", 6],
  ["1:2:3:4:5:6:7::", 6],
  ["::ffff:10.0.0.1", 6],
  ["1:2:3:4:5:6:7:8:9", 0],
  ["1:2:3:4:5:6:7", 0],
  ["1::2::3", 0],
  ["12345::", 0],
  ["1:2:3:4:5:6:7::8", 0],
  ["", 0],
];
for (const [text, family] of ADDRESSES)
  test(`family of "${text}" is ${family}`, (t) => t.is(familyOf(text), family));

test("addresses with length", (t) => {
  t.is(familyOfCidr("10.0.0.1/32"), 4);
  t.is(familyOfCidr("10.0.0.1/33"), 0);
  t.is(familyOfCidr("fd00::/128"), 6);
  t.is(familyOfCidr("fd00::/129"), 0);
  t.is(familyOfCidr("fd00::"), 0);
  t.is(familyOfCidr("fd00::/064"), 0);
});
