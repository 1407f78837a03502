// Small comforts; every page works without them.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) {
    const field = document.getElementById(button.dataset.copy);
    field.select();
    try { await navigator.clipboard.writeText(field.value); } catch { document.execCommand("copy"); }
    button.textContent = button.dataset.copied;
  }
  const share = event.target.closest("[data-share]");
  if (share) navigator.share({ title: share.dataset.title, url: share.dataset.share }).catch(() => {});
  for (const open of document.querySelectorAll(".menu[open]")) if (!open.contains(event.target)) open.open = false;
});
for (const button of document.querySelectorAll("[data-share]")) button.hidden = !navigator.share;

const pages = [...document.querySelectorAll(".viewer .page")];
if (pages.length) {
  const label = document.querySelector("[data-page-now]");
  const current = () => {
    const middle = innerHeight / 2;
    return pages.findIndex((page) => page.getBoundingClientRect().bottom > middle);
  };
  const show = () => { if (label) label.textContent = Math.max(0, current()) + 1; };
  addEventListener("scroll", show, { passive: true });
  document.addEventListener("click", (event) => {
    const turn = event.target.closest("[data-turn]");
    if (turn) pages[Math.min(pages.length - 1, Math.max(0, current() + Number(turn.dataset.turn)))].scrollIntoView();
  });
}

// A registration that arrived on its own page needs no copy on this device any more.
const sent = sessionStorage.getItem("sent");
if (sent && /^\/deals\/[0-9a-f-]{36}$/.test(location.pathname)) for (const key of [sent, "sent"]) sessionStorage.removeItem(key);
