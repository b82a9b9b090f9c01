// The hooks: order, what they return, and when they do nothing.

import test from "ava";
import { HOOK_ORDER, hookForward, hookPostRouting, hookPreRouting } from "../../src/netfilter/hooks.ts";
import { ServiceTable } from "../../src/netfilter/service-table.ts";
import { SkbFlag } from "../../src/node/sk-buff.ts";
import { Stage } from "../../src/node/stage.ts";
import { udpFrame } from "../../src/wire/build.ts";
import { ip, Lab } from "./lab.ts";

// K 3.1, first table.
const PRIORITIES: Record<string, number> = {
  defrag: -400,
  raw: -300,
  conntrack: -200,
  mangle: -150,
  "nat dst": -100,
  filter: 0,
  "nat src": 100,
  confirm: 2147483647,
};

test("K3.1 hook priorities, ascending in every hook; the guard of the bridge comes first of all", (t) => {
  for (const [hook, steps] of Object.entries(HOOK_ORDER)) {
    const priorities: number[] = steps.map(([priority]) => priority);
    const ascending = [...priorities].sort((a: number, b: number) => a - b);
    t.deepEqual(priorities, ascending, hook);
    // The guard of the bridge and IPVS (K 2.4) have priorities of their own.
    for (const [priority, name] of steps) if (name in PRIORITIES) t.is(PRIORITIES[name], priority, name);
  }
  t.is(HOOK_ORDER.PRE_ROUTING[0][1], "sabotage");
  const names = (steps: readonly (readonly [number, string])[]): string => steps.map((s) => s[1]).join(", ");
  t.is(names(HOOK_ORDER.PRE_ROUTING), "sabotage, defrag, raw, conntrack, mangle, nat dst");
  t.is(names(HOOK_ORDER.LOCAL_IN), "mangle, filter, ipvs reply, ipvs request, nat src, confirm");
  t.is(names(HOOK_ORDER.FORWARD), "mangle, filter, ipvs reply");
  t.is(
    names(HOOK_ORDER.LOCAL_OUT),
    "defrag, raw, conntrack, mangle, nat dst, ipvs reply, ipvs request, filter",
  );
  t.is(names(HOOK_ORDER.POST_ROUTING), "mangle, nat src, confirm");
});

test("a namespace without netfilter: nothing runs", (t) => {
  const lab = new Lab();
  const f = lab.forward(lab.udp("10.244.1.2:1", "10.244.2.2:2"));
  t.is(lab.k.skb.ct[f], -1);
  lab.k.consume(f);
  const g = lab.output(lab.udp("10.0.0.1:1", "10.244.2.2:2"));
  t.is(lab.k.skb.rtType[g], 1);
  lab.k.consume(g);
  t.is(lab.nf.t.ids.live, 0);
  lab.close(t);
});

test("K3.1 with BR_NF the hooks return to the bridge", (t) => {
  const lab = new Lab();
  lab.nf.enable(lab.ns);
  const f = lab.udp("10.244.1.2:1", "10.244.1.3:2");
  lab.k.skb.flags[f] |= SkbFlag.BR_NF;
  t.is(hookPreRouting(lab.nf, f), Stage.BR_NF_PRE_ROUTING_FINISH);
  t.is(hookForward(lab.nf, f), Stage.BR_NF_FORWARD_FINISH);
  t.is(hookPostRouting(lab.nf, f), Stage.BR_NF_DEV_QUEUE_XMIT);
  lab.k.consume(f);
  lab.close(t);
});

test("K3.1 a packet that went through PREROUTING in the bridge skips it once (ip_sabotage_in)", (t) => {
  const lab = new Lab();
  lab.nf.enable(lab.ns);
  const f = lab.udp("10.244.1.2:1", "10.244.2.2:2");
  lab.k.skb.flags[f] |= SkbFlag.SABOTAGE;
  t.is(hookPreRouting(lab.nf, f), Stage.IP_RCV_FINISH);
  t.is(lab.k.skb.ct[f], -1);
  t.is(lab.k.skb.flags[f] & SkbFlag.SABOTAGE, 0);
  t.is(hookPreRouting(lab.nf, f), Stage.IP_RCV_FINISH);
  t.true(lab.k.skb.ct[f] >= 0);
  lab.k.consume(f);
  lab.close(t);
});

test("K3.7 fragments go to reassembly before conntrack, in a namespace with netfilter only", (t) => {
  const lab = new Lab();
  const piece = (more: boolean, fragmentOffset: number): number =>
    lab.frame(
      udpFrame({ src: "10.244.1.2", dst: "10.244.2.2", sport: 1, dport: 2, mf: more, fragmentOffset }),
    );
  const plain = piece(true, 0);
  t.is(hookPreRouting(lab.nf, plain), Stage.IP_RCV_FINISH);
  lab.k.consume(plain);
  lab.nf.enable(lab.ns);
  for (const f of [piece(true, 0), piece(true, 8), piece(false, 16)]) {
    t.is(hookPreRouting(lab.nf, f), Stage.NF_DEFRAG);
    lab.k.consume(f);
  }
  lab.close(t);
});

test("K3.3 a locally made packet is routed again exactly when its address was translated", (t) => {
  const lab = new Lab();
  const table = new ServiceTable();
  lab.nf.attachServices(lab.ns, table);
  const dns = table.addServicePort("dns", ip("10.96.0.10"), 17, 53);
  table.addEndpoint(dns, ip("10.244.2.3"), 5353, -1);
  const service = lab.output(lab.udp("10.0.0.1:4000", "10.96.0.10:53"));
  t.is(lab.k.skb.rtType[service], 0);
  t.is(lab.end(t, lab.post(service)), "10.0.0.1:4000 > 10.244.2.3:5353");
  const direct = lab.output(lab.udp("10.0.0.1:4001", "10.244.2.3:5353"));
  t.is(lab.k.skb.rtType[direct], 1);
  t.is(lab.end(t, lab.post(direct)), "10.0.0.1:4001 > 10.244.2.3:5353");
  lab.close(t);
});
