// Loss, bursts, duplication, corruption: their shares, and that one seed gives one result whatever happens
// elsewhere.

import test from "ava";
import { Line, plain } from "./netem-kit.ts";

const N = 20_000;

/** Sends n frames, 100 at a time; answers for each whether it came. */
function arrivals(line: Line, n: number): boolean[] {
  for (let i = 0; i < n; i++) {
    line.send();
    if (i % 100 === 99) line.run();
  }
  const came = new Array<boolean>(n).fill(false);
  for (const s of line.sent) came[s.n] = true;
  return came;
}

const share = (flags: boolean[]) => flags.filter((x) => x).length / flags.length;
const near = (value: number, expected: number, within: number) => Math.abs(value - expected) < within;

test("uniform loss: the share, and no memory", (t) => {
  const line = new Line();
  line.q.attach(line.dev, { loss: 0.1 });
  const came = arrivals(line, N);
  t.true(near(share(came), 0.9, 0.01), `${share(came)}`);
  const afterLoss = came.filter((_, i) => i > 0 && !came[i - 1]);
  t.true(near(share(afterLoss), 0.9, 0.03), `${share(afterLoss)}`);
  t.is(line.drops().NETEM_LOSS, N - line.sent.length);
  line.end(t);
});

test("loss 1 loses all, loss 0 none", (t) => {
  const line = new Line();
  const id = line.q.attach(line.dev, { loss: 1 });
  t.is(share(arrivals(line, 500)), 0);
  line.q.detach(id);
  line.q.attach(line.dev, { loss: 0 });
  line.send();
  t.is(line.sent.length, 1);
  line.end(t);
});

test("Gilbert-Elliott: loss p / (p + r), in bursts of 1 / r on average", (t) => {
  const line = new Line(2);
  const p = 0.02;
  const r = 0.25;
  line.q.attach(line.dev, { loss: { p, r } });
  const came = arrivals(line, N);
  t.true(near(1 - share(came), p / (p + r), 0.015), `${1 - share(came)}`);
  let bursts = 0;
  for (let i = 1; i < N; i++) if (!came[i] && came[i - 1]) bursts++;
  const length = (N - line.sent.length) / bursts;
  t.true(near(length, 1 / r, 0.5), `${length}`);
  line.end(t);
});

test("Gilbert-Elliott: 1-h and 1-k lose in either state; r defaults to 1 - p", (t) => {
  const line = new Line(4);
  line.q.attach(line.dev, { loss: { p: 0.5, r: 0.5, lossInBad: 0.6, lossInGood: 0.2 } });
  t.true(near(1 - share(arrivals(line, N)), 0.4, 0.015));
  const simple = new Line(4);
  simple.q.attach(simple.dev, { loss: { p: 0.3 } });
  t.true(near(1 - share(arrivals(simple, N)), 0.3, 0.015));
  line.end(t);
  simple.end(t);
});

test("duplication: the share; both copies are whole and have the packet's number", (t) => {
  const line = new Line();
  line.q.attach(line.dev, { duplicate: 0.1 });
  arrivals(line, N);
  const extra = line.sent.length - N;
  t.true(near(extra / N, 0.1, 0.01), `${extra}`);
  t.true(line.sent.every((s) => Buffer.compare(s.bytes, plain) === 0));
  t.is(line.q.disciplines.duplicated[0], extra);
  line.end(t);
});

test("corruption flips exactly one bit, anywhere in the frame", (t) => {
  const line = new Line();
  line.q.attach(line.dev, { corrupt: 1 });
  arrivals(line, 8_000);
  const hit = new Set<number>();
  for (const s of line.sent) {
    const changed = [...s.bytes.keys()].filter((i) => s.bytes[i] !== plain[i]);
    t.is(changed.length, 1);
    const bits = s.bytes[changed[0]!]! ^ plain[changed[0]!]!;
    t.is(bits & (bits - 1), 0);
    hit.add(changed[0]! * 8 + Math.log2(bits));
  }
  // 800 places, 8,000 draws: nearly every one is met.
  t.true(hit.size > 790, `${hit.size}`);
  line.end(t);
});

test("cut: nothing passes until the cut is taken away", (t) => {
  const line = new Line();
  const id = line.q.attach(line.dev, { cut: true });
  line.send();
  line.send();
  t.deepEqual(line.drops(), { NETEM_CUT: 2 });
  t.true(line.q.detach(id));
  line.send();
  t.deepEqual(line.numbers(), [2]);
  line.end(t);
});

const busy = { delay: 1_000, jitter: 800, ordered: false, loss: 0.1, duplicate: 0.1, corrupt: 0.1 };

function story(seed: number, before: (line: Line) => void = () => {}): string {
  const line = new Line(seed);
  before(line);
  line.q.attach(line.dev, busy);
  for (let i = 0; i < 300; i++) {
    line.at(i * 100);
    line.send();
  }
  line.run();
  return line.sent.map((s) => `${s.time} ${s.n} ${Buffer.from(s.bytes).toString("hex")}`).join("\n");
}

test("one seed, one result; another seed, another", (t) => {
  t.is(story(1), story(1));
  t.not(story(1), story(2));
});

test("disciplines elsewhere do not move the numbers of this one", (t) => {
  const quiet = story(1);
  const elsewhere = story(1, (line) => {
    const other = line.device("eth1");
    line.q.attach(other, busy);
    for (let i = 0; i < 50; i++) line.send(plain, other);
    line.run();
    line.sent = [];
    line.k.clock.now = 0;
  });
  const numberless = (text: string) => text.replace(/^(\d+) \d+ /gm, "$1 ");
  t.is(numberless(elsewhere), numberless(quiet));
});
