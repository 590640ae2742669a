for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const key = (row, i) => row.cells[i].dataset.sort ?? row.cells[i].textContent.trim();
  heads.forEach((head, i) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const way = head.getAttribute("aria-sort") === "descending" ? 1 : -1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", way === 1 ? "ascending" : "descending");
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [key(a, i), key(b, i)];
        if (x === "" || y === "") return (x === "") - (y === "");  // empty cells last
        return way * (isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y);
      });
      body.append(...rows);
    });
  });
}
