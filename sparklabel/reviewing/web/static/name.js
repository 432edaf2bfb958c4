// The page that asks for a name. In: a name, and a password where people have one. Out: a request, and then the tasks.
// Of a name that is known already the page asks whether that is the same person.

import { postJson } from "./api.js";
import { find } from "./dom.js";

async function send(isSame) {
  const name = find("name").value.trim();
  if (!name) return;
  const password = find("password")?.value;
  try {
    await postJson("/name", { name, ...(isSame && { same: true }), ...(password && { password }) });
    location.assign("/");
  } catch (error) {
    find("name-problem").textContent = [error.message, error.hint].filter(Boolean).join(" ");
    find("same").hidden = error.status !== 409;
    find(error.status === 409 ? "same" : "name").focus();
  }
}

find("name-form").addEventListener("submit", (event) => {
  event.preventDefault();
  send(false);
});
find("name").addEventListener("input", () => {
  find("same").hidden = true;
  find("name-problem").textContent = "";
});
find("same").addEventListener("click", () => send(true));
find("name").focus();
