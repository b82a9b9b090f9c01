// Every case, in the order of the fact sheet.

import type { NodeCase } from "../case.ts";
import { cases as k32 } from "./k3-2-same-node-service.ts";
import { cases as k41 } from "./k4-1-bridge.ts";
import { cases as k42 } from "./k4-2-arp.ts";

export const CASES: NodeCase[] = [...k32, ...k41, ...k42];
