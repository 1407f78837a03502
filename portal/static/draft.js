// Saves a registration while it is typed. Without it the button "Save draft" does the same.
const form = document.querySelector("form[data-draft]");
const said = form.querySelector("[data-saved]");
const kept = `draft ${form.dataset.whose} ${location.pathname}${location.search}`;
let timer = 0, busy = false, changed = false, leaving = false;

const typed = () => [...new FormData(form)].filter(([name]) => !["csrf_token", "key", "version"].includes(name));
const keep = () => { try { sessionStorage.setItem(kept, JSON.stringify(typed())); } catch { /* full, or not allowed */ } };
const forget = () => sessionStorage.removeItem(kept);

// What was typed and never reached the portal, as after being signed out.
const before = JSON.parse(sessionStorage.getItem(kept) || "[]");
if (before.length && JSON.stringify(before) !== JSON.stringify(typed())) {
  for (const [name, value] of before) if (form.elements[name]) form.elements[name].value = value;
  said.textContent = form.dataset.back;
}

const answered = async (answer) => {
  if (answer.type === "opaqueredirect") { said.textContent = form.dataset.out; return; }
  const result = await answer.json();
  said.textContent = result.error || result.message;
  if (!answer.ok) { changed = false; return; }
  forget();
  if (!result.action) return;
  form.elements.version.value = result.version;
  form.elements.deal_type.options[0].text = result.proposal;
  form.action = result.action;
};
const save = async () => {
  clearTimeout(timer);
  if (!form.dataset.draft || !changed || busy || leaving) return;
  busy = true; changed = false;
  try {
    await answered(await fetch(form.dataset.draft, { method: "POST", body: new FormData(form), redirect: "manual", keepalive: true }));
  } catch { changed = true; said.textContent = form.dataset.lost; }
  busy = false;
  if (changed) timer = setTimeout(save, 5000);
};
const later = () => { changed = true; keep(); clearTimeout(timer); timer = setTimeout(save, 1200); };

form.addEventListener("input", later);
form.addEventListener("change", later);
form.addEventListener("submit", () => { leaving = true; clearTimeout(timer); sessionStorage.setItem("sent", kept); });
addEventListener("pageshow", () => { leaving = false; });
addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") save(); });
