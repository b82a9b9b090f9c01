// K 2.8: what kube-proxy deletes from conntrack when endpoints of UDP Services change, and what it leaves.

import test, { type ExecutionContext } from "ava";
import { Random } from "../../src/core/random.ts";
import type { ProxyOptions } from "../../src/netfilter/netfilter.ts";
import { R_DST, R_PORTS, R_REPLY, R_SRC, REC } from "../../src/netfilter/nf-conn.ts";
import { ServiceTable } from "../../src/netfilter/service-table.ts";
import { cidr, ip, Lab } from "./lab.ts";

const VIP = "10.96.0.10";
const POD = "10.244.1.2";

function cluster(options: ProxyOptions = {}) {
  const lab = new Lab();
  const table = new ServiceTable();
  lab.nf.attachServices(lab.ns, table, { clusterCidr: cidr("10.244.0.0/16"), ...options });
  const dns = table.addServicePort("dns", ip(VIP), 17, 53);
  const ep = (host: number): number => table.addEndpoint(dns, ip(`10.244.2.${host}`), 53, -1);
  const send = (t: ExecutionContext, port: number, to = `${VIP}:53`): string =>
    lab.end(t, lab.forward(lab.udp(`${POD}:${port}`, to))).split(" > ")[1];
  return { lab, table, dns, ep, send };
}

test("a removed endpoint: its UDP entries go, the others and TCP stay", (t) => {
  const { lab, table, ep, send } = cluster();
  const web = table.addServicePort("web", ip(VIP), 6, 80);
  const tcpEndpoint = table.addEndpoint(web, ip("10.244.2.2"), 80, -1);
  const [two] = [ep(2), ep(3)];
  t.deepEqual(
    [1, 2, 3, 4].map((port) => send(t, port)),
    ["10.244.2.2:53", "10.244.2.3:53", "10.244.2.2:53", "10.244.2.3:53"],
  );
  lab.end(t, lab.forward(lab.tcp(`${POD}:9`, `${VIP}:80`, 2)));
  send(t, 7, "10.244.2.2:53");
  table.removeEndpoint(two);
  table.removeEndpoint(tcpEndpoint);
  const left = lab.list().map((line) => line.split(" ").slice(2).join(" "));
  t.deepEqual(left, [
    `${POD}:2>${VIP}:53 [UNREPLIED] 10.244.2.3:53>${POD}:2`,
    `${POD}:4>${VIP}:53 [UNREPLIED] 10.244.2.3:53>${POD}:4`,
    `SYN_SENT ${POD}:9>${VIP}:80 [UNREPLIED] 10.244.2.2:80>${POD}:9`,
    `${POD}:7>10.244.2.2:53 [UNREPLIED] 10.244.2.2:53>${POD}:7`,
  ]);
  t.is(send(t, 1), "10.244.2.3:53", "the same socket reaches another endpoint");
  lab.close(t);
});

for (const isHeld of [false, true]) {
  const how = isHeld ? "while a frame is under way: one by one" : "all in the time of one";
  test(`an endpoint of many flows goes, ${how}`, (t) => {
    const { lab, table, ep, send } = cluster();
    const { t: ct } = lab.nf;
    const flows = 100;
    const two = ep(2);
    for (let port = 1; port <= flows; port++) t.is(send(t, port), "10.244.2.2:53");
    ep(3);
    const held = isHeld ? lab.udp(`${POD}:500`, `${VIP}:53`) : -1;
    table.removeEndpoint(two);
    t.deepEqual(lab.list(), []);
    t.is(ct.count[lab.ns], 0, "nf_conntrack_count");
    t.is(ct.ids.live, isHeld ? 0 : flows);
    if (held >= 0) t.is(lab.end(t, lab.forward(held)).split(" > ")[1], "10.244.2.3:53");
    // Known ones meet what is left of the old connection; new ones have the collector look.
    for (let port = flows - 9; port <= flows + 40; port++) t.is(send(t, port), "10.244.2.3:53");
    t.is(lab.list().length, isHeld ? 51 : 50);
    t.is(ct.count[lab.ns], lab.list().length);
    lab.close(t);
    ct.flush(lab.ns);
    t.is(ct.ids.live, 0);
    t.is(ct.flows.ids.live, 0, "groups left");
  });
}

test("entries of a leaf that goes at once make room in a full table", (t) => {
  const { lab, table, ep, send } = cluster();
  const two = ep(2);
  lab.k.setNsSysctl(lab.ns, "net.netfilter.nf_conntrack_max", 80);
  for (let port = 1; port <= 80; port++) send(t, port);
  ep(3);
  table.removeEndpoint(two);
  for (let port = 101; port <= 180; port++) t.is(send(t, port), "10.244.2.3:53");
  t.is(lab.list().length, 80);
  lab.close(t);
});

