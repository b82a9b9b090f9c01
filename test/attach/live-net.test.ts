// What a wire to the real world does to the emulation, seen at a wire that is an array: no root, no device.

import test from "ava";
import { AttachError } from "../../src/attach/attach-error.ts";
import { LiveNet } from "../../src/attach/live-net.ts";
import type { Wire, WireEnd } from "../../src/attach/wire.ts";
import { openSnapshot } from "../../src/emulator/define.ts";
import { ms, sec } from "../../src/emulator/units.ts";
import { cluster, end, web } from "../emulator/kit.ts";
import { arpRequest } from "./kit.ts";

class ArrayWire implements Wire {
  readonly name = "array";
  readonly configured = true;
  readonly sent: Uint8Array[] = [];
  plugged = false;
  takes = true;
  end: WireEnd | null = null;
  private enter: (work: () => void) => void = () => {};

  open(end: WireEnd, enter: (work: () => void) => void): void {
    this.end = end;
    this.enter = enter;
    this.plugged = true;
  }

  bring(...frames: Uint8Array[]): void {
    this.enter(() => {
      for (const frame of frames) this.end?.receive(frame);
    });
  }

  send(bytes: Uint8Array, at: number, length: number): boolean {
    if (this.takes) this.sent.push(bytes.slice(at, at + length));
    return this.takes;
  }

  flush(): void {}

  close(): void {
    this.plugged = false;
  }
}

test("a wire is given what the interface receives, and sends on it; the pod behind it is deaf", (t) => {
  const net = cluster(web(1), { cni: "azure-bridge" }, 1);
  const live = new LiveNet(net);
  const wire = new ArrayWire();
  const attachment = live.attach(live.host("pod/web-0"), wire);
  const hello = net.soon.udp("client", "web-0:8080", "hello");
  live.time.enter();
  t.is(hello.deliveredTo, "web-0");
  t.is(hello.reply, null);
  t.is(net.pod("web-0").received, 0);
  const last = wire.sent.at(-1) as Uint8Array;
  t.is(Buffer.from(last.slice(42)).toString(), "hello");
  t.is(attachment.counters.out, wire.sent.length);
  wire.sent.length = 0;
  wire.bring(arpRequest(net, "web-0"));
  // ebtables answer for the gateway; the node may ask for the pod itself meanwhile.
  const arpReply = [0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 2];
  t.is(wire.sent.filter((frame) => arpReply.every((byte, i) => frame[12 + i] === byte)).length, 1);
  t.deepEqual([attachment.counters.in, attachment.counters.inBytes], [1, 42]);
  live.close();
  t.false(wire.plugged);
  const again = net.soon.udp("client", "web-0:8080", "again");
  net.run({ for: ms(10) });
  t.is(again.reply?.payload.length, 5);
  end(t, net);
});

test("a flow the cache carries goes to the wire from the moment it is attached", (t) => {
  const net = cluster(web(1), {}, 1);
  const traffic = net.traffic({ from: "client", to: "web:80", flows: 4, rate: 1000 });
  // A UDP stream is one after two seconds (K 3.4).
  net.run({ until: sec(3) });
  const before = net.pod("web-0").received;
  t.true(net.walk.cache.size > 0);
  const live = new LiveNet(net);
  live.time.stop();
  const wire = new ArrayWire();
  live.attach(live.host("web-0"), wire);
  net.run({ for: ms(100) });
  t.is(net.pod("web-0").received, before);
  t.true(wire.sent.length >= 100);
  traffic.stop();
  live.close();
  end(t, net);
});

test("a frame the interface refuses and one the wire does not take are counted", (t) => {
  const net = cluster(web(1));
  const live = new LiveNet(net);
  const wire = new ArrayWire();
  live.time.enter();
  const { counters } = live.attach(live.host("pod/web-0"), wire);
  wire.bring(new Uint8Array(1515), new Uint8Array(13));
  t.is(counters.refused, 2);
  wire.takes = false;
  net.soon.udp("client", "web-0:8080", "hello");
  live.time.enter();
  t.true(counters.lost > 0);
  t.is(counters.out, wire.sent.length);
  live.close();
  end(t, net);
});

test("a pod that is removed ends its attachment, and its row serves another", (t) => {
  const net = cluster(web(2));
  const live = new LiveNet(net);
  const wire = new ArrayWire();
  const ended: (string | null)[] = [];
  live.onEnd = (attachment) => ended.push(attachment.ended);
  live.attach(live.host("pod/web-0"), wire);
  net.soon.replacePod("web-0");
  live.time.enter();
  t.deepEqual(ended, ["pod/web-0 was removed"]);
  t.false(wire.plugged);
  t.deepEqual(live.attachments, []);
  const sent = wire.sent.length;
  const hello = net.soon.udp("client", "web-2:8080", "hello");
  live.time.enter();
  t.not(hello.reply, null);
  t.is(wire.sent.length, sent);
  live.close();
  end(t, net);
});

test("a snapshot taken while a wire was there has none: the pod answers again", (t) => {
  const net = cluster(web(1));
  const live = new LiveNet(net);
  live.time.stop();
  live.attach(live.host("pod/web-0"), new ArrayWire());
  const restored = openSnapshot(net.snapshot());
  live.close();
  const hello = restored.soon.udp("client", "web-0:8080", "hello");
  restored.run({ for: ms(10) });
  t.is(hello.reply?.payload.length, 5);
  end(t, restored);
  end(t, net);
});

test("names: what is not there, another kind of host, and a host that is taken", (t) => {
  const net = cluster(web(1));
  const live = new LiveNet(net);
  const said = (as: string): string => t.throws(() => live.host(as)).message;
  t.is(said("pod/wbe-0"), 'no pod, node or VM is named "wbe-0"; did you mean "web-0"?');
  t.is(said("vm/web-0"), "web-0 is a pod: say pod/web-0");
  live.attach(live.host("node/n1"), new ArrayWire());
  t.throws(() => live.host("n1"), { instanceOf: AttachError, message: "n1 is attached already" });
  live.close();
  end(t, net);
});

test("events come in real time, in their order, and none before its time", async (t) => {
  const net = cluster(web(1));
  const seen: [string, boolean][] = [];
  const live = new LiveNet(net);
  const done = new Promise<void>((resolve) => {
    net.at(ms(30)).call(() => {
      seen.push(["second", net.now === ms(30)]);
      resolve();
    });
  });
  net.at(ms(3)).call(() => seen.push(["first", net.now === ms(3)]));
  await done;
  t.deepEqual(seen, [
    ["first", true],
    ["second", true],
  ]);
  live.close();
  const { now } = net;
  net.at(now + sec(1)).call(() => seen.push(["third", true]));
  t.is(net.now, now, "virtual time stands still");
  end(t, net);
});
