// What kube-proxy's rules do to ClusterIP traffic. Facts: /reference/kube-proxy.md, rows in the names.

import test from "ava";
import type { ProxyOptions } from "../../src/netfilter/netfilter.ts";
import { ServiceTable } from "../../src/netfilter/service-table.ts";
import { TCP_SYN } from "../../src/wire/tcp.ts";
import { cidr, ip, Lab } from "./lab.ts";

const CLIENT = "10.244.1.2";
const VIP = "10.96.0.10";

function cluster(options: ProxyOptions = {}) {
  const lab = new Lab();
  const table = new ServiceTable();
  lab.nf.attachServices(lab.ns, table, { clusterCidr: cidr("10.244.0.0/16"), ...options });
  const web = table.addServicePort("default/web:http", ip(VIP), 6, 80);
  return { lab, table, web };
}

test("K1.5 row 1: a local pod keeps its source, the destination becomes an endpoint, replies come from the VIP", (t) => {
  const { lab, table, web } = cluster();
  table.addEndpoint(web, ip("10.244.2.2"), 8080, -1);
  const syn = lab.forward(lab.tcp(`${CLIENT}:40000`, `${VIP}:80`, TCP_SYN));
  t.is(lab.end(t, syn), "10.244.1.2:40000 > 10.244.2.2:8080");
  t.deepEqual(lab.list(), [
    "tcp 120 SYN_SENT 10.244.1.2:40000>10.96.0.10:80 [UNREPLIED] 10.244.2.2:8080>10.244.1.2:40000",
  ]);
  const reply = lab.forward(lab.tcp("10.244.2.2:8080", `${CLIENT}:40000`, 0x12, { ack: 1 }), lab.bridge);
  t.is(lab.end(t, reply), "10.96.0.10:80 > 10.244.1.2:40000");
  lab.close(t);
});
