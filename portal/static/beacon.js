// A ledger of attention in 15-second slots: every second, and whenever something changes, the time
// since goes to the page in view and one bucket: active, reading, idle or glance. Slots are reported
// as totals until the server has them, so that a lost or doubled report changes nothing.
const SLOT = 15000, ACTIVE = 5000, READING = 30000, GAP = 3000, LIFE = 86340000, ROWS = 1000;
const BOX = "portal-attention";
const where = document.querySelector("[data-attention]");

const box = () => { try { return JSON.parse(sessionStorage.getItem(BOX)) || {}; } catch { return {}; } };
const keep = (token, report) => {
  const all = box();
  if (report) all[token] = report; else delete all[token];
  try { sessionStorage.setItem(BOX, JSON.stringify(all)); } catch { /* full: live reports go on */ }
};
const post = async (body) => {
  // Null when refused for good; throws when it may be tried again.
  const answer = await fetch("/t", { method: "POST", body, keepalive: body.length < 60000 });
  if (answer.ok) return answer.json();
  if (answer.status === 429 || answer.status >= 500) throw answer;
  return null;
};

// What earlier pages could not deliver.
const deliver = async () => {
  for (const [token, report] of Object.entries(box())) {
    if (where && token === where.dataset.attention) continue;
    try {
      do await post(JSON.stringify({ ...report, t: token, s: report.s.splice(0, ROWS) }));
      while (report.s.length);
      keep(token);
    } catch { return setTimeout(deliver, 20000 + Math.random() * 10000); }
  }
};

