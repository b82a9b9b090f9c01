// Can the kernel arm run here? One line per thing that is missing. Tests skip then; under CI=true a skip is
// a failure.

import { spawnSync } from "node:child_process";
import { SYSTEM_ENV } from "./kernel/system-path.ts";

const TOOLS: [command: string, argument: string, packageName: string][] = [
  ["ip", "-V", "iproute2"],
  ["bridge", "-V", "iproute2"],
  ["iptables-restore", "--version", "iptables"],
  ["nft", "--version", "nftables"],
  ["ebtables-restore", "--version", "ebtables"],
  ["conntrack", "--version", "conntrack"],
];

const STATISTIC = "-m statistic --mode nth --every 2 --packet 0";

/** What is missing, in words; empty when the kernel arm can run. */
export async function preflight(): Promise<string[]> {
  if (process.platform !== "linux") return [`the kernel arm needs Linux, this is ${process.platform}`];
  if (process.getuid?.() !== 0) return ["the kernel arm needs root: it makes network namespaces"];
  if (!["x64", "arm64"].includes(process.arch)) return [`no system call layout for ${process.arch}`];
  const lacks = ([command, argument]: (typeof TOOLS)[number]): boolean =>
    spawnSync(command, [argument], { env: SYSTEM_ENV }).error !== undefined;
  const missing = TOOLS.filter(lacks);
  if (missing.length > 0) return missing.map(([command, , name]) => `no ${command}: apt-get install ${name}`);
  try {
    await import("koffi");
  } catch {
    return ["no koffi: npm install"];
  }
  return probeKernel();
}

/** Makes one namespace with everything a case may use. */
async function probeKernel(): Promise<string[]> {
  const { Namespace } = await import("./kernel/namespaces.ts");
  const probes: [what: string, probe: (n: InstanceType<typeof Namespace>) => void][] = [
    ["veth pairs", (n) => n.ip(["link add name v0 type veth peer name v1"])],
    ["bridges", (n) => n.ip(["link add name b0 type bridge", "link set v0 master b0"])],
    ["br_netfilter", (n) => void n.readSysctl("net.bridge.bridge-nf-call-iptables")],
    ["connection tracking", (n) => void n.readSysctl("net.netfilter.nf_conntrack_checksum")],
    [
      "iptables nat with statistic and recent",
      (n) =>
        void n.tool(
          "iptables-restore",
          ["--noflush"],
          `*nat\n-A PREROUTING ${STATISTIC} -m recent --name x --set -j RETURN\nCOMMIT\n`,
        ),
    ],
    [
      "nftables numgen",
      (n) =>
        void n.tool(
          "nft",
          ["-f", "-"],
          "add table ip t\nadd chain ip t c\nadd rule ip t c numgen inc mod 2 0\n",
        ),
    ],
    [
      "ebtables arpreply",
      (n) =>
        void n.tool(
          "ebtables-restore",
          [],
          "*nat\n:PREROUTING ACCEPT\n-A PREROUTING -p ARP -j arpreply --arpreply-mac 02:00:00:00:00:01\n",
        ),
    ],
  ];
  let namespace: InstanceType<typeof Namespace>;
  try {
    namespace = new Namespace("preflight");
  } catch (e) {
    return [`network namespaces: ${(e as Error).message}`];
  }
  const missing: string[] = [];
  for (const [what, probe] of probes) {
    try {
      probe(namespace);
    } catch (e) {
      missing.push(`the kernel lacks ${what}: ${(e as Error).message.split("\n")[0]}`);
    }
  }
  namespace.close();
  return missing;
}
