// AVA loads this before each test file (package.json): property tests draw the same examples in every run, on
// every machine, so one that fails has found a change, not luck. FC_SEED=42 draws others.

import fc from "fast-check";

fc.configureGlobal({ seed: Number(process.env.FC_SEED ?? 7) });
