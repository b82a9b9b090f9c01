// Several arms of one kind as one: a case goes to the one with the least to do. The kernel arm spends half of
// its time waiting for processes and for the kernel, so two of them keep two cores busy.

import type { Arm, ArmResult, NodeCase } from "../case.ts";

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
