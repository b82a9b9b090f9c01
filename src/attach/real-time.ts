// Real time: the virtual clock follows the wall clock. Between two events the process sleeps; whoever brings
// something from outside enters, which moves the emulation to the present first.
// An emulation that is slower than its traffic falls behind for the length of one entry, never for good: the
// present is read anew each time, and what it could not take waits, or is lost, where it comes from.

import { NEVER } from "../core/clock.ts";
import type { Net } from "../emulator/net.ts";
import { WallTimer, wallNow } from "./wall-clock.ts";

export class RealTime {
  readonly net: Net;
  /** Wall time of the virtual time 0. */
  private readonly origin: number;
  private readonly timer: WallTimer;
  private entered = false;
  private stopped = false;
  /** Called whenever the emulation has come to rest at an instant. */
  onRest: () => void = () => {};

  /** Virtual time goes on from where it is. */
  constructor(net: Net) {
    this.net = net;
    this.origin = wallNow() - net.now;
    this.timer = new WallTimer(() => this.enter());
    net.programs.onNews = () => this.soon();
    // What a program does, it does now.
    net.programs.onCall = () => {
      if (!this.entered) this.catchUp();
      this.soon();
    };
    this.timer.in(0);
  }

  /** Catches up with the wall clock, does the work at that instant, and sleeps until the next event. */
  enter(work?: () => void): void {
    if (this.stopped) return;
    const { net } = this;
    this.catchUp(work);
    net.programs.deliver();
    this.onRest();
    if (this.stopped) return;
    const next = net.walk.k.clock.next();
    if (next === NEVER) this.timer.cancel();
    else this.timer.in(next - (wallNow() - this.origin));
  }

  /** Virtual time stands still from now on. */
  stop(): void {
    this.stopped = true;
    this.timer.cancel();
    this.net.programs.onCall = this.net.programs.onNews = () => {};
  }

  private catchUp(work?: () => void): void {
    const { net } = this;
    this.entered = true;
    try {
      net.run({ until: Math.max(net.now, wallNow() - this.origin) });
      if (work === undefined) return;
      work();
      net.run({ for: 0 });
    } finally {
      this.entered = false;
    }
  }

  private soon(): void {
    if (!this.entered && !this.stopped) this.timer.in(0);
  }
}
