/**
 * A function that loads what is needed, one frame after the other: what was passed by is left out.
 * @param {() => number|null} next the frame that is needed most now
 * @param {(frame: number) => Promise<void>} load
 * @returns {() => Promise<void>} does nothing while it is at it
 */
export function inTurn(next, load) {
  let loading = false;
  return async () => {
    if (loading) return;
    loading = true;
    try {
      for (let frame = next(); frame !== null; frame = next()) await load(frame);
    } catch {
      // Without a connection there is nothing to load; it is told elsewhere.
    }
    loading = false;
  };
}
