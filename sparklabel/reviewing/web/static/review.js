// The review screen. In: the page of templates/review.html, and a person's keys and clicks. Out: what is drawn, and
// calls of the session, which knows what is reviewed. A key changes the screen before any request is made.

import { Unreachable, getJson } from "./api.js";
import { button, find, h, plural } from "./dom.js";
import { Keys, isModifier } from "./keys.js";
import { openFilter, openHelp, openNote } from "./panels.js";
import { badges, guidelines, keyText, startOf } from "./row_view.js";
import { savingState } from "./saving.js";
import { Session } from "./session.js";
import { widgetFor } from "./widgets/index.js";

const ANNOUNCED = 400; // letters of a row that are read out
const CALM = 300; // ms that an answer may be on its way before the page says so
const REPEATABLE = ["back", "forward", "nextWord", "previousWord"];

class ReviewScreen {
  constructor(about, main) {
    this.task = about.task;
    this.about = about;
    this.keys = new Keys(about.task.kind, about.keys);
    this.texts = find("texts");
    const { task, journal, reviewer } = main.dataset;
    this.session = new Session({
      task, reviewer, prefix: `sparklabel:outbox:${[journal, task, reviewer].map(encodeURIComponent).join(":")}:`,
      on: {
        row: () => this.drawRow(), rows: () => this.rowsCame(), saving: () => this.saving(),
        progress: (progress) => this.drawProgress(progress), refused: (event, why) => this.refused(event, why),
        unsent: () => this.unsent(),
      },
    });
    this.widget = widgetFor({
      task: this.task, keys: this.keys, answer: (value) => this.finish("answer", value), say: (text) => this.say(text),
      leave: () => this.texts.focus({ preventScroll: true }), isBlind: () => Boolean(this.session.current?.row.blind),
    });
    find("answer").append(this.widget.element);
    this.drawActions();
    this.drawGuidelines();
    document.addEventListener("keydown", (event) => this.pressed(event));
    document.addEventListener("visibilitychange", () => this.watch());
    addEventListener("pagehide", () => this.session.keepFlags());
    addEventListener("beforeunload", (event) => {
      if (!this.session.outbox.isDurable && this.session.outbox.size > 0) event.preventDefault();
    });
  }

  async start() {
    this.drawRow();
    this.saving();
    getJson(`${this.session.path}/progress`).then((progress) => this.drawProgress(progress), () => {});
    await this.session.start();
  }

  // --- What a person does ---

