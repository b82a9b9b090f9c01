// Property tests draw the same examples in every run, on every machine: one that fails has found a change, not
// luck. FC_SEED=42 draws others.

import fc from "fast-check";

fc.configureGlobal({ seed: Number(process.env.FC_SEED ?? 7) });
