// The azure bridge and tunnel modes' ebtables rules E1-E6 (azure.md 5.3) as text for ebtables-restore, in
// install order: node rules first, each pod's after. E7 and E8 concern a broute table nf_tables does not
// have, and IPv6.

import { FABRIC_MAC, type NodeSpec, nicDevice } from "../case.ts";

export function ebtablesRules(node: NodeSpec): string {
  const nic = nicDevice(node);
  const tunnel = node.attachment === "azure-tunnel";
  const pre = "-A PREROUTING";
  const request = `${pre} -p ARP --arp-op Request --arp-ip-dst`;
  const lines = [
    "*nat",
    ":PREROUTING ACCEPT",
    ":OUTPUT ACCEPT",
    ":POSTROUTING ACCEPT",
    `-A POSTROUTING -s Unicast -o ${nic} -j snat --to-source ${node.nic.mac} --snat-arp --snat-target ACCEPT`,
    `${request} ${node.nic.ip} -j arpreply --arpreply-mac ${node.nic.mac} --arpreply-target DROP`,
    `${pre} -p ARP -i ${nic} --arp-op Reply -j dnat --to-destination ff:ff:ff:ff:ff:ff --dnat-target ACCEPT`,
  ];
  if (tunnel) {
    const up = `-j dnat --to-destination ${FABRIC_MAC} --dnat-target ACCEPT`;
    const bridge = node.bridge!.device;
    if (!bridge.startsWith("az")) lines.push(`${pre} -i ${bridge} ${up}`);
    lines.push(`${pre} -i az+ ${up}`);
  }
  for (const p of node.pods) {
    const answer = tunnel ? FABRIC_MAC : p.mac;
    lines.push(`${request} ${p.ip} -j arpreply --arpreply-mac ${answer} --arpreply-target DROP`);
    lines.push(
      `${pre} -p IPv4 -i ${nic} --ip-dst ${p.ip} -j dnat --to-destination ${p.mac} --dnat-target ACCEPT`,
    );
  }
  return `${lines.join("\n")}\n`;
}
