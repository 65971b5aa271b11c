// Buttons that sort a table by a column, and one that restores its order. A number comes with its
// value in full; cells without one stand last, and equal ones keep the table's own order.
addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("table[data-order]")) sortable(table);
});

function sortable(table) {
  const body = table.tBodies[0];
  const order = [...body.rows];
  const heads = [...table.querySelectorAll("[data-column]")];
  const restore = button("order", table.dataset.order, () => show(order, null));

  function show(rows, head, direction) {
    for (const other of heads) other.setAttribute("aria-sort", other === head ? direction : "none");
    body.append(...rows);
  }

  for (const head of heads) {
    const byNumber = head.classList.contains("number");
    const key = (row) => {
      const cell = row.cells[head.dataset.column];
      return byNumber ? parseFloat(cell.dataset.value) : cell.textContent;
    };
    const press = button("", head.textContent, () => {
      const first = byNumber ? "descending" : "ascending"; // the best first; from A to Z
      const again = head.getAttribute("aria-sort") === first;
      const direction = again ? (byNumber ? "ascending" : "descending") : first;
      const sign = direction === "ascending" ? 1 : -1;
      const isEmpty = (row) => Number.isNaN(key(row));
      const compare = (a, b) =>
        byNumber ? key(a) - key(b) : key(a).localeCompare(key(b), "en", { numeric: true });
      const filled = order.filter((row) => !isEmpty(row)).sort((a, b) => sign * compare(a, b));
      show([...filled, ...order.filter(isEmpty)], head, direction);
    });
    head.replaceChildren(press);
  }
  show(order, null);
  table.parentElement.before(restore);
}

function button(name, text, action) {
  const made = document.createElement("button");
  Object.assign(made, { type: "button", className: name, textContent: text, onclick: action });
  return made;
}
