// VNet flow logs as Network Watcher writes them (azure.md 7.1): records of version 4, one per minute and
// port, tuples grouped by the rule that decided. Times count from the start of the emulation, as UNIX time
// does from 1970. What has ended but was not given back yet is told first.

import { FLOW_TUPLE_STATES } from "../vnet/flow-log.ts";
import type { Walk } from "../walk/walk.ts";
import { formatIpv4, formatMac } from "../wire/address.ts";

type Fabric = Walk["vnet"];

export interface FlowLogRecord {
  /** Beginning of the minute, ISO 8601. */
  time: string;
  flowLogVersion: 4;
  flowLogGUID: string;
  macAddress: string;
  category: "FlowLogFlowEvent";
  flowLogResourceID: string;
  targetResourceID: string;
  operationName: "FlowLogFlowEvent";
  flowRecords: { flows: FlowLogFlow[] };
}

export interface FlowLogFlow {
  /** Security group, or "unspecified" without one. */
  aclID: string;
  flowGroups: { rule: string; flowTuples: string[] }[];
}

const MINUTE_MS = 60_000;
const NONE = "unspecified";

/** @param vnet row of a VNet, -1 for all */
export function flowLogRecords(v: Fabric, now: number, vnet: number): FlowLogRecord[] {
  v.flows.sweep(now);
  const log = v.flows.flowLog;
  const records = new Map<string, FlowLogRecord>();
  const order = Array.from({ length: log.count }, (_, i) => i).sort(
    (a, b) => log.time[a] - log.time[b] || a - b,
  );
  for (const i of order) {
    if (vnet >= 0 && log.tupleVnet[i] !== vnet) continue;
    const minute = Math.floor(log.time[i] / 1e6 / MINUTE_MS) * MINUTE_MS;
    const mac = formatMac(log.tupleMacHi[i], log.tupleMacLo[i]).replaceAll(":", "").toUpperCase();
    const key = `${minute} ${mac}`;
    let record = records.get(key);
    if (record === undefined) {
      record = newRecord(v.vnets.name[log.tupleVnet[i]], minute, mac, log.tupleVnet[i]);
      records.set(key, record);
    }
    groupOf(v, record, i).flowTuples.push(tupleText(v, i));
  }
  return [...records.values()];
}

function newRecord(vnet: string, minute: number, macAddress: string, row: number): FlowLogRecord {
  return {
    time: isoTime(minute),
    flowLogVersion: 4,
    flowLogGUID: `00000000-0000-4000-8000-${(row + 1).toString(16).padStart(12, "0")}`,
    macAddress,
    category: "FlowLogFlowEvent",
    flowLogResourceID: `/providers/Microsoft.Network/networkWatchers/vnetem/flowLogs/${vnet}`,
    targetResourceID: `/providers/Microsoft.Network/virtualNetworks/${vnet}`,
    operationName: "FlowLogFlowEvent",
    flowRecords: { flows: [] },
  };
}

function groupOf(v: Fabric, record: FlowLogRecord, i: number): FlowLogFlow["flowGroups"][number] {
  const log = v.flows.flowLog;
  const acl = log.tupleGroup[i];
  const aclID = acl < 0 ? NONE : v.security.groups[acl].name;
  const name = log.tupleRule[i] < 0 ? NONE : v.security.ruleNames[log.tupleRule[i]];
  const { flows } = record.flowRecords;
  const flow = flows.find((f) => f.aclID === aclID) ?? { aclID, flowGroups: [] };
  if (!flows.includes(flow)) flows.push(flow);
  const group = flow.flowGroups.find((g) => g.rule === name) ?? { rule: name, flowTuples: [] };
  if (!flow.flowGroups.includes(group)) flow.flowGroups.push(group);
  return group;
}

/** The 13 fields of a tuple. */
function tupleText(v: Fabric, i: number): string {
  const log = v.flows.flowLog;
  return [
    Math.floor(log.time[i] / 1e6),
    formatIpv4(log.src[i]),
    formatIpv4(log.dst[i]),
    log.ports[i] >>> 16,
    log.ports[i] & 0xffff,
    log.protocol[i],
    log.outbound[i] === 1 ? "O" : "I",
    FLOW_TUPLE_STATES[log.state[i]],
    "NX",
    log.packetsSent[i],
    log.bytesSent[i],
    log.packetsReceived[i],
    log.bytesReceived[i],
  ].join(",");
}

/** Milliseconds since 1970 as ISO 8601: civil_from_days() of H. Hinnant's date algorithms. */
export function isoTime(ms: number): string {
  const days = Math.floor(ms / 86_400_000) + 719_468;
  const era = Math.floor(days / 146_097);
  const doe = days - era * 146_097;
  const yoe = Math.floor(
    (doe - Math.floor(doe / 1460) + Math.floor(doe / 36_524) - Math.floor(doe / 146_096)) / 365,
  );
  const doy = doe - (365 * yoe + Math.floor(yoe / 4) - Math.floor(yoe / 100));
  const mp = Math.floor((5 * doy + 2) / 153);
  const day = doy - Math.floor((153 * mp + 2) / 5) + 1;
  const month = mp < 10 ? mp + 3 : mp - 9;
  const year = yoe + era * 400 + (month <= 2 ? 1 : 0);
  const two = (n: number) => String(n).padStart(2, "0");
  const rest = ms % 86_400_000;
  const [h, m, s] = [rest / 3_600_000, (rest / 60_000) % 60, (rest / 1000) % 60].map(Math.floor) as [
    number,
    number,
    number,
  ];
  const fraction = String(rest % 1000).padStart(3, "0");
  const date = `${String(year).padStart(4, "0")}-${two(month)}-${two(day)}`;
  return `${date}T${two(h)}:${two(m)}:${two(s)}.${fraction}Z`;
}
