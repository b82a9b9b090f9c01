// host-local: ranges, defaults, round robin, and what the real plugin refuses.

import test from "ava";
import { allocate, holdsAny, openNetwork, type RangeSet, release } from "../../../src/cni/ipam/host-local.ts";
import { parseHostLocal } from "../../../src/cni/ipam/host-local-config.ts";
import { CniError } from "../../../src/cni/spec/error.ts";
import { parsePluginConfig } from "../../../src/cni/spec/execution-config.ts";
import { CNI_VERSIONS } from "../../../src/cni/spec/version.ts";
import { formatIpv4 } from "../../../src/wire/address.ts";

type Json = Record<string, unknown>;

function parse(ipam: Json, more: Json = {}, args = "") {
  const source = {
    cniVersion: "1.1.0",
    name: "net",
    type: "bridge",
    ipam: { type: "host-local", ...ipam },
    ...more,
  };
  return parseHostLocal(parsePluginConfig(source, CNI_VERSIONS), args);
}

function open(ipam: Json): RangeSet[] {
  return openNetwork(new Map(), "net", parse(ipam).sets);
}

function take(sets: RangeSet[], owner: number, requested: number[] = []): string[] {
  return allocate(sets, owner, requested).map((a) => `${formatIpv4(a.address)}/${a.prefix}`);
}

function refusal(run: () => unknown): CniError {
  try {
    run();
  } catch (error) {
    if (error instanceof CniError) return error;
    throw error;
  }
  throw new Error("accepted");
}

test("a /24 gives .2 first (.1 is the gateway) and ends at .254", (t) => {
  const sets = open({ subnet: "10.244.1.0/24" });
  const all = Array.from({ length: 253 }, (_, owner) => take(sets, owner)[0]);
  t.is(all[0], "10.244.1.2/24");
  t.is(all[252], "10.244.1.254/24");
  t.is(formatIpv4(sets[0].ranges[0].gateway), "10.244.1.1");
  t.regex(refusal(() => take(sets, 999)).message, /no IP addresses available in range set/);
});

test("round robin: a released address is not given again until the others were", (t) => {
  const sets = open({ ranges: [[{ subnet: "10.0.0.0/29" }]] });
  t.deepEqual(take(sets, 1), ["10.0.0.2/29"]);
  release(sets, 1);
  t.deepEqual(take(sets, 2), ["10.0.0.3/29"]);
  release(sets, 2);
  for (const last of [4, 5, 6]) t.deepEqual(take(sets, last), [`10.0.0.${last}/29`]);
  t.deepEqual(take(sets, 7), ["10.0.0.2/29"]);
});

test("a set of two ranges is walked range after range and comes round", (t) => {
  const sets = open({
    ranges: [
      [
        { subnet: "10.0.0.0/24", rangeStart: "10.0.0.10", rangeEnd: "10.0.0.11" },
        { subnet: "10.0.1.0/24", rangeStart: "10.0.1.254", gateway: "10.0.1.9" },
      ],
    ],
  });
  t.deepEqual(take(sets, 1), ["10.0.0.10/24"]);
  t.deepEqual(take(sets, 2), ["10.0.0.11/24"]);
  t.deepEqual(take(sets, 3), ["10.0.1.254/24"]);
  release(sets, 2);
  t.deepEqual(take(sets, 4), ["10.0.0.11/24"]);
});

test("a gateway inside the range is left out", (t) => {
  const sets = open({
    subnet: "10.0.0.0/24",
    rangeStart: "10.0.0.5",
    rangeEnd: "10.0.0.7",
    gateway: "10.0.0.6",
  });
  t.deepEqual([take(sets, 1), take(sets, 2)], [["10.0.0.5/24"], ["10.0.0.7/24"]]);
  t.throws(() => take(sets, 3), { instanceOf: CniError });
});

test("one address from every set; all are given back when one set is exhausted", (t) => {
  const sets = open({ ranges: [[{ subnet: "10.0.0.0/24" }], [{ subnet: "10.1.0.0/30" }]] });
  t.deepEqual(take(sets, 1), ["10.0.0.2/24", "10.1.0.2/30"]);
  t.throws(() => take(sets, 2), { message: /range 1: no IP addresses/ });
  t.false(holdsAny(sets, 2));
  release(sets, 1);
  t.deepEqual(take(sets, 3), ["10.0.0.4/24", "10.1.0.2/30"]);
});

test("a second allocation for the same owner is refused", (t) => {
  const sets = open({ subnet: "10.0.0.0/24" });
  take(sets, 1);
  t.regex(refusal(() => take(sets, 1)).message, /duplicate allocation is not allowed/);
  t.true(holdsAny(sets, 1));
});

const at = (last: number): number => (10 << 24) | last;

