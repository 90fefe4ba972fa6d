// A tiny event emitter, the only way modules of the page tell each other that something changed.

/** @returns {{on: (type: string, listener: (detail?: any) => void) => () => void, emit: (type: string, detail?: any) => void}} */
export function createEvents() {
  const listeners = new Map();
  return {
    /** @returns what takes the listener off again */
    on(type, listener) {
      listeners.set(type, [...(listeners.get(type) ?? []), listener]);
      return () => listeners.set(type, listeners.get(type).filter((other) => other !== listener));
    },
    emit(type, detail) {
      for (const listener of listeners.get(type) ?? []) listener(detail);
    },
  };
}
