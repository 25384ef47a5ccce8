// What htmx does not do by itself: say when a request failed, and when the live picture stands still.
"use strict";

const failed = document.getElementById("failed");

function say(text) {
  failed.textContent = text;
  failed.hidden = !text;
}

document.body.addEventListener("htmx:responseError", (event) => {
  say(event.detail.xhr.responseText.slice(0, 200) || "The console did not answer.");
});
document.body.addEventListener("htmx:sendError", () => say("The console is not running."));
document.body.addEventListener("htmx:beforeRequest", () => say(""));
document.body.addEventListener("htmx:sseError", () => document.body.classList.add("stale"));
document.body.addEventListener("htmx:sseOpen", () => document.body.classList.remove("stale"));