test("a requested address is given, refused when taken or the gateway, and moves the round robin on", (t) => {
  const sets = open({ subnet: "10.0.0.0/24" });
  t.deepEqual(take(sets, 1, [at(40)]), ["10.0.0.40/24"]);
  t.regex(refusal(() => take(sets, 2, [at(40)])).message, /is not available/);
  t.regex(refusal(() => take(sets, 2, [at(1)])).message, /subnet's gateway/);
  t.regex(
    refusal(() => take(sets, 2, [(10 << 24) | (9 << 8)])).message,
    /failed to allocate all requested IPs/,
  );
  t.false(holdsAny(sets, 2));
  t.deepEqual(take(sets, 2), ["10.0.0.42/24"]);
});

test("a failed allocation of a further set leaves the cursor where the real plugin leaves it", (t) => {
  const sets = open({ subnet: "10.0.0.0/24" });
  t.throws(() => take(sets, 2, [(10 << 24) | (9 << 8)]));
  t.deepEqual(take(sets, 2), ["10.0.0.3/24"]);
});

test("a changed configuration keeps what is in use", (t) => {
  const store = new Map();
  const before = openNetwork(store, "net", parse({ subnet: "10.0.0.0/24" }).sets);
  take(before, 1);
  t.is(openNetwork(store, "net", parse({ subnet: "10.0.0.0/24" }).sets), before);
  const after = openNetwork(store, "net", parse({ subnet: "10.0.0.0/25" }).sets);
  t.true(holdsAny(after, 1));
  t.deepEqual(take(after, 2), ["10.0.0.3/25"]);
});

test("requested addresses come from CNI_ARGS, args and the capability ips", (t) => {
  const config = parse(
    { subnet: "10.0.0.0/24" },
    { args: { cni: { ips: ["10.0.0.5"] } }, runtimeConfig: { ips: ["10.0.0.6/24"] } },
    "IP=10.0.0.4",
  );
  t.deepEqual(config.requested.map(formatIpv4), ["10.0.0.4", "10.0.0.5", "10.0.0.6"]);
});

test("the capability ipRanges stands before the ranges of the file", (t) => {
  const config = parse(
    { ranges: [[{ subnet: "10.0.0.0/24" }]] },
    { runtimeConfig: { ipRanges: [[{ subnet: "10.9.0.0/24" }]] } },
  );
  t.deepEqual(
    config.sets.map((set) => formatIpv4(set[0].subnet)),
    ["10.9.0.0", "10.0.0.0"],
  );
});

const BAD: [string, Json, number, RegExp][] = [
  ["no ranges", {}, 7, /ipam: specifies no ranges/],
  ["subnet without length", { subnet: "10.0.0.0" }, 7, /ipam\.subnet: "10\.0\.0\.0" is no address/],
  ["subnet with host bits", { subnet: "10.0.0.1/24" }, 7, /host bits set/],
  ["a /31", { subnet: "10.0.0.0/31" }, 7, /too small to allocate from/],
  [
    "gateway elsewhere",
    { subnet: "10.0.0.0/24", gateway: "10.0.1.1" },
    7,
    /ipam\.gateway: 10\.0\.1\.1 not in/,
  ],
  ["start elsewhere", { subnet: "10.0.0.0/24", rangeStart: "10.1.0.1" }, 7, /ipam\.rangeStart/],
  [
    "end before start",
    { subnet: "10.0.0.0/24", rangeStart: "10.0.0.9", rangeEnd: "10.0.0.8" },
    7,
    /ends before/,
  ],
  ["ranges not a list", { ranges: {} }, 7, /ipam\.ranges: must be a list/],
  ["an empty set", { ranges: [[]] }, 7, /ipam\.ranges\[0\]: must be a list of ranges, is empty/],
  [
    "overlap",
    { ranges: [[{ subnet: "10.0.0.0/24" }], [{ subnet: "10.0.0.0/25" }]] },
    7,
    /set 0 overlaps with 1/,
  ],
  ["routes", { subnet: "10.0.0.0/24", routes: [{ dst: "x" }] }, 7, /ipam\.routes\[0\]\.dst/],
  ["IPv6", { ranges: [[{ subnet: "fd00::/64" }]] }, 2, /subnet: "fd00::\/64"/],
];

for (const [title, ipam, code, text] of BAD) {
  test(`A8.89 bad host-local configuration, ${title}: code ${code}`, (t) => {
    const error = refusal(() => parse(ipam));
    t.is(error.code, code);
    t.regex(error.describe(), text);
  });
}

test("several mistakes are told together", (t) => {
  const error = refusal(() => parse({ ranges: [[{ subnet: "x" }, {}], 5], routes: [{}] }));
  for (const path of ["ranges[0][0].subnet", "ranges[0][1].subnet", "ranges[1]", "routes[0].dst"]) {
    t.true(error.details.includes(path), path);
  }
});
