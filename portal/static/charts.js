// Draws the charts of a page with the colours of its theme.
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const draw = async (element) => {
  const names = { accent: colour("--accent"), second: colour("--warn") };
  const ink = colour("--bs-secondary-color"), line = colour("--bs-border-color");
  const answer = await fetch(element.dataset.chart);
  if (!answer.ok) return;
  const text = (await answer.text()).replace(/"(accent|second)"/g, (_, name) => JSON.stringify(names[name]));
  element.replaceChildren();
  await window.vegaEmbed(element, JSON.parse(text), {
    ast: true, actions: false, defaultStyle: false, renderer: "svg", tooltip: false,
    config: {
      background: null, font: "system-ui, sans-serif", view: { stroke: null },
      axis: { labelColor: ink, titleColor: ink, gridColor: line, domain: false, tickColor: line, labelFontSize: 12 },
      axisX: { grid: false, labelSeparation: 10 }, mark: { color: names.accent }, text: { fontSize: 12, fill: ink }, rule: { stroke: ink },
    },
  });
};
const all = () => { for (const element of document.querySelectorAll("[data-chart]")) draw(element); };
all();
new MutationObserver(all).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
