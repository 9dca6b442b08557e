"use strict";
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const say = (text) => { document.getElementById("said").textContent = text; };
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/* Theme: figures follow by CSS; what Bokeh draws on a canvas gets its colours here. */
const drawnByBokeh = new Set();
const parts = {
  Figure: (one) => Object.assign(one, { background_fill_color: null, border_fill_color: null, outline_line_color: colour("null") }),
  Axis: (one) => Object.assign(one, {
    axis_label_text_color: colour("ink"), major_label_text_color: colour("ink"), axis_line_color: colour("faint"),
    major_tick_line_color: colour("faint"), axis_label_text_font_style: "normal" }),
  Grid: (one) => Object.assign(one, { grid_line_color: colour("band") }),
  Legend: (one) => Object.assign(one, {
    label_text_color: colour("ink"), background_fill_alpha: 0, border_line_alpha: 0, inactive_fill_color: colour("band"), inactive_fill_alpha: 0.6 }),
};
function paint(doc) {
  for (const model of doc._all_models.values()) {
    for (const [kind, set] of Object.entries(parts)) if (model.type.endsWith(kind)) set(model);
    const tag = (model.tags ?? []).find((name) => colour(name));
    if (!tag) continue;
    for (const key of ["line_color", "fill_color", "hatch_color"]) if (key in model.properties) model[key] = colour(tag);
    for (const head of ["upper_head", "lower_head"]) if (model[head]) model[head].line_color = colour(tag);
  }
}
const themeButton = document.getElementById("theme");
function setTheme(name, keep) {
  document.documentElement.dataset.theme = name;
  themeButton.setAttribute("aria-pressed", String(name === "dark"));
  themeButton.textContent = name === "dark" ? "Light" : "Dark";
  if (keep) try { localStorage.setItem("ei-theme", name); } catch { /* a page without storage */ }
  drawnByBokeh.forEach(paint);
}
themeButton.addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark", true));
setTheme(document.documentElement.dataset.theme, false);

/* Tables: open all, sort by the number that a cell starts with, else by its text. */
const unfold = document.getElementById("unfold");
unfold?.addEventListener("click", () => {
  const open = unfold.getAttribute("aria-pressed") !== "true";
  all("details.table, details.group").forEach((one) => { one.open = open; });
  unfold.setAttribute("aria-pressed", String(open));
  unfold.textContent = open ? "Close all tables" : "Open all tables";
});
const valueOf = (row, column) => {
  const text = row.cells[column].textContent.trim().replaceAll("−", "-");
  const number = Number.parseFloat(text.replace(/^(null|z|effect)\s/, ""));
  return [Number.isNaN(number) ? null : number, text];
};
function compare([a, left], [b, right]) {
  if (a !== null && b !== null) return a - b;
  if ((a === null) !== (b === null)) return a === null ? 1 : -1;
  return left.localeCompare(right);
}
all("table.sortable").forEach((table) => all("thead th", table).forEach((head, column) => {
  head.firstElementChild.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    all("th", table).forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row, column), row]);
    rows.sort(([a], [b]) => (down ? -1 : 1) * compare(a, b));
    table.tBodies[0].append(...rows.map(([, row]) => row));
    say(`sorted by ${head.textContent.trim()}, ${down ? "descending" : "ascending"}`);
  });
}));

/* Copying. */
all("[data-copy]").forEach((button) => button.addEventListener("click", async () => {
  const text = document.getElementById(button.dataset.copy).textContent;
  try { await navigator.clipboard.writeText(text); } catch {
    const area = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(area); area.select(); document.execCommand("copy"); area.remove();
  }
  say("copied");
  const label = button.textContent;
  button.textContent = "Copied"; setTimeout(() => { button.textContent = label; }, 1200);
}));

