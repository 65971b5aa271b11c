// In the page of `dfer app`: tables sort as in the report, and a measured number opens its runs.
for (const table of element.querySelectorAll("table[data-order]")) sortable(table);

element.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#"]');
  if (!link) return;
  event.preventDefault(); // the page's address is not ours to change
  const row = link.getAttribute("href").slice(1);
  if (row.startsWith("run-")) trigger("open_run", { row });
  else element.querySelector(`#${row}`)?.scrollIntoView({ block: "center" });
});
