// Every second and at every change, the time since goes to a slot of server time, the page in view and
// a bucket: active, reading, idle, glance. Slots are reported as totals until the server has them.
const SLOT = 15000, ACTIVE = 5000, READING = 30000, GAP = 3000, LIFE = 86340000, ROWS = 1000, LONGEST = 21600;
const BOX = "attention:";
const where = document.querySelector("[data-attention]");
const token = where?.dataset.attention;

// False when refused; throws when to be tried again.
const post = async (report) => {
  const answer = await fetch("/t", { method: "POST", body: JSON.stringify(report), keepalive: true });
  if (answer.status === 429 || answer.status >= 500) throw answer;
  return answer.ok && answer.json();
};
const pause = (tries) => Math.min(30000, 1000 * 2 ** tries) * (1 + Math.random());

// What earlier pages left.
const deliver = async (tries) => {
  for (const key of Object.keys(sessionStorage)) {
    if (!key.startsWith(BOX) || key === BOX + token) continue;
    const report = JSON.parse(sessionStorage[key]);
    try {
      do await post({ ...report, s: report.s.splice(0, ROWS) });
      while (report.s.length);
      delete sessionStorage[key];
    } catch { return setTimeout(deliver, pause(tries), tries + 1); }
  }
};

const measure = () => {
  const pages = where.querySelectorAll("[data-page]"), player = where.querySelector("video");
  const ledger = new Map(), watched = new Set();
  let server = +where.dataset.now, perf = performance.now(), wall = Date.now(), input = perf;
  let state = -1, page = 1, seen = 0, busy, unsure, tries = 0, timer;
  // Beside the slots:
  let said = 0, heard = 0, activated, left, played = 0, playing, length = 0;

  const now = () => document.hidden || document.prerendering ? -1 : document.hasFocus() ? 0 : 3;
  const look = () => {
    let best = 0, n = page - 1;
    while (n && pages[n].getBoundingClientRect().top > 0) n--;
    for (; n < pages.length; n++) {
      const { top, bottom } = pages[n].getBoundingClientRect();
      const share = Math.min(bottom, innerHeight) - Math.max(top, 0);
      if (share > best) { best = share; page = n + 1; }
      if (top > innerHeight) return;
    }
  };
  const add = (number, bucket, credit) => {
    let slot = ledger.get(number);
    if (!slot) ledger.set(number, slot = { pages: {}, sum: 0, sent: 0 });
    credit = Math.min(credit, SLOT - slot.sum);
    (slot.pages[page] ||= [0, 0, 0, 0])[bucket] += credit;
    slot.sum += credit;
  };
  // An interval counts by the state in which it began, as far as both clocks agree; a gap (sleep, a
  // starved timer) for a second at most. Slots follow the wall clock.
  const settle = () => {
    const p = performance.now(), w = Date.now(), ran = p - perf, passed = w - wall, idle = perf - input;
    const bucket = state || (idle < ACTIVE ? 0 : idle < READING ? 1 : 2);
    let credit = Math.max(0, Math.min(ran, passed, Math.max(ran, passed) > GAP ? 1000 : GAP));
    if (state < 0 || server - where.dataset.now > LIFE) credit = 0;
    seen += credit;
    if (playing) played += credit;
    for (let at = server; credit > 0;) {
      const part = Math.min(credit, SLOT - at % SLOT);
      add(Math.floor(at / SLOT), bucket, part);
      at += part;
      credit -= part;
    }
    server += Math.max(0, passed);
    // Coming to the front is input, as is a recording that is heard.
    if (state || playing && !player.muted && player.volume) input = p;
    perf = p; wall = w; state = now();
    playing = player && !player.paused && !player.seeking && player.readyState > 2 && state >= 0;
    // Sleep, or a clock that was set? The server is asked, then told more.
    if (passed - ran > GAP) unsure = true;
    if (unsure) send();
    if (seen >= 2000 && !activated) { activated = server; said++; send(); }
    look();
  };
  const unsent = (limit) => {
    const rows = [], slots = [];
    for (const [number, slot] of ledger) {
      if (slot.sum === slot.sent) continue;
      slots.push([slot, slot.sum]);
      for (const page in slot.pages) rows.push([number, +page, ...slot.pages[page].map(Math.floor)]);
      if (rows.length >= limit) break;
    }
    return { rows, slots };
  };
  const recording = () => {
    if (!length) return;
    const bits = new Uint8Array(Math.ceil(length / 8));
    for (const second of watched) bits[second >> 3] |= 1 << second % 8;
    return { b: btoa(String.fromCharCode(...bits)), p: Math.floor(played), d: length };
  };
  const report = (rows) => ({ t: token, s: rows, a: activated, l: left, m: navigator.webdriver, v: recording() });
  const save = () => {
    const { rows } = unsent();
    try {
      if (rows.length || heard < said) sessionStorage[BOX + token] = JSON.stringify(report(rows));
      else delete sessionStorage[BOX + token];
    } catch {}
  };
  const send = async (again) => {
    // While the server is away, only back-off and the network try again.
    if (busy || tries && !again) return;
    const asks = unsure, saying = said, began = Date.now(), { rows, slots } = unsent(ROWS);
    if (!asks && (!activated || !rows.length && heard === said)) return;
    busy = true;
    clearTimeout(timer);
    try {
      const answer = await post(asks ? { t: token, s: [] } : report(rows));
      settle();
      const fresh = wall - began < SLOT;
      tries = 0;
      if (asks) unsure = answer && !fresh;
      else {
        for (const [slot, sum] of slots) slot.sent = sum;
        heard = saying;
        unsure ||= !answer;
      }
      // Back only from where the server refuses.
      if (answer.now > server || fresh && server > answer.now + 2 * SLOT) server = answer.now;
      if (activated > server) activated = server;
      for (const number of ledger.keys()) if (number > server / SLOT + 2) ledger.delete(number);
    } catch { timer = setTimeout(send, pause(tries++), true); }
    busy = false;
    if (activated) save();
  };
  const leave = () => {
    settle();
    if (!activated) return;
    if (!unsure) left = server;
    said++;
    navigator.sendBeacon("/t", JSON.stringify(report(unsent(ROWS).rows)));
    save();
  };
  const touch = (event) => { if (event.isTrusted) { seen = Infinity; settle(); input = perf; } };
  const watch = () => {
    const { duration, buffered } = player, second = Math.floor(player.currentTime);
    if (!playing || watched.has(second) || second >= Math.min(duration, LONGEST)) return;
    // Length unknown (Infinity): what has come.
    const known = isFinite(duration) ? duration : buffered.end(buffered.length - 1);
    length = Math.max(length, Math.min(LONGEST, Math.ceil(known)), second + 1);
    watched.add(second);
    said++;
  };
  const on = (names, act) => {
    for (const name of names.split(" ")) addEventListener(name, act, { capture: true, passive: true });
  };
  on("pointerdown keydown wheel touchstart", touch);
  on("pointermove scroll touchmove", (event) => { if (performance.now() - input > 250) touch(event); });
  on("focus blur resume prerenderingchange playing pause seeking waiting", settle);
  on("timeupdate", watch);
  on("online", send);
  on("pagehide freeze", leave);
  on("visibilitychange", () => document.hidden ? leave() : settle());
  // A page brought back needs a token of its own.
  on("pageshow", (event) => { if (event.persisted) location.reload(); });
  settle();
  setInterval(settle, 1000);
  setInterval(send, SLOT);
};

deliver(0);
if (where) measure();
