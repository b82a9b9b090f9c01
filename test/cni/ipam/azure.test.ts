// azure-vnet-ipam and CNS (azure.md 5.10).

import test from "ava";
import { AddressState } from "../../../src/cni/ipam/address-pool.ts";
import { AzureVnetIpam } from "../../../src/cni/ipam/azure-vnet-ipam.ts";
import { Cns, PodSubnet } from "../../../src/cni/ipam/cns.ts";
import {
  clampScaler,
  DEFAULT_SCALER,
  maxFree,
  minFree,
  nextRequestV1,
  targetV2,
} from "../../../src/cni/ipam/cns-scaling.ts";
import { formatIpv4, parseIpv4 } from "../../../src/wire/address.ts";

const ip = (text: string): number => parseIpv4(text) as number;
const SECOND = 1_000_000_000;

function vnetIpam(): AzureVnetIpam {
  const ipam = new AzureVnetIpam(ip("10.224.0.0"), 16);
  ipam.refresh(0, [ip("10.224.0.5"), ip("10.224.0.6")]);
  return ipam;
}

test("azure-vnet-ipam: the gateway is the subnet's first address, the pool the secondary ones", (t) => {
  const ipam = vnetIpam();
  t.is(formatIpv4(ipam.gateway), "10.224.0.1");
  const given = [ipam.request(1), ipam.request(2)].map((row) => formatIpv4(ipam.pool.address[row]));
  t.deepEqual(given, ["10.224.0.5", "10.224.0.6"]);
});

test("A8.79 azure-vnet-ipam: exhausted means no address", (t) => {
  const ipam = vnetIpam();
  ipam.request(1);
  ipam.request(2);
  t.is(ipam.request(3), -1);
  t.is(new AzureVnetIpam(0, 24).request(1), -1);
});

test("A8.81 azure-vnet-ipam is idempotent per container", (t) => {
  const ipam = vnetIpam();
  t.is(ipam.request(1), ipam.request(1));
});

test("A8.80 azure-vnet-ipam: released at once, no cool-down", (t) => {
  const ipam = vnetIpam();
  const row = ipam.request(1);
  ipam.request(2);
  t.true(ipam.release(1));
  t.is(ipam.request(3), row);
  t.false(ipam.release(1));
});

test("the platform is asked at most every 10 s", (t) => {
  const ipam = vnetIpam();
  const more = [ip("10.224.0.5"), ip("10.224.0.6"), ip("10.224.0.7")];
  t.false(ipam.refresh(10 * SECOND - 1, more));
  t.is(ipam.pool.size, 2);
  t.true(ipam.refresh(10 * SECOND, more));
  t.is(ipam.pool.size, 3);
});

test("an address the platform took away goes when unused, and on release when used", (t) => {
  const ipam = vnetIpam();
  const used = ipam.request(1);
  ipam.refresh(20 * SECOND, [ip("10.224.0.9")]);
  t.is(ipam.pool.size, 2);
  t.is(ipam.unhealthy[used], 1);
  t.is(ipam.pool.find(ip("10.224.0.6")), -1);
  ipam.release(1);
  t.is(ipam.pool.size, 1);
  t.is(formatIpv4(ipam.pool.address[ipam.request(2)]), "10.224.0.9");
});

test("an address that comes back while in use is healthy again", (t) => {
  const ipam = vnetIpam();
  ipam.request(1);
  ipam.refresh(20 * SECOND, []);
  ipam.refresh(40 * SECOND, [ip("10.224.0.5")]);
  ipam.release(1);
  t.is(ipam.pool.size, 1);
});

// requested, used -> next requested
const V1: [number, number, number][] = [
  [16, 0, 16],
  [16, 8, 16],
  [16, 9, 32],
  [32, 24, 32],
  [32, 25, 48],
  [32, 9, 32],
  [32, 8, 16],
  [48, 8, 32],
  [20, 0, 20],
  [30, 4, 16],
  [240, 235, 250],
  [250, 250, 250],
];

for (const [requested, used, next] of V1) {
  test(`CNS v1: ${requested} requested, ${used} used: asks for ${next}`, (t) => {
    t.is(nextRequestV1(DEFAULT_SCALER, requested, used), next);
  });
}

test("CNS v1 keeps 8 free and gives back from 24 on with a batch of 16", (t) => {
  t.is(minFree(DEFAULT_SCALER), 8);
  t.is(maxFree(DEFAULT_SCALER), 24);
});

// used, exhausted -> target
const V2: [number, boolean, number][] = [
  [25, false, 48],
  [0, false, 16],
  [8, false, 16],
  [9, false, 32],
  [24, false, 32],
  [250, false, 250],
  [25, true, 26],
];

for (const [used, exhausted, target] of V2) {
  const note = exhausted ? " of an exhausted subnet" : "";
  test(`A8.83 CNS v2: batch 16 and ${used} used${note} requests ${target}`, (t) => {
    t.is(targetV2(DEFAULT_SCALER, used, exhausted), target);
  });
}

