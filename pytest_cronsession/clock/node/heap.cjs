'use strict';

/** A binary heap by (due, order) whose entries know their place, so that any of them can be taken out. */
class Heap {
  /** `keyOf(item)` is the item's record {due, order, at}; `at` is kept here, -1 outside. */
  constructor(keyOf) {
    this.keyOf = keyOf;
    this.items = [];
  }

  peek() {
    return this.items[0];
  }

  push(item) {
    this.keyOf(item).at = this.items.length;
    this.items.push(item);
    this.up(this.items.length - 1);
  }

  remove(item) {
    const key = this.keyOf(item);
    const { at } = key;
    if (at < 0) return;
    key.at = -1;
    const last = this.items.pop();
    if (last === item) return;
    this.place(last, at);
    this.up(at);
    this.down(this.keyOf(last).at);
  }

  place(item, at) {
    this.items[at] = item;
    this.keyOf(item).at = at;
  }

  before(a, b) {
    const x = this.keyOf(a);
    const y = this.keyOf(b);
    return x.due < y.due || (x.due === y.due && x.order < y.order);
  }

  up(start) {
    const item = this.items[start];
    let at = start;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!this.before(item, this.items[above])) break;
      this.place(this.items[above], at);
      at = above;
    }
    this.place(item, at);
  }

  down(start) {
    const item = this.items[start];
    let at = start;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= this.items.length) break;
      if (below + 1 < this.items.length && this.before(this.items[below + 1], this.items[below])) below += 1;
      if (!this.before(this.items[below], item)) break;
      this.place(this.items[below], at);
      at = below;
    }
    this.place(item, at);
  }
}

module.exports = { Heap };