test("serving is what counts: neither readiness, terminating, nor the port", (t) => {
  const { lab, table, dns, ep, send } = cluster();
  const e = ep(2);
  const twin = table.addEndpoint(dns, ip("10.244.2.2"), 54, -1);
  send(t, 1);
  send(t, 2);
  table.setEndpointConditions(e, 2 | 4);
  t.is(lab.list().length, 2, "terminating but serving");
  table.removeEndpoint(e);
  t.is(lab.list().length, 2, "another port of the same address serves");
  table.setEndpointConditions(twin, 4);
  t.deepEqual(lab.list(), [], "no longer serving");
  lab.close(t);
});

test("entries made before the rule existed go when the first endpoint comes", (t) => {
  const lab = new Lab();
  const table = new ServiceTable();
  lab.nf.attachServices(lab.ns, table, {});
  const send = (): string => lab.end(t, lab.forward(lab.udp(`${POD}:1`, `${VIP}:53`)));
  t.is(send(), `${POD}:1 > ${VIP}:53`);
  const dns = table.addServicePort("dns", ip(VIP), 17, 53);
  t.is(send(), "SERVICE_REJECT + ICMP 3/3");
  t.is(lab.list().length, 1);
  table.addEndpoint(dns, ip("10.244.2.2"), 53, -1);
  t.deepEqual(lab.list(), []);
  t.is(send(), `${POD}:1 > 10.244.2.2:53`);
  lab.close(t);
});

test("a service port without endpoints is included; only UDP endpoint changes start it", (t) => {
  const lab = new Lab();
  const table = new ServiceTable();
  lab.nf.attachServices(lab.ns, table, {});
  lab.end(t, lab.forward(lab.udp(`${POD}:1`, `${VIP}:53`)));
  table.addServicePort("dns", ip(VIP), 17, 53);
  const web = table.addServicePort("web", ip(VIP), 6, 80);
  table.addEndpoint(web, ip("10.244.2.2"), 80, -1);
  t.is(lab.list().length, 1, "TCP endpoints start nothing");
  const other = table.addServicePort("other", ip("10.96.0.11"), 17, 53);
  table.addEndpoint(other, ip("10.244.2.2"), 53, -1);
  t.deepEqual(lab.list(), []);
  lab.close(t);
});

test("a removed service port leaves its entries; when it comes back they are reconciled", (t) => {
  const { lab, table, dns, ep, send } = cluster();
  ep(2);
  send(t, 1);
  table.removeServicePort(dns);
  t.is(lab.list().length, 1);
  const again = table.addServicePort("dns", ip(VIP), 17, 53);
  table.addEndpoint(again, ip("10.244.2.3"), 53, -1);
  t.deepEqual(lab.list(), []);
  lab.close(t);
});

test("a lagging node cleans when it syncs, by what it then sees", (t) => {
  const { lab, table, ep, send } = cluster({ delayed: true });
  const sync = (): void => lab.nf.sync(lab.ns, table.revision);
  const [two] = [ep(2), ep(3)];
  sync();
  t.deepEqual(
    [1, 2].map((port) => send(t, port)),
    ["10.244.2.2:53", "10.244.2.3:53"],
  );
  table.removeEndpoint(two);
  const removed = table.revision;
  ep(4);
  t.is(lab.list().length, 2);
  t.is(send(t, 3), "10.244.2.2:53", "still balanced to the removed endpoint");
  lab.nf.sync(lab.ns, removed);
  t.is(lab.list().length, 1);
  t.is(lab.nf.revision(lab.ns), removed);
  t.is(send(t, 4), "10.244.2.3:53");
  t.is(send(t, 5), "10.244.2.3:53", "the endpoint of the next revision is not seen yet");
  sync();
  t.is(send(t, 6), "10.244.2.4:53");
  lab.close(t);
});

test("an entry confirmed after its endpoint was removed goes with the next clean-up", (t) => {
  const { lab, table, ep } = cluster();
  const other = table.addServicePort("other", ip("10.96.0.11"), 17, 53);
  const [two] = [ep(2), ep(3)];
  const waiting = lab.pre(lab.udp(`${POD}:1`, `${VIP}:53`));
  table.removeEndpoint(two);
  t.is(lab.end(t, lab.post(lab.forwardOnly(waiting))), `${POD}:1 > 10.244.2.2:53`);
  t.is(lab.list().length, 1);
  table.addEndpoint(other, ip("10.244.2.9"), 53, -1);
  t.deepEqual(lab.list(), []);
  lab.close(t);
});

