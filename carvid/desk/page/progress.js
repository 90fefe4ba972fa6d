// The dialog that tells how far the review of every video and query is.

import { getJson } from "./api.js";
import { byId, make, setText } from "./dom.js";

const COLUMNS = ["masks", "unreviewed", "accepted", "corrected", "rejected", "skipped"];

function rowOf(head, query, counts) {
  const cells = COLUMNS.map((name) => make("td", {}, counts[name].toLocaleString()));
  return make("tr", {}, ...head, make("td", { className: "text", title: query }, query), ...cells);
}

// The path is told once, for all queries of its video; of a long one the end tells more.
const headOf = (path, rows) =>
  make("th", { scope: rows > 1 ? "rowgroup" : "row", rowSpan: rows, title: path, className: "path" }, make("bdi", {}, path));

/** @param {{warn: (text: string) => void}} parts */
export function createProgress({ warn }) {
  return {
    async open() {
      let answer;
      try {
        answer = await getJson("/api/progress");
      } catch (error) {
        warn(`Progress cannot be told: ${error.message}`);
        return;
      }
      const total = Object.fromEntries(COLUMNS.map((name) => [name, 0]));
      const rows = [];
      for (const { path, queries } of answer.videos) {
        queries.forEach((counts, i) => {
          for (const name of COLUMNS) total[name] += counts[name];
          rows.push(rowOf(i ? [] : [headOf(path, queries.length)], counts.query, counts));
        });
      }
      const done = total.masks - total.unreviewed;
      setText(byId("progress-text"), `${done.toLocaleString()} of ${total.masks.toLocaleString()} mask${total.masks === 1 ? "" : "s"} reviewed`);
      byId("progress-bar").max = Math.max(1, total.masks);
      byId("progress-bar").value = done;
      byId("progress-rows").replaceChildren(rowOf([headOf("All videos", 1)], "", total), ...rows);
      byId("progress-dialog").showModal();
    },
  };
}
