// Clocks, timers, the network and the state of the page, replaced before the page's scripts run, so
// that hours pass in no time and clocks can be wrong. The server refuses what the real one refuses.
(() => {
  const SLOT = 15000;
  const replaced = window.replaced = {
    perf: performance.now(), wall: Date.now(), passed: 0,
    hidden: false, prerendering: false, focus: true, status: 200, delay: null,
    posts: [], stored: {},
  };
  performance.now = () => replaced.perf;
  Date.now = () => replaced.wall;
  for (const name of ["hidden", "prerendering"]) {
    Object.defineProperty(document, name, { get: () => replaced[name] });
  }
  document.hasFocus = () => replaced.focus;

  // The server's time, which nobody changes.
  const server = () => +document.querySelector("[data-attention]").dataset.now + replaced.passed;
  const take = (body, beacon) => {
    const report = JSON.parse(body), limit = Math.floor(server() / SLOT) + 2;
    let status = replaced.status;
    if (status === 200) {
      const far = [report.a, report.l].some((moment) => moment > server() + 2 * SLOT);
      if (far || report.s.some(([slot]) => slot > limit)) status = 400;
      else for (const [slot, page, ...buckets] of report.s) {
        const old = replaced.stored[`${slot}/${page}`] || buckets;
        replaced.stored[`${slot}/${page}`] = buckets.map((n, i) => Math.max(n, old[i]));
      }
    }
    replaced.posts.push({ at: replaced.passed, now: server(), perf: replaced.perf, status, body, beacon });
    return status;
  };
  window.fetch = async (_path, { body }) => {
    const status = take(body, false), answer = { now: server() };
    if (!status) throw new TypeError("no network");
    if (replaced.delay) await replaced.delay;
    return { ok: status === 200, status, json: async () => answer };
  };
  navigator.sendBeacon = (_path, body) => take(body, true) > 0;

  let timers = [], last = 0;
  const timer = (act, wait = 0, every, args) => {
    timers.push({ id: ++last, due: replaced.perf + wait, act, every, args });
    return last;
  };
  window.setTimeout = (act, wait, ...args) => timer(act, wait, null, args);
  window.setInterval = (act, wait, ...args) => timer(act, wait, wait, args);
  window.clearTimeout = window.clearInterval = (id) => { timers = timers.filter((one) => one.id !== id); };
  const settled = async () => { for (let n = 0; n < 20; n++) await null; };

  // Let time pass; timers come at most once in a step.
  replaced.run = async (milliseconds, step = 1000) => {
    for (let gone = 0; gone < milliseconds; gone += step) {
      await replaced.jump({ perf: step, wall: step, passed: step });
      for (const one of timers.filter(({ due }) => due <= replaced.perf)) {
        if (one.every) one.due = replaced.perf + one.every;
        else timers = timers.filter((other) => other !== one);
        one.act(...one.args);
        await settled();
      }
    }
  };
  // Move some of the clocks, with nobody awake.
  replaced.jump = async (by) => {
    for (const name in by) replaced[name] += by[name];
    await settled();
  };
  // Something about the page changes, and it is told.
  replaced.becomes = async (state, event, target = document) => {
    Object.assign(replaced, state);
    if (event) target.dispatchEvent(new Event(event, { bubbles: true }));
    await settled();
  };
})();
