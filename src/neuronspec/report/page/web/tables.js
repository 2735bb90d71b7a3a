"use strict";
// Tables: sorting by a click or key on a head, and CSV.

function element(name, properties = {}, children = []) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// The number of a cell, or null: what the report's maker noted, else what is written at the start of it.
function numberOf(cell) {
  const text = cell.dataset.value ?? cell.textContent.trim().replaceAll(",", "").replace("−", "-");
  const found = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?/i.exec(text);
  return found ? Number(found[0]) : null;
}

function sortRows(table, column, falling) {
  const body = table.tBodies[0];
  const keyed = [...body.rows].map((row) => ({ row, number: numberOf(row.cells[column]), text: row.cells[column].textContent.trim() }));
  const filled = keyed.filter((item) => item.text !== "" && item.text !== "–");
  const numbers = column > 0 && filled.every((item) => item.number !== null);
  const compare = numbers ? (a, b) => a.number - b.number : (a, b) => a.text.localeCompare(b.text, "en", { numeric: true });
  filled.sort((a, b) => (falling ? compare(b, a) : compare(a, b)));
  body.append(...[...filled, ...keyed.filter((item) => !filled.includes(item))].map((item) => item.row));
}

// Every head becomes a button: first in rising order, then in falling order.
function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = element("button", { type: "button", className: "sort", title: "Sort by this column" }, [head.textContent]);
    button.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      sortRows(table, column, falling);
    });
    head.replaceChildren(button);
  });
  return table;
}

// No text is a formula to a spreadsheet: it gets an apostrophe in front where it begins like one, unless it is a number.
function guarded(text) {
  return /^[=+\-@\t\r\n]/.test(text) && !/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?%?$/i.test(text) ? `'${text}` : text;
}

function csv(block) {
  const quoted = (value) => {
    const text = value === null ? "" : typeof value === "number" ? String(value) : guarded(String(value));
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [block.columns, ...block.rows].map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
}

document.querySelectorAll("table[data-sortable]").forEach(sortable);
