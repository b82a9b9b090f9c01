// Normalises what `bridge fdb`, `ip neigh`, `ip route` and `conntrack -L` print (and `vnetem show`
// likewise) to lines two arms can compare: sorted where the kernel's order is a hash table's, counters and
// ages gone, timers rounded up to the setting they were started from.

/** Keeps "mac dev flags"; drops multicast group entries the node joins for itself. */
export function normaliseFdb(lines: string[]): string[] {
  return lines
    .map((line) => line.trim().replace(/\s+/g, " "))
    .filter((line) => !/^(33:33|01:00:5e|01:80:c2)/.test(line))
    .map((line) => line.replace(/ (used|updated) [0-9/]+/g, ""))
    .sort();
}

/** "ip dev D lladdr MAC STATE"; a loopback or multicast entry is the kernel's own affair. */
export function normaliseNeigh(lines: string[]): string[] {
  return lines
    .map((line) => line.trim().replace(/\s+/g, " "))
    .filter((line) => !/ NOARP$/.test(line) && !/ dev lo /.test(line))
    .map((line) => line.replace(/ (ref|used|probes) [0-9/]+/g, ""))
    .sort();
}

/** Kernel order matters here (longest prefix is not it: `ip route` lists by table key), so lines are kept as
 * printed. */
export function normaliseRoute(lines: string[]): string[] {
  return lines.map((line) => line.trim().replace(/\s+/g, " "));
}

/** Timers conntrack starts from, seconds (kube-proxy.md 3.4 and kube-proxy's own). */
const TIMEOUTS = [1, 3, 10, 30, 60, 120, 180, 300, 432_000];

function roundTimer(seconds: number): string {
  return String(TIMEOUTS.find((t) => seconds <= t) ?? seconds);
}

/** "proto seconds STATE tuple tuple flags", sorted. */
export function normaliseConntrack(lines: string[]): string[] {
  return lines
    .map((line) => line.trim().replace(/\s+/g, " "))
    .map((line) => line.replace(/ (mark|use|packets|bytes|secctx|zone)=\S+/g, ""))
    .map((line) =>
      line.replace(/^(\S+) \d+ (\d+)/, (_, proto, left) => `${proto} ${roundTimer(Number(left))}`),
    )
    .sort();
}
