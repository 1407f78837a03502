// Runs before the first paint, so that a dark room never sees a white flash.
const dark = matchMedia("(prefers-color-scheme: dark)");
const apply = () => { document.documentElement.dataset.bsTheme = localStorage.getItem("theme") || (dark.matches ? "dark" : "light"); };
apply();
dark.addEventListener("change", apply);
document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-theme-switch]")) return;
  localStorage.setItem("theme", document.documentElement.dataset.bsTheme === "dark" ? "light" : "dark");
  apply();
});