test("an untranslated entry confirmed after the Service came goes with the next clean-up", (t) => {
  const lab = new Lab();
  const table = new ServiceTable();
  lab.nf.attachServices(lab.ns, table, {});
  const waiting = lab.forwardOnly(lab.pre(lab.udp(`${POD}:1`, `${VIP}:53`)));
  const dns = table.addServicePort("dns", ip(VIP), 17, 53);
  table.addEndpoint(dns, ip("10.244.2.2"), 53, -1);
  t.is(lab.end(t, lab.post(waiting)), `${POD}:1 > ${VIP}:53`);
  t.is(lab.list().length, 1);
  const other = table.addServicePort("other", ip("10.96.0.11"), 17, 53);
  table.addEndpoint(other, ip("10.244.2.2"), 53, -1);
  t.deepEqual(lab.list(), []);
  lab.close(t);
});

test("only the nodes with flows to the Service are looked at, each by its own revision", (t) => {
  const { lab, table, ep, send } = cluster();
  const lagging = lab.k.addNamespace("node-1", -1);
  lab.nf.attachServices(lagging, table, { delayed: true });
  const two = ep(2);
  lab.nf.sync(lagging, table.revision);
  send(t, 1);
  const f = lab.udp(`${POD}:1`, `${VIP}:53`);
  lab.k.skb.ns[f] = lagging;
  lab.end(t, lab.forward(f));
  t.is(lab.list().length, 2);
  table.removeEndpoint(two);
  t.is(lab.list().length, 1);
  lab.nf.sync(lagging, table.revision);
  t.deepEqual(lab.list(), []);
  lab.close(t);
});

/** kube-proxy's own way: a look at every entry of the table. */
function survivors(lab: Lab, table: ServiceTable): string[] {
  const kept: string[] = [];
  const { t: ct } = lab.nf;
  for (const line of lab.list()) kept.push(line);
  let i = 0;
  return kept.filter(() => {
    let e = i++;
    for (let row = 0; row < ct.ids.used; row++)
      if (ct.isLive(row) && e-- === 0) return keeps(ct.rec, row, table);
    return true;
  });
}

function keeps(rec: Int32Array, e: number, table: ServiceTable): boolean {
  const b = e * REC;
  if ((rec[b] & 255) !== 17) return true;
  const p = table.find(rec[b + R_DST], 17, rec[b + R_PORTS] & 0xffff, table.revision);
  return p < 0 || table.isServing(p, rec[b + R_REPLY + R_SRC], table.revision);
}

for (const delayed of [false, true]) {
  const when = delayed ? "sync of a lagging node" : "change of UDP endpoints";
  test(`after every ${when} the table is what a full scan would leave`, (t) => compareWithScan(t, delayed));
}

function compareWithScan(t: ExecutionContext, delayed: boolean): void {
  const lab = new Lab();
  const table = new ServiceTable();
  lab.nf.attachServices(lab.ns, table, { delayed });
  const random = new Random(5, "cleanup test");
  const ports: number[] = [];
  const endpoints: number[] = [];
  let cleaned = 0;
  let changed = false;
  for (let step = 0; step < 800; step++) {
    const kind = random.below(12);
    const before = table.revision;
    if (kind === 0 && ports.length < 5) {
      ports.push(table.addServicePort("s", ip("10.96.0.0") + ports.length, 17, 53));
    } else if (kind < 3 && ports.length > 0) {
      const p = ports[random.below(ports.length)];
      endpoints.push(table.addEndpoint(p, ip("10.244.2.0") + random.below(12), 53, -1));
    } else if (kind === 3 && endpoints.length > 0) {
      table.removeEndpoint(endpoints.splice(random.below(endpoints.length), 1)[0]);
      cleaned++;
    } else if (kind === 4 && endpoints.length > 0) {
      table.setEndpointConditions(
        endpoints[random.below(endpoints.length)],
        // With publishNotReadyAddresses a pod is ready that does not serve: its flows go at every clean-up.
        [0, 1, 2, 3, 4, 6][random.below(6)],
      );
    } else {
      const to = `10.96.0.${random.below(6)}:53`;
      lab.end(t, lab.forward(lab.udp(`${POD}:${1024 + random.below(400)}`, to)));
      lab.wait(0.1);
      continue;
    }
    if (kind > 0 && table.revision !== before) changed = true;
    if (delayed && random.below(3) === 0) continue;
    if (delayed) lab.nf.sync(lab.ns, table.revision);
    if (changed) t.deepEqual(lab.list().length, survivors(lab, table).length, `step ${step}`);
    changed = false;
  }
  t.true(cleaned > 30);
  t.true(lab.nf.t.flows.ids.live > 0);
  lab.nf.t.flush(lab.ns);
  t.is(lab.nf.t.flows.ids.live, 0, "groups go with their last entry");
  lab.close(t);
}
