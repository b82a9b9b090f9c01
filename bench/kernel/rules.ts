// kube-proxy's iptables-mode rules for one Service: its chains, their order and their matches
// (kube-proxy.md 2.2). One departure, on purpose: `statistic --mode nth` instead of `random`, so that each
// endpoint gets its share exactly, as in the emulator.

/** Lines for iptables-restore. */
export function kubeProxyRules(
  clusterCidr: string,
  vip: string,
  protocol: "tcp" | "udp",
  port: number,
  endpoints: readonly string[],
): string[] {
  const frontend = `-d ${vip}/32 -p ${protocol} -m ${protocol} --dport ${port}`;
  const chain = (i: number): string => `KUBE-SEP-${i}`;
  const isNew = "-m conntrack --ctstate NEW";
  const known = "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT";
  return [
    "*filter",
    ...["FIREWALL", "FORWARD", "SERVICES", "EXTERNAL-SERVICES", "NODEPORTS", "PROXY-FIREWALL"].map(
      (name) => `:KUBE-${name} - [0:0]`,
    ),
    "-A INPUT -j KUBE-FIREWALL",
    `-A INPUT ${isNew} -j KUBE-PROXY-FIREWALL`,
    "-A INPUT -j KUBE-NODEPORTS",
    `-A INPUT ${isNew} -j KUBE-EXTERNAL-SERVICES`,
    `-A FORWARD ${isNew} -j KUBE-PROXY-FIREWALL`,
    "-A FORWARD -j KUBE-FORWARD",
    `-A FORWARD ${isNew} -j KUBE-SERVICES`,
    `-A FORWARD ${isNew} -j KUBE-EXTERNAL-SERVICES`,
    "-A OUTPUT -j KUBE-FIREWALL",
    `-A OUTPUT ${isNew} -j KUBE-PROXY-FIREWALL`,
    `-A OUTPUT ${isNew} -j KUBE-SERVICES`,
    `-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 ${known} -j DROP`,
    "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
    "-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT",
    "-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "COMMIT",
    "*nat",
    ...["SERVICES", "NODEPORTS", "POSTROUTING", "MARK-MASQ", "SVC-WEB"].map(
      (name) => `:KUBE-${name} - [0:0]`,
    ),
    ...endpoints.map((_, i) => `:${chain(i)} - [0:0]`),
    "-A PREROUTING -j KUBE-SERVICES",
    "-A OUTPUT -j KUBE-SERVICES",
    "-A POSTROUTING -j KUBE-POSTROUTING",
    "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
    "-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000",
    "-A KUBE-POSTROUTING -j MASQUERADE --random-fully",
    "-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000",
    `-A KUBE-SERVICES ${frontend} -j KUBE-SVC-WEB`,
    "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS",
    `-A KUBE-SVC-WEB ! -s ${clusterCidr} ${frontend} -j KUBE-MARK-MASQ`,
    ...endpoints.map((_, i) => {
      const every = endpoints.length - i;
      const nth = every === 1 ? "" : `-m statistic --mode nth --every ${every} --packet 0 `;
      return `-A KUBE-SVC-WEB ${nth}-j ${chain(i)}`;
    }),
    ...endpoints.flatMap((ip, i) => [
      `-A ${chain(i)} -s ${ip}/32 -j KUBE-MARK-MASQ`,
      `-A ${chain(i)} -p ${protocol} -m ${protocol} -j DNAT --to-destination ${ip}:${port}`,
    ]),
    "COMMIT",
  ];
}