/* Contents: where the reader is; folded on narrow screens. */
const links = new Map(all("nav .links a").map((link) => [link.getAttribute("href").slice(1), link]));
const watcher = new IntersectionObserver((seen) => seen.forEach((entry) => {
  if (!entry.isIntersecting) return;
  links.forEach((link) => link.removeAttribute("aria-current"));
  links.get(entry.target.id)?.setAttribute("aria-current", "true");
}), { rootMargin: "0px 0px -75% 0px" });
all("section[id]").forEach((section) => watcher.observe(section));
if (matchMedia("(max-width: 900px)").matches) all("nav > details").forEach((one) => { one.open = false; });

/* Widgets: the choices of the controls, joined, are the key of a frame, which goes into the Bokeh sources. */
function unpacked(column) {
  if (Array.isArray(column)) return column;
  const raw = Uint8Array.from(atob(column.f4), (letter) => letter.charCodeAt(0));
  return new Float32Array(raw.buffer);
}
async function bindWidget(root) {
  const held = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const controls = all("[data-control]", root), text = root.querySelector(".text"), plot = root.querySelector(".plot");
  plot.id = `${root.id}-plot`;
  await Bokeh.embed.embed_item(held.item, plot.id);
  const doc = Bokeh.documents.at(-1);
  drawnByBokeh.add(doc); paint(doc);
  let turn = 0;
  async function frameAt(key) {
    if (key in held.frames) return held.frames[key];
    const answer = await fetch(`${held.address}&${new URLSearchParams({ key })}`);
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error);
    return found;
  }
  async function show() {
    const mine = ++turn, key = controls.map((one) => one.value).join("|");
    let frame;
    try { frame = await frameAt(key); } catch (error) { text.textContent = error.message; return; }
    if (mine !== turn || !frame) return;
    for (const model of doc._all_models.values()) {
      if (model.type !== "Figure" || !model.name) continue;
      model.visible = !frame.hidden.includes(model.name);
      if (frame.labels[model.name]) model.left[0].axis_label = frame.labels[model.name];
      if (frame.labels[`${model.name}.x`]) model.below[0].axis_label = frame.labels[`${model.name}.x`];
    }
    for (const [name, columns] of Object.entries(frame.sources)) {
      const entries = Object.entries(columns).map(([column, values]) => [column, unpacked(values)]);
      doc.get_model_by_name(name).data = Object.fromEntries(entries);
    }
    text.textContent = frame.text;
    root.dataset.shown = key;
  }
  const optionsOf = (control) => {
    const options = held.options[control.dataset.control];
    return Array.isArray(options) || typeof options === "number" ? options : options[controls[0].value];
  };
  function told(control) {
    const options = optionsOf(control), n = options.length ?? options, output = control.nextElementSibling;
    if (!output) return;
    const words = options[control.value] ?? (control.type === "range" ? `${control.value} of 0 to ${n - 1}` : `of 0 to ${n - 1}`);
    output.textContent = words;
    if (options.length) control.setAttribute("aria-valuetext", words);
  }
  function renewed(control) {  // the options of what depends on the first control
    const options = optionsOf(control), last = (options.length ?? options) - 1;
    if (control.tagName === "SELECT") control.replaceChildren(...options.map((name, place) => new Option(name, place)));
    else Object.assign(control, { max: last, value: Math.min(control.value, last) });
    if (control.tagName === "SELECT") control.selectedIndex = (last + 1) >> 1;
    told(control);
  }
  controls.forEach((control, index) => control.addEventListener("input", () => {
    if (index === 0) controls.slice(1).filter((one) => optionsOf(one) !== held.options[one.dataset.control]).forEach(renewed);
    told(control);
    if (control.validity.valid && control.value !== "") show();
  }));
  controls.forEach(told);
  await show();
}
(async () => {  // one after the other: each is the last of Bokeh's documents
  for (const root of all("[data-widget]")) {
    try { await bindWidget(root); } catch (error) { root.querySelector(".text").textContent = error.message; }
  }
})();
