// Attention, counted so that it can neither be inflated nor lost: a ledger of 15-second slots.
// Every second, and whenever something changes, the time since then goes to the slot, the page in
// view and one bucket: active, reading, idle or glance. Slots are reported as totals, again and
// again until the server has them, so that a lost or doubled report changes nothing.
const SLOT = 15000, ACTIVE = 5000, READING = 30000, GAP = 3000, LIFE = 86340000, ROWS = 1000;
const BOX = "portal-attention";
const where = document.querySelector("[data-attention]");

const box = () => { try { return JSON.parse(sessionStorage.getItem(BOX)) || {}; } catch { return {}; } };
const keep = (token, report) => {
  const all = box();
  if (report) all[token] = report; else delete all[token];
  try { sessionStorage.setItem(BOX, JSON.stringify(all)); } catch { /* full or forbidden: live reports go on */ }
};
const post = async (body) => {
  // Gives the answer, null when it was refused for good, and throws when it may be tried again.
  const answer = await fetch("/t", { method: "POST", body, keepalive: body.length < 60000 });
  if (answer.ok) return answer.json();
  if (answer.status === 429 || answer.status >= 500) throw answer;
  return null;
};

// What earlier pages of this tab could not deliver.
const deliver = async () => {
  for (const [token, report] of Object.entries(box())) {
    if (where && token === where.dataset.attention) continue;
    try {
      while (report.s.length || report.a) {
        await post(JSON.stringify({ t: token, a: report.a, s: report.s.splice(0, ROWS) }));
        report.a = undefined;
      }
      keep(token);
    } catch { return setTimeout(deliver, 20000 + Math.random() * 10000); }
  }
};

const measure = () => {
  const token = where.dataset.attention, ledger = new Map(), visible = new Set();
  let server = Number(where.dataset.now), born = server, perf = performance.now(), wall = Date.now();
  let input = perf, seen = 0, rest = 0, activated, activationKnown = false, page = 1, state, tries = 0, timer, busy = false;

  const now = () => (document.visibilityState !== "visible" || document.prerendering ? -1 : document.hasFocus() ? 1 : 0);
  const bucket = () => {
    if (state < 1) return state < 0 ? -1 : 3;
    const idle = perf - input;
    return idle < ACTIVE ? 0 : idle < READING ? 1 : 2;
  };
  const inView = () => {
    let best = 0;
    for (const element of visible) {
      const box = element.getBoundingClientRect();
      const share = Math.min(box.bottom, innerHeight) - Math.max(box.top, 0);
      if (share > best) { best = share; page = Number(element.dataset.page); }
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
    send();
  };
  // Close the interval that ends now, by the state in which it began. Both clocks must agree that
  // time went by; a gap (sleep, a starved timer) counts for one second at most.
  const settle = () => {
    const p = performance.now(), w = Date.now(), which = bucket();
    const gone = Math.max(0, Math.min(p - perf, w - wall));
    const counts = which < 0 ? 0 : rest + (Math.max(p - perf, w - wall) > GAP ? Math.min(gone, 1000) : gone);
    let left = server - born < LIFE ? Math.floor(counts) : 0;
    rest = counts % 1;
    seen += left;
    const until = server + gone;
    while (left > 0) {
      // An interval over the edge of a slot is divided there.
      const here = Math.min(left, SLOT - Math.floor(server) % SLOT);
      add(which, here);
      server += here;
      left -= here;
    }
    server = Math.max(server, until);
    perf = p; wall = w; state = now();
    if (seen >= 2000) activate();
    inView();
  };
  const unsent = (limit) => {
    const rows = [], slots = [];
    for (const [number, slot] of ledger) {
      if (slot.at === slot.sent) continue;
      slots.push([slot, slot.at]);
      for (const [page, buckets] of Object.entries(slot.pages)) rows.push([number, Number(page), ...buckets]);
      if (rows.length >= limit) break;
    }
    return { rows, slots };
  };
  const report = (rows) => JSON.stringify({ t: token, a: activated, s: rows });
  const save = () => {
    if (!activated) return;
    const { rows } = unsent(1e9);
    keep(token, rows.length || !activationKnown ? { a: activated, s: rows } : null);
  };
  const send = async () => {
    if (busy) return;
    const { rows, slots } = unsent(ROWS);
    if (!activated || (!rows.length && activationKnown)) return;
    busy = true;
    clearTimeout(timer);
    try {
      const answer = await post(report(rows));
      for (const [slot, at] of slots) slot.sent = Math.max(slot.sent, at);
      activationKnown = true; tries = 0;
      if (answer && answer.now > server) server = answer.now;
      const current = Math.floor(server / SLOT);
      for (const [number, slot] of ledger) if (number < current - 1 && slot.sent === slot.at) ledger.delete(number);
    } catch {
      timer = setTimeout(send, Math.min(60000, 2000 * 2 ** tries++) * (0.5 + Math.random()));
    }
    busy = false;
    save();
  };
  // At once, and without waiting for an answer: the page may be gone in a moment.
  const leave = () => {
    settle();
    const { rows } = unsent(ROWS);
    if (activated && (rows.length || !activationKnown)) navigator.sendBeacon("/t", report(rows));
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
  let last = 0;
  const often = (event) => { if (performance.now() - last > 250) { last = performance.now(); touch(event); } };
  for (const name of ["pointerdown", "keydown", "wheel", "touchstart"]) addEventListener(name, touch, { passive: true, capture: true });
  for (const name of ["pointermove", "scroll", "touchmove"]) addEventListener(name, often, { passive: true, capture: true });
  addEventListener("focus", () => { settle(); input = perf; });
  addEventListener("blur", settle);
  addEventListener("pagehide", leave);
  document.addEventListener("freeze", leave);
  document.addEventListener("resume", settle);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") leave(); else { settle(); input = perf; }
  });
  addEventListener("online", () => send());
  // A page brought back by the back button is a new load and needs a token of its own.
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
