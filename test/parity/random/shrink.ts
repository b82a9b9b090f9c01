// Makes a case that differs as small as it goes while it still differs: fewer frames, then fewer pods,
// Services and settings. Every try runs both arms, so the number of tries is bounded.

import type { NodeCase, Send, Step } from "../case.ts";

const TRIES = 150;

export type Differs = (c: NodeCase) => Promise<boolean>;

export async function shrink(c: NodeCase, differs: Differs): Promise<NodeCase> {
  const budget = { tries: TRIES };
  const check: Differs = async (candidate) => budget.tries-- > 0 && (await differs(candidate));
  let best = await fewerFrames(c, check);
  best = await fewerParts(best, check);
  return fewerFrames(best, check);
}

interface Item {
  step: number;
  send: Send;
}

const items = (c: NodeCase): Item[] =>
  c.steps.flatMap((s, step) => (s.send ?? []).map((send) => ({ step, send })));

function withItems(c: NodeCase, kept: Item[]): NodeCase {
  const steps: Step[] = c.steps.map((s, i) => ({
    ...s,
    send: kept.filter((item) => item.step === i).map((item) => item.send),
  }));
  return { ...c, steps: steps.filter((s) => (s.send?.length ?? 0) > 0 || (s.change?.length ?? 0) > 0) };
}

// Delta debugging: leave out ever smaller blocks.
async function fewerFrames(c: NodeCase, differs: Differs): Promise<NodeCase> {
  let kept = items(c);
  let best = c;
  for (let block = Math.ceil(kept.length / 2); block >= 1; block = block === 1 ? 0 : Math.ceil(block / 2)) {
    for (let at = 0; at < kept.length; ) {
      const fewer = [...kept.slice(0, at), ...kept.slice(at + block)];
      const candidate = withItems(c, fewer);
      if (fewer.length > 0 && (await differs(candidate))) {
        kept = fewer;
        best = candidate;
      } else at += block;
    }
  }
  return best;
}

async function fewerParts(c: NodeCase, differs: Differs): Promise<NodeCase> {
  let best = c;
  const attempt = async (candidate: NodeCase): Promise<void> => {
    if (await differs(candidate)) best = candidate;
  };
  for (const [i, step] of best.steps.entries()) {
    if (step.change === undefined) continue;
    const { change: _, ...rest } = step;
    await attempt({ ...best, steps: best.steps.map((s, j) => (i === j ? rest : s)) });
  }
  for (const s of best.node.proxy?.services ?? []) {
    const proxy = best.node.proxy!;
    const services = proxy.services.filter((one) => one.name !== s.name);
    await attempt({ ...best, node: { ...best.node, proxy: { ...proxy, services } } });
  }
  const used = new Set(items(best).map((item) => ("at" in item.send ? item.send.at : "")));
  for (const pod of best.node.pods) {
    // A bridge without ports has a random MAC.
    if (used.has(`pod:${pod.name}`) || best.node.pods.length === 1) continue;
    await attempt({ ...best, node: { ...best.node, pods: best.node.pods.filter((p) => p !== pod) } });
  }
  for (const key of Object.keys(best.node.sysctls ?? {})) {
    const sysctls = Object.fromEntries(Object.entries(best.node.sysctls ?? {}).filter(([k]) => k !== key));
    await attempt({ ...best, node: { ...best.node, sysctls } });
  }
  return best;
}
