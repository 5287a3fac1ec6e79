/**
 * @typedef {Object} Options
 * @property {string} host Where to.
 * @property {integer} [port=80] - Which door.
 * @property {Array<string>=} paths
 */
/** @typedef {"fast" | "slow"} Speed */

/**
 * Fetches.
 * @param {string} url The address.
 * @param {integer} [times=3] How often.
 * @param {?string} note
 * @param {Options} options
 * @param {Speed} [speed='fast']
 * @param {Object} inner
 * @param {string} inner.name Its name.
 * @param {number=} inner.size
 * @param {Object.<string, number>} table
 * @param {*} anything
 * @param {string[]} list
 * @param {{a: string, b?: number}} shape
 * @param {(string|number)} either
 * @param {function(string): void} callback
 */
export function main(url, times, note, options, speed, inner, table, anything, list, shape, either, callback, undocumented, count = 2) {
  return [url, times];
}
