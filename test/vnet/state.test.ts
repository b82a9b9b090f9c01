// A snapshot must carry the fabric and the disciplines: their state is numbers, strings, typed arrays and
// plain objects, no closure anywhere, also after everything has been used once.

import test from "ava";
import { addDomain, setOverlay } from "../../src/vnet/overlay.ts";
import { Line } from "../link/netem-kit.ts";
import { cidr, ip, Net } from "./kit.ts";

/** Paths of whatever is no data; the kernel itself is left out, as it is another folder's. */
function notData(value: unknown, path: string, seen: Set<object>): string[] {
  if (typeof value === "function" || typeof value === "symbol" || typeof value === "bigint") return [path];
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || seen.has(value)) return [];
  seen.add(value);
  return Object.entries(value).flatMap(([key, inner]) =>
    key === "k" ? [] : notData(inner, `${path}.${key}`, seen),
  );
}

test("the fabric's state is data", (t) => {
  const net = new Net();
  const a = net.vm("a");
  net.v.addIpConfig(a.nic, 0);
  const table = net.v.addRouteTable("rt");
  net.v.setRoute(table, ...cidr("10.224.0.0/12"), 3, ip("10.224.0.9"));
  net.v.associate(net.subnet("nodes"), table);
  setOverlay(net.v, a.nic, addDomain(net.v), ...cidr("10.244.0.0/24"));
  net.send(a, net.udp(a, "10.224.0.9", { mf: true, payload: 8 }));
  t.deepEqual(notData(net.v, "fabric", new Set()), []);
  net.end(t);
});

test("the disciplines' state is data", (t) => {
  const line = new Line();
  line.q.attach(line.dev, { delay: 5, rate: 1_000, loss: 0.5, faults: [{ action: "drop", count: 1 }] });
  line.send();
  line.send();
  t.deepEqual(notData(line.q, "netem", new Set()), []);
  line.end(t);
});
