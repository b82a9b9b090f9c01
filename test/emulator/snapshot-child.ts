// A process of its own that goes on from a snapshot: reads it from a file, runs to a time, writes the
// capture.
// node snapshot-child.js <snapshot> <until ns> <pcapng>

import { readFileSync, writeFileSync } from "node:fs";
import { openSnapshot } from "../../src/emulator/define.ts";

const [, , from, until, to] = process.argv as [string, string, string, string, string];
const net = openSnapshot(readFileSync(from));
net.run({ until: Number(until) });
writeFileSync(to, net.pcapng());
process.stdout.write(JSON.stringify(net.counters()));
