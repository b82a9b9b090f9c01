// vnetem bench as a command: what it refuses, in one line each.

import test from "ava";
import { bench } from "../../src/cli/bench.ts";
import { UsageError } from "../../src/cli/errors.ts";

const REFUSED: [string, string[], Parameters<typeof bench>[1], RegExp][] = [
  ["a scenario nobody knows", ["vpi"], {}, /no scenario "vpi"; did you mean "vip"\?/],
  ["nothing near", ["quux"], {}, /^there is no scenario "quux" \(the scenarios are l2, pod, vip/],
  ["no flows", [], { flows: "0" }, /--flows takes a whole number from 1 to \d+, not "0"/],
  ["words for numbers", [], { flows: "many" }, /not "many"/],
  ["half a flow", [], { flows: "1.5" }, /not "1.5"/],
  [
    "a frame shorter than Ethernet allows",
    [],
    { bytes: "63" },
    /--bytes takes a whole number from 64 to 1518/,
  ],
  ["a frame longer than the MTU", [], { bytes: "1519" }, /not "1519"/],
  ["negative churn", [], { churn: "-1" }, /--churn/],
  ["no time", [], { seconds: "0" }, /--seconds takes a number from 0.01 to 3600/],
  ["beside what nobody knows", [], { beside: "dpdk" }, /^--beside takes kernel, not "dpdk"$/],
  [
    "beside the kernel without a Service",
    ["l2"],
    { beside: "kernel" },
    /^--beside kernel measures vip only$/,
  ],
  ["beside the kernel with churn", [], { beside: "kernel", churn: "400" }, /leave --churn out/],
  ["endless time", [], { seconds: "Infinity" }, /not "Infinity"/],
];

for (const [name, scenarios, options, message] of REFUSED) {
  test(name, async (t) => {
    const error = await t.throwsAsync(() => bench(scenarios, options), { instanceOf: UsageError });
    t.regex(error.message, message);
    t.false(error.message.includes("\n"));
  });
}
