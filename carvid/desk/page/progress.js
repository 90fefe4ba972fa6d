// The dialog that tells how far the review of every video and query is.

import { getJson } from "./api.js";
import { byId, make, setText } from "./dom.js";

const COLUMNS = ["masks", "unreviewed", "accepted", "corrected", "rejected", "skipped"];

function rowOf(path, query, counts) {
  const cells = COLUMNS.map((name) => make("td", {}, counts[name].toLocaleString()));
  return make("tr", {}, make("th", { scope: "row" }, path), make("td", { className: "text" }, query), ...cells);
}

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
        for (const counts of queries) {
          for (const name of COLUMNS) total[name] += counts[name];
          rows.push(rowOf(path, counts.query, counts));
        }
      }
      const done = total.masks - total.unreviewed;
      setText(byId("progress-text"), `${done.toLocaleString()} of ${total.masks.toLocaleString()} masks reviewed`);
      byId("progress-bar").max = Math.max(1, total.masks);
      byId("progress-bar").value = done;
      byId("progress-rows").replaceChildren(rowOf("All videos", "", total), ...rows);
      byId("progress-dialog").showModal();
    },
  };
}