test("nonsense in a scaler becomes legal", (t) => {
  const s = { batch: 0, requestThresholdPercent: 500, releaseThresholdPercent: 1, max: 0 };
  t.deepEqual(clampScaler(s), {
    batch: 1,
    max: 1,
    requestThresholdPercent: 100,
    releaseThresholdPercent: 200,
  });
});

test("pod subnet: batches are borrowed as pods come and given back as they go", (t) => {
  const subnet = new PodSubnet(ip("10.241.0.0"), 16);
  const cns = new Cns({ subnet });
  t.is(cns.pool.size, 16);
  t.is(formatIpv4(cns.pool.address[cns.request(0)]), "10.241.0.4");
  for (let owner = 1; owner < 9; owner++) cns.request(owner);
  t.is(cns.pool.size, 32);
  t.is(subnet.pool.count(AddressState.ASSIGNED), 32);
  for (let owner = 0; owner < 9; owner++) t.true(cns.release(owner));
  t.is(cns.pool.size, 16);
  t.is(subnet.pool.count(AddressState.ASSIGNED), 16);
});

test("pod subnet, v2: 25 pods hold 48 addresses", (t) => {
  const cns = new Cns({ subnet: new PodSubnet(ip("10.241.0.0"), 16), monitor: "v2" });
  for (let owner = 0; owner < 25; owner++) t.true(cns.request(owner) >= 0);
  t.is(cns.pool.size, 48);
});

test("two nodes never hold the same address", (t) => {
  const subnet = new PodSubnet(ip("10.241.0.0"), 24);
  const nodes = [new Cns({ subnet }), new Cns({ subnet })];
  const seen = new Set<number>();
  for (let owner = 0; owner < 60; owner++) {
    for (const cns of nodes) seen.add(cns.pool.address[cns.request(owner)]);
  }
  t.is(seen.size, 120);
});

test("A8.79 an exhausted pod subnet gives no address; what another node gives back can be had", (t) => {
  const subnet = new PodSubnet(ip("10.241.0.0"), 27);
  const a = new Cns({ subnet });
  const b = new Cns({ subnet });
  let got = 0;
  for (let owner = 0; owner < 40; owner++) if (b.request(owner) >= 0) got++;
  t.is(a.pool.size + b.pool.size, 27);
  t.is(got, b.pool.size);
  t.true(subnet.exhausted);
  t.is(b.request(99), -1);
});

test("at most 250 addresses per node", (t) => {
  const cns = new Cns({ subnet: new PodSubnet(ip("10.241.0.0"), 16) });
  let got = 0;
  for (let owner = 0; owner < 300; owner++) if (cns.request(owner) >= 0) got++;
  t.is(got, 250);
});

test("pending addresses wait for the host", (t) => {
  const cns = new Cns({ subnet: new PodSubnet(ip("10.241.0.0"), 16), programming: true });
  t.is(cns.pool.count(AddressState.PENDING_PROGRAMMING), 16);
  t.is(cns.request(1), -1);
  cns.hostProgrammed();
  t.true(cns.request(1) >= 0);
});

test("with the monitor off nothing grows until somebody runs it", (t) => {
  const cns = new Cns({ subnet: new PodSubnet(ip("10.241.0.0"), 16), automatic: false });
  for (let owner = 0; owner < 16; owner++) cns.request(owner);
  t.is(cns.request(16), -1);
  t.true(cns.reconcile());
  t.true(cns.request(16) >= 0);
});

test("overlay: every address of the node's /24, given out from the fifth on, all 256 of them", (t) => {
  const cns = new Cns();
  cns.addBlock(ip("10.244.3.0"), 24, 16);
  const given = new Set<string>();
  for (let owner = 0; owner < 256; owner++) given.add(formatIpv4(cns.pool.address[cns.request(owner)]));
  t.is(given.size, 256);
  t.is([...given][0], "10.244.3.4");
  t.is(cns.request(256), -1);
  t.is(cns.prefix, 16);
});

test("A8.82 CNS down on DEL: DEL succeeds, the id file is present, the address comes back with CNS", (t) => {
  const cns = new Cns({ subnet: new PodSubnet(ip("10.241.0.0"), 16) });
  const row = cns.request(1);
  cns.setUp(false);
  t.notThrows(() => cns.releaseOrDefer(1, "0123456789", "01234567-eth0"));
  t.deepEqual([...cns.deleteIds], [["0123456789", { podInterfaceId: "01234567-eth0", owner: 1 }]]);
  t.is(cns.pool.state[row], AddressState.ASSIGNED);
  cns.setUp(true);
  t.is(cns.deleteIds.size, 0);
  t.is(cns.pool.state[row], AddressState.AVAILABLE);
});
