// The table of claims: filtered by paper, verdict, kind and words; the filter stands in the address, after the #.
"use strict";

(() => {
  const form = document.getElementById("ledger-filter");
  const count = document.getElementById("ledger-count");
  const rows = [...document.querySelectorAll("#ledger-table tbody tr")];
  if (!form || !count || !rows.length) return;

  const CHOICES = ["paper", "verdict", "kind"];
  const NAMES = [...CHOICES, "text"];
  // What a reader may look for: what stands in the row, and its name in the address.
  const words = new Map(rows.map((row) => [row, `${row.id} ${row.textContent}`.toLowerCase()]));

  const filter = () => {
    const looked = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      row.hidden =
        CHOICES.some((name) => form.elements[name].value && form.elements[name].value !== row.dataset[name]) ||
        !looked.every((word) => words.get(row).includes(word));
      shown += !row.hidden;
    }
    count.textContent = shown === rows.length ? `All ${shown} claims` : `${shown} of ${rows.length} claims`;
  };

  const toAddress = () => {
    const chosen = new URLSearchParams();
    for (const name of NAMES) {
      if (form.elements[name].value) chosen.set(name, form.elements[name].value);
    }
    // Replaced, not added: the back button leads to the page before, and not through every letter typed.
    history.replaceState(null, "", chosen.size ? `#${chosen}` : location.pathname + location.search);
  };

  const fromAddress = () => {
    const hash = location.hash.slice(1);
    const isFilter = NAMES.some((name) => hash.includes(`${name}=`));
    const chosen = new URLSearchParams(isFilter ? hash : "");
    const unknown = [];
    for (const name of NAMES) {
      const field = form.elements[name];
      field.value = chosen.get(name) ?? "";
      // A select that has no such option shows nothing at all.
      if (field.selectedIndex === -1) {
        field.value = "";
        unknown.push(`${name} "${chosen.get(name)}"`);
      }
    }
    filter();
    if (unknown.length) count.textContent += `; the address asks for ${unknown.join(" and ")}, which is not there`;
    // The link to one claim leads to it, whatever was filtered before.
    if (hash && !isFilter) document.getElementById(hash)?.scrollIntoView();
  };

  form.addEventListener("input", () => {
    filter();
    toAddress();
  });
  form.addEventListener("reset", () => {
    // The fields are emptied after this event.
    setTimeout(() => {
      filter();
      toAddress();
    });
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", fromAddress);
  form.hidden = false;
  fromAddress();
})();
