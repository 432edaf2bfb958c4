// Where two texts differ. In: two texts. Out: for each of them its parts, {text, differs}, in order.
// Words are compared first, so that one other letter does not make the rest differ; then the letters of words that
// stand in each other's place.

const MOST = 300; // words; the table of the comparison is quadratic

export function compared(left, right) {
  if (left === right) return [[{ text: left, differs: false }], [{ text: right, differs: false }]];
  const parts = [left, right].map(split);
  if (parts.some((words) => words.length > MOST)) return edges(left, right);
  const [ours, theirs] = [[], []];
  for (const [common, one, other] of aligned(parts[0], parts[1])) {
    if (common) {
      push(ours, one, false);
      push(theirs, other, false);
    } else {
      const [first, second] = edges(one, other);
      for (const part of first) push(ours, part.text, part.differs);
      for (const part of second) push(theirs, part.text, part.differs);
    }
  }
  return [ours, theirs];
}

// Words, each with the blanks behind it: blanks of their own would be found alike everywhere.
const split = (text) => text.match(/(?:[\p{L}\p{M}\p{N}]+|[^\p{L}\p{M}\p{N}\s])\s*|\s+/gu) ?? [];

const bare = (word) => word.trim().toLowerCase();

// Runs of [is equal, text of the left, text of the right], by the longest common subsequence of words in any case.
function aligned(left, right) {
  const [ours, theirs] = [left.map(bare), right.map(bare)];
  const width = right.length + 1;
  const lengths = new Uint16Array((left.length + 1) * width);
  for (let i = left.length - 1; i >= 0; i--) {
    for (let j = right.length - 1; j >= 0; j--) {
      lengths[i * width + j] = ours[i] === theirs[j]
        ? lengths[(i + 1) * width + j + 1] + 1
        : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  const runs = [];
  let [i, j] = [0, 0];
  let [one, other] = ["", ""];
  const close = () => {
    if (one || other) runs.push([false, one, other]);
    [one, other] = ["", ""];
  };
  while (i < left.length && j < right.length) {
    if (ours[i] === theirs[j]) {
      close();
      runs.push([left[i] === right[j], left[i++], right[j++]]);
    } else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) one += left[i++];
    else other += right[j++];
  }
  one += left.slice(i).join("");
  other += right.slice(j).join("");
  close();
  return runs;
}

// What is between the common beginning and the common end.
function edges(left, right) {
  const [ours, theirs] = [left, right].map((text) => [...text]);
  const most = Math.min(ours.length, theirs.length);
  let start = 0;
  while (start < most && ours[start] === theirs[start]) start += 1;
  let end = 0;
  while (end < most - start && ours[ours.length - 1 - end] === theirs[theirs.length - 1 - end]) end += 1;
  return [ours, theirs].map((letters) => {
    const parts = [];
    push(parts, letters.slice(0, start).join(""), false);
    push(parts, letters.slice(start, letters.length - end).join(""), true);
    push(parts, letters.slice(letters.length - end).join(""), false);
    return parts;
  });
}

function push(parts, text, differs) {
  const last = parts.at(-1);
  if (!text) return;
  if (last?.differs === differs) last.text += text;
  else parts.push({ text, differs });
}