  finish(kind, value = null) {
    const { current } = this.session;
    if (!current) return;
    if (this.about.read_only) {
      this.say("This review is read-only: no answers are taken.");
      return;
    }
    const { value: shown = null, confidence = null, by = "none" } = current.row.suggestion ?? {};
    this.session.finish(kind, {
      value, note: this.noteText, seconds: Math.round(this.#seconds() * 1000) / 1000, shown: { value: shown, confidence, by },
      isFlagged: this.isFlagged,
    });
  }

  get actions() {
    return {
      take: () => this.widget.take(),
      skip: () => this.finish("skip"),
      undo: () => this.session.undo() || this.say("There is nothing to undo."),
      flag: () => this.flag(),
      note: () => openNote(this.noteText, (text) => { this.noteText = text; this.drawBadges(); }),
      guidelines: () => this.toggleGuidelines(),
      back: () => this.session.go(-1) || this.say("This is the first of your answers that is kept here."),
      forward: () => this.session.go(1),
      all: () => document.querySelector("[data-all]")?.click(),
      help: () => openHelp(this.keys, this.widget.help, { changed: () => this.drawActions(), closed: () => this.refocus() }),
      filter: () => openFilter(this.task, this.session.filter, (filter) => this.session.narrow(filter)),
    };
  }

  pressed(event) {
    if (event.defaultPrevented || event.isComposing || isModifier(event) || document.querySelector("dialog[open]")) return;
    if (event.target.closest("input, textarea, select")) return this.pressedInField(event);
    if (["Enter", " "].includes(event.key) && event.target.closest("button, a, summary")) return;
    const action = this.keys.action(event);
    const digit = this.keys.digit(event);
    // A key that is held down must not answer row after row.
    if (event.repeat && !REPEATABLE.includes(action) && !event.key.startsWith("Arrow")) {
      if (action || digit !== null) event.preventDefault();
      return;
    }
    const isWidgets = this.session.current && this.widget.key(event, action, digit);
    const act = isWidgets || !action ? null : this.actions[action];
    if (act && (this.session.current || !["take", "skip", "flag", "note"].includes(action))) act();
    if (isWidgets || act) event.preventDefault();
  }

  pressedInField(event) {
    if (event.key === "Escape") this.texts.focus({ preventScroll: true });
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.widget.take();
    else if (!this.widget.fieldKey?.(event)) return;
    event.preventDefault();
  }

  flag() {
    this.isFlagged = !this.isFlagged;
    this.drawBadges();
    this.announce(this.isFlagged ? "Flagged" : "Not flagged");
  }

  // What is done to the row on the screen, and not sent: {isFlagged, note, made}, or null if nothing is. Of an answer that
  // was sent, only the one that was sent is shown later: what is half made of another one would look like it.
  unsent() {
    const { isFlagged, noteText: note } = this;
    const { given } = this.session.current;
    const now = JSON.stringify(this.widget.made?.());
    const made = given || now === this.untouched ? undefined : now;
    return isFlagged || note !== (given?.note ?? "") || made !== undefined ? { isFlagged, note, made } : null;
  }

  // --- What is drawn ---

  drawRow() {
    const { current } = this.session;
    const { unsent } = current ?? {};
    this.isFlagged = unsent?.isFlagged ?? false;
    this.noteText = unsent?.note ?? current?.given?.note ?? "";
    this.say("");
    find("answer").hidden = !current;
    find("moved").hidden = !current?.row.moved;
    this.texts.scrollTop = 0;
    if (current) {
      const { row } = current;
      delete this.texts.dataset.said;
      find("row-title").textContent = keyText(row.key);
      find("moved").textContent = row.moved ?? "";
      this.texts.replaceChildren(...this.widget.texts(row));
      this.widget.draw(row, startOf(current));
      this.untouched = JSON.stringify(this.widget.made?.());
      if (unsent?.made !== undefined) this.widget.remake(JSON.parse(unsent.made));
    } else this.drawNothing();
    this.drawBadges();
    // The focus is on the row: Enter then means the suggestion, and never the button that was pressed last.
    if (!document.querySelector("dialog[open]")) this.texts.focus({ preventScroll: true });
    this.shownAt = performance.now();
    this.hiddenFor = 0;
    this.watch();
    this.announceRow(current);
  }

  // Without a row: why, and what would give some.
  drawNothing() {
    const { session } = this;
    const isOffline = session.problem instanceof Unreachable;
    const [heading, text] = session.isSaving ? ["Saving", "This browser keeps nothing, so each answer waits until it is saved."]
      : isOffline ? ["No rows yet", "The server does not answer. Your answers are safe here, and rows come as soon as it does."]
      : session.problem && !session.problem.isPassing ? ["No rows", session.problem.message]
      : session.problem || session.isLoading ? ["Loading", session.problem?.message ?? "Rows are on their way."]
      : [session.note ? "No rows now" : "Done", session.note ?? "No row waits for you."];
    const said = `${heading} ${text}`;
    if (this.texts.dataset.said === said && this.texts.childElementCount > 0) return; // a link in it may have the focus
    this.texts.dataset.said = said;
    find("row-title").textContent = heading;
    const filter = Object.keys(session.filter).length > 0 && button("Show all rows", { press: () => session.narrow({}) });
    this.texts.replaceChildren(h("p", { class: "lead" }, text), h("p", { class: "buttons" }, filter, h("a", { class: "button", href: "/" }, "All tasks")));
  }

  drawBadges() {
    const { current } = this.session;
    if (!current) return find("badges").replaceChildren();
    find("flag").setAttribute("aria-pressed", String(this.isFlagged));
    return find("badges").replaceChildren(...badges(this.task, current, this.isFlagged, this.noteText));
  }

  drawActions() {
    const { keys } = this;
    const made = (name, label, attributes = {}) =>
      button(label, { key: keys.names.includes(name) ? keys.key(name) : undefined, press: () => this.actions[name](), class: "button quiet", ...attributes });
    find("actions").replaceChildren(
      made("skip", "Skip"), made("undo", "Undo"), made("flag", "Flag", { id: "flag", "aria-pressed": "false" }), made("note", "Note"),
      made("back", "Back"), made("forward", "Forward"), h("span", { class: "space" }),
      made("guidelines", "Guidelines", { "aria-controls": "guidelines", id: "guidelines-button" }), made("filter", "Filter"), made("help", "Keys"));
  }

  drawGuidelines() {
    find("guidelines-text").append(...guidelines(this.task));
    this.toggleGuidelines(matchMedia("(min-width: 64rem)").matches);
  }

  toggleGuidelines(isShown = find("guidelines").hidden) {
    find("guidelines").hidden = !isShown;
    find("guidelines-button").setAttribute("aria-expanded", String(isShown));
  }

  drawProgress(progress) {
    this.progress = progress;
    const { mine, all, goal } = progress;
    const number = (count) => count.toLocaleString("en");
    find("progress-text").textContent = `${number(mine)} by you · ${goal ? `${number(all)} of ${number(goal)}` : number(all)} by all`;
    const bar = find("progress-bar");
    bar.hidden = !goal;
    bar.max = goal || 1;
    bar.value = Math.min(all, goal || 0);
    this.drawSaving();
  }

  rowsCame() {
    const { note, filter, current } = this.session;
    const isNarrow = Object.keys(filter).length > 0;
    const notice = find("notice");
    if (!notice.dataset.refused) {
      notice.hidden = !(isNarrow || (note && current));
      notice.textContent = isNarrow ? `A filter is set. ${note ?? "Its answers teach, and judge no model."}` : (note ?? "");
    }
    if (!current) this.drawNothing();
    this.drawSaving();
  }

  // An answer is on its way for a few milliseconds: the page speaks of it when it takes longer.
  saving() {
    clearTimeout(this.calm);
    find("saving").dataset.waiting = this.session?.outbox.size ?? 0; // at once, for scripts
    if (this.session?.outbox.problem || this.session?.outbox.size === 0) this.drawSaving();
    else this.calm = setTimeout(() => this.drawSaving(), CALM);
  }

  drawSaving() {
    if (!this.session) return;
    const { text, tone, why } = savingState(this.session.outbox, this.progress, this.session.problem);
    const saving = find("saving");
    if (saving.textContent !== text) saving.textContent = text;
    saving.dataset.tone = tone;
    saving.title = why ?? "";
  }

  refused(event, why) {
    const notice = find("notice");
    this.refusals = (this.refusals ?? 0) + 1;
    notice.dataset.refused = String(this.refusals);
    notice.hidden = false;
    notice.replaceChildren(`${plural(this.refusals, "answer")} not taken. ${why} `, button("Understood", { class: "button small", press: () => {
      this.refusals = 0;
      delete notice.dataset.refused;
      this.rowsCame();
      this.texts.focus({ preventScroll: true });
    } }));
    this.announce(notice.textContent);
  }

  // Nobody may lose the focus: the button that had it may be another one now.
  refocus() {
    if (document.activeElement === document.body) this.texts.focus({ preventScroll: true });
  }

  say(text) {
    const message = find("message");
    if (message.textContent !== text) message.textContent = text;
  }

  // Read out behind the paint, and once where somebody answers faster than one can listen.
  announceRow(current) {
    clearTimeout(this.announcing);
    this.announcing = setTimeout(() => {
      const text = current ? current.row.inputs.map((input) => input ?? "").join(". ").slice(0, ANNOUNCED) : this.texts.textContent;
      this.announce(`${find("row-title").textContent}. ${text}`);
    }, 150);
  }

  announce(text) {
    find("announcer").textContent = text;
  }

  // --- How long a row was looked at ---

  watch() {
    if (document.hidden) this.hiddenSince = performance.now();
    else if (this.hiddenSince !== undefined) {
      this.hiddenFor += performance.now() - this.hiddenSince;
      this.hiddenSince = undefined;
    }
  }

  #seconds() {
    return (performance.now() - this.shownAt - (this.hiddenFor ?? 0)) / 1000;
  }
}

async function open() {
  const main = find("main");
  try {
    const about = await getJson(`/api/${encodeURIComponent(main.dataset.task)}/about`);
    await new ReviewScreen(about, main).start();
  } catch (error) {
    find("row-title").textContent = "The review cannot be shown";
    find("texts").replaceChildren(h("p", { class: "lead" }, error.message), h("p", {}, error.hint ?? ""),
      h("p", {}, button("Try again", { class: "button primary", press: () => location.reload() })));
  }
}

open();
