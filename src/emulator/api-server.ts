// The API server as a host of the network: a machine with a NIC in the nodes' subnet, as API Server VNet
// Integration has it, and the Service `kubernetes` on the first address of the Service range. It comes with
// the first object that is applied.

import { applyService } from "../cluster/apply-service.ts";
import { API_PORT, startLeases } from "../cluster/control/leases.ts";
import { checkNic } from "../vnet/check.ts";
import { formatIpv4 } from "../wire/address.ts";
import { plugNic } from "./build.ts";
import { planService } from "./build-service.ts";
import { serviceScope } from "./cluster-change.ts";
import { type Problem, TopologyError } from "./errors.ts";
import type { Net } from "./net.ts";

/** @throws TopologyError when there is no address for it */
export function startApiServer(net: Net, row: number): void {
  const cluster = net.clusters[row];
  const { control } = cluster;
  if (control.started) return;
  const { vnet, k } = net.walk;
  const first = cluster.nodes[0];
  const subnet = vnet.nics.subnet[first.nic];
  const name = `${cluster.name}-apiserver`;
  const problems: Problem[] = checkNic(vnet, subnet, 0, `cluster.${cluster.name}.apiServer`);
  if (problems.length > 0) throw new TopologyError(problems);
  const ns = k.addNamespace(name, -1);
  const { eth0, nic } = plugNic(net, ns, subnet, 0);
  const ip = vnet.primaryAddress(nic);
  net.hosts.vms.set(name, { kind: "vm", name, ns, dev: eth0, ip });
  const scope = serviceScope(net, row, problems);
  const plan = planService(scope, {
    name: "kubernetes",
    namespace: "default",
    clusterIP: formatIpv4(scope.serviceCidr.network + 1),
    ports: [{ name: "https", port: 443, targetPort: API_PORT }],
    selector: {},
    endpoints: [{ ip: formatIpv4(ip) }],
  });
  if (problems.length > 0) throw new TopologyError(problems);
  applyService(cluster, plan);
  control.started = true;
  startLeases(control, ns, ip);
}
