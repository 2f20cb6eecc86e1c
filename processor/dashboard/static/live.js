// The month's page without reloading: the server says that something changed, the changed part is fetched.
"use strict";
(() => {
  const part = document.getElementById("now");
  const state = document.getElementById("live");
  if (!part || !window.EventSource) return;
  const events = new EventSource(part.dataset.live);
  let busy = false, again = false;
  const refresh = async () => {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(part.dataset.now, { headers: { Accept: "text/html" } });
      if (answer.ok) part.innerHTML = await answer.text();
    } finally {
      busy = false;
      if (again) { again = false; refresh(); }
    }
  };
  events.addEventListener("month", refresh);
  events.addEventListener("open", () => { state.textContent = "live"; });
  events.addEventListener("error", () => { state.textContent = "not connected, trying again"; });
})();
