// Waits for descriptors that Node cannot wait for. One poll(2) in another thread for all of them; when one is
// ready they are all read until none has had anything for a few turns of the event loop, which spares the
// switch of threads while frames come (as net.core.busy_poll does), and then it waits again.

import type { Libc } from "./libc.ts";
import { nextTurn } from "./wall-clock.ts";

const POLLFD = 8;
const POLLIN = 1;
/** Turns of the event loop without a frame after which the thread waits. */
const QUIET_TURNS = 32;

export class Poller {
  private readonly libc: Libc;
  /** What reads each descriptor; true when there was something. */
  private readonly readers = new Map<number, () => boolean>();
  private readonly wake: number;
  private fds = new Uint8Array(0);
  private running = false;
  private waiting = false;
  private quiet = 0;

  constructor(libc: Libc) {
    this.libc = libc;
    this.wake = libc.eventfd();
  }

  /** @param read reads some of what is there; true when there was something */
  add(fd: number, read: () => boolean): void {
    this.readers.set(fd, read);
    if (!this.running) {
      this.running = true;
      this.wait();
    } else this.interrupt();
  }

  /** Nobody waits for the descriptor any more; it may be closed. */
  remove(fd: number): void {
    if (this.readers.delete(fd)) this.interrupt();
  }

  /** No descriptor is left; the thread ends. */
  close(): void {
    this.readers.clear();
    if (this.running) this.interrupt();
    else this.libc.close(this.wake);
  }

  private interrupt(): void {
    if (this.waiting) this.libc.write(this.wake, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0), 8);
  }

  private wait(): void {
    const list = [this.wake, ...this.readers.keys()];
    this.fds = new Uint8Array(list.length * POLLFD);
    const view = new DataView(this.fds.buffer);
    for (const [i, fd] of list.entries()) {
      view.setInt32(i * POLLFD, fd, true);
      view.setInt16(i * POLLFD + 4, POLLIN, true);
    }
    this.waiting = true;
    this.libc.poll(this.fds, list.length, () => {
      this.waiting = false;
      this.libc.read(this.wake, new Uint8Array(8));
      this.quiet = 0;
      this.turn();
    });
  }

  private turn(): void {
    let some = false;
    for (const read of [...this.readers.values()]) some = read() || some;
    this.quiet = some ? 0 : this.quiet + 1;
    if (this.readers.size === 0) {
      this.running = false;
      this.libc.close(this.wake);
    } else if (this.quiet < QUIET_TURNS) nextTurn(() => this.turn());
    else this.wait();
  }
}
