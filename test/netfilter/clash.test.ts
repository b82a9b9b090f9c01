// K 3.8: two first packets of one flow in flight at once, as when both wait for a neighbour.

import test from "ava";
import { ServiceTable } from "../../src/netfilter/service-table.ts";
import { TCP_SYN } from "../../src/wire/tcp.ts";
import { ip, Lab } from "./lab.ts";

const POD = "10.244.1.2:4000";
const VIP = "10.96.0.10";

function cluster(endpoints: number) {
  const lab = new Lab();
  const table = new ServiceTable();
  lab.nf.attachServices(lab.ns, table, {});
  for (const proto of [6, 17]) {
    const p = table.addServicePort("s", ip(VIP), proto, 53);
    for (let i = 0; i < endpoints; i++) table.addEndpoint(p, ip(`10.244.2.${2 + i}`), 53, -1);
  }
  return lab;
}

test("K3.8 identical entries of UDP: the loser's packet joins the winner and is counted there", (t) => {
  const lab = cluster(1);
  const first = lab.pre(lab.udp(POD, `${VIP}:53`));
  const second = lab.pre(lab.udp(POD, `${VIP}:53`));
  t.is(lab.nf.t.ids.live, 2);
  t.is(lab.end(t, lab.post(lab.forwardOnly(first))), `${POD} > 10.244.2.2:53`);
  t.is(lab.end(t, lab.post(lab.forwardOnly(second))), `${POD} > 10.244.2.2:53`);
  t.is(lab.list().length, 1);
  t.is(lab.nf.t.acct[2], 2, "two packets");
  lab.close(t);
});

test("K3.8 other DNAT choice and UDP: findable by its replies only, for one second, never ASSURED", (t) => {
  const lab = cluster(2);
  const first = lab.pre(lab.udp(POD, `${VIP}:53`));
  const second = lab.pre(lab.udp(POD, `${VIP}:53`));
  t.is(lab.end(t, lab.post(lab.forwardOnly(first))), `${POD} > 10.244.2.2:53`);
  t.is(lab.end(t, lab.post(lab.forwardOnly(second))), `${POD} > 10.244.2.3:53`);
  t.is(lab.nf.t.index.count, 3, "two tuples of the winner, one of the loser");
  const reply = (): string => lab.end(t, lab.forward(lab.udp("10.244.2.3:53", POD), lab.bridge));
  t.is(reply(), `${VIP}:53 > ${POD}`, "the loser's answer is translated");
  t.is(lab.end(t, lab.forward(lab.udp(POD, `${VIP}:53`))), `${POD} > 10.244.2.2:53`, "the winner's way");
  lab.wait(0.9);
  t.is(reply(), `${VIP}:53 > ${POD}`);
  lab.wait(0.2);
  t.is(reply(), `10.244.2.3:53 > ${POD}`, "after a second it is a stranger");
  lab.close(t);
});

test("K3.8 TCP has no such rescue: the loser is dropped, also when both are identical", (t) => {
  for (const endpoints of [1, 2]) {
    const lab = cluster(endpoints);
    const first = lab.pre(lab.tcp(POD, `${VIP}:53`, TCP_SYN));
    const second = lab.pre(lab.tcp(POD, `${VIP}:53`, TCP_SYN));
    t.is(lab.end(t, lab.post(lab.forwardOnly(first))), `${POD} > 10.244.2.2:53`);
    t.is(lab.end(t, lab.post(lab.forwardOnly(second))), "CT_INSERT_FAILED");
    t.is(lab.list().length, 1);
    lab.close(t);
  }
});

test("K3.8 both ends of one UDP flow send first: the later packet joins, no port changes", (t) => {
  const lab = new Lab();
  lab.nf.enable(lab.ns);
  const a = lab.pre(lab.udp("10.244.1.2:5000", "10.244.2.2:6000"));
  const b = lab.pre(lab.udp("10.244.2.2:6000", "10.244.1.2:5000"));
  t.is(lab.end(t, lab.post(lab.forwardOnly(a))), "10.244.1.2:5000 > 10.244.2.2:6000");
  t.is(lab.end(t, lab.post(lab.forwardOnly(b))), "10.244.2.2:6000 > 10.244.1.2:5000");
  t.is(lab.list().length, 1);
  lab.close(t);
});
