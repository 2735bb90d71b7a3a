"use strict";
// Before anything is shown: the theme that the reader chose last.
try {
  const chosen = localStorage.getItem("neuronspec-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch { /* a file may have no storage */ }