const measure = () => {
  const token = where.dataset.attention, ledger = new Map(), visible = new Set();
  let server = +where.dataset.now, born = server, perf = performance.now(), wall = Date.now();
  let input = perf, seen = 0, rest = 0, activated, page = 1, state, tries = 0, timer, busy = false;
  // Said beside the slots: activation, leaving, a recording.
  let said = 0, heard = 0, left, played = 0, playing;
  const player = where.querySelector("video"), watched = new Set();

  const now = () => (document.hidden || document.prerendering ? -1 : document.hasFocus() ? 1 : 0);
  const bucket = () => {
    if (state < 1) return state < 0 ? -1 : 3;
    const idle = perf - input;
    return idle < ACTIVE ? 0 : idle < READING ? 1 : 2;
  };
  const inView = () => {
    let best = 0;
    for (const element of visible) {
      const { top, bottom } = element.getBoundingClientRect();
      const share = Math.min(bottom, innerHeight) - Math.max(top, 0);
      if (share > best) { best = share; page = +element.dataset.page; }
    }
  };
  const add = (which, milliseconds) => {
    const number = Math.floor(server / SLOT);
    let slot = ledger.get(number);
    if (!slot) ledger.set(number, slot = { pages: {}, sum: 0, at: 0, sent: 0 });
    const part = Math.min(milliseconds, SLOT - slot.sum);
    if (part <= 0) return;
    (slot.pages[page] ||= [0, 0, 0, 0])[which] += part;
    slot.sum += part;
    slot.at++;
  };
  const activate = () => {
    if (activated || state < 0) return;
    activated = Math.round(server);
    said++;
    send();
  };
  // The interval that ends now counts by the state in which it began, as far as both clocks agree;
  // a gap (sleep, a starved timer) for one second at most.
  const settle = () => {
    const p = performance.now(), w = Date.now(), which = bucket();
    const gone = Math.max(0, Math.min(p - perf, w - wall));
    const counts = which < 0 ? 0 : rest + (Math.max(p - perf, w - wall) > GAP ? Math.min(gone, 1000) : gone);
    let credit = server - born < LIFE ? Math.floor(counts) : 0;
    rest = counts % 1;
    seen += credit;
    if (playing) {
      played += credit;
      if (!player.muted && player.volume) input = p;
    }
    const until = server + gone;
    while (credit > 0) {
      const here = Math.min(credit, SLOT - Math.floor(server) % SLOT);
      add(which, here);
      server += here;
      credit -= here;
    }
    server = Math.max(server, until);
    perf = p; wall = w; state = now();
    playing = player && !player.paused && !player.seeking && state >= 0;
    if (seen >= 2000) activate();
    inView();
  };
  const unsent = (limit) => {
    const rows = [], slots = [];
    for (const [number, slot] of ledger) {
      if (slot.at === slot.sent) continue;
      slots.push([slot, slot.at]);
      for (const [page, buckets] of Object.entries(slot.pages)) rows.push([number, +page, ...buckets]);
      if (rows.length >= limit) break;
    }
    return { rows, slots };
  };
  const recording = () => {
    if (!watched.size) return;
    const length = Math.ceil(player.duration), bits = new Uint8Array(Math.ceil(length / 8));
    for (const second of watched) bits[second >> 3] |= 1 << second % 8;
    return { b: btoa(String.fromCharCode(...bits)), p: played, d: length };
  };
  const report = (rows) => ({ t: token, s: rows, a: activated, l: left, m: navigator.webdriver || undefined, v: recording() });
  const save = () => {
    if (!activated) return;
    const { rows } = unsent(1e9);
    keep(token, rows.length || heard < said ? report(rows) : null);
  };
  const send = async () => {
    if (busy) return;
    const { rows, slots } = unsent(ROWS);
    if (!activated || (!rows.length && heard === said)) return;
    busy = true;
    clearTimeout(timer);
    const saying = said;
    try {
      const answer = await post(JSON.stringify(report(rows)));
      for (const [slot, at] of slots) slot.sent = Math.max(slot.sent, at);
      heard = saying; tries = 0;
      if (answer && answer.now > server) server = answer.now;
      const current = Math.floor(server / SLOT);
      for (const [number, slot] of ledger) if (number < current - 1 && slot.sent === slot.at) ledger.delete(number);
    } catch {
      timer = setTimeout(send, Math.min(60000, 2000 * 2 ** tries++) * (0.5 + Math.random()));
    }
    busy = false;
    save();
  };
  // Without waiting for an answer: the page may be gone in a moment.
  const leave = () => {
    settle();
    if (!activated) return;
    left = Math.round(server);
    said++;
    navigator.sendBeacon("/t", JSON.stringify(report(unsent(ROWS).rows)));
    save();
  };

  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) visible[entry.isIntersecting ? "add" : "delete"](entry.target);
    settle();
  });
  for (const element of document.querySelectorAll("[data-page]")) observer.observe(element);
  const touch = (event) => {
    if (!event.isTrusted) return;
    settle();
    input = perf;
    activate();
  };
  const often = (event) => { if (performance.now() - input > 250) touch(event); };
  for (const name of ["pointerdown", "keydown", "wheel", "touchstart"]) addEventListener(name, touch, { passive: true, capture: true });
  for (const name of ["pointermove", "scroll", "touchmove"]) addEventListener(name, often, { passive: true, capture: true });
  addEventListener("focus", () => { settle(); input = perf; });
  addEventListener("blur", settle);
  addEventListener("pagehide", leave);
  document.addEventListener("freeze", leave);
  document.addEventListener("resume", settle);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) leave(); else { settle(); input = perf; }
  });
  addEventListener("online", () => send());
  if (player) {
    player.addEventListener("timeupdate", () => {
      const second = Math.floor(player.currentTime);
      if (!playing || watched.has(second) || second >= Math.min(player.duration, 21600)) return;
      watched.add(second);
      said++;
    });
    for (const name of ["play", "pause", "seeking"]) player.addEventListener(name, settle);
  }
  // A page brought back is a new load and needs a token of its own.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  state = now();
  setInterval(settle, 1000);
  setInterval(send, SLOT);
};

deliver();
if (where) {
  if (document.prerendering) document.addEventListener("prerenderingchange", measure, { once: true });
  else measure();
}
