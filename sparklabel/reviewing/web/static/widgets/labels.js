// Buttons for labels, shared by the kinds that choose among some. In: which labels are shown, and what each is marked
// with. Out: presses. The buttons stay from row to row: only what differs is drawn, and the focus stays where it is.

import { h, keycap, percent } from "../dom.js";

export class LabelButtons {
  // press: (name) => void. isToggle: whether a button shows that it is pressed.
  constructor({ press, isToggle = false, label }) {
    this.press = press;
    this.isToggle = isToggle;
    this.buttons = [];
    this.element = h("div", { class: "labels", role: "group", "aria-label": label });
  }

  // items: [{name, text?, key, mark, share, isPressed}]; `mark` is a word beside the label, such as "suggested".
  draw(items) {
    while (this.buttons.length < items.length) this.buttons.push(this.#make());
    items.forEach((item, number) => this.buttons[number].show(item));
    const shown = this.element.childElementCount;
    if (shown < items.length) this.element.append(...this.buttons.slice(shown, items.length).map((button) => button.element));
    this.buttons.forEach(({ element }, number) => { element.hidden = number >= items.length; });
    this.items = items;
  }

  #make() {
    const key = keycap("");
    const name = h("bdi", { class: "name" });
    const mark = h("span", { class: "mark" });
    const share = h("span", { class: "share" });
    let current = null;
    const element = h("button", { type: "button", class: "label", click: (event) => this.press(current, event) },
      key, " ", name, " ", mark, " ", share);
    const show = (item) => {
      current = item.name;
      set(key, item.key ?? "");
      key.hidden = !item.key;
      setBreakable(name, String(item.text ?? item.name));
      set(mark, item.mark ?? "");
      set(share, item.share === undefined || item.share === null ? "" : percent(item.share));
      element.classList.toggle("suggested", Boolean(item.isSuggested));
      element.classList.toggle("own", Boolean(item.isOwn));
      if (this.isToggle) element.setAttribute("aria-pressed", String(Boolean(item.isPressed)));
    };
    return { element, show };
  }
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// With places where a line may break: a label is often one_long_word.
function setBreakable(element, text) {
  if (element.textContent === text) return;
  const parts = text.split(/(?<=[_/.-])/);
  element.replaceChildren(...parts.flatMap((part, number) => (number === 0 ? [part] : [h("wbr"), part])));
}
