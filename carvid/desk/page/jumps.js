// Jumps to the masks that need a look: the next worst of the video or of all, the next not reviewed.

import { getJson } from "./api.js";

/** @param {{desk: any, events: any, outbox: any, say: (text: string) => void, warn: (text: string) => void}} parts */
export function createJumps({ desk, events, outbox, say, warn }) {
  let list = { source: "", places: [], next: 0 };
  let asking = false;
  let landed = false;

  function reviewed(place) {
    const video = desk.video?.id === place.video ? desk.video : desk.known(place.video);
    const track = video?.tracks.get(place.object);
    return !!track && track.review[video.positionOf(place.frame)] !== ".";
  }

  const here = (place) => place.video === desk.video?.id && place.frame === desk.frame && place.object === desk.objectId;

  async function fetched(path) {
    if (asking) return undefined;
    asking = true;
    try {
      return await getJson(path);
    } catch (error) {
      warn(`No place to jump to: ${error.message}`);
      return undefined;
    } finally {
      asking = false;
    }
  }

  function fromList() {
    while (list.next < list.places.length) {
      const place = list.places[list.next++];
      if (!reviewed(place) && !here(place)) return place;
    }
    return undefined;
  }

  async function nextOf(source, path, video) {
    let place = list.source === source ? fromList() : undefined;
    if (!place) {
      const answer = await fetched(path);
      if (!answer) return;
      list = { source, places: answer.frames.map((one) => ({ video, ...one })), next: 0 };
      place = fromList();
    }
    if (!place) return void say("No suspicious mask is left without a verdict.");
    if (await desk.openVideo(place.video, place)) {
      say(`Suspicion ${place.suspicion.toFixed(2)}: frame ${place.frame}, ${desk.object.query}. ${list.next} of ${list.places.length}.`);
    }
  }

  // Whether the mask on show is the one that the last jump to an unreviewed one led to.
  for (const type of ["video", "position", "object"]) events.on(type, () => (landed = false));

  return {
    async worst() {
      const id = desk.video?.id;
      if (id === undefined) return;
      const ranked = [...desk.video.tracks.values()].every((track) => track.suspicion);
      if (!ranked) say("Ranking the video…");
      const path = `/api/videos/${id}/worst`;
      await nextOf(path, path, id);
      if (!ranked && desk.known(id)) desk.reloadTimeline(desk.known(id));
    },

    worstOfAll: () => nextOf("all", "/api/worst"),

    async unreviewed() {
      const { video } = desk;
      if (!video) return;
      // The server only knows the verdicts that have reached it.
      await outbox.settled(video.id);
      if (desk.video !== video) return;
      // The mask on show counts too, unless it was jumped to and is left without a verdict.
      const after = `frame=${desk.frame}&object=${desk.objectId - (landed ? 0 : 1)}`;
      const place = await fetched(`/api/videos/${video.id}/unreviewed?${after}`);
      if (place) {
        if (await desk.openVideo(place.video, place)) {
          landed = true;
          say(`Not reviewed: frame ${place.frame}, ${desk.object.query}.`);
        }
      } else if (place === null) say("Every mask has a verdict.");
    },
  };
}
