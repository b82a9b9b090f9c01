// Several arms of one kind as one: a case goes to the one with the least to do. The kernel arm spends most of
// its time waiting: for processes, and for nf_tables and the devices to synchronise with all readers (RCU).
// Four of them keep two cores busy.

import type { Arm, ArmResult, NodeCase } from "../case.ts";
import { kernelArmInChild } from "../kernel/arm.ts";

const CHILDREN = 4;

export function kernelPool(): Arm {
  return armPool(Array.from({ length: CHILDREN }, () => kernelArmInChild()));
}

export function armPool(arms: readonly Arm[]): Arm {
  const busy = arms.map(() => 0);
  const run = async (c: NodeCase, luck?: number): Promise<ArmResult> => {
    const at = busy.indexOf(Math.min(...busy));
    busy[at]++;
    try {
      return await arms[at].run(c, luck);
    } finally {
      busy[at]--;
    }
  };
  return { name: arms[0].name, run, close: async () => void (await Promise.all(arms.map((a) => a.close()))) };
}
