// Draws the blocks of the page. Text of a run reaches the page as text nodes, or escaped by the report's maker.
(() => {
  const blocks = JSON.parse(document.getElementById("blocks").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const FONT = 'system-ui, -apple-system, "Segoe UI", sans-serif';
  const LONGEST_TABLE = 500, LONGEST_PRINTED = 40, PRINTED_WIDTH = 690;
  const LIGHT = { text: "#1d2429", dim: "#566168", line: "#e2ded5", card: "#ffffff", scale: [[0, "#f1f5f7"], [0.5, "#5ea0be"], [1, "#103252"]], middle: "#f4f1ea" };
  const DARK = { text: "#e6e3dc", dim: "#a0abb1", line: "#333c42", card: "#1c2226", scale: [[0, "#22303a"], [0.5, "#3f88ab"], [1, "#d6f0fa"]], middle: "#2a3136" };
  const GAP = 0.3;
  let printing = false;

  const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  const theme = () => (isDark() && !printing ? DARK : LIGHT);

  // ---- figures ------------------------------------------------------------------------------------------------

  function heatmap(state) {
    const site = state.block.content.sites[state.frame];
    const order = site.orders[state.order];
    const measure = state.measure;
    const values = site[measure];
    const breaks = new Set(state.order === "family" ? site.bounds.slice(1).map((bound) => bound[1]) : []);
    const edges = [0], places = [], lines = [];
    order.forEach((_, index) => {
      if (breaks.has(index)) { edges.push(edges.at(-1) + GAP); lines.push(null); }
      places.push(edges.at(-1) + 0.5);
      edges.push(edges.at(-1) + 1);
      lines.push(index);
    });
    const cell = (row, column, make) => (row === null || column === null || row === column ? null : make(order[row], order[column]));
    const filled = (make) => lines.map((row) => lines.map((column) => cell(row, column, make)));
    const hover = (a, b) => `${site.names[a]} and ${site.names[b]}<br>IoU ${site.iou[a][b].toFixed(3)}, by chance ${site.chance[a][b].toFixed(3)}<br>above chance ${site.above[a][b].toFixed(3)}`;
    const axis = { showgrid: false, zeroline: false, constrain: "domain", tickvals: places };
    const [low, high] = state.range(measure, site.side);
    const room = document.getElementById(state.block.id).clientWidth;
    return {
      data: [{ type: "heatmap", z: filled((a, b) => values[a][b]), text: filled(hover), x: edges, y: edges, coloraxis: "coloraxis",
        hovertemplate: "%{text}<extra></extra>", hoverongaps: false, xgap: 1, ygap: 1 }],
      layout: {
        height: Math.min(780, Math.max(380, room - 60), 160 + 52 * order.length + 60),
        margin: { l: 10, r: 96, t: 10, b: 10 },
        coloraxis: { cmin: low, cmax: high, colorbar: { title: { text: measure === "iou" ? "IoU" : "above chance", side: "top" }, thickness: 10, len: 0.5, x: 0, xanchor: "left", y: -0.12, yanchor: "top", orientation: "h" } },
        xaxis: { ...axis, ticktext: order.map((i) => site.codes[i]), range: [0, edges.at(-1)], tickangle: -90 },
        yaxis: { ...axis, ticktext: order.map((i) => site.names[i]), range: [edges.at(-1), 0], scaleanchor: "x" },
        annotations: state.order !== "family" ? [] : site.bounds.map(([name, start, end]) => ({
          text: name, xref: "x domain", x: 1.01, xanchor: "left", yref: "y", y: (places[start] + places[end - 1]) / 2, showarrow: false })),
      },
    };
  }

  function bytes(text) {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  }

  function neuronBars(state) {
    const { colors, sites } = state.block.content;
    const site = sites[state.frame], directions = site.directions;
    site.rates ??= bytes(site.frequency);
    site.bits ??= bytes(site.selected);
    const count = site.neurons ? site.neurons.length : site.width;
    const column = site.neurons ? site.neurons.indexOf(state.neuron) : state.neuron;
    const rates = directions.map((_, row) => site.rates[row * count + column] / 255);
    const chosen = directions.map((_, row) => { const bit = row * count + column; return ((site.bits[bit >> 3] >> (bit & 7)) & 1) === 1; });
    const bars = (name, color, on) => ({ type: "bar", name, x: directions, y: rates.map((rate, row) => (chosen[row] === on ? rate : null)),
      marker: { color }, hovertemplate: "%{x}: %{y:.1%}<extra></extra>" });
    return {
      data: [bars("selected", colors[0], true), bars("not selected", colors[1], false)],
      layout: { height: 360, barmode: "overlay", title: { text: `${site.label}, neuron ${state.neuron}: selected in ${chosen.filter(Boolean).length} of ${directions.length}`, font: { size: 14 }, x: 0.02 },
        xaxis: { type: "category", tickangle: -90, automargin: true, categoryarray: directions }, yaxis: { title: { text: "share of positions" }, tickformat: ".0%", range: [0, 1.1 * Math.max(0.01, ...rates)] },
        legend: { orientation: "h", y: 1.02, yanchor: "bottom" }, margin: { t: 70 } },
    };
  }

  function build(state) {
    const content = state.block.content;
    if (state.block.kind === "heatmap") return heatmap(state);
    if (state.block.kind === "neurons") return neuronBars(state);
    return state.block.kind === "frames" ? content.frames[state.frame].figure : content.figure;
  }

  function themed(figure, colors, opaque) {
    const layout = structuredClone(figure.layout);
    if (printing) layout.width = PRINTED_WIDTH;
    const axis = { gridcolor: colors.line, zerolinecolor: colors.line, linecolor: colors.line, automargin: true };
    layout.template = { layout: {
      font: { color: colors.text, family: FONT }, paper_bgcolor: opaque ? colors.card : "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      xaxis: axis, yaxis: axis, legend: { orientation: "h", y: 1.03, yanchor: "bottom" }, margin: { l: 50, r: 16, t: 20, b: 40 } } };
    layout.hoverlabel = { bgcolor: colors.card, bordercolor: colors.line, font: { color: colors.text } };
    layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: colors.dim, activecolor: colors.text };
    if (layout.coloraxis) layout.coloraxis.colorscale = colors.scale;
    const data = figure.data.map((trace) => (trace.type !== "heatmap" || !trace.colorscale ? trace
      : { ...trace, colorscale: trace.colorscale.map(([at, color]) => [at, at === 0.5 ? colors.middle : color]) }));
    return { data, layout };
  }

  function draw(state) {
    const { data, layout } = themed(build(state), theme(), false);
    // The last two: no button that would send the data to plotly's servers.
    Plotly.react(state.block.id, data, layout, { responsive: true, displaylogo: false, displayModeBar: "hover",
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d", "toImage"],
      showSendToCloud: false, plotlyServerURL: "" });
    state.drawn = true;
    if (state.firings) firings(state);
    if (state.details?.open) table(state);
  }

  // ---- tables and downloads -----------------------------------------------------------------------------------

  function frameLabel(state) {
    const content = state.block.content;
    const frames = content.sites || content.frames;
    return frames ? frames[state.frame].label : null;
  }

  function table(state) {
    const { columns, rows, frame } = state.block;
    const shown = frame === null ? rows : rows.filter((row) => row[frame] === frameLabel(state));
    const head = element("tr", {}, columns.map((name) => element("th", { scope: "col", textContent: name })));
    const longest = printing ? LONGEST_PRINTED : LONGEST_TABLE;
    const body = shown.slice(0, longest).map((row) => element("tr", {}, row.map((value, index) => {
      const cell = element(index ? "td" : "th", { textContent: value === null ? "–" : String(value) });
      if (index && typeof value === "string") cell.className = "text";
      return cell;
    })));
    const more = shown.length > longest ? [element("p", { className: "dim", textContent: `The first ${longest} of ${shown.length} rows; the CSV has all.` })] : [];
    const made = element("table", {}, [element("thead", {}, [head]), element("tbody", {}, body)]);
    state.place.replaceChildren(more.length ? made : sortable(made), ...more);
  }

  function save(name, blob) {
    const url = URL.createObjectURL(blob);
    const link = element("a", { href: url, download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }

  async function picture(state, format) {
    const { data, layout } = themed(build(state), LIGHT, true);
    const box = document.getElementById(state.block.id);
    const width = Math.max(720, box.clientWidth), height = layout.height || Math.max(420, box.clientHeight);
    const url = await Plotly.toImage({ data, layout: { ...layout, width, height } }, { format, width, height, scale: format === "png" ? 2 : 1 });
    const text = url.slice(url.indexOf(",") + 1);
    const blob = format === "svg" ? new Blob([decodeURIComponent(text)], { type: "image/svg+xml" }) : new Blob([bytes(text)], { type: "image/png" });
    save(`${state.block.id}.${format}`, blob);
  }

  function under(state, box) {
    const place = element("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: state.block.title });
    const details = element("details", {}, [element("summary", { textContent: "Table" }), place]);
    Object.assign(state, { place, details });
    details.addEventListener("toggle", () => details.open && table(state));
    const button = (label, work) => {
      const made = element("button", { type: "button", textContent: label, title: `Download as ${label}` });
      made.addEventListener("click", work);
      return made;
    };
    box.append(button("CSV", () => save(`${state.block.id}.csv`, new Blob(["\ufeff", csv(state.block)], { type: "text/csv" }))),
      button("SVG", () => picture(state, "svg")), button("PNG", () => picture(state, "png")), details);
  }

  // ---- controls -----------------------------------------------------------------------------------------------

  function slider(state, frames, changed) {
    const output = element("output", { textContent: frames[state.frame].label });
    const range = element("input", { type: "range", min: 0, max: frames.length - 1, value: state.frame, step: 1 });
    range.setAttribute("aria-label", "Layer");
    range.setAttribute("aria-valuetext", output.textContent);
    range.addEventListener("input", () => {
      state.frame = Number(range.value);
      output.textContent = frames[state.frame].label;
      range.setAttribute("aria-valuetext", output.textContent);
      changed();
    });
    return element("label", {}, ["Layer", range, output]);
  }

  function choice(label, options, changed) {
    const select = element("select", {}, Object.entries(options).map(([value, text]) => element("option", { value, textContent: text })));
    select.addEventListener("change", () => changed(select.value));
    return element("label", {}, [label, select]);
  }

  function heatmapControls(state, box) {
    const sites = state.block.content.sites;
    const ranges = {};
    state.range = (measure, side) => {
      const key = `${measure} ${side}`;
      if (ranges[key]) return ranges[key];
      let low = Infinity, high = -Infinity;
      for (const site of sites.filter((other) => other.side === side)) {
        site[measure].forEach((row, a) => row.forEach((value, b) => { if (a !== b) { low = Math.min(low, value); high = Math.max(high, value); } }));
      }
      return (ranges[key] = low < high ? [low, high] : [0, 1]);
    };
    Object.assign(state, { order: "family", measure: "iou" });
    if (sites.length > 1) box.append(slider(state, sites, () => draw(state)));
    box.append(choice("Order", { family: "family", cluster: "cluster", name: "name" }, (value) => { state.order = value; draw(state); }),
      choice("Show", { iou: "IoU", above: "above chance" }, (value) => { state.measure = value; draw(state); }));
  }

  function neuronControls(state, box) {
    const sites = state.block.content.sites;
    const number = element("input", { type: "number", min: 0, step: 1 });
    const picks = element("div");
    const list = element("ul", { className: "firings" });
    state.firings = list;
    const go = (neuron) => { state.neuron = neuron; number.value = neuron; choose(); draw(state); };
    const choose = () => {
      const site = sites[state.frame];
      number.max = site.width - 1;
      picks.replaceChildren(...Object.entries(site.featured).filter(([, members]) => members.length).map(([kind, members]) => element("div", { className: "picks" }, [
        element("span", { textContent: kind }), ...members.map((neuron) => {
          const button = element("button", { type: "button", textContent: neuron });
          button.setAttribute("aria-pressed", String(neuron === state.neuron));
          button.addEventListener("click", () => go(neuron));
          return button;
        })])));
    };
    const first = () => Object.values(sites[state.frame].featured).flat().at(-1) ?? (sites[state.frame].neurons ?? [0])[0];
    number.addEventListener("change", () => {
      const site = sites[state.frame];
      const neuron = Math.min(Math.max(0, Math.round(Number(number.value) || 0)), site.width - 1);
      const known = site.neurons;
      go(known && !known.includes(neuron) ? known.reduce((best, other) => (Math.abs(other - neuron) < Math.abs(best - neuron) ? other : best)) : neuron);
    });
    state.neuron = first();
    number.value = state.neuron;
    box.append(slider(state, sites, () => go(first())), element("label", {}, ["Neuron", number]));
    box.after(picks);
    document.getElementById(state.block.id).parentElement.after(list);
    choose();
  }

  function firings(state) {
    const found = state.block.content.sites[state.frame].tokens[state.neuron] || [];
    state.firings.replaceChildren(...found.map(([token, value, direction, before, after]) => element("li", {}, [
      element("span", { className: "dim", textContent: `${direction} · ${value} · ` }), before, element("b", { textContent: token }), after])));
  }

  // ---- start --------------------------------------------------------------------------------------------------

  const states = blocks.map((block) => {
    const figure = document.querySelector(`[data-block="${block.id}"]`);
    const controls = figure.querySelector(".controls");
    const state = { block, frame: 0, drawn: false };
    under(state, figure.querySelector(".under"));
    if (block.kind === "heatmap") heatmapControls(state, controls);
    else if (block.kind === "neurons") neuronControls(state, controls);
    else if (block.kind === "frames" && block.content.frames.length > 1) controls.append(slider(state, block.content.frames, () => draw(state)));
    return state;
  });
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const state = states.find((known) => known.block.id === entry.target.id);
      if (entry.isIntersecting && !state.drawn) draw(state);
    }
  }, { rootMargin: "600px" });
  states.forEach((state) => near.observe(document.getElementById(state.block.id)));
  const redraw = () => states.filter((state) => state.drawn).forEach(draw);
  dark.addEventListener("change", redraw);

  // ---- theme and print ----------------------------------------------------------------------------------------

  const toggle = document.getElementById("theme");
  const chosen = () => document.documentElement.dataset.theme ?? "system";
  const named = () => { toggle.textContent = `Theme: ${chosen()}`; };
  toggle.hidden = false;
  named();
  toggle.addEventListener("click", () => {
    const next = { system: "light", light: "dark", dark: "system" }[chosen()];
    if (next === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try { localStorage.setItem("neuronspec-theme", next); } catch { /* a file may have no storage */ }
    named();
    redraw();
  });

  let closed = [];
  window.addEventListener("beforeprint", () => {
    printing = true;
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((details) => { details.open = true; });
    states.forEach((state) => { draw(state); table(state); });
  });
  window.addEventListener("afterprint", () => {
    printing = false;
    closed.forEach((details) => { details.open = false; });
    redraw();
  });
})();
